import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Condition } from "../../../../src/api/conditions.ts";
import { conditionTypes, rungs } from "../../../../src/api/conditions.ts";
import { intelligentHorizontalPodAutoscalerStatus } from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { checkStructure } from "../../../../src/api/validation/structure.ts";
import type { IhpaInput } from "../../../../src/controllers/ihpa/ihpa-input.ts";
import { type Plan, planIhpa } from "../../../../src/controllers/ihpa/plan-ihpa.ts";
import type { Decision } from "../../../../src/decide/decision.ts";
import { stamp } from "../../../../src/kube/times.ts";
import { hpaOf, ihpaOf, iso, nowMs, portraitOf } from "../objects.ts";

const decision: Decision = {
  timeMs: nowMs,
  desired: { online: 7, cutoff: 0, standby: 0 },
  observed: 4,
  total: 7,
  rung: "Fresh",
  reason: "Predicted",
  message: "7 pods: load needs 5 now",
  provider: "Predictive",
  lead: { seconds: 60, source: "Measured", samples: 12 },
  rules: [],
  proposals: [],
  loads: [{ name: "load", value: 70 }],
};

function inputOf(more: Partial<IhpaInput> = {}): IhpaInput {
  return {
    ihpa: ihpaOf(),
    nowMs,
    scale: { replicas: 5, statusReplicas: 5, selector: "app=web", resourceVersion: "1", uid: "d" },
    problems: [],
    rival: undefined,
    hpas: [],
    portraits: [],
    decision,
    loadFaults: [],
    limits: { minReplicas: 2, maxReplicas: 20 },
    exactHpa: true,
    ...more,
  };
}

const conditionOf = (plan: Plan, type: string): Condition | undefined =>
  plan.status.conditions?.find((each) => each.type === type);
/** What a plan says of an object: `Applied`, `Keep` or `Removed`. */
const fate = (planned: object | "Keep" | undefined) =>
  planned === undefined ? "Removed" : planned === "Keep" ? "Keep" : "Applied";

const profileOfEarlier = {
  metadata: {
    name: "shop",
    namespace: "store",
    uid: "p",
    ownerReferences: [
      {
        apiVersion: "autoscaling.forescale.io/v1alpha1",
        kind: "IntelligentHorizontalPodAutoscaler",
        name: "shop",
        uid: "ihpa-0",
      },
    ],
  },
};
const invalid = { problems: [{ field: "spec.prediction.timeZone", message: "no such zone" }], decision: undefined };
const missing = {
  scale: { reason: "TargetNotFound", message: "deployments.apps store/web was not found" },
  decision: undefined,
};
const rival = { rival: "older", decision: undefined };
const foreign = { hpas: [hpaOf("theirs")], decision: undefined };

