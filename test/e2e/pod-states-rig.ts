import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildHelper } from "../../scripts/native.ts";
import type { ReplicaProfile } from "../../src/api/kinds/replica-profile.ts";
import { connect, type KubeClient } from "../../src/kube/client/client.ts";
import { type KubeObject, type Resource, resourceOf, resources } from "../../src/kube/client/resource.ts";
import { sidecarName } from "../../src/pods/inject/sidecar-layout.ts";
import { frozenRequests } from "../../src/pods/requests.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { hostService } from "../cluster/host-service.ts";
import { imageNames, javaImage, nodeImage } from "../cluster/images-local.ts";
import { type NodeOptions, type RealNode, startNode } from "../cluster/node.ts";
import { freePorts, waitFor } from "../cluster/processes.ts";
import { type Program, programOf } from "./program.ts";

export const namespace = "default";
/** For `expect.poll`: generous, as two cores may have much else to do. */
export const soon = { timeout: 60_000, interval: 100 };
const profiles = resourceOf("ReplicaProfile");
const system = "forescale-system";

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

/** A pod, as far as these tests look. */
export interface PodSeen extends KubeObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly containers: readonly { readonly resources: { readonly requests?: Readonly<Record<string, string>> } }[];
  };
  readonly status?: {
    readonly podIP?: string;
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly {
      readonly name: string;
      readonly restartCount: number;
      readonly allocatedResources?: Readonly<Record<string, string>>;
    }[];
    readonly initContainerStatuses?: readonly { readonly name: string; readonly restartCount: number }[];
  };
}

/** What the applications of `test/cluster/apps` answer. */
export interface Answer {
  readonly ok: boolean;
  /** Differs in each process. */
  readonly instance: string;
  readonly requests: number;
  readonly rows: number;
  readonly damaged: number;
}

/** An application to be frozen: a Deployment with a Service. */
export interface Application {
  readonly name: string;
  readonly kind: "node" | "java";
  readonly mebibytes: number;
  readonly replicas: number;
  readonly requests?: Readonly<Record<string, string>>;
  /** `standby` unless given. */
  readonly inject?: "gate" | "standby";
  /** Merged over the pod's spec. */
  readonly podSpec?: object;
}

/** Our programs as they are shipped, beside a real node that runs real applications. */
export interface PodStatesRig {
  readonly plane: ControlPlane;
  readonly node: RealNode;
  /** The admin's. */
  readonly client: KubeClient;
  readonly server: Program;
  readonly controller: Program;
  /** Starts the server, and waits until it answers. */
  startServer(): Promise<void>;
  /** Starts the controller, and waits until it holds the Lease. */
  startController(): Promise<void>;
  deploy(application: Application): Promise<void>;
  podsOf(app: string): Promise<PodSeen[]>;
  /** The application's only pod. */
  podOf(app: string): Promise<PodSeen>;
  /** Makes or changes the application's ReplicaProfile. */
  want(app: string, spec: Partial<ReplicaProfile["spec"]>): Promise<void>;
  /** Addresses of the pods that traffic goes to, as the Service's EndpointSlices tell. */
  endpoints(app: string): Promise<string[]>;
  /** Asks the application in a pod to check all that it holds; fails when it does not answer in time. */
  check(pod: PodSeen, timeoutMs?: number): Promise<Answer>;
  /** Waits until so many of the application's pods are Ready, and gives the milliseconds that took. */
  untilReady(app: string, count: number): Promise<number>;
  /** Wants the application's only pod on standby, and waits until it is frozen and asks for less. */
  freeze(app: string): Promise<void>;
  /** Wants it back, waits until it is Ready, and gives the milliseconds that took. */
  wake(app: string): Promise<number>;
  /** Deletes all that `deploy` and `want` made, and waits until the pods are gone. */
  remove(app: string): Promise<void>;
  /** Ends the sidecar of a pod with SIGKILL, from outside. */
  killSidecar(pod: PodSeen): Promise<void>;
  /** What our programs, the sidecar and the application said last, for a failure's message. */
  story(app: string): Promise<string>;
  stop(): Promise<void>;
}

export const conditionOf = ({ status }: PodSeen, type: string) =>
  status?.conditions?.find((condition) => condition.type === type);
export const isReady = (pod: PodSeen) => conditionOf(pod, "Ready")?.status === "True";
export const stateOf = ({ metadata }: PodSeen) => metadata.labels?.["forescale.io/pod-state"] ?? "Online";
/** What the kubelet has given the application's container. */
export const allocated = ({ status }: PodSeen) => status?.containerStatuses?.[0].allocatedResources;
export const isFrozen = (pod: PodSeen) => conditionOf(pod, "forescale.io/standby")?.status === "True";

