import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { perPodTarget } from "../../../src/capacity/linear.ts";
import type { Forecast } from "../../../src/forecast/forecast.ts";
import { type MetricForecast, predictivePortrait, replicasAt } from "../../../src/portrait/predictive.ts";
import { publishedForecast } from "../../../src/portrait/published-forecast.ts";
import { reactivePortrait } from "../../../src/portrait/reactive.ts";

const minute = 60_000;
const startMs = Date.parse("2025-11-24T00:00:00Z");

/** A forecast whose 0.9 quantile is `upper` and whose median is half of it, in steps of five minutes. */
function forecastOf(upper: readonly number[]): Forecast {
  const quantiles = [Float64Array.from(upper, (v) => v / 2), Float64Array.from(upper)];
  const base = { startMs, stepMs: 5 * minute, levels: [0.5, 0.9], quantiles, mean: quantiles[0] };
  return { ...base, periods: [], method: "given", coverage: [] };
}
const metric = (upper: readonly number[], target = 1, name = "load"): MetricForecast => ({
  name,
  forecast: forecastOf(upper),
  capacity: perPodTarget(target),
});
const options = { nowMs: startMs, horizonMs: 60 * minute, leadMs: 0, quantile: 0.9, minReplicas: 1, maxReplicas: 100 };
const pointsOf = (metrics: MetricForecast[], more: Partial<typeof options> = {}) =>
  predictivePortrait(metrics, { ...options, ...more })?.timeSeries?.timeSeries.map(({ timestamp, replicas }) => [
    (timestamp * 1000 - startMs) / minute,
    replicas,
  ]);

describe("a predictive portrait", () => {
  test("holds change points only", () => {
    expect(pointsOf([metric([3, 3, 8, 8, 2])])).toEqual([
      [0, 3],
      [10, 8],
      [20, 2],
    ]);
  });
  test("raises a lead earlier and never lowers earlier", () => {
    expect(pointsOf([metric([3, 3, 8, 8, 2])], { leadMs: 4 * minute })).toEqual([
      [0, 3],
      [5, 8],
      [20, 2],
    ]);
  });
  test("takes the metric that needs most", () => {
    expect(pointsOf([metric([3, 3, 3]), metric([10, 50, 10], 10, "other")])).toEqual([
      [0, 3],
      [5, 5],
      [10, 3],
    ]);
  });
  test("reads between two levels on the line between them", () => {
    expect(pointsOf([metric([8])], { quantile: 0.7 })).toEqual([[0, 6]]);
  });
  test("stays within the limits", () => {
    expect(pointsOf([metric([0, 500])])).toEqual([
      [0, 1],
      [5, 100],
    ]);
  });
  test("begins now, in the middle of a step too", () => {
    expect(pointsOf([metric([3, 4])], { nowMs: startMs + 2 * minute })).toEqual([
      [2, 3],
      [5, 4],
    ]);
  });
  test("of a forecast that is over there is none", () => {
    expect(predictivePortrait([metric([3, 4])], { ...options, nowMs: startMs + 10 * minute })).toBeUndefined();
  });
  test("of a noisy day stays small, and never below what every step needs", () => {
    const load = fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { minLength: 288, maxLength: 288 });
    fc.assert(
      fc.property(load, (upper) => {
        const portrait = predictivePortrait([metric(upper)], {
          ...options,
          horizonMs: 1440 * minute,
          maxReplicas: 9999,
        })!;
        const status = { portraitData: portrait, forecast: publishedForecast("load", forecastOf(upper), [0.5, 0.9]) };
        expect(JSON.stringify(status).length).toBeLessThan(8192 - 1024);
        upper.forEach((value, k) => {
          const at = startMs + k * 5 * minute;
          expect(replicasAt(portrait, at)).toBeGreaterThanOrEqual(Math.ceil(value - 1e-9));
        });
      }),
      { numRuns: 20 },
    );
  });
  test("is not valid before it begins nor from its end on", () => {
    const portrait = predictivePortrait([metric([3, 4])], options)!;
    expect(replicasAt(portrait, startMs - 1)).toBeUndefined();
    expect(replicasAt(portrait, startMs + 10 * minute - 1)).toBe(4);
    expect(replicasAt(portrait, startMs + 10 * minute)).toBeUndefined();
  });
});

test("a published forecast never shows less than the forecast says", () => {
  const upper = Array.from({ length: 288 }, (_, k) => 100 + 50 * Math.sin(k / 20));
  const { points, stepSeconds } = publishedForecast("load", forecastOf(upper), [0.9]);
  expect(stepSeconds).toBe(1800);
  for (const { time, values } of points)
    expect(values[0]).toBeGreaterThanOrEqual(upper[(time * 1000 - startMs) / (5 * minute)] * 0.995);
});

test("a level that the forecast does not have is refused", () => {
  expect(() => publishedForecast("load", forecastOf([1]), [0.95])).toThrow("0.95");
});

describe("a reactive portrait", () => {
  const reactive = { nowMs: startMs, replicas: 10, tolerance: 0.1, validMs: minute, minReplicas: 1, maxReplicas: 100 };
  const load = (value: number, target = 1) => ({ name: "load", load: value, capacity: perPodTarget(target) });
  test.each([
    { name: "the load over the target, rounded up", loads: [load(12.2)], wants: 13 },
    { name: "a fall inside the tolerance is none", loads: [load(9.05)], wants: 10 },
    { name: "a fall beyond it is one", loads: [load(8.95)], wants: 9 },
    { name: "a rise inside the tolerance is never left below what is observed", loads: [load(10.1)], wants: 11 },
    { name: "the metric that asks for most wins", loads: [load(3), load(400, 20)], wants: 20 },
    { name: "a missing metric blocks a fall", loads: [load(3), load(Number.NaN)], wants: 10 },
    { name: "a missing metric does not block a rise", loads: [load(30), load(Number.NaN)], wants: 30 },
    { name: "limits hold", loads: [load(3000)], wants: 100 },
    { name: "0.3 over 0.1 is three pods, not four", loads: [load(0.3, 0.1)], wants: 3 },
  ])("$name", ({ loads, wants }) => {
    expect(reactivePortrait(loads, reactive)?.static?.replicas).toBe(wants);
  });
  test("without any value there is none", () => {
    expect(reactivePortrait([load(Number.NaN)], reactive)).toBeUndefined();
  });
});