describe("the planned objects", () => {
  test.each<{
    name: string;
    spec: Parameters<typeof ihpaOf>[0];
    input?: Partial<IhpaInput>;
    hpa: string;
    profile: string;
    ready: string;
  }>([
    { name: "Managed acts", spec: {}, hpa: "Applied", profile: "Applied", ready: "AsExpected" },
    {
      name: "Attached leaves the HPA to its owner",
      spec: { hpa: "Attached" },
      hpa: "Removed",
      profile: "Applied",
      ready: "AsExpected",
    },
    { name: "None has no HPA", spec: { hpa: "None" }, hpa: "Removed", profile: "Applied", ready: "AsExpected" },
    {
      name: "Preview has nothing that acts",
      spec: { scaleMode: "Preview" },
      hpa: "Removed",
      profile: "Removed",
      ready: "AsExpected",
    },
    {
      name: "Preview of Attached",
      spec: { scaleMode: "Preview", hpa: "Attached" },
      hpa: "Removed",
      profile: "Removed",
      ready: "AsExpected",
    },
    {
      name: "Preview of None",
      spec: { scaleMode: "Preview", hpa: "None" },
      hpa: "Removed",
      profile: "Removed",
      ready: "AsExpected",
    },
    {
      name: "paused keeps all in place",
      spec: { paused: true },
      hpa: "Applied",
      profile: "Applied",
      ready: "AsExpected",
    },
    {
      name: "a typing error takes nothing away",
      spec: {},
      input: invalid,
      hpa: "Keep",
      profile: "Keep",
      ready: "InvalidSpec",
    },
    {
      name: "a typing error in None",
      spec: { hpa: "None" },
      input: invalid,
      hpa: "Removed",
      profile: "Keep",
      ready: "InvalidSpec",
    },
    {
      name: "a typing error in Preview",
      spec: { scaleMode: "Preview" },
      input: invalid,
      hpa: "Removed",
      profile: "Removed",
      ready: "InvalidSpec",
    },
    {
      name: "a missing target takes nothing away",
      spec: {},
      input: missing,
      hpa: "Keep",
      profile: "Keep",
      ready: "TargetNotFound",
    },
    {
      name: "an older IHPA has the target",
      spec: {},
      input: rival,
      hpa: "Removed",
      profile: "Removed",
      ready: "TargetOwnedByAnother",
    },
    {
      name: "an older IHPA, in None",
      spec: { hpa: "None" },
      input: rival,
      hpa: "Removed",
      profile: "Removed",
      ready: "TargetOwnedByAnother",
    },
    {
      name: "somebody's HPA beside a Managed one",
      spec: {},
      input: foreign,
      hpa: "Removed",
      profile: "Removed",
      ready: "TargetOwnedByAnother",
    },
    {
      name: "somebody's HPA that follows our number beside a Managed one: still two writers",
      spec: {},
      input: { hpas: [hpaOf("theirs", { follows: true })], decision: undefined },
      hpa: "Removed",
      profile: "Removed",
      ready: "TargetOwnedByAnother",
    },
    {
      name: "somebody's HPA in None",
      spec: { hpa: "None" },
      input: foreign,
      hpa: "Removed",
      profile: "Removed",
      ready: "TargetOwnedByAnother",
    },
    {
      name: "Attached needs the user's HPA",
      spec: { hpa: "Attached" },
      input: { hpas: [hpaOf("theirs")] },
      hpa: "Removed",
      profile: "Applied",
      ready: "AsExpected",
    },
    {
      name: "Attached with two HPAs",
      spec: { hpa: "Attached" },
      input: { hpas: [hpaOf("a"), hpaOf("b", { follows: true })], decision: undefined },
      hpa: "Removed",
      profile: "Removed",
      ready: "AmbiguousSelector",
    },
    {
      name: "Attached while our own HPA of before is still there",
      spec: { hpa: "Attached" },
      input: { hpas: [hpaOf("forescale-shop", { owner: "ihpa-1", follows: true }), hpaOf("b", { follows: true })] },
      hpa: "Removed",
      profile: "Applied",
      ready: "AsExpected",
    },
    {
      name: "Preview beside the HPA that acts now",
      spec: { scaleMode: "Preview" },
      input: { hpas: [hpaOf("theirs")] },
      hpa: "Removed",
      profile: "Removed",
      ready: "AsExpected",
    },
    {
      name: "somebody's profile of its name",
      spec: {},
      input: { profile: { metadata: { name: "shop", namespace: "store", uid: "p" } }, decision: undefined },
      hpa: "Removed",
      profile: "Removed",
      ready: "TargetOwnedByAnother",
    },
    {
      name: "Preview beside somebody's profile of its name",
      spec: { scaleMode: "Preview" },
      input: { profile: { metadata: { name: "shop", namespace: "store", uid: "p" } } },
      hpa: "Removed",
      profile: "Removed",
      ready: "AsExpected",
    },
    {
      name: "a profile of an IHPA of that name that was deleted meanwhile",
      spec: {},
      input: { profile: profileOfEarlier },
      hpa: "Applied",
      profile: "Applied",
      ready: "AsExpected",
    },
    {
      name: "no number left: what is there stays",
      spec: {},
      input: { decision: { ...decision, desired: undefined, total: null, rung: "Expired", reason: "NothingKnown" } },
      hpa: "Applied",
      profile: "Keep",
      ready: "NoValidPortraitValue",
    },
  ])("$name", ({ spec, input, hpa, profile, ready }) => {
    const plan = planIhpa(inputOf({ ihpa: ihpaOf(spec), ...input }));
    expect([fate(plan.hpa), fate(plan.profile)]).toEqual([hpa, profile]);
    const condition = conditionOf(plan, "Ready");
    expect(condition).toMatchObject({ reason: ready, status: ready === "AsExpected" ? "True" : "False" });
    // A number is served only where it may act, or in Preview to be looked at.
    const hasObstacle = !["AsExpected", "NoValidPortraitValue"].includes(ready);
    expect(plan.status.decision === undefined).toBe(hasObstacle);
    expect(fate(plan.portraits)).toBe(hasObstacle ? "Keep" : "Applied");
    expect(conditionOf(plan, "AbleToScale")?.status).toBe(hasObstacle ? "False" : "True");
  });

  test("Preview reports what would keep Auto from working", () => {
    const message = (more: Partial<IhpaInput>) =>
      conditionOf(planIhpa(inputOf({ ihpa: ihpaOf({ scaleMode: "Preview" }), ...more })), "ScalingActive")!.message;
    expect(message({})).toMatch(/^Preview: nothing is changed; web would [^;]* replicas$/);
    expect(message({ hpas: [hpaOf("theirs")] })).toMatch(
      /before Auto can work: Deployment web is also scaled by HPA theirs/,
    );
    expect(message({ profile: { metadata: { name: "shop", namespace: "store", uid: "p" } } })).toMatch(
      /before Auto can work: ReplicaProfile shop already exists/,
    );
  });

  test("owned objects refer to the IHPA and have the settings of its providers", () => {
    const plan = planIhpa(inputOf());
    const owner = [
      {
        apiVersion: "autoscaling.forescale.io/v1alpha1",
        kind: "IntelligentHorizontalPodAutoscaler",
        name: "shop",
        uid: "ihpa-1",
        controller: true,
        blockOwnerDeletion: true,
      },
    ];
    expect(plan.portraits).toMatchObject([
      {
        metadata: { name: "shop-predictive", namespace: "store", ownerReferences: owner },
        spec: { portraitType: "Predictive", algorithm: { type: "Forecast" }, metrics: [{ name: "load" }] },
      },
      {
        metadata: { name: "shop-reactive", ownerReferences: owner },
        spec: { portraitType: "Reactive", algorithm: { type: "KubeHPA" } },
      },
    ]);
    expect(plan.profile).toMatchObject({
      kind: "ReplicaProfile",
      metadata: { name: "shop", ownerReferences: owner },
      spec: {
        onlineReplicas: 7,
        cutoffReplicas: 0,
        standbyReplicas: 0,
        paused: false,
        allowedScalingDirection: "Both",
      },
    });
  });

  test("Static and Cron providers have no portrait", () => {
    const ihpa = ihpaOf({ portraitProviders: [{ type: "Static", static: { replicas: 3 } }] });
    expect(planIhpa(inputOf({ ihpa })).portraits).toEqual([]);
  });

  test.each([
    { behavior: {}, direction: "Both" },
    { behavior: { scaleUp: { disabled: true } }, direction: "Down" },
    { behavior: { scaleDown: { disabled: true } }, direction: "Up" },
    { behavior: { scaleUp: { disabled: true }, scaleDown: { disabled: true } }, direction: "Neither" },
  ])("the profile's allowed scaling direction is $direction", ({ behavior, direction }) => {
    expect(planIhpa(inputOf({ ihpa: ihpaOf({ behavior }) })).profile).toMatchObject({
      spec: { allowedScalingDirection: direction },
    });
  });
});

