import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { HorizontalPortrait } from "../../../../src/api/kinds/horizontal-portrait.ts";
import { type ServedInputs, servedLoad, servedReplicas } from "../../../../src/serve/metrics-api/served-number.ts";
import { ihpaOf, portraitOf } from "../serve-world.ts";

const nowMs = Date.UTC(2026, 10, 22, 12);
const minute = 60_000;
const at = (ms: number) => new Date(ms).toISOString();
const seconds = (ms: number) => Math.floor(ms / 1000);

/** A portrait that asks for `before` until now and `now` from now on. */
function ramp(before: number, now: number, expireMs = nowMs + minute): HorizontalPortrait {
  const timeSeries = [
    { timestamp: seconds(nowMs - 10 * minute), replicas: before },
    { timestamp: seconds(nowMs), replicas: now },
  ];
  return portraitOf("web", "Predictive", {
    portraitData: { type: "TimeSeries", timeSeries: { timeSeries }, expireTime: at(expireMs) },
  });
}

type Options = Partial<Omit<ServedInputs, "ihpa">> & Parameters<typeof ihpaOf>[1];

function served({ spec, decision = { total: 12 }, ...inputs }: Options) {
  return servedReplicas(
    { ihpa: ihpaOf("web", { spec, decision }), portraits: [], decisionAgeMs: 10_000, ...inputs },
    nowMs,
  );
}

const number = (value: number, rung: string, reason?: string) =>
  expect.objectContaining({ kind: "Number", value, rung, ...(reason && { reason }) });
const none = (kind: string, reason: string) => expect.objectContaining({ kind, reason });
const old = 5 * minute;

