import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type KubeClient } from "../../src/kube/client/client.ts";
import { type KubeObject, type Resource, resources } from "../../src/kube/client/resource.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { addFakeNode } from "../cluster/objects.ts";
import { freePorts, type Running, run, waitFor } from "../cluster/processes.ts";
import { type LoadStore, startLoadStore } from "./load-store.ts";

const root = join(import.meta.dirname, "..", "..");
const manifests = join(root, "manifests");
export const namespace = "default";
const system = "forescale-system";
const crds = ["horizontalportraits", "intelligenthorizontalpodautoscalers", "metricsources", "replicaprofiles"].map(
  (name) => join(manifests, "crds", `${name}.yaml`),
);

/** A controller with the rights of its service account in the manifests, and no others. */
export interface Controller {
  readonly isAlive: () => boolean;
  readonly log: string;
  /** SIGKILL: nothing is handed over. */
  kill(): Promise<void>;
  /** How often a queue's keys have been reconciled since the start. */
  reconciles(queue: string): Promise<number>;
}

/** A control plane with our kinds, a store whose loads a test sets, and controllers. */
export interface ControllersRig {
  readonly plane: ControlPlane;
  /** The admin's. */
  readonly client: KubeClient;
  /** MetricReader by the metric's name; one that is not there has no value, past or present. */
  readonly loads: Map<string, number>;
  /** The store refuses all requests while this is set. */
  isStoreDown: boolean;
  /** @param options beside the usual ones */
  startController(...options: string[]): Promise<Controller>;
  installKinds(): Promise<void>;
  removeKinds(): Promise<void>;
  stop(): Promise<void>;
}

export async function startControllersRig(): Promise<ControllersRig> {
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const each of undo.splice(0).reverse()) await each();
  };
  try {
    const plane = await startControlPlane();
    undo.push(() => plane.stop());
    const store = await startLoadStore();
    undo.push(() => store.stop());
    const client = await connect({ kubeconfig: plane.kubeconfig, env: {}, qps: 500, burst: 500 });
    const kinds = crds.flatMap((file) => ["-f", file]);
    const installKinds = async () => {
      await plane.kubectl(["apply", "--server-side", ...kinds]);
      await plane.kubectl(["wait", "--for=condition=Established", "--timeout=30s", ...kinds]);
      await addSource(plane, store);
    };
    await addFakeNode(plane.kubectl, "node-1");
    await plane.kubectl(["apply", "--server-side", "-f", join(manifests, "namespace.yaml")]);
    await plane.kubectl(["create", "serviceaccount", "forescale-controller", "-n", system]);
    await plane.kubectl(["apply", "--server-side", "-f", join(manifests, "rbac.yaml")]);
    await installKinds();
    const kubeconfig = await accountKubeconfig(plane);
    let started = 0;
    return {
      plane,
      client,
      loads: store.loads,
      get isStoreDown() {
        return store.isDown;
      },
      set isStoreDown(isDown) {
        store.isDown = isDown;
      },
      startController: (...options) => startController(plane, kubeconfig, started++, options),
      installKinds,
      removeKinds: async () => {
        await plane.kubectl(["delete", "--wait=true", ...kinds]);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function addSource(plane: ControlPlane, store: LoadStore): Promise<void> {
  const apply = () =>
    plane.kubectl(["apply", "--server-side", "-f", "-"], {
      apiVersion: "autoscaling.forescale.io/v1alpha1",
      kind: "MetricSource",
      metadata: { name: "main" },
      spec: { type: "Prometheus", default: true, url: store.url, lag: "1s" },
    });
  // A kind that was just made again is not served by all at once.
  await waitFor("the MetricSource to be taken", async () => (await apply()) !== "");
}

async function accountKubeconfig(plane: ControlPlane): Promise<string> {
  const token = await plane.kubectl(["create", "token", "forescale-controller", "-n", system, "--duration=1h"]);
  const file = join(plane.dir, "controller.kubeconfig");
  const authority = Buffer.from(plane.pki.clusterAuthority.certificate).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
    clusters: [{ name: "k", cluster: { server: plane.url, "certificate-authority-data": authority } }],
    users: [{ name: "u", user: { token: token.trim() } }],
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

async function startController(
  plane: ControlPlane,
  kubeconfig: string,
  number: number,
  options: readonly string[],
): Promise<Controller> {
  const [port] = await freePorts(1);
  const log = join(plane.logs, `controller-${number}.log`);
  const running: Running = await run(
    process.execPath,
    [
      join(root, "bin", "forescale.mjs"),
      "controller",
      `--kubeconfig=${kubeconfig}`,
      `--history=${join(plane.dir, `history-${number}.db`)}`,
      `--metrics-port=${port}`,
      "--bind-address=127.0.0.1",
      "--tick-seconds=2",
      "--hpa-sync-seconds=2",
      "--allow-loopback-sources",
      ...options,
    ],
    log,
  );
  const lives = async () => (await fetch(`http://127.0.0.1:${port}/livez`)).ok;
  await waitFor("the controller to start", lives, { alive: running.isAlive, logFile: log });
  return {
    isAlive: running.isAlive,
    log,
    kill: () => running.signal("SIGKILL"),
    async reconciles(queue) {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      const counts = text.matchAll(
        new RegExp(`^forescale_kube_reconcile_duration_seconds_count\\{.*queue="${queue}".*\\} (\\d+)$`, "gm"),
      );
      return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
    },
  };
}

/** An IHPA of the Deployment of its own name, by the metric of its own name; one pod carries 10. */
export function ihpaOf(name: string, spec: object = {}): KubeObject {
  return {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "IntelligentHorizontalPodAutoscaler",
    metadata: { name, namespace },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
      minReplicas: 1,
      maxReplicas: 50,
      prediction: { history: "1d" },
      metrics: [
        {
          name: "load",
          type: "External",
          external: {
            metric: { name: name.replaceAll("-", "_") },
            target: { type: "AverageValue", averageValue: "10" },
          },
        },
      ],
      ...spec,
    },
  } as KubeObject;
}

/** An HPA that somebody else made; with metrics of theirs. */
export function foreignHpa(name: string, targetName: string, metrics: readonly object[] = []): KubeObject {
  const cpu = { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } };
  return {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: { name, namespace },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: targetName },
      minReplicas: 1,
      maxReplicas: 20,
      metrics: [cpu, ...metrics],
    },
  } as KubeObject;
}

/** Events about an object, as `TYPE REASON`. */
export async function eventsAbout(client: KubeClient, name: string): Promise<string[]> {
  interface Event extends KubeObject {
    readonly regarding?: { readonly kind?: string; readonly name?: string };
    readonly type?: string;
    readonly reason?: string;
  }
  const { items } = await client.list<Event>(resources.events, { namespace });
  return items
    .filter(({ regarding }) => regarding?.kind === "IntelligentHorizontalPodAutoscaler" && regarding.name === name)
    .map(({ type, reason }) => `${type} ${reason}`);
}

/** Whether an object is there. */
export async function isThere(client: KubeClient, resource: Resource, name: string): Promise<boolean> {
  return (await client.find(resource, { namespace, name })) !== undefined;
}

export async function untilMs(timeMs: number): Promise<void> {
  await sleep(Math.max(0, timeMs - Date.now()));
}
