import { describe, expect, test } from "vitest";
import { findPeriods } from "../../../../src/forecast/periods/find-periods.ts";
import { detectPeriods } from "../../../../src/forecast/periods/robust-period.ts";
import { generator } from "../robust-series.ts";
import { dailyLoad } from "../synthetic.ts";

const stepMs = 300_000;
const day = 288;
const load = dailyLoad({ days: 14, stepMinutes: 5 });
const { uniform, normal } = generator(4);
let wandering = 500;
const walk = load.map(() => (wandering += normal()));

describe("the quick look of a forecast and the search agree on", () => {
  test.each([
    { name: "a daily course", values: load, expected: [day] },
    { name: "spikes of twenty times", values: load.map((v) => (uniform() < 0.01 ? 20 * v : v)), expected: [day] },
    { name: "eight values of 1e9", values: load.map((v, t) => (t % 500 === 17 ? 1e9 : v)), expected: [day] },
    { name: "an outlier as last value of 1e6", values: load.with(load.length - 1, 1e6), expected: [day] },
    { name: "an outlier as first value of 1e9", values: load.with(0, 1e9), expected: [day] },
    { name: "a daily course that grows", values: load.map((v, t) => v * Math.exp(t / 2000)), expected: [day] },
    { name: "weekends of half the load", values: halvedAtWeekends(load), expected: [day, 7 * day] },
    { name: "growth without a rhythm", values: load.map((_, t) => 100 + t + 3 * normal()), expected: [] },
    { name: "a random walk", values: walk, expected: [] },
    { name: "noise", values: load.map(() => 100 + normal()), expected: [] },
    { name: "a constant", values: load.map(() => 7), expected: [] },
  ])("$name", ({ values, expected }) => {
    const searched = detectPeriods(values, { stepMs }).map(({ period }) => Math.round(period));
    expect(searched.toSorted((a, b) => a - b)).toEqual(expected);
    expect(findPeriods(values, stepMs).toSorted((a, b) => a - b)).toEqual(expected);
  });
});

test("an outlier hides no period, at any place, without a known step", () => {
  const values = dailyLoad({ days: 10, stepMinutes: 5 });
  for (const at of [0, 1, 700, 2879])
    for (const outlier of [1e4, 1e6, 1e9, -1e9])
      expect(detectPeriods(values.with(at, outlier)).map(({ period }) => Math.round(period))).toEqual([day]);
});

test("a day needs two cycles, of which the last samples may be missing", () => {
  expect(findPeriods(load.subarray(0, 2 * day - 5), stepMs)).toEqual([day]);
  expect(findPeriods(load.subarray(0, 1.9 * day), stepMs)).toEqual([]);
});

function halvedAtWeekends(values: Float64Array): Float64Array {
  return values.map((v, t) => (Math.floor(t / day) % 7 >= 5 ? v / 2 : v));
}