describe("the served number of replicas", () => {
  test.each([
    { name: "a fresh decision is served as it is", given: {}, is: number(12, "Fresh", "Predicted") },
    { name: "at 90 s it is still fresh", given: { decisionAgeMs: 90_000 }, is: number(12, "Fresh") },
    {
      name: "the decision's own rung is kept",
      given: { decision: { total: 9, rung: "Reactive" as const, reason: "Observed" } },
      is: number(9, "Reactive", "Observed"),
    },
    {
      name: "a decision that is none is an error",
      given: { decision: { total: 9, rung: "Expired" as const } },
      is: none("Unavailable", "Expired"),
    },
    {
      name: "a fresh decision is kept within a spec that was just edited",
      given: { spec: { maxReplicas: 8 } },
      is: number(8, "Fresh"),
    },
    { name: "and above its minimum", given: { spec: { minReplicas: 20 } }, is: number(20, "Fresh") },
    {
      name: "windows of the calendar bound it as well",
      given: { schedule: () => ({ proposals: [], minReplicas: 15, maxReplicas: 30 }) },
      is: number(15, "Fresh"),
    },
    {
      name: "a decided 0 is served where the spec allows 0",
      given: { decision: { total: 0 }, spec: { minReplicas: 0 } },
      is: number(0, "Fresh"),
    },
    { name: "and never where it does not", given: { decision: { total: 0 } }, is: number(1, "Fresh") },
    {
      name: "Preview serves nothing",
      given: { spec: { scaleMode: "Preview" as const } },
      is: none("NotFound", "Preview"),
    },
    {
      name: "without a decision there is no number",
      given: { decisionAgeMs: undefined },
      is: none("Unavailable", "NoDecision"),
    },
    {
      name: "stale, a portrait that rises is followed",
      given: { decisionAgeMs: old, portraits: [ramp(5, 30)] },
      is: number(30, "Coasting", "PortraitAhead"),
    },
    {
      name: "stale, a portrait that falls is not",
      given: { decisionAgeMs: old, portraits: [ramp(12, 3)] },
      is: number(12, "Coasting", "DecisionHeld"),
    },
    {
      name: "stale, a rise stays within the maximum",
      given: { decisionAgeMs: old, portraits: [ramp(5, 300)] },
      is: number(100, "Coasting"),
    },
    {
      name: "stale, a rise that the behavior forbids does not happen",
      given: { decisionAgeMs: old, portraits: [ramp(5, 30)], spec: { behavior: { scaleUp: { disabled: true } } } },
      is: number(12, "Coasting", "DecisionHeld"),
    },
    {
      name: "stale, the higher priority wins over the larger number",
      given: {
        decisionAgeMs: old,
        portraits: [ramp(5, 30)],
        schedule: () => ({
          proposals: [{ provider: "Cron", priority: 5, replicas: 20 }],
          minReplicas: 1,
          maxReplicas: 100,
        }),
      },
      is: number(20, "Coasting", "PortraitAhead"),
    },
    {
      name: "a portrait that has not begun says nothing",
      given: { decisionAgeMs: old, target: { replicas: 7, ageMs: 1000 }, portraits: [future()] },
      is: number(7, "Held", "ControllerSilent"),
    },
    {
      name: "with every portrait spent, the calendar alone does not hide it",
      given: {
        decisionAgeMs: old,
        target: { replicas: 7, ageMs: 1000 },
        portraits: [ramp(5, 30, nowMs - 1000)],
        schedule: () => ({
          proposals: [{ provider: "Static", priority: 0, replicas: 50 }],
          minReplicas: 1,
          maxReplicas: 100,
        }),
      },
      is: number(7, "Held"),
    },
    {
      name: "paused, the published portraits raise nothing",
      given: {
        decisionAgeMs: old,
        target: { replicas: 7, ageMs: 1000 },
        portraits: [ramp(5, 30)],
        spec: { paused: true },
      },
      is: number(7, "Held"),
    },
    {
      name: "the target's size is not served before it was read",
      given: { decisionAgeMs: old },
      is: none("Unavailable", "TargetUnknown"),
    },
    {
      name: "nor when it was read too long ago",
      given: { decisionAgeMs: old, target: { replicas: 7, ageMs: minute } },
      is: none("Unavailable", "TargetUnknown"),
    },
    {
      name: "after 30 minutes there is nothing to stand by",
      given: { decisionAgeMs: 32 * minute, target: { replicas: 7, ageMs: 1000 } },
      is: none("Unavailable", "Expired"),
    },
    {
      name: "the 30 minutes begin where the last portrait ended",
      given: {
        decisionAgeMs: 300 * minute,
        target: { replicas: 7, ageMs: 1000 },
        portraits: [ramp(5, 30, nowMs - 29 * minute)],
      },
      is: number(7, "Held"),
    },
    {
      name: "a portrait of type Cron is read by the calendar given",
      given: { decisionAgeMs: old, portraits: [cron()], cronReplicas: () => 44 },
      is: number(44, "Coasting", "PortraitAhead"),
    },
  ] as { name: string; given: Options; is: unknown }[])("$name", ({ given, is }) => {
    expect(served(given)).toEqual(is);
  });

  function future(): HorizontalPortrait {
    const timeSeries = [{ timestamp: seconds(nowMs + minute), replicas: 99 }];
    return portraitOf("web", "Predictive", { portraitData: { type: "TimeSeries", timeSeries: { timeSeries } } });
  }
  function cron(): HorizontalPortrait {
    const crons = [{ name: "day", timeZone: "UTC", start: "0 8 * * *", end: "0 18 * * *", replicas: 44 }];
    return portraitOf("web", "Predictive", { portraitData: { type: "Cron", cron: { crons } } });
  }

  test("whatever the state, a number lies within the limits and is never 0 by accident", () => {
    const states = fc.record({
      total: fc.integer({ min: 0, max: 1000 }),
      min: fc.integer({ min: 1, max: 50 }),
      width: fc.integer({ min: 0, max: 50 }),
      decisionAgeMs: fc.integer({ min: 0, max: 60 * minute }),
      portrait: fc.integer({ min: 0, max: 1000 }),
      replicas: fc.integer({ min: 0, max: 1000 }),
    });
    fc.assert(
      fc.property(states, ({ total, min, width, decisionAgeMs, portrait, replicas }) => {
        const answer = served({
          decision: { total },
          spec: { minReplicas: min, maxReplicas: min + width },
          decisionAgeMs,
          portraits: [ramp(portrait, portrait)],
          target: { replicas, ageMs: 1000 },
        });
        if (answer.kind !== "Number") return;
        expect(answer.value).toBeGreaterThanOrEqual(min);
        expect(answer.value).toBeLessThanOrEqual(min + width);
      }),
    );
  });

  test("while a portrait is valid, time alone never lowers the number below the last decision", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 0, max: 100 }),
        fc.nat(120 * minute),
        (total, portrait, ageMs) => {
          const answer = served({ decision: { total }, decisionAgeMs: ageMs, portraits: [ramp(portrait, portrait)] });
          expect(answer).toMatchObject({ kind: "Number" });
          expect((answer as { value: number }).value).toBeGreaterThanOrEqual(total);
        },
      ),
    );
  });
});

