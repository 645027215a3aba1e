import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, it, onTestFailed } from "vitest";
import { onlineGate, podStateLabel } from "../../src/api/labels.ts";
import { type KubeObject, resources } from "../../src/kube/client/resource.ts";
import { sidecarName } from "../../src/pods/inject/sidecar-layout.ts";
import { describeNode } from "../cluster/node.ts";
import {
  type Answer,
  conditionOf,
  isFrozen,
  isReady,
  namespace,
  type PodStatesRig,
  soon,
  startPodStatesRig,
} from "./pod-states-rig.ts";

const app = "shop";
/** How long "it stays as it is" is looked at. */
const quietMs = 5000;

describeNode("a pod that freezes, is frozen or wakes, when something is killed", () => {
  let rig: PodStatesRig;
  let first: Answer;
  beforeAll(async () => {
    rig = await startPodStatesRig({ java: false });
    await rig.deploy({ name: app, kind: "node", mebibytes: 128, replicas: 1 });
    await rig.untilReady(app, 1);
    first = await rig.check(await pod());
  }, 900_000); // the first run on a machine builds
  afterAll(() => rig?.stop(), 120_000);
  // What one test killed and left dead on its way to a failure is no other's affair.
  beforeEach(async () => {
    if (!rig.server.isAlive) await rig.startServer();
    if (!rig.controller.isAlive) await rig.startController();
    await rig.wake(app);
    // A pod whose freeze failed is not asked again for five minutes.
    const { reason, message = "" } = conditionOf(await pod(), "forescale.io/standby") ?? {};
    if (reason !== "Online" || message !== "the application runs") await another();
  }, 150_000);

  /** A failure tells what everybody said. */
  const tellWhy = () =>
    onTestFailed(async () => {
      process.stderr.write(await rig.story(app));
    }, 30_000);
  const pod = () => rig.podOf(app);
  const key = async () => ({ namespace, name: (await pod()).metadata.name });
  const sidecar = async () => (await pod()).status?.initContainerStatuses?.find(({ name }) => name === sidecarName);
  const answers = async () => (await rig.check(await pod(), 1000).catch(() => undefined))?.instance;

  async function expectUntouched(): Promise<void> {
    for (const untilMs = Date.now() + quietMs; Date.now() < untilMs; await sleep(500)) {
      expect(isFrozen(await pod())).toBe(true);
      expect(await answers()).toBeUndefined();
    }
  }

  /** It serves, and is the process that it was when the suite began. */
  async function expectRight(): Promise<void> {
    expect(await rig.check(await pod())).toMatchObject({ ok: true, damaged: 0, instance: first.instance });
    expect((await pod()).status?.containerStatuses?.[0].restartCount).toBe(0);
  }

  it("the sidecar: the one that comes after goes on, and brings the application back", async () => {
    tellWhy();
    await rig.freeze(app);
    const { restartCount } = (await sidecar())!;
    await rig.killSidecar(await pod());
    await expect.poll(async () => (await sidecar())?.restartCount, soon).toBe(restartCount + 1);
    await expectUntouched();
    await rig.wake(app);
    await expectRight();
  }, 150_000);

  it("the server: nothing changes without it, and the pod wakes when it is back", async () => {
    tellWhy();
    await rig.freeze(app);
    await rig.server.kill("SIGKILL");
    await expectUntouched();
    await rig.startServer();
    await expectUntouched();
    await rig.wake(app);
    await expectRight();
  }, 150_000);

  it("the server, for good: a pod that is wanted back thaws by its own labels, and serves", async () => {
    tellWhy();
    await rig.freeze(app);
    await rig.server.kill("SIGKILL");
    await rig.wake(app);
    await expectRight();
    await rig.startServer();
    // Nobody told of the thaw while the server was away.
    await expect.poll(async () => isFrozen(await pod()), soon).toBe(false);
  }, 150_000);

  it("the controller: nothing changes without it; a gate that is set by hand wakes the pod", async () => {
    tellWhy();
    await rig.freeze(app);
    await rig.controller.kill("SIGKILL");
    await expectUntouched();
    await rig.plane.kubectl([
      "patch",
      "pod",
      (await pod()).metadata.name,
      "-n",
      namespace,
      "--subresource=status",
      "-p",
      gate("True"),
    ]);
    // One question at a time: each is a look at all of its memory, which a busy machine takes seconds for.
    await expect
      .poll(async () => (await rig.check(await pod(), 20_000).catch(() => undefined))?.instance, soon)
      .toBe(first.instance);
    await expectRight();
    await rig.want(app, { onlineReplicas: 1, standbyReplicas: 0 });
    await rig.startController();
    await expect
      .poll(async () => [isReady(await pod()), (await pod()).metadata.labels?.[podStateLabel]], soon)
      .toEqual([true, undefined]);
  }, 150_000);

  it("the controller, while it wakes the pod: its successor goes on", async () => {
    tellWhy();
    await rig.freeze(app);
    await rig.want(app, { onlineReplicas: 1, standbyReplicas: 0 });
    await rig.controller.kill("SIGKILL");
    await rig.startController();
    await rig.untilReady(app, 1);
    await expectRight();
  }, 150_000);

  it("the kubelet: it comes back to a pod that is frozen, and leaves it so", async () => {
    tellWhy();
    await rig.freeze(app);
    const before = await sidecar();
    await rig.node.kill("kubelet");
    await sleep(3000);
    await rig.node.start("kubelet");
    await expectUntouched();
    expect((await sidecar())?.restartCount).toBe(before?.restartCount);
    await rig.wake(app);
    await expectRight();
  }, 150_000);

  /** Kills something as soon as the pod's condition says that it is on its way. */
  const kills = {
    "the sidecar": async () => rig.killSidecar(await pod()),
    "the server": async () => {
      await rig.server.kill("SIGKILL");
      await rig.startServer();
    },
    "the controller": async () => {
      await rig.controller.kill("SIGKILL");
      await rig.startController();
    },
    "the kubelet": async () => {
      await rig.node.kill("kubelet");
      await rig.node.start("kubelet");
    },
  };
  const whats = Object.keys(kills) as (keyof typeof kills)[];
  const reason = async () => conditionOf(await pod(), "forescale.io/standby")?.reason;
  const untilOnItsWay = (reasons: readonly string[]) =>
    expect.poll(async () => reasons.includes((await reason()) ?? ""), { timeout: 60_000, interval: 5 }).toBe(true);

  /** Goes on with a new pod. */
  async function another(): Promise<void> {
    await rig.plane.kubectl(["delete", "pod", (await pod()).metadata.name, "-n", namespace]);
    await rig.untilReady(app, 1);
    first = await rig.check(await pod());
  }

  it.each(whats)(
    "%s, in the midst of a freeze: it ends frozen, or restarted where in doubt, and wakes unharmed",
    async (what) => {
      tellWhy();
      await expect.poll(reason, soon).not.toBe("Image"); // of the test before
      await rig.want(app, { onlineReplicas: 0, standbyReplicas: 1 });
      await untilOnItsWay(["Draining", "Freezing", "Image"]);
      await kills[what]();
      // The next one goes on where nothing was lost; where it is in doubt the container is restarted.
      await expect.poll(reason, soon).toMatch(/^(Image|Restarted)$/);
      const isRestarted = (await reason()) === "Restarted";
      await rig.wake(app);
      if (isRestarted) await another(); // this one is not asked again for five minutes
      await expectRight();
    },
    150_000,
  );

  it.each(whats)(
    "%s, in the midst of waking: the pod serves as what it was",
    async (what) => {
      tellWhy();
      await rig.freeze(app);
      await rig.want(app, { onlineReplicas: 1, standbyReplicas: 0 });
      await untilOnItsWay(["Resuming", "Online"]);
      await kills[what]();
      await rig.untilReady(app, 1);
      await expectRight();
    },
    150_000,
  );

  it("the pod itself, by deletion: the application wakes to hear of it, and ends by itself", async () => {
    tellWhy();
    await rig.freeze(app);
    const { name } = await key();
    // Its last status is kept to be looked at.
    const finalizers = (list: string[]) =>
      rig.client.patch(resources.pods, { namespace, name }, "Merge", { metadata: { finalizers: list } });
    await finalizers(["forescale.io/test"]);
    const startedMs = performance.now();
    await rig.plane.kubectl(["delete", "pod", name, "-n", namespace, "--wait=false"]);
    const exitCodes = async () => {
      const { status } = await rig.client.get<Ended>(resources.pods, { namespace, name });
      const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
      return all.map(({ state }) => state?.terminated?.exitCode);
    };
    try {
      // Whoever is killed at the end of the grace period has another one.
      await expect.poll(exitCodes, soon).toEqual([0, 0]);
      console.log(`ended gracefully ${(performance.now() - startedMs).toFixed()} ms after its deletion`);
    } finally {
      await finalizers([]);
    }
    await rig.want(app, { onlineReplicas: 1, standbyReplicas: 0 });
    await rig.untilReady(app, 1);
    expect(await rig.check(await pod())).toMatchObject({ ok: true, damaged: 0 });
  }, 150_000);
});

interface Container {
  readonly state?: { readonly terminated?: { readonly exitCode: number } };
}

interface Ended extends KubeObject {
  readonly status?: {
    readonly containerStatuses?: readonly Container[];
    readonly initContainerStatuses?: readonly Container[];
  };
}

function gate(status: "True" | "False"): string {
  const conditions = [{ type: onlineGate, status, lastTransitionTime: new Date().toISOString() }];
  return JSON.stringify({ status: { conditions } });
}
