import { afterAll, beforeAll, expect, it } from "vitest";
import type { ReplicaProfile } from "../../src/api/kinds/replica-profile.ts";
import { type KubeObject, resourceOf, resources } from "../../src/kube/client/resource.ts";
import { addDeployment } from "../cluster/objects.ts";
import { describeControlPlane } from "../cluster/suite.ts";
import { type ControllersRig, namespace, startControllersRig } from "./controllers-rig.ts";
import { type Program, startProgram } from "./programs.ts";

const profiles = resourceOf("ReplicaProfile");
const soon = { timeout: 30_000, interval: 100 };

describeControlPlane("external programs on real controllers", () => {
  let rig: ControllersRig;
  let program: Program;

  beforeAll(async () => {
    program = await startProgram();
    rig = await startControllersRig();
    await rig.startController(`--external-programs=theirs=${program.url}`);
  }, 900_000);
  afterAll(async () => {
    await rig?.stop();
    await program?.stop();
  });

  const namesOf = async (app: string, state: "Online" | "Cutoff") =>
    (await rig.client.list<KubeObject>(resources.pods, { namespace, labelSelector: `app=${app}` })).items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .filter(({ metadata }) => (metadata.labels?.["forescale.io/pod-state"] ?? "Online") === state)
      .map(({ metadata }) => metadata.name)
      .toSorted();
  const add = (name: string, spec: object) =>
    rig.client.create(profiles, {
      apiVersion: "autoscaling.forescale.io/v1alpha1",
      kind: "ReplicaProfile",
      metadata: { name, namespace },
      spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name }, ...spec },
    } as KubeObject);
  const want = (name: string, onlineReplicas: number, cutoffReplicas: number) =>
    rig.client.patch(profiles, { namespace, name }, "Merge", { spec: { onlineReplicas, cutoffReplicas } });
  const reached = async (name: string) =>
    (await rig.client.get<ReplicaProfile>(profiles, { namespace, name })).status?.conditions?.find(
      ({ type }) => type === "ExternalReached",
    );
  const external = { name: "theirs", config: { pool: "blue" } };
  /** Last word on each pod. */
  const told = () =>
    new Map(
      program.questions
        .filter(({ path }) => path === "/traffic")
        .flatMap(({ question }) => question.pods as { name: string; online: boolean; ip?: string }[])
        .map((each) => [each.name, each] as const),
    );

  it("those leave first that the sorter names", async () => {
    let order: string[] = [];
    program.answers.set("/order", ({ pods }) => {
      const names = (pods as { name: string }[]).map(({ name }) => name).toSorted();
      order = [names[3], names[1]];
      return { order };
    });
    await addDeployment(rig.plane.kubectl, {
      name: "sorted",
      replicas: 6,
      podSpec: { readinessGates: [{ conditionType: "forescale.io/online" }] },
    });
    await expect.poll(() => namesOf("sorted", "Online"), soon).toHaveLength(6);
    await add("sorted", { onlineReplicas: 6, behavior: { podSorter: { type: "External", external } } });
    await expect.poll(async () => (await reached("sorted"))?.status, soon).toBe("True");
    await expect
      .poll(() => program.questions.some(({ question }) => (question.pods as object[]).length === 6))
      .toBe(true);
    await want("sorted", 4, 2);
    await expect.poll(() => namesOf("sorted", "Cutoff"), soon).toEqual(order.toSorted());
    expect(program.questions.at(-1)?.question).toMatchObject({ namespace, name: "theirs", config: { pool: "blue" } });
  }, 60_000);

  it("a pod is in the state that the program says, and while it does not answer none leaves", async () => {
    await addDeployment(rig.plane.kubectl, {
      name: "stated",
      replicas: 4,
      podSpec: { readinessGates: [{ conditionType: "forescale.io/online" }] },
    });
    await expect.poll(() => namesOf("stated", "Online"), soon).toHaveLength(4);
    await add("stated", {
      onlineReplicas: 2,
      cutoffReplicas: 2,
      behavior: { podStates: { type: "External", external } },
    });
    await expect
      .poll(async () => (await reached("stated"))?.message, soon)
      .toMatch(/status 503.*no pod leaves service/);
    expect(await namesOf("stated", "Online")).toHaveLength(4);
    const [first, , third] = await namesOf("stated", "Online");
    program.answers.set("/states", () => ({ states: { [first]: "Cutoff", [third]: "Cutoff" } }));
    await expect.poll(() => namesOf("stated", "Cutoff"), soon).toEqual([first, third]);
  }, 60_000);

  it("without the program's traffic controller having done so no pod leaves or comes back", async () => {
    const doing = { isOn: true };
    program.answers.set("/traffic", ({ pods }) => ({
      done: doing.isOn ? (pods as { name: string }[]).map(({ name }) => name) : [],
    }));
    await addDeployment(rig.plane.kubectl, { name: "routed", replicas: 4 });
    await expect.poll(() => namesOf("routed", "Online"), soon).toHaveLength(4);
    await add("routed", {
      onlineReplicas: 3,
      cutoffReplicas: 1,
      behavior: { podTrafficController: { type: "External", external } },
    });
    await expect.poll(() => namesOf("routed", "Cutoff"), soon).toHaveLength(1);
    const [first] = await namesOf("routed", "Cutoff");
    expect(told().get(first)).toMatchObject({ online: false, ip: expect.stringMatching(/^\d/) });
    for (const name of await namesOf("routed", "Online")) await expect.poll(() => told().get(name)?.online).toBe(true);

    doing.isOn = false;
    await want("routed", 2, 2);
    await expect
      .poll(async () => (await reached("routed"))?.message, soon)
      .toMatch(/theirs did not change the traffic of routed-/);
    expect(await namesOf("routed", "Cutoff")).toEqual([first]);
    doing.isOn = true;
    await expect.poll(() => namesOf("routed", "Cutoff"), soon).toHaveLength(2);
    await expect.poll(async () => (await reached("routed"))?.status, soon).toBe("True");
  }, 90_000);

  it("with the profile gone the program is told to take its pods in again", async () => {
    const out = await namesOf("routed", "Cutoff");
    await rig.client.remove(profiles, { namespace, name: "routed" });
    await expect.poll(() => out.map((name) => told().get(name)?.online), soon).toEqual([true, true]);
    await expect.poll(() => namesOf("routed", "Cutoff"), soon).toEqual([]);
    await expect
      .poll(async () => {
        const { items } = await rig.client.list<KubeObject>(resources.pods, { namespace, labelSelector: "app=routed" });
        return items.filter(({ metadata }) => metadata.annotations?.["forescale.io/traffic-controller"]).length;
      }, soon)
      .toBe(0);
    expect(await namesOf("routed", "Online")).toHaveLength(4);
  }, 60_000);
});