describe("the served load", () => {
  const load = (given: Options & { loads?: { name: string; value: number }[] }) => {
    const { loads = [{ name: "rps", value: 480.5 }], spec, decision, ...inputs } = given;
    const ihpa = ihpaOf("web", { spec, decision: { total: 12, load: loads, ...decision } });
    return servedLoad({ ihpa, portraits: [], decisionAgeMs: 10_000, ...inputs }, "rps", nowMs);
  };
  const forecast = (value: number, levels = [0.5, 0.95], values = [value / 2, value]) => {
    const portrait = ramp(1, 1);
    const points = [{ time: seconds(nowMs - minute), values }];
    const metrics = [{ name: "rps", stepSeconds: 60, levels, points }];
    return { ...portrait, status: { ...portrait.status, forecast: { generatedAt: at(nowMs), metrics } } };
  };

  test.each([
    { name: "a fresh decision's load is served as it is", given: {}, is: number(480.5, "Fresh") },
    {
      name: "stale, a forecast that rises is followed",
      given: { decisionAgeMs: old, portraits: [forecast(900)] },
      is: number(900, "Coasting", "ForecastAhead"),
    },
    {
      name: "stale, a forecast that falls is not",
      given: { decisionAgeMs: old, portraits: [forecast(10)] },
      is: number(480.5, "Coasting", "DecisionHeld"),
    },
    {
      name: "of the levels the first that promises as much as was asked for counts",
      given: { decisionAgeMs: old, spec: { prediction: { quantile: 50 } as never }, portraits: [forecast(2000)] },
      is: number(1000, "Coasting"),
    },
    {
      name: "where none promises as much, the highest counts",
      given: { decisionAgeMs: old, spec: { prediction: { quantile: "99.9" } as never }, portraits: [forecast(2000)] },
      is: number(2000, "Coasting"),
    },
    {
      name: "held is the load that keeps the present replicas",
      given: { decisionAgeMs: old, target: { replicas: 6, ageMs: 1000 } },
      is: number(240.25, "Held"),
    },
    {
      name: "a load that was not decided on is an error, not 0",
      given: { loads: [] },
      is: none("Unavailable", "NoMetrics"),
    },
    {
      name: "a negative load is an error",
      given: { loads: [{ name: "rps", value: -1 }] },
      is: none("Unavailable", "NoMetrics"),
    },
    {
      name: "a load past what the HPA can count is cut",
      given: { loads: [{ name: "rps", value: 1e16 }] },
      is: number(9e12, "Fresh"),
    },
  ] as { name: string; given: Parameters<typeof load>[0]; is: unknown }[])("$name", ({ given, is }) => {
    expect(load(given)).toEqual(is);
  });
});
