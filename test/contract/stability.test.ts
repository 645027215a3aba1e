import { afterAll, beforeAll, expect, it } from "vitest";
import type { IntelligentHorizontalPodAutoscaler } from "../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { ReplicaProfile } from "../../src/api/kinds/replica-profile.ts";
import { type KubeObject, resourceOf, resources } from "../../src/kube/client/resource.ts";
import { addDeployment } from "../cluster/objects.ts";
import { describeControlPlane } from "../cluster/suite.ts";
import {
  type Controller,
  type ControllersRig,
  eventsAbout,
  ihpaOf,
  namespace,
  startControllersRig,
} from "./controllers-rig.ts";
import { type Program, startProgram } from "./programs.ts";

const ihpas = resourceOf("IntelligentHorizontalPodAutoscaler");
const profiles = resourceOf("ReplicaProfile");
const soon = { timeout: 60_000, interval: 100 };

interface Pod extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

describeControlPlane("stability checkers on real controllers", () => {
  let rig: ControllersRig;
  let controller: Controller;
  let program: Program;

  beforeAll(async () => {
    program = await startProgram();
    rig = await startControllersRig();
    controller = await rig.startController(`--external-programs=theirs=${program.url}`);
  }, 900_000);
  afterAll(async () => {
    await rig?.stop();
    await program?.stop();
  });

  const podsOf = async (app: string) =>
    (await rig.client.list<Pod>(resources.pods, { namespace, labelSelector: `app=${app}` })).items.filter(
      ({ metadata }) => metadata.deletionTimestamp === undefined,
    );
  const isIn = ({ status }: Pod) =>
    status?.conditions?.some(({ type, status: is }) => type === "forescale.io/online" && is === "True");
  /** Pods in rotation and out of it. */
  const gates = async (app: string) => {
    const pods = await podsOf(app);
    const online = pods.filter(isIn).length;
    return `${online} in, ${pods.length - online} out`;
  };
  const ihpa = (name: string) => rig.client.get<IntelligentHorizontalPodAutoscaler>(ihpas, { namespace, name });
  const stable = async (name: string) => (await ihpa(name)).status?.conditions?.find(({ type }) => type === "Stable");
  /** An IHPA that scales down through Cutoff: all in one step, watched for ten minutes. */
  const add = async (name: string, pods: number, checkers: object[], change: object = {}) => {
    rig.loads.set(name, 10 * pods);
    await addDeployment(rig.plane.kubectl, {
      name,
      replicas: pods,
      podSpec: { readinessGates: [{ conditionType: "forescale.io/online" }] },
    });
    const grayStrategy = {
      grayState: "Cutoff",
      changePercent: 100,
      changeIntervalSeconds: 1,
      observationSeconds: 600,
      ...change,
    };
    await rig.client.create(
      ihpas,
      ihpaOf(name, {
        hpa: "None",
        maxReplicas: 200,
        portraitProviders: [{ type: "Dynamic", dynamic: { portraitType: "Reactive" } }],
        behavior: { scaleDown: { stabilizationWindowSeconds: 0, grayStrategy } },
        stabilityCheckers: checkers,
      }),
    );
    await expect.poll(() => gates(name), soon).toBe(`${pods} in, 0 out`);
    await expect.poll(async () => (await stable(name))?.status, soon).toBe("True");
  };
  const below5 = (metric: string) => ({
    type: "Metrics",
    metrics: {
      metrics: [{ type: "External", external: { metric: { name: metric }, target: { type: "Value", value: "5" } } }],
    },
  });

  it("a checker that trips brings a hundred cut-off pods back at once, and holds, and says so", async () => {
    rig.loads.set("many_errors", 0);
    await add("many", 110, [{ ...below5("many_errors"), stabilizationAction: "Rollback", coolDownSeconds: 600 }]);
    rig.loads.set("many", 100);
    await expect.poll(() => gates("many"), soon).toBe("10 in, 100 out");
    expect((await ihpa("many")).status?.gray).toMatchObject({ direction: "Down", from: 110, to: 10, grayPercent: 100 });
    rig.loads.set("many_errors", 50);
    const wanted = async () =>
      (await rig.client.get<ReplicaProfile>(profiles, { namespace, name: "many" })).spec.onlineReplicas;
    await expect.poll(wanted, { timeout: 30_000, interval: 10 }).toBe(110);
    const decidedMs = performance.now();
    await expect.poll(() => gates("many"), { timeout: 10_000, interval: 50 }).toBe("110 in, 0 out");
    process.stdout.write(
      `rollback of 100 pods seen ${(performance.now() - decidedMs).toFixed(0)} ms after its decision\n`,
    );
    expect(await stable("many")).toMatchObject({
      status: "False",
      reason: "CheckFailed",
      message: expect.stringContaining("stabilityCheckers[0] failed: many_errors is 50"),
    });
    await expect.poll(() => eventsAbout(rig.client, "many"), soon).toContain("Warning CheckFailed");
  }, 180_000);

  it("what was taken back stays so while it cools down, also with a new controller", async () => {
    rig.loads.set("many_errors", 0);
    await expect.poll(async () => (await stable("many"))?.reason, soon).toBe("CoolingDown");
    await controller.kill();
    controller = await rig.startController(`--external-programs=theirs=${program.url}`);
    const time = async () => (await ihpa("many")).status?.decision?.time ?? "";
    const before = new Date().toISOString();
    await expect.poll(async () => (await time()) > before, soon).toBe(true);
    expect(await stable("many")).toMatchObject({ status: "False", reason: "CoolingDown" });
    expect(await gates("many")).toBe("110 in, 0 out");
  }, 120_000);

  it("an external program is asked at each step; while it can't be, no step is made and nobody is let go", async () => {
    program.answers.set("/stability", () => ({ stable: true }));
    await add("staged", 8, [{ type: "External", stabilizationAction: "Rollback", external: { name: "theirs" } }], {
      changePercent: 25,
      changeIntervalSeconds: 6,
    });
    rig.loads.set("staged", 40);
    await expect.poll(() => gates("staged"), soon).toBe("7 in, 1 out");
    program.answers.delete("/stability");
    await expect.poll(async () => (await stable("staged"))?.reason, soon).toBe("CheckUnknown");
    const paused = await gates("staged");
    await new Promise((resolve) => setTimeout(resolve, 9_000));
    expect(await gates("staged")).toBe(paused);
    program.answers.set("/stability", () => ({ stable: true }));
    await expect.poll(() => gates("staged"), soon).toBe("4 in, 4 out");
    const steps = program.questions.flatMap(
      ({ question }) => (question.step as { online: number } | null)?.online ?? [],
    );
    expect([...new Set(steps)].slice(0, 3)).toEqual([7, 6, 5]);
    program.answers.set("/stability", () => ({ stable: false, message: "the errors rise" }));
    await expect.poll(() => gates("staged"), soon).toBe("8 in, 0 out");
    expect(await stable("staged")).toMatchObject({ message: expect.stringContaining("theirs says the errors rise") });
  }, 180_000);

  it("a name that the administrator has not given pauses, and says whom to ask", async () => {
    await rig.client.patch(ihpas, { namespace, name: "staged" }, "Merge", {
      spec: {
        stabilityCheckers: [{ type: "External", stabilizationAction: "Pause", external: { name: "169.254.169.254" } }],
      },
    });
    await expect
      .poll(async () => (await stable("staged"))?.message, soon)
      .toMatch(/there is no external program 169\.254\.169\.254.*--external-programs/);
  }, 60_000);
});
