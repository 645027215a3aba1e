// Whom the real controllers delete when a workload with pod states gets smaller: what the order of pod states, their
// costs and the limits for StatefulSets rest on. See kubernetes/pkg/controller/controller_utils.go, ActivePodsWithRanks,
// and pkg/controller/statefulset/stateful_set_control.go.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { deletionCostAnnotation, onlineGate, podStateLabel } from "../../src/api/labels.ts";
import { connect, type KubeClient } from "../../src/kube/client/client.ts";
import { type KubeObject, type Resource, resources } from "../../src/kube/client/resource.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { addDeployment, addFakeNode } from "../cluster/objects.ts";
import { describeControlPlane } from "../cluster/suite.ts";

const namespace = "default";
const soon = { timeout: 30_000, interval: 200 };
const poolLabel = "test.forescale.io/pool";
/** Long for a controller that acts on each change at once. */
const aWhileMs = 4000;

type State = "Online" | "Cutoff" | "Standby";
const costs: Record<State, string | null> = { Online: null, Cutoff: "-1000", Standby: "100" };

interface Pod extends KubeObject {
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface Workload extends KubeObject {
  readonly status?: {
    readonly observedGeneration?: number;
    readonly readyReplicas?: number;
    readonly replicas?: number;
  };
}

describeControlPlane("who is deleted", () => {
  let plane: ControlPlane;
  let client: KubeClient;
  beforeAll(async () => {
    plane = await startControlPlane();
    client = await connect({ kubeconfig: plane.kubeconfig, env: {}, qps: 200, burst: 200 });
    await addNode("sets");
  }, 900_000); // the first run on a machine builds
  afterAll(() => plane?.stop());

  /** A pretend node that only the pods of its pool may use. */
  async function addNode(pool: string, pods = 100): Promise<void> {
    await addFakeNode(plane.kubectl, `node-${pool}`, { pods });
    await plane.kubectl(["label", "node", `node-${pool}`, `${poolLabel}=${pool}`]);
  }

  /** A node of the pool that is Ready and takes pods, but nothing on it ever starts them. */
  async function addSilentNode(pool: string, pods: number): Promise<void> {
    const room = { cpu: "64", memory: "256Gi", pods: String(pods) };
    const conditions = [{ type: "Ready", status: "True", lastHeartbeatTime: new Date().toISOString() }];
    await plane.kubectl(["create", "-f", "-"], {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: `silent-${pool}`, labels: { [poolLabel]: pool } },
      status: { capacity: room, allocatable: room, conditions },
    });
  }

  const podSpec = (pool: string) => ({
    readinessGates: [{ conditionType: onlineGate }],
    nodeSelector: { [poolLabel]: pool },
  });

  async function addStatefulSet(name: string, replicas: number, podManagementPolicy: string): Promise<void> {
    const container = { name: "main", image: "localhost/pretend" };
    await client.create(resources.statefulSets, {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name, namespace },
      spec: {
        replicas,
        podManagementPolicy,
        serviceName: name,
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: { ...podSpec("sets"), containers: [container] } },
      },
    } as KubeObject);
    await serveAll(resources.statefulSets, name, replicas);
  }

  const allPods = async (app: string) =>
    (await client.list<Pod>(resources.pods, { namespace, labelSelector: `app=${app}` })).items;
  const pods = async (app: string) => (await allPods(app)).filter(({ metadata }) => !metadata.deletionTimestamp);
  const names = async (app: string) => (await pods(app)).map(({ metadata }) => metadata.name).toSorted();
  const ordinals = async (app: string) => (await names(app)).map((name) => Number(name.split("-").at(-1)));
  const conditionOf = (pod: Pod, type: string) => pod.status.conditions?.find((each) => each.type === type)?.status;
  const workload = (resource: Resource, name: string) => client.get<Workload>(resource, { namespace, name });

  /** What our controllers write for a state: label and cost first, so that the cost stands when readiness changes. */
  async function setState(pod: string, state: State): Promise<void> {
    const key = { namespace, name: pod };
    const label = state === "Online" ? null : state;
    await client.patch(resources.pods, key, "Merge", {
      metadata: { labels: { [podStateLabel]: label }, annotations: { [deletionCostAnnotation]: costs[state] } },
    });
    const status = state === "Online" ? "True" : "False";
    const conditions = [{ type: onlineGate, status, lastTransitionTime: new Date().toISOString() }];
    await client.patch(resources.pods, key, "Strategic", { status: { conditions } }, { subresource: "status" });
  }

  /** Waits until the workload's controller counts so many ready pods: it then knows of all changes before. */
  async function untilReady(resource: Resource, name: string, ready: number): Promise<void> {
    await expect.poll(async () => (await workload(resource, name)).status?.readyReplicas ?? 0, soon).toBe(ready);
  }

  /** Takes every pod into rotation that never was, also those still to come, until so many are ready. */
  async function serveAll(resource: Resource, name: string, ready: number): Promise<void> {
    const gateAll = async () => {
      for (const pod of await pods(name))
        if (conditionOf(pod, onlineGate) === undefined && pod.status.phase === "Running")
          await setState(pod.metadata.name, "Online");
      return (await workload(resource, name)).status?.readyReplicas ?? 0;
    };
    await expect.poll(gateAll, soon).toBe(ready);
  }

  const scale = (resource: Resource, name: string, replicas: number) =>
    client.patch(resource, { namespace, name }, "Merge", { spec: { replicas } });

  /** Scales down and says who went. */
  async function victims(name: string, replicas: number): Promise<string[]> {
    const before = await names(name);
    await scale(resources.deployments, name, replicas);
    await expect.poll(async () => (await names(name)).length, soon).toBe(replicas);
    const left = new Set(await names(name));
    return before.filter((each) => !left.has(each));
  }

  /** Waits until the controller has acted on the last change of the StatefulSet, and then a while longer. */
  async function hasActed(name: string): Promise<void> {
    const { generation } = (await workload(resources.statefulSets, name)).metadata as { generation?: number };
    const observed = async () => (await workload(resources.statefulSets, name)).status?.observedGeneration;
    await expect.poll(observed, soon).toBe(generation);
    await sleep(aWhileMs);
  }

  it("of a Deployment: unscheduled, then Pending, then by cost Cutoff, starting, Standby, and serving ones last", async () => {
    await addNode("full", 7);
    await addDeployment(plane.kubectl, { name: "web", replicas: 7, podSpec: podSpec("full") });
    await expect
      .poll(async () => (await pods("web")).filter((pod) => pod.status.phase === "Running").length, soon)
      .toBe(7);
    const [starting, ...others] = await names("web");

    // The node is full: the next one is bound to a node that does not start it, and the one after that to none.
    await addSilentNode("full", 1);
    await scale(resources.deployments, "web", 8);
    const bound = async () => (await pods("web")).find((pod) => pod.spec.nodeName === "silent-full")?.metadata.name;
    await expect.poll(bound, soon).toBeDefined();
    const pending = (await bound())!;
    await scale(resources.deployments, "web", 9);
    const unbound = async () => (await pods("web")).find((pod) => conditionOf(pod, "PodScheduled") === "False");
    await expect.poll(unbound, soon).toBeDefined();
    const unscheduled = (await unbound())!.metadata.name;

    for (const name of others) await setState(name, "Online");
    await untilReady(resources.deployments, "web", 6);
    const [cutoffA, standby, cutoffB] = others;
    await setState(cutoffA, "Cutoff");
    await setState(standby, "Standby");
    await setState(cutoffB, "Cutoff");
    await untilReady(resources.deployments, "web", 3);

    expect(await victims("web", 8)).toEqual([unscheduled]);
    expect(await victims("web", 7)).toEqual([pending]);
    const cutoffs = [...(await victims("web", 6)), ...(await victims("web", 5))];
    expect(cutoffs.toSorted()).toEqual([cutoffA, cutoffB].toSorted());
    expect(await victims("web", 4)).toEqual([starting]);
    expect(await victims("web", 3)).toEqual([standby]);
    const [serving] = await victims("web", 2);
    expect(others.slice(3)).toContain(serving);
  });

  it("of a Deployment in one step: everyone who does not serve, before anyone who does", async () => {
    await addNode("step");
    await addDeployment(plane.kubectl, { name: "step", replicas: 6, podSpec: podSpec("step") });
    await serveAll(resources.deployments, "step", 6);
    const [first, second, third] = await names("step");
    await setState(first, "Cutoff");
    await setState(second, "Standby");
    await setState(third, "Cutoff");
    await untilReady(resources.deployments, "step", 3);
    expect(await victims("step", 4)).toEqual([first, third]);
    expect(await victims("step", 3)).toEqual([second]);
  });

  it("of a Deployment whose pod is back in rotation: another one, as its cost went with its state", async () => {
    await addNode("back");
    await addDeployment(plane.kubectl, { name: "back", replicas: 3, podSpec: podSpec("back") });
    await serveAll(resources.deployments, "back", 3);
    const [returned, cutoff, serving] = await names("back");
    await setState(returned, "Cutoff");
    await setState(cutoff, "Cutoff");
    await untilReady(resources.deployments, "back", 1);
    await setState(returned, "Online");
    await untilReady(resources.deployments, "back", 2);
    expect(await victims("back", 2)).toEqual([cutoff]);
    expect(await names("back")).toEqual([returned, serving].toSorted());
  });

  it("of a Parallel StatefulSet: the highest ordinals, whatever state or cost they and others have", async () => {
    await addStatefulSet("parallel", 6, "Parallel");
    await setState("parallel-1", "Cutoff");
    await setState("parallel-2", "Standby");
    await setState("parallel-3", "Cutoff");
    await untilReady(resources.statefulSets, "parallel", 3);
    await scale(resources.statefulSets, "parallel", 4);
    await expect.poll(() => ordinals("parallel"), soon).toEqual([0, 1, 2, 3]);
    await scale(resources.statefulSets, "parallel", 5);
    await expect.poll(() => ordinals("parallel"), soon).toEqual([0, 1, 2, 3, 4]);
  });

  it("of a Parallel StatefulSet in a rolling update: all in turn, though one is not ready", async () => {
    await addStatefulSet("rolling", 3, "Parallel");
    await setState("rolling-1", "Cutoff");
    await untilReady(resources.statefulSets, "rolling", 2);
    await update("rolling");
    await serveUntilUpdated("rolling", 3);
  });

  it("of an OrderedReady StatefulSet: nobody, down or up, while one that stays is not ready", async () => {
    await addStatefulSet("ordered", 4, "OrderedReady");
    await setState("ordered-1", "Cutoff");
    await untilReady(resources.statefulSets, "ordered", 3);
    await scale(resources.statefulSets, "ordered", 3);
    await hasActed("ordered");
    expect(await ordinals("ordered")).toEqual([0, 1, 2, 3]);
    await scale(resources.statefulSets, "ordered", 6);
    await hasActed("ordered");
    expect(await ordinals("ordered")).toEqual([0, 1, 2, 3]);

    await scale(resources.statefulSets, "ordered", 3);
    await setState("ordered-1", "Online");
    await expect.poll(() => ordinals("ordered"), soon).toEqual([0, 1, 2]);
  });

  it("of an OrderedReady StatefulSet: a single Cutoff at the top at once, but not two of them", async () => {
    await addStatefulSet("top", 5, "OrderedReady");
    await setState("top-4", "Cutoff");
    await untilReady(resources.statefulSets, "top", 4);
    await scale(resources.statefulSets, "top", 4);
    await expect.poll(() => ordinals("top"), soon).toEqual([0, 1, 2, 3]);

    await setState("top-2", "Cutoff");
    await setState("top-3", "Cutoff");
    await untilReady(resources.statefulSets, "top", 2);
    await scale(resources.statefulSets, "top", 2);
    await hasActed("top");
    expect(await ordinals("top")).toEqual([0, 1, 2, 3]);
    await setState("top-2", "Online");
    await expect.poll(() => ordinals("top"), soon).toEqual([0, 1]);
  });

  it("of an OrderedReady StatefulSet in a rolling update: nobody while one is not ready", async () => {
    await addStatefulSet("held", 3, "OrderedReady");
    await setState("held-1", "Cutoff");
    await untilReady(resources.statefulSets, "held", 2);
    await update("held");
    await hasActed("held");
    expect(await updated("held")).toBe(0);
    await setState("held-1", "Online");
    await serveUntilUpdated("held", 3);
  });

  const revision = (number: string) => ({ metadata: { labels: { "test.forescale.io/revision": number } } });
  const update = (name: string) =>
    client.patch(resources.statefulSets, { namespace, name }, "Merge", { spec: { template: revision("2") } });
  const updated = async (name: string) =>
    (await pods(name)).filter(({ metadata }) => metadata.labels?.["test.forescale.io/revision"] === "2").length;

  /** Takes updated pods into rotation as they come: the next one goes only when they are ready. */
  async function serveUntilUpdated(name: string, count: number): Promise<void> {
    const next = async () => {
      for (const pod of await pods(name))
        if (conditionOf(pod, onlineGate) === undefined && pod.status.phase === "Running")
          await setState(pod.metadata.name, "Online");
      return updated(name);
    };
    await expect.poll(next, soon).toBe(count);
  }
});
