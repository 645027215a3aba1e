import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, onTestFailed } from "vitest";
import { readProcess } from "../../src/sidecar/freeze/processes.ts";
import { imageNames, whyNoJavaImage } from "../cluster/images-local.ts";
import { describeNode } from "../cluster/node.ts";
import {
  type Application,
  allocated,
  conditionOf,
  isFrozen,
  isReady,
  type PodStatesRig,
  soon,
  startPodStatesRig,
  stateOf,
} from "./pod-states-rig.ts";

/** A native sidecar of somebody else. */
const withProxy = {
  initContainers: [
    {
      name: "proxy",
      image: imageNames.busybox,
      imagePullPolicy: "Never",
      restartPolicy: "Always",
      command: ["sleep", "100000"],
    },
  ],
};
const full = { cpu: "100m", memory: "300Mi" };
const low = { cpu: "10m", memory: "64Mi" };

describeNode(
  "pod states on a real node",
  () => {
    let rig: PodStatesRig;
    beforeAll(async () => {
      rig = await startPodStatesRig();
    }, 900_000); // the first run on a machine builds
    afterAll(() => rig?.stop(), 120_000);

    /** A failure tells what everybody said. */
    const tellWhy = (...apps: string[]) =>
      onTestFailed(async () => {
        for (const app of apps) process.stderr.write(await rig.story(app));
      }, 30_000);
    const states = async (pod: string, container: string) =>
      new Set((await rig.node.pids({ pod, container })).map((pid) => readProcess("/proc", pid)?.state));
    const main = (pod: string) => rig.node.memory({ pod, container: "main" });

    it("a pod leaves by Cutoff and Standby, asks for less, stays alive, and comes back as the process it was", async () => {
      tellWhy("shop");
      await rig.deploy({ name: "shop", kind: "node", mebibytes: 160, replicas: 2, requests: full, podSpec: withProxy });
      const ready = async () => (await rig.podsOf("shop")).filter(isReady).length;
      await expect.poll(ready, soon).toBe(2);
      await expect.poll(() => rig.endpoints("shop"), soon).toHaveLength(2);

      await rig.want("shop", { onlineReplicas: 1, cutoffReplicas: 1, standbyReplicas: 0 });
      await expect.poll(() => rig.endpoints("shop"), soon).toHaveLength(1);
      const left = (await rig.podsOf("shop")).find((pod) => stateOf(pod) === "Cutoff")!;
      const { name } = left.metadata;
      const now = async () => (await rig.podsOf("shop")).find(({ metadata }) => metadata.name === name)!;
      expect(await rig.endpoints("shop")).not.toContain(left.status!.podIP);
      const before = await rig.check(left);
      expect(before, "cut off it runs on").toMatchObject({ ok: true, damaged: 0 });

      const held = await main(name);
      await rig.want("shop", { onlineReplicas: 1, cutoffReplicas: 0, standbyReplicas: 1 });
      await expect.poll(async () => isFrozen(await now()), soon).toBe(true);
      expect(conditionOf(await now(), "forescale.io/standby")).toMatchObject({ reason: "Image" });
      const kept = await main(name);
      console.log(`given back: ${percent(1 - kept.anonymous / held.anonymous)} of ${mib(held.anonymous)} anonymous,`);
      console.log(`            ${percent(1 - kept.usage / held.usage)} of ${mib(held.usage)} in all`);
      expect(kept.anonymous).toBeLessThan(held.anonymous * 0.1);
      await expect.poll(async () => allocated(await now()), soon).toEqual(low);
      await sleep(12_000); // Longer than its liveness probe may fail.
      const frozen = await now();
      expect(frozen.status?.containerStatuses?.[0].restartCount).toBe(0);
      expect(isReady(frozen)).toBe(false);
      expect(await states(name, "main")).toEqual(new Set("T"));
      expect(await states(name, "proxy"), "a mesh's proxy is not the application").toEqual(new Set("S"));
      await expect(rig.check(frozen, 1000), "it is not merely idle").rejects.toThrow();

      await rig.want("shop", { onlineReplicas: 2, standbyReplicas: 0 });
      const wokeMs = await rig.untilReady("shop", 2);
      console.log(`Ready again ${wokeMs.toFixed()} ms after that was wanted`);
      await expect.poll(async () => allocated(await now()), soon).toEqual(full);
      expect(await rig.check(await now())).toMatchObject({ ok: true, damaged: 0, instance: before.instance });
      await expect.poll(() => rig.endpoints("shop"), soon).toHaveLength(2);
      expect((await rig.podsOf("shop")).map((pod) => pod.metadata.name)).toContain(name);
      await rig.remove("shop");
    }, 180_000);

    it("Node and JVM applications answer rightly after each of five freezes", async () => {
      const applications: Application[] = [
        { name: "store-node", kind: "node", mebibytes: 160, replicas: 1 },
        { name: "store-java", kind: "java", mebibytes: 160, replicas: 1 },
      ];
      tellWhy("store-node", "store-java");
      const cycle = async ({ name }: Application) => {
        await rig.untilReady(name, 1);
        const { instance } = await rig.check(await rig.podOf(name));
        const held = await main((await rig.podOf(name)).metadata.name);
        const woke: string[] = [];
        for (let round = 1; round <= 5; round++) {
          await rig.freeze(name);
          const pod = await rig.podOf(name);
          expect((await main(pod.metadata.name)).anonymous).toBeLessThan(held.anonymous * 0.1);
          woke.push(`${(await rig.wake(name)).toFixed()} ms`);
          expect(await rig.check(pod), `round ${round}`).toMatchObject({ ok: true, damaged: 0, instance });
        }
        console.log(`${name}: Ready again after ${woke.join(", ")}`);
        expect((await rig.podOf(name)).status?.containerStatuses?.[0].restartCount).toBe(0);
      };
      for (const each of applications) await rig.deploy(each);
      await Promise.all(applications.map(cycle));
    }, 300_000);
  },
  whyNoJavaImage,
);

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
