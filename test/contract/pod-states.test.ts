import { afterAll, beforeAll, expect, it } from "vitest";
import type { ReplicaProfile } from "../../src/api/kinds/replica-profile.ts";
import { type KubeObject, resourceOf, resources } from "../../src/kube/client/resource.ts";
import { addDeployment, addFakeNode } from "../cluster/objects.ts";
import { describeControlPlane } from "../cluster/suite.ts";
import { type Controller, type ControllersRig, namespace, startControllersRig } from "./controllers-rig.ts";

const profiles = resourceOf("ReplicaProfile");
const soon = { timeout: 30_000, interval: 100 };

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly lastTransitionTime?: string;
}
interface Pod extends KubeObject {
  readonly spec: { readonly containers: readonly { resources: { requests: Record<string, string> } }[] };
  readonly status?: { readonly conditions?: readonly Condition[]; readonly containerStatuses?: readonly object[] };
}

describeControlPlane("pod states on real controllers, with the rights of the manifests", () => {
  let rig: ControllersRig;
  let controller: Controller;

  beforeAll(async () => {
    rig = await startControllersRig();
    controller = await rig.startController();
  }, 900_000);
  afterAll(() => rig?.stop());

  const full = { cpu: "500m", memory: "1Gi" };
  const low = { cpu: "10m", memory: "64Mi" };
  const gated = { readinessGates: [{ conditionType: "forescale.io/online" }] };
  const withSidecar = {
    ...gated,
    initContainers: [{ name: "forescale-sidecar", image: "localhost/pretend", restartPolicy: "Always" }],
  };
  const podsOf = async (app: string) =>
    (await rig.client.list<Pod>(resources.pods, { namespace, labelSelector: `app=${app}` })).items.filter(
      ({ metadata }) => metadata.deletionTimestamp === undefined,
    );
  const condition = (pod: Pod, type: string) => pod.status?.conditions?.find((each) => each.type === type);
  const state = ({ metadata }: Pod) => metadata.labels?.["forescale.io/pod-state"] ?? "Online";
  const isReady = (pod: Pod) => condition(pod, "Ready")?.status === "True";
  /** Pods by state, and how many of them are Ready. */
  const counts = async (app: string) => {
    const pods = await podsOf(app);
    const of = (wanted: string) => pods.filter((pod) => state(pod) === wanted).length;
    return {
      online: of("Online"),
      cutoff: of("Cutoff"),
      standby: of("Standby"),
      ready: pods.filter(isReady).length,
    };
  };
  /** Has the controller look at a profile twice: what it would do about it is then done. */
  const lookTwice = async (name: string) => {
    for (const look of ["1", "2"]) {
      const before = await controller.reconciles("profiles");
      await rig.client.patch(profiles, { namespace, name }, "Merge", { metadata: { annotations: { look } } });
      await expect.poll(() => controller.reconciles("profiles"), soon).toBeGreaterThan(before);
    }
  };
  const profileOf = (name: string, spec: object, target = name): KubeObject =>
    ({
      apiVersion: "autoscaling.forescale.io/v1alpha1",
      kind: "ReplicaProfile",
      metadata: { name, namespace },
      spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: target }, ...spec },
    }) as KubeObject;
  const want = (name: string, spec: object) => rig.client.patch(profiles, { namespace, name }, "Merge", { spec });
  const reasonOf = async (name: string) =>
    (await rig.client.get<ReplicaProfile>(profiles, { namespace, name })).status?.conditions?.find(
      ({ type }) => type === "Ensured",
    );
  const setCondition = (pod: Pod, each: Omit<Condition, "lastTransitionTime">) =>
    rig.client.patch(
      resources.pods,
      { namespace, name: pod.metadata.name },
      "Strategic",
      { status: { conditions: [{ ...each, lastTransitionTime: new Date().toISOString() }] } },
      { subresource: "status" },
    );

  /** Plays the kubelet's part in a resize, which pretend nodes have not. */
  const allocate = async (app: string, uid: string | undefined, requests: Record<string, string>) => {
    const pod = (await podsOf(app)).find(({ metadata }) => metadata.uid === uid)!;
    const [first] = pod.status!.containerStatuses!;
    const containerStatuses = [{ ...first, resources: { requests }, allocatedResources: requests }];
    await rig.client.patch(
      resources.pods,
      { namespace, name: pod.metadata.name },
      "Merge",
      { status: { containerStatuses } },
      { subresource: "status" },
    );
  };

  it("a pod with the gate serves within seconds of its start, with a profile or without", async () => {
    await addDeployment(rig.plane.kubectl, { name: "lone", replicas: 3, podSpec: gated });
    await expect.poll(() => counts("lone"), soon).toEqual({ online: 3, cutoff: 0, standby: 0, ready: 3 });
    const pods = await podsOf("lone");
    for (const pod of pods) {
      const gate = Date.parse(condition(pod, "forescale.io/online")!.lastTransitionTime!);
      expect(gate - Date.parse(pod.metadata.creationTimestamp!)).toBeLessThan(10_000);
    }
  });

  it("a second profile of a workload changes nothing, and says whose the workload is", async () => {
    await addDeployment(rig.plane.kubectl, { name: "twice", replicas: 3, podSpec: gated });
    await rig.client.create(profiles, profileOf("twice", { onlineReplicas: 2, cutoffReplicas: 1 }));
    await expect.poll(() => counts("twice"), soon).toEqual({ online: 2, cutoff: 1, standby: 0, ready: 2 });
    await rig.client.create(profiles, profileOf("twice-too", { onlineReplicas: 3 }, "twice"));
    await expect
      .poll(async () => (await reasonOf("twice-too"))?.message, soon)
      .toMatch(/Deployment twice is already managed by ReplicaProfile twice/);
    await lookTwice("twice-too");
    expect(await counts("twice")).toEqual({ online: 2, cutoff: 1, standby: 0, ready: 2 });
    await rig.plane.kubectl(["delete", "replicaprofile", "twice", "-n", namespace]);
    // At once, not when it is looked at anyway (30 s).
    await expect
      .poll(() => counts("twice"), { ...soon, timeout: 15_000 })
      .toEqual({ online: 3, cutoff: 0, standby: 0, ready: 3 });
    await rig.plane.kubectl(["delete", "replicaprofile", "twice-too", "-n", namespace]);
    // Required, as a default of 0 would take all pods away.
    await expect(rig.client.create(profiles, profileOf("bare", {}, "twice"))).rejects.toThrow(/onlineReplicas/);
  });

  it("cut-off pods run out of rotation, cost least, and come back first", async () => {
    await addDeployment(rig.plane.kubectl, { name: "web", replicas: 6, podSpec: gated });
    await rig.client.create(profiles, profileOf("web", { onlineReplicas: 6 }));
    await expect.poll(() => counts("web"), soon).toMatchObject({ ready: 6 });
    const before = (await podsOf("web")).map(({ metadata }) => metadata.name).toSorted();
    await want("web", { onlineReplicas: 4, cutoffReplicas: 2 });
    await expect.poll(() => counts("web"), soon).toEqual({ online: 4, cutoff: 2, standby: 0, ready: 4 });
    const told = [
      "get",
      "events",
      "-n",
      namespace,
      "--field-selector",
      "involvedObject.kind=Pod,reason=PodStateChanged",
    ];
    await expect
      .poll(() => rig.plane.kubectl([...told, "-o", "jsonpath={.items[*].message}"]), soon)
      .toContain("Online → Cutoff (SurplusOnline), requested by ReplicaProfile web");
    for (const pod of await podsOf("web")) {
      const cost = pod.metadata.annotations?.["controller.kubernetes.io/pod-deletion-cost"];
      expect(cost).toBe(state(pod) === "Cutoff" ? "-1000" : undefined);
    }
    await expect.poll(async () => (await reasonOf("web"))?.status, soon).toBe("True");
    await want("web", { onlineReplicas: 6, cutoffReplicas: 0 });
    await expect.poll(() => counts("web"), soon).toEqual({ online: 6, cutoff: 0, standby: 0, ready: 6 });
    expect((await podsOf("web")).map(({ metadata }) => metadata.name).toSorted()).toEqual(before);
  });

  it("the cut-off pods are those that go", async () => {
    await want("web", { onlineReplicas: 3, cutoffReplicas: 3 });
    await expect.poll(() => counts("web"), soon).toMatchObject({ online: 3, cutoff: 3 });
    const serving = (await podsOf("web")).filter((pod) => state(pod) === "Online");
    await want("web", { onlineReplicas: 3, cutoffReplicas: 0 });
    await expect.poll(() => counts("web"), soon).toEqual({ online: 3, cutoff: 0, standby: 0, ready: 3 });
    expect((await podsOf("web")).map(({ metadata }) => metadata.uid).toSorted()).toEqual(
      serving.map(({ metadata }) => metadata.uid).toSorted(),
    );
  });

  it("pods without the gate are left alone, and the profile says so", async () => {
    await addDeployment(rig.plane.kubectl, { name: "bare", replicas: 4 });
    await rig.client.create(profiles, profileOf("bare", { onlineReplicas: 2, cutoffReplicas: 2 }));
    await expect.poll(async () => (await reasonOf("bare"))?.reason, soon).toBe("PodsNotGated");
    expect((await reasonOf("bare"))?.message).toMatch(/4 of 4 pods have no readiness gate/);
    expect(await counts("bare")).toEqual({ online: 4, cutoff: 0, standby: 0, ready: 4 });
  });

  it("a pod goes on standby through cut-off, asks for less while frozen, and has its gate only after it woke", async () => {
    await addDeployment(rig.plane.kubectl, {
      name: "warm",
      replicas: 3,
      podSpec: withSidecar,
      requests: full,
    });
    await rig.client.create(profiles, profileOf("warm", { onlineReplicas: 2, standbyReplicas: 1 }));
    await expect.poll(() => counts("warm"), soon).toEqual({ online: 2, cutoff: 0, standby: 1, ready: 2 });
    const frozen = (await podsOf("warm")).find((pod) => state(pod) === "Standby")!;
    expect(condition(frozen, "forescale.io/online")?.status).toBe("False");
    const now = async () => (await podsOf("warm")).find(({ metadata }) => metadata.uid === frozen.metadata.uid)!;
    await allocate("warm", frozen.metadata.uid, full);
    // What the server writes of the sidecar's report.
    await setCondition(frozen, { type: "forescale.io/standby", status: "True", reason: "Image" });
    await expect.poll(async () => (await now()).spec.containers[0].resources.requests, soon).toEqual(low);
    expect(await counts("warm")).toMatchObject({ standby: 1, ready: 2 });

    await allocate("warm", frozen.metadata.uid, low);

    await want("warm", { onlineReplicas: 3, standbyReplicas: 0 });
    await expect.poll(async () => (await now()).spec.containers[0].resources.requests, soon).toEqual(full);
    // Its node has room, so nobody waits for the kubelet's word.
    await expect.poll(async () => state(await now()), soon).toBe("Online");
    expect(condition(await now(), "forescale.io/online")?.status).toBe("False");
    await setCondition(frozen, { type: "forescale.io/standby", status: "False", reason: "Online" });
    await expect.poll(() => counts("warm"), soon).toEqual({ online: 3, cutoff: 0, standby: 0, ready: 3 });
  }, 60_000);

  it("a pod that runs again and was not asked yet is not missing: no second one wakes, and none that serves leaves", async () => {
    await addDeployment(rig.plane.kubectl, { name: "pair", replicas: 4, podSpec: withSidecar });
    await rig.client.create(profiles, profileOf("pair", { onlineReplicas: 2, standbyReplicas: 2 }));
    await expect.poll(() => counts("pair"), soon).toEqual({ online: 2, cutoff: 0, standby: 2, ready: 2 });
    const pods = await podsOf("pair");
    const frozen = pods.filter((pod) => state(pod) === "Standby");
    for (const pod of frozen) {
      await setCondition(pod, { type: "forescale.io/standby", status: "True", reason: "Image" });
      await setCondition(pod, { type: "ContainersReady", status: "False" });
    }
    await want("pair", { onlineReplicas: 3, standbyReplicas: 1 });
    const named = async () => new Map((await podsOf("pair")).map((pod) => [pod.metadata.name, state(pod)]));
    await expect
      .poll(async () => [...(await named()).values()].filter((each) => each === "Online").length, soon)
      .toBe(3);
    const after = await named();
    const woken = frozen.find((pod) => after.get(pod.metadata.name) === "Online")!;
    await setCondition(woken, { type: "forescale.io/standby", status: "False", reason: "Online" });
    // The kubelet says nothing.
    await lookTwice("pair");
    expect(await named()).toEqual(after);
    expect(await counts("pair")).toMatchObject({ online: 3, standby: 1 });
  }, 60_000);

  it("a pod whose node has no room stays frozen and gives up its wish, and the profile says so", async () => {
    await addFakeNode(rig.plane.kubectl, "tiny", { cpu: "1", memory: "4Gi" });
    await addDeployment(rig.plane.kubectl, {
      name: "full",
      replicas: 2,
      podSpec: { ...withSidecar, nodeSelector: { "kubernetes.io/hostname": "tiny" } },
      requests: full,
    });
    await rig.client.create(profiles, profileOf("full", { onlineReplicas: 1, standbyReplicas: 1 }));
    await expect.poll(() => counts("full"), soon).toMatchObject({ standby: 1 });
    const frozen = (await podsOf("full")).find((pod) => state(pod) === "Standby")!;
    const requests = async () =>
      (await podsOf("full")).find(({ metadata }) => metadata.uid === frozen.metadata.uid)!.spec.containers[0].resources
        .requests;
    await allocate("full", frozen.metadata.uid, full);
    await setCondition(frozen, { type: "forescale.io/standby", status: "True", reason: "Image" });
    await expect.poll(requests, soon).toEqual(low);
    await allocate("full", frozen.metadata.uid, low);
    // Somebody else takes the room that it left.
    await addDeployment(rig.plane.kubectl, {
      name: "filler",
      replicas: 1,
      podSpec: { nodeSelector: { "kubernetes.io/hostname": "tiny" } },
      requests: { cpu: "400m", memory: "64Mi" },
    });
    await expect.poll(() => counts("filler"), soon).toMatchObject({ ready: 1 });
    await setCondition(frozen, { type: "PodResizePending", status: "True", reason: "Deferred" });
    await want("full", { onlineReplicas: 2, standbyReplicas: 0 });
    await expect
      .poll(async () => (await reasonOf("full"))?.message, soon)
      .toMatch(/full-.* can't wake: their nodes have no room/);
    await expect.poll(requests, soon).toEqual(low);
    expect(await counts("full")).toMatchObject({ online: 1, standby: 1 });
  }, 60_000);

  it("a rollout spends no time on states: new pods serve at once, none changes state", async () => {
    await addDeployment(rig.plane.kubectl, { name: "roll", replicas: 8, podSpec: gated });
    await rig.client.create(profiles, profileOf("roll", { onlineReplicas: 6, cutoffReplicas: 2 }));
    await expect.poll(() => counts("roll"), soon).toEqual({ online: 6, cutoff: 2, standby: 0, ready: 6 });
    await addDeployment(rig.plane.kubectl, { name: "roll", replicas: 8, podSpec: gated, labels: { version: "2" } });
    const status = await rig.plane.kubectl(["rollout", "status", "deployment/roll", "--timeout=60s"]).catch(String);
    expect(status).toMatch(/successfully rolled out/);
    await expect.poll(() => counts("roll"), soon).toEqual({ online: 6, cutoff: 2, standby: 0, ready: 6 });
  }, 90_000);

  it("when the controller is killed nothing changes, and its successor goes on from what is there", async () => {
    await controller.kill();
    await want("roll", { onlineReplicas: 8, cutoffReplicas: 0 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await counts("roll")).toEqual({ online: 6, cutoff: 2, standby: 0, ready: 6 });
    controller = await rig.startController();
    await expect
      .poll(() => counts("roll"), { ...soon, timeout: 60_000 })
      .toEqual({
        online: 8,
        cutoff: 0,
        standby: 0,
        ready: 8,
      });
  }, 90_000);

  it("with its profile gone every pod serves again", async () => {
    await want("roll", { onlineReplicas: 6, cutoffReplicas: 2 });
    await expect.poll(() => counts("roll"), soon).toMatchObject({ cutoff: 2 });
    await rig.client.remove(profiles, { namespace, name: "roll" });
    await expect.poll(() => counts("roll"), soon).toEqual({ online: 8, cutoff: 0, standby: 0, ready: 8 });
    for (const pod of await podsOf("roll"))
      expect(pod.metadata.annotations ?? {}).not.toHaveProperty("controller.kubernetes.io/pod-deletion-cost");
  }, 60_000);
});