describe("status", () => {
  test("Preview reports what would happen", () => {
    const plan = planIhpa(inputOf({ ihpa: ihpaOf({ scaleMode: "Preview" }) }));
    expect(conditionOf(plan, "ScalingActive")).toMatchObject({ status: "False", reason: "Preview" });
    expect(conditionOf(plan, "ScalingActive")?.message).toMatch(/web would go from 5 to 7 replicas/);
    expect(plan.status).toMatchObject({ currentReplicas: 5, desiredReplicas: 7, decision: { total: 7, time: iso() } });
    expect(plan.status.hpa?.name).toBeUndefined();
  });

  test.each<{
    name: string;
    spec: Parameters<typeof ihpaOf>[0];
    hpas: IhpaInput["hpas"];
    active: object | undefined;
    hpa: object;
  }>([
    {
      name: "Managed, being made",
      spec: {},
      hpas: [],
      active: { status: "Unknown", reason: "HPANotFound" },
      hpa: { mode: "Managed", toleranceBand: "0%" },
    },
    {
      name: "Managed, there and active",
      spec: {},
      hpas: [hpaOf("forescale-shop", { owner: "ihpa-1", scalingActive: "True" })],
      active: { status: "True", reason: "ValidMetricFound" },
      hpa: { mode: "Managed", name: "forescale-shop", toleranceBand: "0%" },
    },
    {
      name: "Managed, and it has not reported its status yet",
      spec: {},
      hpas: [hpaOf("forescale-shop", { owner: "ihpa-1" })],
      active: { status: "Unknown", reason: "NoMetrics" },
      hpa: { name: "forescale-shop" },
    },
    {
      name: "Attached, and the user's HPA does not follow yet",
      spec: { hpa: "Attached" },
      hpas: [hpaOf("theirs", { scalingActive: "True" })],
      active: { status: "False", reason: "HPANotFound" },
      hpa: { mode: "Attached", toleranceBand: "10%", metric: expect.stringContaining('"forescale-replicas"') },
    },
    {
      name: "Attached, followed",
      spec: { hpa: "Attached" },
      hpas: [hpaOf("theirs", { follows: true, scalingActive: "True" })],
      active: { status: "True" },
      hpa: { mode: "Attached", name: "theirs" },
    },
    { name: "None has none", spec: { hpa: "None" }, hpas: [], active: undefined, hpa: { mode: "None" } },
  ])("the HPA: $name", ({ spec, hpas, active, hpa }) => {
    const plan = planIhpa(inputOf({ ihpa: ihpaOf(spec), hpas }));
    if (active === undefined) expect(conditionOf(plan, "HPAActive")).toBeUndefined();
    else expect(conditionOf(plan, "HPAActive")).toMatchObject(active);
    expect(plan.status.hpa).toMatchObject(hpa);
  });

  test("while the HPA can't read the metric the IHPA is not Ready, as its decision has no effect", () => {
    const hpas = [hpaOf("forescale-shop", { owner: "ihpa-1", scalingActive: "False" })];
    const plan = planIhpa(inputOf({ hpas }));
    for (const type of ["Ready", "ScalingActive"])
      expect(conditionOf(plan, type)).toMatchObject({
        status: "False",
        reason: "FailedGetExternalMetric",
        message: "HPA forescale-shop cannot read the external metric, so the target keeps its size: no answer",
      });
    expect(conditionOf(plan, "Fallback")).toMatchObject({ status: "False", reason: "Fresh" });
    expect(conditionOf(planIhpa(inputOf({ ihpa: ihpaOf({ scaleMode: "Preview" }), hpas })), "Ready")?.status).toBe(
      "True",
    );
  });

  test("conditions have their generation, and keep their times while the status stays", () => {
    const first = planIhpa(inputOf({ nowMs: nowMs - 600_000 }));
    const ihpa = ihpaOf({}, { status: first.status, metadata: { generation: 4 } });
    const second = planIhpa(inputOf({ ihpa, ...missing }));
    const times = Object.fromEntries(
      second.status.conditions!.map(({ type, lastTransitionTime }) => [type, lastTransitionTime]),
    );
    expect(times).toMatchObject({ Ready: iso(), AbleToScale: iso(), Paused: iso(600), ScalingLimited: iso() });
    expect(new Set(second.status.conditions!.map(({ observedGeneration }) => observedGeneration))).toEqual(
      new Set([4]),
    );
    expect(second.status.observedGeneration).toBe(4);
  });

  test.each(rungs)("the rung %s is Fallback's reason, and Fallback holds below Fresh", (rung) => {
    const plan = planIhpa(
      inputOf({ decision: { ...decision, rung, ...(rung === "Expired" && { desired: undefined, total: null }) } }),
    );
    expect(conditionOf(plan, "Fallback")).toMatchObject({ reason: rung, status: rung === "Fresh" ? "False" : "True" });
    expect(plan.status.decision?.rung).toBe(rung);
    // A 0 that was not meant would empty the fleet: without a number none is claimed to be wanted.
    expect(plan.status.desiredReplicas).toBe(rung === "Expired" ? undefined : 7);
  });

  test("a size kept because nothing is known is not Ready, with the metric's reason", () => {
    const held: Decision = { ...decision, rung: "Held", reason: "NothingKnown", message: "5 pods stay: nothing known" };
    const fault = { reason: "SourceUnreachable", message: "load: metric source main did not answer" };
    const said = {
      status: "False",
      reason: "SourceUnreachable",
      message: "5 pods stay: nothing known; load: metric source main did not answer",
    };
    const plan = planIhpa(inputOf({ decision: held, loadFaults: [fault] }));
    expect(conditionOf(plan, "Ready")).toMatchObject(said);
    expect(conditionOf(plan, "ScalingActive")).toMatchObject(said);
    expect(plan.status.decision).toMatchObject({ rung: "Held", total: 7 });
    expect(conditionOf(planIhpa(inputOf({ decision: held })), "Ready")?.reason).toBe("NoValidPortraitValue");
  });

  test("a size kept because of spec.paused is Ready and no fallback", () => {
    const paused: Decision = { ...decision, rung: "Held", reason: "Paused" };
    const plan = planIhpa(inputOf({ ihpa: ihpaOf({ paused: true }), decision: paused }));
    expect(conditionOf(plan, "Ready")?.status).toBe("True");
    expect(conditionOf(plan, "Fallback")).toMatchObject({ status: "False", reason: "Paused" });
  });

  test.each([
    { reason: "InvalidSpec", input: invalid },
    { reason: "TargetNotFound", input: missing },
    { reason: "TargetOwnedByAnother", input: foreign },
  ])("without a decision there are no conditions about it, nor about an HPA: $reason", ({ reason, input }) => {
    const plan = planIhpa(inputOf(input));
    for (const type of ["Fallback", "ScalingLimited"])
      expect(conditionOf(plan, type)).toMatchObject({ status: "Unknown", reason });
    expect(conditionOf(plan, "HPAActive")).toBeUndefined();
  });

  test("a change in progress is in the status, with a condition", () => {
    const spec = {
      behavior: { scaleDown: { grayStrategy: { grayState: "Cutoff", changeIntervalSeconds: 60, changePercent: 50 } } },
    } satisfies Parameters<typeof ihpaOf>[0];
    const change = {
      direction: "Down",
      from: 9,
      to: 5,
      online: 7,
      percent: 50,
      beganMs: nowMs,
      stepMs: nowMs,
      isWatched: true,
    } as const;
    const desired = { online: 7, cutoff: 2, standby: 0 };
    const { status, profile, claims } = planIhpa(
      inputOf({ ihpa: ihpaOf(spec), decision: { ...decision, desired, total: 9, change } }),
    );
    expect(status.gray).toEqual({ direction: "Down", from: 9, to: 5, grayPercent: 50, lastUpdateTime: iso(0) });
    expect(profile).toMatchObject({ spec: { onlineReplicas: 7, cutoffReplicas: 2, standbyReplicas: 0 } });
    expect(claims.find(({ type }) => type === "GrayProgressing")).toMatchObject({
      status: "True",
      reason: "GrayChange",
    });
    const rest = planIhpa(inputOf({ ihpa: ihpaOf(spec) }));
    expect(rest.status.gray).toBeUndefined();
    expect(rest.claims.find(({ type }) => type === "GrayProgressing")).toMatchObject({
      status: "False",
      reason: "NoGrayChange",
    });
  });

  test("the checkers' result is a condition, present only where there are checkers", () => {
    const spec = {
      stabilityCheckers: [{ type: "External", stabilizationAction: "Pause", external: { name: "theirs" } }],
    } satisfies Parameters<typeof ihpaOf>[0];
    const stability = {
      action: "Pause",
      reason: "CheckUnknown",
      message: "theirs can't tell",
      state: { trips: [] },
    } as const;
    const said = (decided: Partial<IhpaInput["decision"]>) =>
      planIhpa(inputOf({ ihpa: ihpaOf(spec), decision: { ...decision, ...decided } })).claims.find(
        ({ type }) => type === "Stable",
      );
    expect(said({ stability })).toMatchObject({
      status: "False",
      reason: "CheckUnknown",
      message: "theirs can't tell",
    });
    expect(said({})).toBeUndefined();
  });

  test("the mode of Standby reaches the profile", () => {
    const { profile } = planIhpa(inputOf({ ihpa: ihpaOf({ standby: { minReplicas: 2, mode: "Swap" } }) }));
    expect(profile).toMatchObject({ spec: { standbyMode: "Swap" } });
  });

  test.each<{ name: string; spec: Parameters<typeof ihpaOf>[0]; says: string | undefined }>([
    { name: "all of a plain spec", spec: {}, says: undefined },
    {
      name: "checkers",
      spec: { stabilityCheckers: [{ type: "External", stabilizationAction: "Pause", external: { name: "theirs" } }] },
      says: undefined,
    },
    {
      name: "an algorithm that is not carried out",
      spec: {
        portraitProviders: [
          { type: "Dynamic", dynamic: { portraitType: "Reactive", algorithm: { type: "ExternalJob" } } },
        ],
      },
      says: "algorithm ExternalJob is not supported yet, so it proposes nothing; use KubeHPA, or External",
    },
  ])("an unsupported part of the spec is reported: $name", ({ spec, says }) => {
    const plan = planIhpa(inputOf({ ihpa: ihpaOf(spec) }));
    const supported = conditionOf(plan, "SpecSupported");
    if (says === undefined) expect(supported).toBeUndefined();
    else
      expect(supported).toMatchObject({
        status: "False",
        reason: "AlgorithmNotSupported",
        message: expect.stringContaining(says),
      });
    expect(conditionOf(plan, "GrayProgressing")).toBeUndefined();
    expect(conditionOf(plan, "Ready")?.status).toBe("True");
  });

  test("ForecastTrusted and ForecastReady are those of the portrait", () => {
    const said = (types: string[]): Condition[] =>
      types.map((type) => ({
        type,
        status: "True",
        reason: "ForecastPublished",
        message: "m",
        lastTransitionTime: iso(),
      }));
    const types = (conditions: Condition[] | undefined) =>
      planIhpa(
        inputOf({ portraits: [portraitOf("Predictive", conditions && { conditions })] }),
      ).status.conditions!.flatMap(({ type, status }) => (type.startsWith("Forecast") ? `${type} ${status}` : []));
    expect(types(undefined)).toEqual(["ForecastReady Unknown"]);
    expect(types(said(["ForecastReady"]))).toEqual(["ForecastReady True"]);
    expect(types(said(["ForecastReady", "ForecastTrusted"]))).toEqual(["ForecastReady True", "ForecastTrusted True"]);
  });

  test("the lead is rounded to a tenth of a second", () => {
    const lead = { seconds: 17.199999999999, source: "Measured" as const, samples: 12 };
    const { status } = planIhpa(inputOf({ decision: { ...decision, lead } }));
    expect(status.lead).toEqual({ ...lead, seconds: 17.2 });
  });

  test("accuracy is that of the portrait, without invented figures", () => {
    const coverage = [{ level: 0.9, observed: 0.91, samples: 100 }];
    const plan = planIhpa(inputOf({ portraits: [portraitOf("Predictive", { accuracy: { coverage } })] }));
    expect(plan.status.accuracy).toEqual({ coverage });
    expect(planIhpa(inputOf()).status.accuracy).toBeUndefined();
  });

  test.each([
    { name: "of a portrait that lasts: at the end of the lead", expireMs: nowMs + 120_000, forecastReplicas: 9 },
    { name: "of a portrait that ends within the lead: none", expireMs: nowMs + 60_000, forecastReplicas: undefined },
    { name: "of a portrait that has expired: none", expireMs: nowMs - 1000, forecastReplicas: undefined },
  ])("forecast replicas: $name", ({ expireMs, forecastReplicas }) => {
    const timeSeries = [
      { timestamp: nowMs / 1000 - 300, replicas: 4 },
      { timestamp: nowMs / 1000 + 60, replicas: 9 },
    ];
    const portraitData = { type: "TimeSeries" as const, timeSeries: { timeSeries }, expireTime: stamp(expireMs) };
    const { status } = planIhpa(inputOf({ portraits: [portraitOf("Predictive", { portraitData })] }));
    expect(status.forecastReplicas).toBe(forecastReplicas);
  });

  describe("of an evaluated forecast", () => {
    const judged = {
      metric: "load",
      level: 0.95,
      isTrusted: false,
      reason: "NotAccurate" as const,
      message: "over the last 60 min its error was 140 % of the error of repeating the last season",
      error: 0.314,
      relativeError: 1.3999,
      coverage: 0.912,
      samples: 240,
      isCompared: true,
      hasDrifted: false,
    };
    const coverage = [{ level: 0.5, observed: 0.49, samples: 100 }];
    const portraits = [portraitOf("Predictive", { accuracy: { coverage } })];
    const plan = planIhpa(inputOf({ portraits, decision: { ...decision, rung: "Reactive", accuracy: judged } }));

    test("has the figures and the verdict", () => {
      expect(plan.status.accuracy).toEqual({
        percent: 69,
        relativeError: 1.4,
        samples: 240,
        coverage: [...coverage, { level: 0.95, observed: 0.912, samples: 240 }],
        verdict: "KeepObserving",
        message: judged.message,
        updateTime: iso(),
      });
      expect([...checkStructure(intelligentHorizontalPodAutoscalerStatus, plan.status, "status")]).toEqual([]);
    });

    test("reports lost trust, also through an outage without an evaluation", () => {
      expect(conditionOf(plan, "ForecastTrusted")).toMatchObject({ status: "False", reason: "NotAccurate" });
      const later = planIhpa(inputOf({ portraits, ihpa: ihpaOf({}, { status: plan.status }) }));
      expect(conditionOf(later, "ForecastTrusted")).toMatchObject({ status: "False", reason: "NotAccurate" });
      expect(later.status.accuracy).toEqual(plan.status.accuracy);
    });

    test.each([
      { isTrusted: true, reason: "BacktestPassed" as const, samples: 400, verdict: "Enable" },
      { isTrusted: true, reason: "AsExpected" as const, samples: 240, verdict: "Enable" },
      { isTrusted: false, reason: "BacktestFailed" as const, samples: 400, verdict: "NotPredictable" },
    ])("has the verdict $verdict for $reason with $samples samples", ({ verdict, ...more }) => {
      const accuracy = { ...judged, ...more, relativeError: Number.POSITIVE_INFINITY, coverage: Number.NaN };
      const { status } = planIhpa(inputOf({ decision: { ...decision, accuracy } }));
      expect(status.accuracy).toMatchObject({ verdict });
      expect(JSON.stringify(status.accuracy)).not.toContain("null");
    });

    test("has no condition where no season could be compared", () => {
      const accuracy = { ...judged, isTrusted: true, reason: "AsExpected" as const, isCompared: false };
      const young = planIhpa(inputOf({ portraits: [portraitOf("Predictive")], decision: { ...decision, accuracy } }));
      expect(conditionOf(young, "ForecastTrusted")).toBeUndefined();
      expect(young.status.accuracy).toBeUndefined();
    });
  });

  test("a decision that is unchanged keeps its time", () => {
    const plan = planIhpa(inputOf({ decision: { ...decision, timeMs: nowMs - 5_000 } }));
    expect(plan.status.decision?.time).toBe(iso(5));
  });

  test("for any input the status is valid by the schema, and every condition is a known one", () => {
    const text = fc.string({ maxLength: 5000 });
    const input = fc.record({
      scaleMode: fc.constantFrom("Auto" as const, "Preview" as const),
      hpa: fc.constantFrom("Managed" as const, "Attached" as const, "None" as const),
      paused: fc.boolean(),
      total: fc.nat(1000),
      message: text,
      rung: fc.constantFrom(...rungs),
      fault: fc.option(fc.record({ reason: fc.constant("NoMetrics"), message: text })),
      blocking: fc.constantFrom({}, invalid, missing, rival, foreign),
    });
    fc.assert(
      fc.property(input, ({ scaleMode, hpa, paused, total, message, rung, fault, blocking }) => {
        const plan = planIhpa(
          inputOf({
            ihpa: ihpaOf({ scaleMode, hpa, paused }),
            decision: { ...decision, total, desired: { online: total, cutoff: 0, standby: 0 }, message, rung },
            loadFaults: fault ? [fault] : [],
            ...blocking,
          }),
        );
        expect([...checkStructure(intelligentHorizontalPodAutoscalerStatus, plan.status, "status")]).toEqual([]);
        const known = Object.keys(conditionTypes.IntelligentHorizontalPodAutoscaler);
        for (const { type } of plan.status.conditions!) expect(known).toContain(type);
      }),
    );
  });
});

test("a stamp has whole seconds, as metav1.Time", () => {
  expect(stamp(nowMs + 999)).toBe("2026-01-05T12:00:00Z");
});
