import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, onTestFailed, onTestFinished } from "vitest";
import { type KubeObject, resourceOf } from "../../src/kube/client/resource.ts";
import { describeNode } from "../cluster/node.ts";
import { ihpaOf } from "../contract/controllers-rig.ts";
import { type LoadStore, startLoadStore } from "../contract/load-store.ts";
import {
  allocated,
  conditionOf,
  isFrozen,
  isReady,
  namespace,
  type PodSeen,
  type PodStatesRig,
  soon,
  startPodStatesRig,
  stateOf,
} from "./pod-states-rig.ts";

const ihpas = resourceOf("IntelligentHorizontalPodAutoscaler");
/** Room for pods on the node, in thousandths of a CPU. */
const roomMillis = 1000;

describeNode("pod states while load moves", () => {
  let rig: PodStatesRig;
  let store: LoadStore;
  beforeAll(async () => {
    store = await startLoadStore();
    const systemReserved = { cpu: `${availableParallelism() * 1000 - roomMillis}m` };
    rig = await startPodStatesRig({ java: false, node: { kubelet: { systemReserved } } });
    await rig.plane.kubectl(["apply", "--server-side", "-f", "-"], {
      apiVersion: "autoscaling.forescale.io/v1alpha1",
      kind: "MetricSource",
      metadata: { name: "main" },
      spec: { type: "Prometheus", default: true, url: store.url, lag: "1s" },
    });
  }, 900_000); // the first run on a machine builds
  afterAll(async () => {
    await rig?.stop();
    await store?.stop();
  }, 120_000);

  /** A failure tells what everybody said. */
  const tellWhy = (...apps: string[]) =>
    onTestFailed(async () => {
      process.stderr.write(`${seen.join("\n")}\n`);
      for (const app of apps) process.stderr.write(await rig.story(app));
    }, 30_000);
  const names = (pods: readonly PodSeen[]) => pods.map(({ metadata }) => metadata.name).toSorted();
  const ready = async (app: string) => names((await rig.podsOf(app)).filter(isReady));
  const frozen = async (app: string) => names((await rig.podsOf(app)).filter(isFrozen));
  const seen: string[] = [];
  const counts = async (app: string) => {
    const pods = await rig.podsOf(app);
    const count = `${pods.filter(isReady).length} ready, ${pods.filter(isFrozen).length} frozen, ${pods.length} in all`;
    const each = pods.map((pod) => `${stateOf(pod)} ${conditionOf(pod, "forescale.io/standby")?.reason}`);
    const line = `${app}: ${count} (${each.toSorted().join(", ")})`;
    if (!seen.at(-1)?.endsWith(line)) seen.push(`${new Date().toISOString()} ${line}`);
    return count;
  };
  const within = { ...soon, timeout: 120_000 };

  it("the native HPA goes down by steps through Standby, a checker takes it back, a burst wakes pods first", async () => {
    tellWhy("shop");
    onTestFinished(async () => {
      await rig.plane.kubectl(["delete", "ihpa", "shop", "-n", namespace, "--ignore-not-found"]);
      await rig.remove("shop");
    }, 90_000);
    store.loads.set("shop", 40);
    store.loads.set("errors", 0);
    await rig.deploy({ name: "shop", kind: "node", mebibytes: 64, replicas: 4 });
    await rig.untilReady("shop", 4);
    const errors = {
      type: "External",
      external: { metric: { name: "errors" }, target: { type: "Value", value: "5" } },
    };
    const grayStrategy = { grayState: "Standby", changePercent: 50, changeIntervalSeconds: 10, observationSeconds: 30 };
    const spec = {
      maxReplicas: 8,
      portraitProviders: [{ type: "Dynamic", dynamic: { portraitType: "Reactive" } }],
      standby: { minReplicas: 1 },
      behavior: { scaleDown: { stabilizationWindowSeconds: 0, grayStrategy } },
      stabilityCheckers: [{ type: "Metrics", stabilizationAction: "Rollback", metrics: { metrics: [errors] } }],
    };
    await rig.client.create(ihpas, ihpaOf("shop", spec) as KubeObject);
    await expect.poll(() => counts("shop"), within).toBe("4 ready, 1 frozen, 5 in all");

    store.loads.set("shop", 20);
    await expect.poll(() => counts("shop"), within).toMatch(/^3 ready, . frozen, 5 in all$/);
    await expect.poll(() => counts("shop"), within).toBe("2 ready, 3 frozen, 5 in all");
    const before = names(await rig.podsOf("shop"));
    store.loads.set("errors", 50);
    await expect.poll(async () => (await ready("shop")).filter((name) => before.includes(name)).length, within).toBe(5);
    store.loads.set("errors", 0);
    await expect.poll(() => counts("shop"), within).toBe("2 ready, 1 frozen, 3 in all");

    const kept = names(await rig.podsOf("shop"));
    const [asleep] = await frozen("shop");
    const startedMs = performance.now();
    store.loads.set("shop", 30);
    await expect.poll(() => ready("shop"), { ...within, interval: 50 }).toContain(asleep);
    console.log(`the burst woke ${asleep} after ${(performance.now() - startedMs).toFixed()} ms`);
    expect(await ready("shop"), "before any new pod serves").toEqual(kept);
    await expect.poll(() => counts("shop"), within).toBe("3 ready, 1 frozen, 4 in all");
    for (const pod of await rig.podsOf("shop"))
      if (isReady(pod)) expect(await rig.check(pod)).toMatchObject({ ok: true, damaged: 0 });
  }, 420_000);

  it("one pod more wakes one frozen pod, and none that serves leaves", async () => {
    tellWhy("pair");
    onTestFinished(() => rig.remove("pair"), 90_000);
    await rig.deploy({ name: "pair", kind: "node", mebibytes: 64, replicas: 4 });
    await rig.untilReady("pair", 4);
    await rig.want("pair", { onlineReplicas: 2, standbyReplicas: 2 });
    await expect.poll(() => counts("pair"), within).toBe("2 ready, 2 frozen, 4 in all");
    // The kubelet finds after some probes that they answer no more, and after the thaw needs some that they do.
    const isUnready = (pod: PodSeen) => conditionOf(pod, "ContainersReady")?.status === "False";
    await expect.poll(async () => (await rig.podsOf("pair")).filter(isUnready).length, within).toBe(2);
    const serving = await ready("pair");
    const left = new Set<string>();
    const awake = new Set<string>();
    const look = async () => {
      for (const pod of await rig.podsOf("pair"))
        if (stateOf(pod) === "Online") awake.add(pod.metadata.name);
        else if (serving.includes(pod.metadata.name)) left.add(pod.metadata.name);
      return counts("pair");
    };
    await rig.want("pair", { onlineReplicas: 3, standbyReplicas: 1 });
    await expect.poll(look, { ...within, interval: 50 }).toBe("3 ready, 1 frozen, 4 in all");
    for (let looks = 0; looks < 20; looks++) {
      await sleep(100);
      expect(await look()).toBe("3 ready, 1 frozen, 4 in all");
    }
    expect([...left]).toEqual([]);
    expect([...awake].filter((name) => !serving.includes(name))).toHaveLength(1);
  }, 240_000);

  it("two workloads with opposite peaks share a node that has no room for both", async () => {
    tellWhy("day", "night");
    const requests = { cpu: "400m", memory: "100Mi" };
    const isPending = (pod: PodSeen) => conditionOf(pod, "PodScheduled")?.reason === "Unschedulable";
    const serve = (name: string) => rig.want(name, { onlineReplicas: 2, standbyReplicas: 0 });
    const rest = (name: string) => rig.want(name, { onlineReplicas: 0, standbyReplicas: 2 });

    await rig.deploy({ name: "day", kind: "node", mebibytes: 64, replicas: 2, requests });
    await rig.untilReady("day", 2);
    await rig.deploy({ name: "night", kind: "node", mebibytes: 64, replicas: 2, requests });
    await expect.poll(async () => (await rig.podsOf("night")).every(isPending), soon).toBe(true);

    await rest("day");
    await rig.untilReady("night", 2);
    expect((await rig.podsOf("day")).map((pod) => allocated(pod)?.cpu)).toEqual(["10m", "10m"]);
    const before = names([...(await rig.podsOf("day")), ...(await rig.podsOf("night"))]);
    for (const [falls, rises] of [
      ["night", "day"],
      ["day", "night"],
    ]) {
      // Both at once, as peaks come: there is no room for who wakes until the other is frozen.
      const startedMs = performance.now();
      await Promise.all([serve(rises), rest(falls)]);
      await expect.poll(() => counts(rises), within).toBe("2 ready, 0 frozen, 2 in all");
      console.log(`${rises} serves ${(performance.now() - startedMs).toFixed()} ms after ${falls} was to rest`);
      expect(await counts(falls)).toBe("0 ready, 2 frozen, 2 in all");
      const given = async () => (await rig.podsOf(rises)).map((pod) => allocated(pod)?.cpu);
      await expect.poll(given, soon).toEqual(["400m", "400m"]);
      for (const pod of await rig.podsOf(rises)) expect(await rig.check(pod)).toMatchObject({ ok: true, damaged: 0 });
    }
    expect(names([...(await rig.podsOf("day")), ...(await rig.podsOf("night"))]), "the same pods throughout").toEqual(
      before,
    );
  }, 420_000);
});
