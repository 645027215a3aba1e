import { beforeEach, expect, test } from "vitest";
import type { MetricSpec } from "../../../../src/api/fields/metrics.ts";
import { metricName } from "../../../../src/api/fields/metrics.ts";
import type { IntelligentHorizontalPodAutoscalerSpecWritten } from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { CollectError } from "../../../../src/collect/collect-error.ts";
import { type CheckSubject, StabilityChecks } from "../../../../src/controllers/stability/stability-checks.ts";
import type { LiveLoad, MetricSubject } from "../../../../src/controllers/workload/metric-subject.ts";
import { silent } from "../../../../src/kube/log.ts";
import type { StabilityDecision } from "../../../../src/stability/stability.ts";
import { ihpaOf, iso, nowMs, podOf } from "../objects.ts";

type Checker = NonNullable<IntelligentHorizontalPodAutoscalerSpecWritten["stabilityCheckers"]>[number];

const external = (more: Partial<Checker> = {}): Checker => ({
  type: "External",
  stabilizationAction: "Rollback",
  external: { name: "theirs", config: { level: "high" } },
  ...more,
});
const errors: MetricSpec = {
  type: "External",
  external: { metric: { name: "errors" }, target: { type: "Value", value: "5" } },
};
const metrics = (...rules: MetricSpec[]): Checker => ({
  type: "Metrics",
  stabilizationAction: "Rollback",
  metrics: { metrics: rules },
});
const change = {
  direction: "Down",
  from: 4,
  to: 2,
  online: 3,
  percent: 50,
  beganMs: nowMs - 60_000,
  stepMs: nowMs - 30_000,
  isWatched: true,
} as const;

let clockMs: number;
let live: Record<string, LiveLoad>;
let asked: { question: string; about: Record<string, unknown> }[];
let answer: () => Record<string, unknown>;
let followed: MetricSubject[];
let checks: StabilityChecks;
let woken: () => void;

function start() {
  checks = new StabilityChecks({
    metricReader: {
      follow: (subject) => void followed.push(subject),
      forget: () => {},
      hasAsked: () => true,
      now: (_, spec) => live[metricName(spec)],
    },
    regressions: { check: async () => ({ kind: "Passed" }), forget: () => {} },
    programs: {
      ask: async (ref, question, about) => {
        asked.push({ question, about: { ...about, ...ref } });
        return answer();
      },
      fault: ({ name }, what) => new CollectError("BadAnswer", `external program ${name} ${what}`),
    },
    onAnswered: () => woken(),
    tickMs: 15_000,
    log: silent,
    now: () => clockMs,
  });
}

beforeEach(() => {
  [clockMs, live, asked, followed] = [nowMs, {}, [], []];
  answer = () => ({ stable: true });
  start();
});

const pods = [
  podOf("web-a", 600),
  podOf("web-b", 600),
  podOf("web-c", undefined),
  podOf("web-d", undefined, { labels: { app: "web", "forescale.io/pod-state": "Cutoff" } }),
];

function subjectOf(stabilityCheckers: Checker[], more: Partial<CheckSubject> = {}, spec: object = {}): CheckSubject {
  const ihpa = more.ihpa ?? ihpaOf({ stabilityCheckers, ...spec });
  const metrics = {
    key: "store/shop",
    namespace: "store",
    target: ihpa.spec.scaleTargetRef,
    metrics: [],
    selector: "app=web",
    pods: [],
  };
  return { key: "store/shop", ihpa, pods, metrics, change, ...more };
}

/** What is decided once the checkers have answered. */
async function decided(subject: CheckSubject): Promise<StabilityDecision> {
  const answered = new Promise<void>((resolve) => {
    woken = resolve;
  });
  expect(checks.decision(subject)).toBe("Asking");
  await answered;
  return checks.decision(subject) as StabilityDecision;
}

test("no checker runs where there is none, in Preview and while paused", () => {
  expect(checks.decision(subjectOf([]))).toBeUndefined();
  expect(checks.decision(subjectOf([external()], {}, { scaleMode: "Preview" }))).toBeUndefined();
  expect(checks.decision(subjectOf([external()], {}, { paused: true }))).toBeUndefined();
  expect(asked).toEqual([]);
});

test("a program is sent the step and the pods by state, once a tick", async () => {
  const subject = subjectOf([external()]);
  expect(await decided(subject)).toMatchObject({ action: "GoOn" });
  clockMs += 5_000;
  expect(checks.decision(subject)).toMatchObject({ action: "GoOn" });
  expect(asked).toEqual([
    {
      question: "/stability",
      about: {
        namespace: "store",
        ihpa: "shop",
        workload: subject.ihpa.spec.scaleTargetRef,
        name: "theirs",
        config: { level: "high" },
        step: { direction: "Down", from: 4, to: 2, online: 3, percent: 50, beganTime: iso(60), stepTime: iso(30) },
        pods: { online: ["web-a", "web-b"], starting: ["web-c"], cutoff: ["web-d"], standby: [] },
      },
    },
  ]);
  clockMs += 10_000;
  expect(await decided(subject)).toMatchObject({ action: "GoOn" });
  expect(asked).toHaveLength(2);
});

