import { expect, test } from "vitest";
import { busyPods, loadAt, sizePods } from "../../../../src/backtest/replay/load.ts";

const startMs = Date.UTC(2025, 0, 1);
const minuteMs = 60_000;

test("a pod carries so much that all but the busiest thousandth needs 50 pods", () => {
  const values = Float64Array.from({ length: 20_000 }, (_, k) => k);
  const needed = sizePods({ startMs, stepMs: minuteMs, values });
  expect(values.filter((value) => value / needed > busyPods * 1.001).length).toBeLessThanOrEqual(20);
  expect(values.filter((value) => value / needed > busyPods * 0.999).length).toBeGreaterThanOrEqual(20);
});

test("the load lies on the line between the middles of steps, and a gap stays a gap", () => {
  const series = { startMs: 0, stepMs: 60, values: Float64Array.of(10, 20, Number.NaN, 40) };
  expect([30, 60, 90, 119].map((timeMs) => loadAt(series, timeMs))).toEqual([10, 15, 20, 20]);
  expect([121, 150, 179].map((timeMs) => loadAt(series, timeMs))).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  expect(loadAt(series, 181)).toBe(40);
});