export interface RigOptions {
  readonly node?: NodeOptions;
  /** Whether there are to be applications on the JVM; unless given, yes. */
  readonly java?: boolean;
  /** A folder for the control plane's files that outlives it; one of its own unless given. */
  readonly dir?: string;
  /** More words for the controller's command. */
  readonly controllerArgs?: readonly string[];
}

/** Starts everything, the controller too. */
export async function startPodStatesRig(options: RigOptions = {}): Promise<PodStatesRig> {
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const each of undo.splice(0).reverse()) await each().catch((error) => process.stderr.write(`${error}\n`));
  };
  try {
    return await build(options, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(
  { node: nodeOptions, java = true, dir, controllerArgs = [] }: RigOptions,
  undo: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<PodStatesRig> {
  const helper = buildHelper();
  const plane = await startControlPlane({ dir });
  undo.push(() => plane.stop());
  const { kubectl } = plane;
  const node = await startNode(plane, nodeOptions);
  undo.push(() => node.stop());
  const helperLayer = { from: dirname(helper), paths: ["forescale-standby"], at: "app/native/build/" };
  await Promise.all([
    node.addImage((dir) => nodeImage(dir, [helperLayer])),
    kubectl(["apply", "--server-side", "-k", join(import.meta.dirname, "host-overlay")]),
  ]);
  if (java) await node.addImage(javaImage);

  const [port] = await freePorts(1);
  const address = node.hostAddress;
  await hostService(kubectl, { name: "forescale-server", namespace: system, targets: [{ address, port }] });
  const server = await programOf(plane, "serve", "forescale-server", [
    `--bind-address=${address}`,
    `--port=${port}`,
    `--extra-name=${address}`,
    `--sidecar-image=${imageNames.node}`,
    "--sidecar-pull-policy=Never",
    `--sidecar-server=${address}:${port}`,
    "--shutdown-delay=0",
  ]);
  const controller = await programOf(plane, "controller", "forescale-controller", [
    `--history=${join(plane.dir, "history.db")}`,
    "--metrics-port=0",
    "--hpa-sync-seconds=2",
    "--tick-seconds=5",
    "--allow-loopback-sources",
    ...controllerArgs,
  ]);
  undo.push(
    () => controller.kill("SIGKILL"),
    () => server.kill("SIGKILL"),
  );
  const client = await connect({ kubeconfig: plane.kubeconfig, env: {}, qps: 200, burst: 200 });

  const readyz = ["-sk", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", `https://${address}:${port}/readyz`];
  const startServer = async () => {
    await server.start();
    const isUp = async () => execFileSync("curl", readyz, { encoding: "utf8" }) === "200";
    await waitFor("the server to be ready", isUp, { logFile: server.log });
  };
  const startController = async () => {
    const holder = async () =>
      (
        await client.find<KubeObject & { spec?: { holderIdentity?: string } }>(resources.leases, {
          namespace: system,
          name: "forescale-controller",
        })
      )?.spec?.holderIdentity;
    const before = await holder();
    await controller.start();
    const isHeld = async () => {
      const now = await holder();
      return now && now !== before;
    };
    await waitFor("the controller to hold its Lease", isHeld, { logFile: controller.log });
  };
  await Promise.all([startServer(), startController()]);
  // The first pods are made by hand of nobody: wait until the webhook would add to one what it asks for.
  await waitFor("the webhook to know who sets the gates", () => isInjected(client));

  const podsOf = async (app: string) =>
    (await client.list<PodSeen>(resources.pods, { namespace, labelSelector: `app=${app}` })).items.filter(
      ({ metadata }) => metadata.deletionTimestamp === undefined,
    );
  const podOf = async (app: string) => {
    const pods = await podsOf(app);
    if (pods.length !== 1) throw new Error(`${app} has ${pods.length} pods, not one`);
    return pods[0];
  };
  const untilReady = async (app: string, count: number) => {
    const startedMs = performance.now();
    const isThere = async () => (await podsOf(app)).filter(isReady).length === count;
    await waitFor(`${count} pods of ${app} to be Ready`, isThere, { everyMs: 50 });
    return performance.now() - startedMs;
  };
  const want: PodStatesRig["want"] = async (name, spec) => {
    const key = { namespace, name };
    if (await client.find(profiles, key)) return void (await client.patch(profiles, key, "Merge", { spec }));
    await client.create(profiles, {
      apiVersion: "autoscaling.forescale.io/v1alpha1",
      kind: "ReplicaProfile",
      metadata: key,
      spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name }, ...spec },
    } as KubeObject);
  };
  return {
    plane,
    node,
    client,
    server,
    controller,
    startServer,
    startController,
    podsOf,
    podOf,
    untilReady,
    want,
    stop,
    async freeze(app) {
      await want(app, { onlineReplicas: 0, cutoffReplicas: 0, standbyReplicas: 1 });
      const isAway = async () => {
        const pod = await podOf(app);
        return isFrozen(pod) && allocated(pod)?.cpu === frozenRequests.cpu;
      };
      await waitFor(`${app} to be frozen and ask for less`, isAway);
    },
    async wake(app) {
      await want(app, { onlineReplicas: 1, cutoffReplicas: 0, standbyReplicas: 0 });
      return untilReady(app, 1);
    },
    async remove(name) {
      const gone = ["delete", "-n", namespace, "--ignore-not-found"];
      await kubectl([...gone, "replicaprofile", name]);
      await kubectl([...gone, "--cascade=foreground", "--timeout=60s", `deployment/${name}`, `service/${name}`]);
    },
    async deploy(application) {
      for (const each of objectsOf(application)) await kubectl(["create", "-f", "-"], each);
    },
    async endpoints(app) {
      const slices = await client.list<Slice>(endpointSlices, {
        namespace,
        labelSelector: `kubernetes.io/service-name=${app}`,
      });
      const endpoints = slices.items.flatMap((slice) => slice.endpoints ?? []);
      return endpoints.filter(({ conditions }) => conditions?.ready).flatMap(({ addresses }) => addresses);
    },
    async check({ metadata, status }, timeoutMs = 30_000) {
      const url = `http://${status?.podIP}:8080/check`;
      // A connection of its own: one that is kept would be drained before each freeze.
      const answer = await fetch(url, { headers: { connection: "close" }, signal: AbortSignal.timeout(timeoutMs) });
      if (answer.status !== 200 && answer.status !== 500)
        throw new Error(`${metadata.name} answered ${answer.status} to /check`);
      return (await answer.json()) as Answer;
    },
    async killSidecar({ metadata }) {
      const [pid] = await node.pids({ pod: metadata.name, container: sidecarName });
      process.kill(pid, "SIGKILL");
    },
    async story(app) {
      const parts: string[] = [];
      const tell = (title: string, text: string) => parts.push(`--- ${title}\n${text.trimEnd().slice(-3000)}`);
      const profile = await client.find<ReplicaProfile & KubeObject>(profiles, { namespace, name: app });
      tell("profile", JSON.stringify(profile ?? "none"));
      for (const pod of await podsOf(app)) {
        const { name } = pod.metadata;
        tell(name, JSON.stringify({ labels: pod.metadata.labels, conditions: pod.status?.conditions }));
        for (const container of [sidecarName, "main"])
          tell(`${name}/${container}`, await node.logs({ pod: name, container }).catch(String));
      }
      for (const program of [server, controller]) tell(program.log, readFileSync(program.log, "utf8"));
      return parts.join("\n");
    },
  };
}

interface Slice extends KubeObject {
  readonly endpoints?: readonly {
    readonly addresses: readonly string[];
    readonly conditions?: { readonly ready?: boolean };
  }[];
}

const endpointSlices: Resource = {
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
  namespaced: true,
};

async function isInjected(client: KubeClient): Promise<boolean> {
  const tried = await client.create<KubeObject & { spec: { readinessGates?: unknown } }>(
    resources.pods,
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "tries-the-webhook", namespace, labels: { "forescale.io/inject": "gate" } },
      spec: { containers: [{ name: "main", image: imageNames.busybox }] },
    } as unknown as KubeObject & { spec: { readinessGates?: unknown } },
    { dryRun: true },
  );
  return tried.spec.readinessGates !== undefined;
}

function objectsOf({ name, kind, mebibytes, replicas, requests, inject = "standby", podSpec }: Application): object[] {
  const program =
    kind === "node"
      ? { image: imageNames.node, command: ["node", "/apps/checked-store.ts", "8080", String(mebibytes)] }
      : { image: imageNames.java, args: [`-Xmx${4 * mebibytes}m`, "CheckedStore", "8080", String(mebibytes)] };
  const ask = { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 1, timeoutSeconds: 5 };
  const container = {
    ...program,
    name: "main",
    imagePullPolicy: "Never",
    ports: [{ containerPort: 8080 }],
    resources: { requests: requests ?? { cpu: "100m", memory: "300Mi" } },
    startupProbe: { ...ask, failureThreshold: 120 },
    readinessProbe: ask,
    livenessProbe: { ...ask, failureThreshold: 10 },
  };
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace },
      spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }] },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name, namespace },
      spec: {
        replicas,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name, "forescale.io/inject": inject } },
          spec: {
            securityContext: { runAsUser: 1000, runAsGroup: 1000 },
            automountServiceAccountToken: false,
            terminationGracePeriodSeconds: 20,
            ...podSpec,
            containers: [container],
          },
        },
      },
    },
  ];
}
