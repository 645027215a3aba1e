import { beforeEach, describe, expect, test } from "vitest";
import type { IntelligentHorizontalPodAutoscalerStatus } from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { IhpaEvents } from "../../../../src/controllers/ihpa/ihpa-events.ts";
import type { IhpaInput } from "../../../../src/controllers/ihpa/ihpa-input.ts";
import { planIhpa } from "../../../../src/controllers/ihpa/plan-ihpa.ts";
import type { Decision } from "../../../../src/decide/decision.ts";
import { hpaOf, ihpaOf, nowMs } from "../objects.ts";

const fresh: Decision = {
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
  loads: [],
};
const coasting: Decision = { ...fresh, rung: "Coasting", reason: "SourceSilent" };
const held: Decision = { ...fresh, rung: "Held", reason: "NothingKnown" };
const active = hpaOf("forescale-shop", { owner: "ihpa-1", scalingActive: "True" });
const failing = hpaOf("forescale-shop", { owner: "ihpa-1", scalingActive: "False" });

let told: string[];
let events: IhpaEvents;
let status: IntelligentHorizontalPodAutoscalerStatus | undefined;

beforeEach(() => {
  [told, status] = [[], undefined];
  events = new IhpaEvents({ record: ({ type, reason }) => void told.push(`${type} ${reason}`) }, 15_000);
});

/** What a tick tells, so many seconds in; the status is what the tick before wrote. */
function tick(seconds: number, more: Partial<IhpaInput> = {}): string[] {
  const input: IhpaInput = {
    ihpa: ihpaOf({}, { status }),
    nowMs: nowMs + seconds * 1000,
    scale: { replicas: 5, statusReplicas: 5, selector: "app=web", resourceVersion: "1", uid: "d" },
    problems: [],
    rival: undefined,
    hpas: [active],
    portraits: [],
    decision: fresh,
    loadFaults: [],
    limits: { minReplicas: 2, maxReplicas: 20 },
    exactHpa: true,
    ...more,
  };
  const plan = planIhpa(input);
  events.record(input, plan);
  status = plan.status;
  return told.splice(0);
}

describe("a normal start", () => {
  test("records no Warning, and each Event once", () => {
    expect(tick(0, { hpas: [] })).toEqual(["Normal Ready", "Normal DesiredReplicasChanged"]);
    expect(tick(0.4, { hpas: [hpaOf("forescale-shop", { owner: "ihpa-1" })] })).toEqual([]);
    expect(tick(15, { hpas: [failing] })).toEqual([]);
    expect(tick(30)).toEqual(["Normal ValidMetricFound"]);
    expect(tick(45)).toEqual([]);
  });

  test("records no Warning for a first tick on a lower rung or without a value", () => {
    for (const decision of [held, coasting]) {
      status = undefined;
      events = new IhpaEvents({ record: ({ type, reason }) => void told.push(`${type} ${reason}`) }, 15_000);
      expect(tick(0, { decision })).not.toContainEqual(expect.stringContaining("Warning"));
      expect(tick(15)).not.toContainEqual(expect.stringMatching(/Warning|Fallback/));
    }
  });
});

describe("trouble", () => {
  test("that lasts gets one Event, and one for its end", () => {
    tick(0);
    expect(tick(15, { decision: coasting })).toEqual([]);
    expect(tick(30, { decision: coasting })).toEqual([]);
    expect(tick(45, { decision: coasting })).toEqual(["Warning FallbackEntered"]);
    expect(tick(60, { decision: coasting })).toEqual([]);
    expect(tick(75)).toEqual(["Normal FallbackLeft"]);
    expect(tick(90)).toEqual([]);
  });

  test("that comes and goes gets no Event", () => {
    tick(0);
    for (let k = 1; k < 20; k++) expect(tick(15 * k, k % 2 ? { decision: coasting } : {})).toEqual([]);
  });

  test("that gets worse gets another Event", () => {
    tick(0);
    for (const seconds of [15, 30, 45]) tick(seconds, { decision: coasting });
    tick(60, { decision: held });
    tick(75, { decision: held });
    expect(tick(90, { decision: held })).toContain("Warning FallbackEntered");
  });

  test("that had its Event before a restart gets none again, but one for its end", () => {
    tick(0);
    for (const seconds of [15, 30, 45]) tick(seconds, { decision: coasting });
    events = new IhpaEvents({ record: ({ type, reason }) => void told.push(`${type} ${reason}`) }, 15_000);
    expect(tick(60, { decision: coasting })).toEqual([]);
    expect(tick(120, { decision: coasting })).toEqual([]);
    expect(tick(135)).toEqual(["Normal FallbackLeft"]);
  });
});

test("a blocking cause gets one Event at once; without a decision there is none about fallback", () => {
  const problems = [{ field: "spec.prediction.timeZone", message: "no such zone" }];
  const obstructed = { problems, decision: undefined, hpas: [] };
  expect(tick(0, obstructed)).toEqual(["Warning InvalidSpec"]);
  expect(tick(15, obstructed)).toEqual([]);
  expect(tick(30)).toEqual(["Normal Ready", "Normal ValidMetricFound", "Normal DesiredReplicasChanged"]);
});