test("a program that reports instability rolls the change back, with its message", async () => {
  answer = () => ({ stable: false, message: "errors\u001b[31m rise" });
  expect(await decided(subjectOf([external()]))).toMatchObject({
    action: "Rollback",
    reason: "CheckFailed",
    message: expect.stringMatching(/^stabilityCheckers\[0\] failed: theirs says errors \[31m rise$/),
  });
});

test.each<{ name: string; answer: () => Record<string, unknown>; says: string }>([
  { name: "answers neither yes nor no", answer: () => ({ stable: "yes" }), says: 'without "stable"' },
  {
    name: "does not answer",
    answer: () => {
      throw new CollectError("Timeout", "external program theirs gave no whole answer within 3 s");
    },
    says: "no whole answer",
  },
  {
    name: "makes us fail",
    answer: () => {
      throw new TypeError("a fault of ours");
    },
    says: "a fault of ours",
  },
])("a program that $name pauses changes and rolls none back", async ({ answer: given, says }) => {
  answer = given;
  expect(await decided(subjectOf([external()]))).toMatchObject({
    action: "Pause",
    reason: "CheckUnknown",
    message: expect.stringContaining(says),
  });
});

test("without a change in progress a failed check only pauses; a change that was rolled back stays rolled back", async () => {
  answer = () => ({ stable: false });
  expect(await decided(subjectOf([external()], { change: undefined }))).toMatchObject({ action: "Pause" });
  start();
  expect(await decided(subjectOf([external()]))).toMatchObject({ action: "Rollback" });
  clockMs += 15_000;
  expect(await decided(subjectOf([external()], { change: undefined }))).toMatchObject({ action: "Rollback" });
});

test("changes wait for the cool-down after a failure, also across a restart", async () => {
  const subject = subjectOf([{ ...metrics(errors), stabilizationAction: "Pause" }, external({ coolDownSeconds: 60 })]);
  live.errors = { value: 0, lagMs: 0 };
  answer = () => ({ stable: false, message: "bad" });
  const failed = await decided(subject);
  const status = {
    decision: { time: iso(0), online: 4, cutoff: 0, standby: 0, total: 4, rung: "Fresh", reason: "Wanted" },
    conditions: [
      { type: "Stable", status: "False", lastTransitionTime: iso(0), reason: failed.reason, message: failed.message },
    ],
  } as const;
  start();
  answer = () => ({ stable: true });
  clockMs += 20_000;
  const again = { ...subject, change: undefined, ihpa: { ...subject.ihpa, status } };
  expect(await decided(again)).toMatchObject({
    action: "Rollback",
    reason: "CoolingDown",
    message: "stabilityCheckers[1] passes again; changes resume in 40 s",
    state: { trips: [{ name: "stabilityCheckers[1]", message: "theirs says bad" }] },
  });
  clockMs += 41_000;
  expect(await decided(again)).toMatchObject({ action: "GoOn" });
});

test("a restart during a failure wakes no pod that is out of service", async () => {
  const subject = subjectOf([external({ coolDownSeconds: 60 })], { change: undefined });
  const status = {
    decision: { time: iso(0), online: 4, cutoff: 0, standby: 2, total: 6, rung: "Fresh", reason: "Wanted" },
    conditions: [
      {
        type: "Stable",
        status: "False",
        lastTransitionTime: iso(0),
        reason: "CheckFailed",
        message: "stabilityCheckers[0] failed: bad",
      },
    ],
  } as const;
  expect(await decided({ ...subject, ihpa: { ...subject.ihpa, status } })).toMatchObject({ action: "Pause" });
});

test("changed checkers start without earlier failures", async () => {
  answer = () => ({ stable: false });
  expect(await decided(subjectOf([external({ coolDownSeconds: 600 })]))).toMatchObject({ action: "Rollback" });
  live.errors = { value: 0, lagMs: 0 };
  expect(await decided(subjectOf([metrics(errors)]))).toMatchObject({ action: "GoOn" });
});

test.each<{ name: string; rule: MetricSpec; load: LiveLoad | undefined; action: string; says?: string }>([
  {
    name: "a total above its value",
    rule: errors,
    load: { value: 6, lagMs: 0 },
    action: "Rollback",
    says: "errors is 6",
  },
  { name: "a total at its value", rule: errors, load: { value: 5, lagMs: 0 }, action: "GoOn" },
  {
    name: "a mean of the two pods in service, below",
    rule: {
      type: "Pods",
      operator: "<",
      pods: { metric: { name: "served" }, target: { type: "AverageValue", averageValue: "10" } },
    },
    load: { value: 18, lagMs: 0 },
    action: "Rollback",
    says: "served is 9",
  },
  {
    name: "a usage of what two pods request, half a core each",
    rule: { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } },
    load: { value: 0.9, lagMs: 0 },
    action: "Rollback",
    says: "cpu is 90",
  },
  {
    name: "a usage of what is not requested",
    rule: { type: "Resource", resource: { name: "gpu", target: { type: "Utilization", averageUtilization: 80 } } },
    load: { value: 0.9, lagMs: 0 },
    action: "Pause",
    says: "request no gpu",
  },
  {
    name: "a value that the source does not have",
    rule: errors,
    load: { value: null, lagMs: 0, fault: { reason: "SourceUnreachable", message: "main refuses the connection" } },
    action: "Pause",
    says: "main refuses the connection",
  },
])("a Metrics checker: $name", async ({ rule, load, action, says = "" }) => {
  if (load) live[metricName(rule)] = load;
  expect(await decided(subjectOf([metrics(rule)]))).toMatchObject({ action, message: expect.stringContaining(says) });
  expect(followed[0]).toMatchObject({ key: "store/shop/stabilityCheckers", metrics: [rule] });
});
