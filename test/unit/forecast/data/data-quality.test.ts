import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  describeQuality,
  evidenceOf,
  examine,
  hasStrayNegatives,
  intervalFactor,
} from "../../../../src/forecast/data/data-quality.ts";
import { dailyLoad } from "../synthetic.ts";

const hour = 3_600_000;
const week = dailyLoad({ days: 7, stepMinutes: 60 });

function told(values: Float64Array, stepMs = hour): string {
  return describeQuality(examine({ startMs: 0, stepMs, values }));
}

describe("the defects of a history are described", () => {
  const counter = (resetAt: readonly number[]) => {
    let total = 0;
    return week.map((value, i) => {
      total = resetAt.includes(i) ? 0 : total + value;
      return total;
    });
  };
  test.each([
    { name: "none in a whole week", values: week, words: "" },
    { name: "missing samples", values: week.map((v, i) => (i % 5 === 3 ? Number.NaN : v)), words: "20 % missing" },
    {
      name: "infinite samples count as missing",
      values: week.map((v, i) => (i % 5 === 3 ? Infinity : v)),
      words: "20 % missing",
    },
    {
      name: "a long gap",
      values: week.slice().fill(Number.NaN, 96, 120),
      words: "14 % missing, a gap of 24 h that ended 2 days ago",
    },
    {
      name: "silence at the end",
      values: week.slice().fill(Number.NaN, 162),
      words: "4 % missing, no samples in the last 6 h",
    },
    { name: "leading gaps are no history", values: Float64Array.of(Number.NaN, ...week), words: "" },
    { name: "a short one", values: week.subarray(0, 5), words: "only 5 h" },
    {
      name: "three samples in a week",
      values: week.map((v, i) => (i % 70 === 0 ? v : Number.NaN)),
      words: "only 3 samples, 98 % missing, a gap of 2.9 days that ended 4.1 days ago, no samples in the last 27 h",
    },
    { name: "a constant", values: new Float64Array(168).fill(3), words: "constant" },
    { name: "stray negatives", values: week.map((v, i) => (i === 70 ? -1e6 : v)), words: "1 negative sample removed" },
    { name: "an outlier", values: week.with(167, 1e6), words: "1 outlier removed" },
    { name: "negative load", values: week.map((v) => v - 1000), words: "168 negative samples" },
    { name: "a counter", values: counter([]), words: "looks like a counter (forecast its rate instead)" },
    {
      name: "a counter with resets",
      values: counter([50, 130]),
      words: "looks like a counter, reset 2 times (forecast its rate instead)",
    },
    { name: "nothing", values: new Float64Array(0), words: "only 0 min, 100 % missing, constant" },
  ])("$name", ({ values, words }) => {
    expect(told(values)).toBe(words);
  });

  test("a change of level, by factor or offset, comes with its age", () => {
    const quality = examine({ startMs: 0, stepMs: hour, values: week });
    expect(describeQuality(quality, { agoMs: 24 * hour, factor: 2.04, offset: 0 })).toBe("level shift × 2 24 h ago");
    expect(describeQuality(quality, { agoMs: 60 * hour, factor: 1, offset: -31.4 })).toBe(
      "level shift by -31 2.5 days ago",
    );
  });

  test("one in a hundred negatives is a fault, more are load", () => {
    const withNegatives = (count: number) => ({
      startMs: 0,
      stepMs: hour,
      values: Float64Array.from({ length: 400 }, (_, i) => (i < count ? -1 : 1)),
    });
    expect([0, 4, 5].map((count) => hasStrayNegatives(examine(withNegatives(count))))).toEqual([false, true, false]);
  });
});

describe("what there is to know from", () => {
  const present = fc.array(fc.boolean(), { minLength: 168, maxLength: 168 });

  test("a whole week is all of it, and so is less than a day, where nothing is missed", () => {
    expect(evidenceOf(week, hour)).toBeCloseTo(1, 12);
    expect(evidenceOf(week.subarray(0, 20), hour)).toBe(1);
  });

  test("each sample that is lost takes from it, a late one more than an early one", () => {
    fc.assert(
      fc.property(present, fc.nat({ max: 166 }), fc.nat({ max: 166 }), (isThere, one, other) => {
        const values = Float64Array.from(isThere, (there, i) => (there || i === 167 ? 1 : Number.NaN));
        const without = (i: number) =>
          evidenceOf(
            values.map((v, t) => (t === i ? Number.NaN : t === one || t === other ? 1 : v)),
            hour,
          );
        const whole = evidenceOf(
          values.map((v, t) => (t === one || t === other ? 1 : v)),
          hour,
        );
        expect(without(one)).toBeLessThan(whole);
        if (one < other) expect(without(one)).toBeGreaterThan(without(other));
        expect(intervalFactor(without(one))).toBeGreaterThan(intervalFactor(whole));
      }),
    );
  });

  test("a more recent level gives less evidence, and intervals at most half as wide again", () => {
    const bands = [48, 24, 12, 4].map((hours) =>
      intervalFactor(evidenceOf(week, hour, { at: 168 - hours, factor: 2, offset: 0 })),
    );
    expect(bands).toEqual(bands.toSorted((a, b) => a - b));
    expect(bands[0]).toBeGreaterThan(1);
    expect(bands[3]).toBeLessThan(1.5);
  });
});
