import { afterAll, beforeAll, expect, it } from "vitest";
import type { IntelligentHorizontalPodAutoscaler } from "../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { type KubeObject, type Resource, resourceOf, resources } from "../../src/kube/client/resource.ts";
import { addDeployment } from "../cluster/objects.ts";
import { describeControlPlane } from "../cluster/suite.ts";
import {
  type Controller,
  type ControllersRig,
  eventsAbout,
  foreignHpa,
  ihpaOf,
  isThere,
  namespace,
  startControllersRig,
  untilMs,
} from "./controllers-rig.ts";

const ihpas = resourceOf("IntelligentHorizontalPodAutoscaler");
const portraits = resourceOf("HorizontalPortrait");
const profiles = resourceOf("ReplicaProfile");
const hpas = resources.horizontalPodAutoscalers;
const soon = { timeout: 20_000, interval: 200 };

/** When our controller last changed an object. */
function writtenByUs(metadata: KubeObject["metadata"]): string | undefined {
  const { managedFields = [] } = metadata as { managedFields?: readonly { manager: string; time: string }[] };
  return managedFields.find(({ manager }) => manager === "forescale-controller")?.time;
}

interface Deployment extends KubeObject {
  readonly spec: { readonly replicas: number };
}

describeControlPlane("the controllers on a real API server, with the rights of the manifests", () => {
  let rig: ControllersRig;
  let controller: Controller;
  let calm: Awaited<ReturnType<typeof versions>>;
  let calmSinceMs: number;

  const get = <T extends KubeObject>(resource: Resource, name: string) =>
    rig.client.get<T>(resource, { namespace, name });
  const ihpa = (name: string) => get<IntelligentHorizontalPodAutoscaler>(ihpas, name);
  const status = async (name: string) => (await ihpa(name)).status;
  const condition = async (name: string, type: string) =>
    (await status(name))?.conditions?.find((each) => each.type === type);
  const replicas = async (name: string) => (await get<Deployment>(resources.deployments, name)).spec.replicas;
  const change = (name: string, spec: object) => rig.client.patch(ihpas, { namespace, name }, "Merge", { spec });

  const wanted = async (name: string) => (await status(name))?.decision?.total;

  /** A workload with an IHPA, and a load that fills so many pods: what is wanted is some headroom more. */
  async function workload(name: string, pods: number, spec: object = {}): Promise<void> {
    rig.loads.set(name.replaceAll("-", "_"), pods * 10);
    await addDeployment(rig.plane.kubectl, { name, replicas: 3 });
    await rig.client.create(ihpas, ihpaOf(name, spec));
  }

  /** What would move if something were written for nothing; an HPA's status is its own controller's. */
  async function versions(name: string) {
    const of = async (resource: Resource, child: string) => (await get(resource, child)).metadata;
    return {
      deployment: (await of(resources.deployments, name)).generation,
      hpa: writtenByUs(await of(hpas, `forescale-${name}`)),
      profile: (await of(profiles, name)).resourceVersion,
      predictive: (await of(portraits, `${name}-predictive`)).resourceVersion,
      reactive: (await of(portraits, `${name}-reactive`)).resourceVersion,
    };
  }

  beforeAll(async () => {
    rig = await startControllersRig();
    controller = await rig.startController();
    await workload("calm", 5);
  }, 900_000);
  afterAll(() => rig?.stop());

  it("what is planned appears, and belongs to the IHPA", async () => {
    await expect.poll(() => wanted("calm"), soon).toBeGreaterThanOrEqual(5);
    await expect.poll(async () => (await condition("calm", "ForecastReady"))?.status, soon).toBe("True");
    const { uid } = (await ihpa("calm")).metadata;
    const children = [
      await get(hpas, "forescale-calm"),
      await get(profiles, "calm"),
      await get(portraits, "calm-predictive"),
      await get(portraits, "calm-reactive"),
    ];
    for (const { metadata } of children)
      expect(metadata.ownerReferences).toMatchObject([
        { kind: "IntelligentHorizontalPodAutoscaler", uid, controller: true },
      ]);
    expect(await status("calm")).toMatchObject({
      currentReplicas: 3,
      desiredReplicas: await wanted("calm"),
      hpa: { mode: "Managed", name: "forescale-calm", toleranceBand: "0%" },
      lead: { source: "Measured" },
    });
    expect(await condition("calm", "AbleToScale")).toMatchObject({ status: "True", observedGeneration: 1 });
    expect(await condition("calm", "ForecastTrusted")).toBeUndefined();
    // Nothing serves the number here, so the HPA has nothing to act on and we leave the replicas alone.
    for (const type of ["HPAActive", "Ready"])
      await expect
        .poll(() => condition("calm", type), soon)
        .toMatchObject({ status: "False", reason: "FailedGetExternalMetric" });
    // A start-up that goes well warns of nothing else.
    const warnings = (await eventsAbout(rig.client, "calm")).filter((event) => event.startsWith("Warning"));
    expect(warnings.filter((event) => event !== "Warning FailedGetExternalMetric")).toEqual([]);
    expect(await replicas("calm")).toBe(3);
    await untilMs(Date.now() + 2_500); // the statuses of one tick more
    calm = await versions("calm");
    expect(calm.hpa).toBeDefined();
    calmSinceMs = Date.now();
  });

  it("Preview takes away what acts, changes nothing in the workload, and tells what would be", async () => {
    await workload("look", 8);
    await expect.poll(() => isThere(rig.client, hpas, "forescale-look"), soon).toBe(true);
    await expect.poll(() => isThere(rig.client, profiles, "look"), soon).toBe(true);
    const before = await get(resources.deployments, "look");
    await change("look", { scaleMode: "Preview" });
    await expect.poll(() => isThere(rig.client, hpas, "forescale-look"), soon).toBe(false);
    await expect.poll(() => isThere(rig.client, profiles, "look"), soon).toBe(false);
    await expect
      .poll(async () => (await condition("look", "ScalingActive"))?.message, soon)
      .toMatch(/look would go from 3 to ([89]|1[0-9]) replicas/);
    expect((await get(resources.deployments, "look")).metadata.generation).toBe(before.metadata.generation);
    expect(await isThere(rig.client, portraits, "look-predictive")).toBe(true);
  });

  it("Attached prints the entry for the user's HPA, and finds it there", async () => {
    await workload("theirs", 4, { hpa: "Attached" });
    await rig.client.create(hpas, foreignHpa("own-hpa", "theirs"));
    await expect.poll(async () => (await status("theirs"))?.hpa?.metric, soon).toBeDefined();
    await expect
      .poll(async () => condition("theirs", "HPAActive"), soon)
      .toMatchObject({ status: "False", reason: "HPANotFound", message: expect.stringContaining("status.hpa.metric") });
    expect((await condition("theirs", "Ready"))?.status).toBe("True");
    const entry = JSON.parse((await status("theirs"))!.hpa!.metric!);
    const { spec } = foreignHpa("own-hpa", "theirs", [entry]) as KubeObject & { spec: object };
    await rig.client.patch(hpas, { namespace, name: "own-hpa" }, "Merge", { spec });
    await expect.poll(async () => (await status("theirs"))?.hpa?.name, soon).toBe("own-hpa");
    expect(await isThere(rig.client, hpas, "forescale-theirs")).toBe(false);
  });

  it("None sets the replicas itself, and stops when somebody's HPA does", async () => {
    await workload("alone", 7, { hpa: "None" });
    await expect.poll(() => replicas("alone"), soon).toBeGreaterThanOrEqual(7);
    await expect.poll(async () => (await wanted("alone")) === (await replicas("alone")), soon).toBe(true);
    expect((await status("alone"))?.lead).toBeDefined();
    rig.loads.set("alone", 120);
    await expect.poll(() => replicas("alone"), soon).toBeGreaterThanOrEqual(12);
    await rig.client.create(hpas, foreignHpa("intruder", "alone"));
    await expect.poll(async () => (await condition("alone", "Ready"))?.reason, soon).toBe("TargetOwnedByAnother");
    await expect.poll(() => isThere(rig.client, profiles, "alone"), soon).toBe(false);
    const held = await replicas("alone");
    rig.loads.set("alone", 300);
    await untilMs(Date.now() + 5_000);
    expect(await replicas("alone")).toBe(held);
    await rig.client.remove(hpas, { namespace, name: "intruder" });
    await expect.poll(() => replicas("alone"), soon).toBeGreaterThanOrEqual(30);
  });

  it.each([
    {
      name: "an older IHPA of the same target",
      make: () =>
        rig.client.create(
          ihpas,
          ihpaOf("second", { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "calm" } }),
        ),
      about: "second",
      reason: "TargetOwnedByAnother",
    },
    {
      name: "an HPA of the same target",
      make: async () => {
        await rig.client.create(hpas, foreignHpa("rival-hpa", "rival"));
        await workload("rival", 4);
      },
      about: "rival",
      reason: "TargetOwnedByAnother",
    },
    {
      name: "a time zone that is none",
      make: () => workload("zoned", 4, { prediction: { timeZone: "Europe/Atlantis" } }),
      about: "zoned",
      reason: "InvalidSpec",
    },
  ])("refused, with a condition and an Event: $name", async ({ make, about, reason }) => {
    await make();
    await expect.poll(() => condition(about, "Ready"), soon).toMatchObject({ status: "False", reason });
    expect(await condition(about, "AbleToScale")).toMatchObject({ status: "False", reason });
    await expect.poll(() => eventsAbout(rig.client, about), soon).toContain(`Warning ${reason}`);
    expect(await isThere(rig.client, hpas, `forescale-${about}`)).toBe(false);
    expect((await status(about))?.decision).toBeUndefined();
  });

  it("a target that is missing is waited for", async () => {
    rig.loads.set("late", 40);
    await rig.client.create(ihpas, ihpaOf("late"));
    await expect
      .poll(() => condition("late", "AbleToScale"), soon)
      .toMatchObject({ status: "False", reason: "TargetNotFound" });
    await addDeployment(rig.plane.kubectl, { name: "late", replicas: 2 });
    await expect.poll(async () => (await condition("late", "AbleToScale"))?.status, soon).toBe("True");
    await expect.poll(() => wanted("late"), soon).toBeGreaterThanOrEqual(4);
  });

  it("with the source down the portrait keeps what it has, and the IHPA says why", async () => {
    await expect.poll(async () => (await condition("late", "ForecastReady"))?.status, soon).toBe("True");
    const before = await wanted("late");
    rig.isStoreDown = true;
    try {
      await expect
        .poll(async () => condition("late", "Fallback"), soon)
        .toMatchObject({
          status: "True",
          reason: "Coasting",
          message: expect.stringContaining("refuses our credentials"),
        });
      expect(await condition("late", "ForecastReady")).toMatchObject({ status: "True" });
      // The stored forecast may want more, and nothing is let go.
      expect(await wanted("late")).toBeGreaterThanOrEqual(before!);
    } finally {
      rig.isStoreDown = false;
    }
    await expect.poll(async () => (await condition("late", "Fallback"))?.status, soon).toBe("False");
  });

  it("an IHPA that is deleted takes its children along and leaves the replicas as they are", async () => {
    const before = await replicas("alone");
    await rig.client.remove(ihpas, { namespace, name: "alone" });
    await expect.poll(() => isThere(rig.client, profiles, "alone"), soon).toBe(false);
    await expect.poll(() => isThere(rig.client, portraits, "alone-predictive"), soon).toBe(false);
    await rig.client.remove(ihpas, { namespace, name: "late" });
    await expect.poll(() => isThere(rig.client, hpas, "forescale-late"), soon).toBe(false);
    expect([await replicas("alone"), await replicas("late")]).toEqual([before, 2]);
  });

  it("while nothing changes nothing is written, but that the decision is renewed in time", {
    timeout: 60_000,
  }, async () => {
    await untilMs(calmSinceMs + 36_000);
    const after = await versions("calm");
    // A reactive portrait is written to live on, every few minutes at most.
    expect({ ...after, reactive: "" }).toEqual({ ...calm, reactive: "" });
    const { decision } = (await status("calm"))!;
    expect(Date.now() - Date.parse(decision!.time)).toBeLessThan(33_000);
  });

  it("with our kinds gone the controller idles, and goes on when they are back", { timeout: 60_000 }, async () => {
    await rig.removeKinds();
    await untilMs(Date.now() + 3_000);
    expect(controller.isAlive()).toBe(true);
    await rig.installKinds();
    await workload("again", 6);
    await expect.poll(() => wanted("again"), { ...soon, timeout: 45_000 }).toBeGreaterThanOrEqual(6);
    expect(controller.isAlive()).toBe(true);
  });

  it("a second controller takes over from one that was killed", { timeout: 60_000 }, async () => {
    await rig.startController();
    await controller.kill();
    const killedMs = Date.now();
    rig.loads.set("again", 90);
    await expect.poll(() => wanted("again"), { ...soon, timeout: 30_000 }).toBeGreaterThanOrEqual(9);
    expect(Date.now() - killedMs).toBeLessThan(25_000);
  });
});
