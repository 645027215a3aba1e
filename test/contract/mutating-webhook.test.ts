import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { connect } from "../../src/kube/client/client.ts";
import { injectPod } from "../../src/pods/inject/inject-pod-states.ts";
import { sidecarName } from "../../src/pods/inject/sidecar-layout.ts";
import { readProbeTargets } from "../../src/pods/probes.ts";
import type { ClusterServer } from "../../src/serve/cluster-server.ts";
import { isLostRace, publishToWebhooks } from "../../src/serve/tls/ca-bundle.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { waitFor } from "../cluster/processes.ts";
import { describeControlPlane } from "../cluster/suite.ts";
import { apiClient } from "./api-client.ts";
import { installServe, type Rig, type ServerChoices } from "./serve-rig.ts";

const manifest = join(import.meta.dirname, "../../manifests/mutating-webhook.yaml");
const sidecar = { image: "forescale:1", swapNamespaces: ["batch"] };
const gate = { conditionType: "forescale.io/online" };

// biome-ignore lint/suspicious/noExplicitAny: objects as the API server gives them
type Loose = any;

/** What `restricted` asks of every container. */
const restricted = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

describeControlPlane("pods that are made under the mutating webhook", () => {
  let plane: ControlPlane;
  let rig: Rig;
  let servers: ClusterServer[] = [];
  let api: ReturnType<typeof apiClient>;
  let names = 0;

  beforeAll(async () => {
    plane = await startControlPlane();
    api = apiClient(readFileSync(plane.kubeconfig, "utf8"));
    rig = await installServe(plane);
    await plane.kubectl(["apply", "--server-side", "-f", manifest]);
    for (const name of ["plain", "restricted", "batch", "out", "quota"]) await addNamespace(name);
    await plane.kubectl(["label", "namespace", "restricted", "pod-security.kubernetes.io/enforce=restricted"]);
    await plane.kubectl(["label", "namespace", "out", "forescale.io/inject=disabled"]);
    await startServers();
    await setLease("controller-a");
    await waitFor("the webhook to be reached", async () => (await tryOut()).spec.readinessGates !== undefined);
  }, 900_000);
  afterAll(async () => {
    await stopServers();
    await plane?.stop();
  });

  async function addNamespace(name: string): Promise<void> {
    await plane.kubectl(["create", "namespace", name]);
    const account = ["get", "serviceaccount", "default", "-n", name, "--ignore-not-found", "-o", "name"];
    await waitFor(`the account of ${name}`, async () => (await plane.kubectl(account)) !== "");
  }
  async function startServers(choices: ServerChoices = {}): Promise<void> {
    servers = await Promise.all(rig.addresses.map((address) => rig.startServer(address, { sidecar, ...choices })));
    await rig.route(...servers);
  }
  async function stopServers(): Promise<void> {
    await Promise.all(servers.splice(0).map((server) => server.close({ drainMs: 500 })));
  }
  /** A Lease that holds for an hour, or that nobody holds. */
  const setLease = (holderIdentity: string) =>
    rig.apply({
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "forescale-controller", namespace: "forescale-system" },
      spec: { holderIdentity, leaseDurationSeconds: 3600, renewTime: new Date().toISOString().replace("Z", "000Z") },
    });

  function podOf(wish: string, spec: Loose = {}, container: Loose = {}, annotations: Loose = {}) {
    const metadata = { name: `pod-${++names}`, labels: { "forescale.io/inject": wish }, annotations };
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata,
      spec: {
        securityContext: { runAsUser: 1000, runAsGroup: 1000 },
        ...spec,
        containers: [{ name: "app", image: "app:1", ...container }],
      },
    };
  }

  /** Creates a pod as the admin, with the warnings that came back. */
  async function create(namespace: string, pod: Loose, query = "") {
    const { status, body, warnings } = await api("POST", `/api/v1/namespaces/${namespace}/pods${query}`, pod);
    return { code: status, pod: body, warnings };
  }
  async function created(namespace: string, pod: Loose): Promise<{ pod: Loose; warnings: readonly string[] }> {
    const { code, ...answer } = await create(namespace, pod);
    expect({ code, message: answer.pod.message }).toEqual({ code: 201, message: undefined });
    return answer;
  }
  /** A pod that is never kept: what the webhook does to it is seen all the same. */
  const tryOut = async (wish = "gate") => (await create("plain", podOf(wish), "?dryRun=All")).pod;
  const sidecarOf = (pod: Loose) => pod.spec.initContainers?.find(({ name }: Loose) => name === sidecarName);

  it("get the gate that they ask for, and the sidecar with it; a dry run shows the same", async () => {
    const gated = await created("plain", podOf("gate"));
    expect(gated.pod.spec.readinessGates).toEqual([gate]);
    expect(gated.pod.spec.initContainers).toBeUndefined();
    expect(gated.warnings).toEqual([]);

    const wish = podOf("standby", {}, { livenessProbe: { httpGet: { path: "/live", port: 8080 }, timeoutSeconds: 4 } });
    const dry = (await create("plain", wish, "?dryRun=All")).pod;
    const { pod } = await created("plain", wish);
    expect(pod.spec.readinessGates).toEqual([gate]);
    expect(pod.spec.shareProcessNamespace).toBe(true);
    expect(sidecarOf(pod)).toMatchObject({ image: "forescale:1", restartPolicy: "Always" });
    expect(pod.spec.containers[0].livenessProbe).toMatchObject({
      httpGet: { path: "/probes/app/liveness" },
      timeoutSeconds: 4,
    });
    const env = (name: string) => sidecarOf(pod).env.find((each: Loose) => each.name === name).value;
    expect(readProbeTargets(env("FORESCALE_PROBES"))).toMatchObject([{ handler: { path: "/live", port: 8080 } }]);
    expect(env("FORESCALE_AUTHORITIES")).toContain("BEGIN CERTIFICATE");
    expect(sidecarOf(dry)).toEqual({ ...sidecarOf(pod), volumeMounts: sidecarOf(dry).volumeMounts });
  });

  it("give their sidecar no credential of the API server, only its own token", async () => {
    const { pod } = await created("plain", podOf("standby"));
    const mounts = (container: Loose) => container.volumeMounts.map(({ name }: Loose) => name);
    expect(mounts(pod.spec.containers[0])).toEqual([expect.stringMatching(/^kube-api-access-/)]);
    expect(mounts(sidecarOf(pod))).toEqual(["forescale-state", "forescale-key", "forescale-identity"]);
  });

  it("that have it all are left as they are: a second look has nothing to add", async () => {
    const { pod } = await created("plain", podOf("standby", {}, { livenessProbe: { tcpSocket: { port: 1 } } }));
    const options = { namespace: "plain", isGateSet: true, sidecar: { ...sidecar, server: "s:1", authorities: "" } };
    expect(injectPod(pod, options)).toEqual({ outcome: "Standby", patch: [], warnings: [] });
    const { metadata, spec } = pod;
    const again = await created("plain", {
      ...podOf("standby"),
      spec,
      metadata: { name: "again", labels: metadata.labels },
    });
    expect(again.pod.spec).toEqual(spec);
  });

  it("of a restricted namespace are still let in, and are refused there for what they lack themselves", async () => {
    for (const wish of ["gate", "standby"]) {
      const { pod, warnings } = await created("restricted", podOf(wish, {}, { securityContext: restricted }));
      expect(pod.spec.readinessGates).toEqual([gate]);
      expect(sidecarOf(pod) !== undefined).toBe(wish === "standby");
      expect(warnings).toEqual([]);
    }
    const swap = { "forescale.io/standby-mode": "Swap" };
    const { pod } = await created("restricted", podOf("standby", {}, { securityContext: restricted }, swap));
    expect(sidecarOf(pod).securityContext.capabilities).toEqual({ drop: ["ALL"] });
    expect((await create("restricted", podOf("gate"))).code).toBe(403);
  });

  it("may have the capabilities of swap mode where the administrator says so", async () => {
    const { pod } = await created("batch", podOf("standby", {}, {}, { "forescale.io/standby-mode": "Swap" }));
    expect(sidecarOf(pod).securityContext.capabilities.add).toEqual(["KILL", "SYS_NICE", "SYS_PTRACE"]);
  });

  it.each([
    ["BestEffort", {}],
    ["Burstable", { requests: { cpu: "100m" } }],
    ["Guaranteed", { limits: { cpu: "1", memory: "1Gi" } }],
  ])("keep their QoS class, %s", async (qosClass, resources) => {
    const { pod } = await created("plain", podOf("standby", {}, { resources }));
    expect(sidecarOf(pod)).toBeDefined();
    expect(pod.status.qosClass).toBe(qosClass);
  });

  it("still meet a quota that demands limits of every container", async () => {
    const hard = { "limits.cpu": "50", "limits.memory": "50Gi", "requests.cpu": "50", "requests.memory": "50Gi" };
    await rig.apply({
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "all", namespace: "quota" },
      spec: { hard },
    });
    const quota = ["get", "resourcequota", "all", "-n", "quota", "-o", "jsonpath={.status.used}"];
    await waitFor("the quota to count", async () => (await plane.kubectl(quota)) !== "");
    const resources = { requests: { cpu: "100m", memory: "64Mi" }, limits: { cpu: "1", memory: "128Mi" } };
    const { pod } = await created("quota", podOf("standby", {}, { resources }));
    expect(sidecarOf(pod)).toBeDefined();
    expect((await create("quota", podOf("gate"))).code).toBe(403); // the quota does demand
  });

  it.each<[string, object[], boolean]>([
    ["a minimum", [{ type: "Container", min: { cpu: "50m", memory: "64Mi" } }], true],
    ["a maximum", [{ type: "Container", max: { cpu: "2", memory: "200Mi" } }], true],
    ["a ratio", [{ type: "Container", default: { cpu: "1" }, maxLimitRequestRatio: { cpu: "4", memory: "2" } }], true],
    ["a maximum of pods with room", [{ type: "Pod", max: { memory: "400Mi" } }], true],
    ["a maximum too small for the sidecar", [{ type: "Container", max: { memory: "100Mi" } }], false],
    ["a maximum of pods without room", [{ type: "Pod", max: { memory: "200Mi" } }], false],
  ])("are made under a LimitRange: %s", async (_, limits, hasSidecar) => {
    const namespace = `limited-${++names}`;
    await addNamespace(namespace);
    await rig.apply({
      apiVersion: "v1",
      kind: "LimitRange",
      metadata: { name: "all", namespace },
      spec: { limits },
    });
    const memory = { requests: { cpu: "300m", memory: "70Mi" }, limits: { memory: "100Mi", cpu: "300m" } };
    // The watch of the server, and the API server's own, may be a moment behind.
    let answer: Awaited<ReturnType<typeof create>> | undefined;
    await waitFor("the LimitRange to count", async () => {
      const probe = await create(
        namespace,
        podOf("gate", {}, { resources: { limits: { memory: "100Gi" } } }),
        "?dryRun=All",
      );
      answer = await create(namespace, podOf("standby", {}, { resources: memory }));
      return probe.code === 403 || !JSON.stringify(limits).includes('"max":');
    });
    expect({ code: answer?.code, message: answer?.pod.message }).toEqual({ code: 201, message: undefined });
    expect(sidecarOf(answer?.pod) !== undefined).toBe(hasSidecar);
    expect(answer?.warnings).toEqual(hasSidecar ? [] : [expect.stringMatching(/LimitRange/)]);
  });

  it("hear in a warning why they get no sidecar, and are made", async () => {
    const { pod, warnings } = await created(
      "plain",
      podOf("standby", {}, { livenessProbe: { exec: { command: ["a"] } } }),
    );
    expect(pod.spec.readinessGates).toEqual([gate]);
    expect(sidecarOf(pod)).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(/liveness probe of container app runs a command/)]);
    const shared = await created("plain", podOf("standby", { hostPID: true }));
    expect(shared.pod.spec.readinessGates).toBeUndefined();
    expect(shared.warnings).toEqual([expect.stringMatching(/hostPID/)]);
  });

  it("of the system, of a namespace that opted out, without the label, or copies of static pods are not touched", async () => {
    const untouched = async (namespace: string, pod: Loose) => {
      const answer = await created(namespace, pod);
      expect(answer.pod.spec.readinessGates).toBeUndefined();
      expect(answer.warnings).toEqual([]);
    };
    for (const namespace of ["kube-system", "forescale-system", "out"])
      await untouched(namespace, podOf("gate", {}, { securityContext: restricted }));
    await untouched("plain", podOf("disabled"));
    const mistaken = await created("plain", podOf("Standby"));
    expect(mistaken.pod.spec.readinessGates).toBeUndefined();
    expect(mistaken.warnings).toEqual([expect.stringContaining("is neither gate nor standby")]);
    expect(mistaken.pod.metadata.annotations["forescale.io/not-injected"]).toMatch(
      /"Standby" is neither gate nor standby$/,
    );
    await plane.kubectl(["create", "-f", "-"], { apiVersion: "v1", kind: "Node", metadata: { name: "bare" } });
    const mirror = podOf(
      "gate",
      { nodeName: "bare", automountServiceAccountToken: false },
      {},
      { "kubernetes.io/config.mirror": "x" },
    );
    await untouched("plain", mirror);
  });

  it("get no gate while no controller holds the Lease, and again when one does", async () => {
    await setLease("");
    await waitFor("the gate to be left out", async () => (await tryOut()).spec.readinessGates === undefined);
    const { pod, warnings } = await created("plain", podOf("standby"));
    expect(pod.spec.readinessGates).toBeUndefined();
    expect(sidecarOf(pod)).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(/no controller of Forescale/)]);
    await setLease("controller-b");
    await waitFor("the gate to be back", async () => (await tryOut()).spec.readinessGates !== undefined);
  });

  it("are of whom the manifest says: labelled, made new, in two seconds at most, and never refused", () => {
    const { webhooks } = parse(readFileSync(manifest, "utf8"));
    expect(webhooks).toHaveLength(1);
    expect(webhooks[0]).toMatchObject({
      failurePolicy: "Ignore",
      timeoutSeconds: 2,
      sideEffects: "None",
      reinvocationPolicy: "IfNeeded",
      matchPolicy: "Equivalent",
      admissionReviewVersions: ["v1"],
      rules: [{ resources: ["pods"], operations: ["CREATE"] }],
    });
  });

  it("are prepared again soon after somebody overwrote the caBundle", async () => {
    const read = [
      "get",
      "mutatingwebhookconfiguration",
      "forescale-injection",
      "-o",
      "jsonpath={.webhooks[0].clientConfig.caBundle}",
    ];
    const good = await plane.kubectl(read);
    const wrong = Buffer.from(plane.pki.frontProxyAuthority.certificate).toString("base64");
    const patch = JSON.stringify([{ op: "replace", path: "/webhooks/0/clientConfig/caBundle", value: wrong }]);
    await plane.kubectl(["patch", "mutatingwebhookconfiguration", "forescale-injection", "--type=json", "-p", patch]);
    await expect.poll(() => plane.kubectl(read), { timeout: 30_000 }).toBe(good);
    await waitFor("the gate to be back", async () => (await tryOut()).spec.readinessGates !== undefined);
  });

  it("are of a configuration that replicas write at once: one of them writes, the others know that they came late", async () => {
    const client = await connect({ kubeconfig: plane.kubeconfig, env: {}, qps: 500, burst: 500 });
    const service = { namespace: "forescale-system", name: "other" };
    const owned = parse(readFileSync(manifest, "utf8"));
    owned.webhooks[0].clientConfig.service.name = service.name; // so that no server of ours takes part
    await rig.apply(owned);
    let [written, late] = [0, 0];
    for (let round = 0; round < 20; round++)
      await Promise.all(
        Array.from({ length: 4 }, (_, writer) => {
          const bundle = `${plane.pki.clusterAuthority.certificate}${"\n".repeat(4 * round + writer)}`;
          return publishToWebhooks("Mutating", client, service, bundle).then(
            (state) => {
              if (state.kind === "Published" && state.wasRepaired) written++;
            },
            (error) => {
              if (!isLostRace(error)) throw error;
              late++;
            },
          );
        }),
      );
    expect(written).toBeGreaterThanOrEqual(20);
    expect(late).toBeGreaterThan(0);
    await plane.kubectl(["apply", "--server-side", "--force-conflicts", "-f", manifest]);
    await waitFor("the webhook to be reached", async () => (await tryOut()).spec.readinessGates !== undefined);
  });

  it("all get their gate while leaves and authorities rotate", async () => {
    await stopServers();
    await plane.kubectl(["delete", "secret", "forescale-server-tls", "-n", "forescale-system"]);
    // Renewed at two thirds of a life.
    const lifetimes = { authorityMs: 45_000, servingMs: 18_000, settleMs: 3000, overlapMs: 9000 };
    await startServers({ lifetimes, checkEveryMs: 300 });
    await waitFor("the webhook to be reached", async () => (await tryOut()).spec.readinessGates !== undefined);
    const secret = ["get", "secret", "forescale-server-tls", "-n", "forescale-system", "-o", "json"];
    const stored = async () => JSON.parse(await plane.kubectl(secret)).data;
    const first = await stored();
    const leaves = new Set<string>();
    let [made, ungated, isOver] = [0, 0, false];
    const load = Array.from({ length: 3 }, async () => {
      for (; !isOver; await sleep(20)) {
        const { spec } = await tryOut(made++ % 2 === 0 ? "gate" : "standby");
        if (spec.readinessGates === undefined) ungated++;
      }
    });
    const untilMs = Date.now() + 70_000;
    for (; Date.now() < untilMs; await sleep(1000)) leaves.add((await stored())["tls.crt"]);
    isOver = true;
    await Promise.all(load);
    expect({ ungated }).toEqual({ ungated: 0 });
    expect(made).toBeGreaterThan(300);
    expect(leaves.size).toBeGreaterThanOrEqual(4);
    expect((await stored())["ca.crt"]).not.toBe(first["ca.crt"]);
  }, 180_000);

  // The last: no server of ours is left after these.
  it("are made without a gate while the servers hang, as the time-out is short", async () => {
    await stopServers();
    const sockets = new Set<Socket>();
    const hanging: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => hanging.listen(0, rig.addresses[0], resolve));
    const { port } = hanging.address() as { port: number };
    await rig.service.setTargets([{ address: rig.addresses[0], port }]);
    try {
      await waitFor("a pod to hang", async () => {
        await tryOut();
        return sockets.size > 0;
      });
      const { pod } = await created("plain", podOf("standby"));
      expect(pod.spec.readinessGates).toBeUndefined();
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => hanging.close(resolve));
    }
  }, 120_000);

  it("are made without a gate while the servers are gone, as the Service has nobody", async () => {
    await rig.route();
    const { pod, warnings } = await created("plain", podOf("standby"));
    expect(pod.spec.readinessGates).toBeUndefined();
    expect(warnings).toEqual([]);
  });
});
