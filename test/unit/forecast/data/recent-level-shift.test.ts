import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { onNewLevel, recentLevelShift } from "../../../../src/forecast/data/recent-level-shift.ts";
import { calendarOf } from "../../../../src/series/calendar.ts";
import { dailyLoad, seeded } from "../synthetic.ts";

const stepMinutes = 15;
const perHour = 4;
const perDay = 24 * perHour;
const monday = "2025-03-03T00:00:00Z";

/** In units of its mean, as the forecast asks. */
function find(values: Float64Array, minutes = stepMinutes) {
  const stepMs = minutes * 60_000;
  return recentLevelShift(
    values.map((value) => value / 100),
    stepMs,
    calendarOf(Date.parse(monday), stepMs, values.length, "UTC"),
  );
}

/** Ten days from a Monday, so that the last three are no weekend. */
function load(days = 10, noise = 0.1, seed = 1): Float64Array {
  return dailyLoad({ days, stepMinutes, noise, seed });
}

function since(values: Float64Array, hours: number, change: (value: number, i: number) => number): Float64Array {
  const at = values.length - hours * perHour;
  return values.map((value, i) => (i >= at ? change(value, i) : value));
}

describe("a level that came and stayed is found, when and by how much", () => {
  test.each([
    { name: "doubled a day ago", hours: 24, change: (v: number) => 2 * v, factor: 2 },
    { name: "doubled twelve hours ago", hours: 12, change: (v: number) => 2 * v, factor: 2 },
    { name: "half as much again two days ago", hours: 48, change: (v: number) => 1.5 * v, factor: 1.5 },
    { name: "five times six hours ago", hours: 6, change: (v: number) => 5 * v, factor: 5 },
    { name: "halved a day ago", hours: 24, change: (v: number) => v / 2, factor: 0.5 },
  ])("$name", ({ hours, change, factor }) => {
    const values = since(load(), hours, change);
    const shift = find(values);
    expect(shift?.offset).toBe(0);
    expect(Math.abs((shift?.factor ?? 0) / factor - 1)).toBeLessThan(0.1);
    expect(Math.abs((shift?.at ?? 0) - (values.length - hours * perHour))).toBeLessThanOrEqual(2);
  });

  test("one that adds the same at every hour is an offset", () => {
    const shift = find(since(load(), 24, (value) => value + 150));
    expect(shift?.factor).toBe(1);
    expect(Math.abs((shift?.offset ?? 0) - 1.5)).toBeLessThan(0.15);
  });

  test("with a fifth of the samples missing", () => {
    const random = seeded(4);
    const values = since(load(), 24, (value) => 2 * value).map((value) => (random() < 0.2 ? Number.NaN : value));
    expect(Math.abs((find(values)?.factor ?? 0) - 2)).toBeLessThan(0.2);
  });

  test("for any size from twice and any age from six hours to two days", () => {
    const size = fc.double({ min: 2, max: 8, noNaN: true });
    fc.assert(
      fc.property(size, fc.integer({ min: 6, max: 48 }), fc.integer({ min: 1, max: 999 }), (factor, hours, seed) => {
        const shift = find(since(load(10, 0.1, seed), hours, (value) => factor * value));
        if (!shift) throw new Error("not found");
        // Between equal distances a factor and an offset are told apart only by noise; at the day's mean they agree.
        expect(Math.abs((shift.factor + shift.offset) / factor - 1)).toBeLessThan(shift.offset === 0 ? 0.1 : 0.6);
      }),
      { numRuns: 40 },
    );
  });
});

describe("what is no new level is left alone", () => {
  const weekends = (values: Float64Array, share: number) =>
    values.map((value, i) => (Math.floor(i / perDay) % 7 >= 5 ? share * value : value));
  const hour = (i: number) => Math.floor(i / perHour) % 24;
  test.each([
    { name: "a load as ever", values: load() },
    { name: "a noisy one", values: load(10, 0.6) },
    { name: "a burst of three hours that goes on", values: since(load(), 3, (value) => 4 * value) },
    {
      name: "a burst of six hours that is over",
      values: since(
        since(load(), 10, (value) => 4 * value),
        4,
        (value) => value / 4,
      ),
    },
    { name: "the first weekend", values: weekends(load(7), 0.3) },
    { name: "the Monday after it", values: weekends(load(8), 0.3) },
    { name: "the third weekend", values: weekends(load(21), 0.3) },
    { name: "a quiet night, so far", values: since(load(), 8, (value) => 0.4 * value) },
    { name: "a stop of a day", values: since(load(), 30, (value) => 0.05 * value) },
    { name: "busier office hours", values: since(load(), 48, (v, i) => (hour(i) >= 9 && hour(i) < 17 ? 2 * v : v)) },
    { name: "growth", values: load().map((value, i) => value * (1 + i / (3 * perDay))) },
    { name: "a constant", values: new Float64Array(7 * perDay).fill(100) },
    { name: "nothing but zeros", values: new Float64Array(7 * perDay) },
    { name: "nothing present", values: new Float64Array(7 * perDay).fill(Number.NaN) },
    {
      name: "a doubling on the first weekend",
      values: since(load(7), 20, (value) => 2 * value).map((v, i) => (Math.floor(i / perDay) === 5 ? 2 * v : v)),
    },
    { name: "two days", values: since(load(2), 12, (value) => 2 * value) },
    { name: "no samples", values: new Float64Array(0) },
  ])("$name", ({ values }) => {
    expect(find(values)).toBeUndefined();
  });

  test("steps that make no day are not looked at", () => {
    expect(
      find(
        since(load(), 24, (value) => 2 * value),
        7,
      ),
    ).toBeUndefined();
    expect(find(dailyLoad({ days: 60, stepMinutes: 1440 }), 1440)).toBeUndefined();
  });

  test("noise and random walks: at most 3 of 100", () => {
    const random = seeded(9);
    let found = 0;
    for (let k = 0; k < 100; k++) {
      let level = 100;
      const walk = () => {
        level = Math.max(0, level + 4 * (random() + random() + random() - 1.5));
        return level;
      };
      if (find(Float64Array.from({ length: 7 * perDay }, k % 2 === 0 ? walk : () => 200 * random()))) found++;
    }
    expect(found).toBeLessThanOrEqual(3);
  });
});

test("the past is brought to the new level, what came since stays", () => {
  const values = Float64Array.of(1, Number.NaN, 4, 10);
  expect(onNewLevel(values, { at: 3, factor: 2, offset: 0 }, true)).toEqual(Float64Array.of(2, Number.NaN, 8, 10));
  expect(onNewLevel(values, { at: 3, factor: 1, offset: -2 }, true)).toEqual(Float64Array.of(0, Number.NaN, 2, 10));
  expect(onNewLevel(values, { at: 3, factor: 1, offset: -2 }, false)[0]).toBe(-1);
});
