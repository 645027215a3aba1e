import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { levelShifts } from "../../../../src/forecast/data/level-shifts.ts";
import { fisherPValue } from "../../../../src/forecast/periods/fisher-test.ts";
import { detectPeriods } from "../../../../src/forecast/periods/robust-period.ts";
import { generator } from "../robust-series.ts";

const n = 1000;
const sine =
  (period: number, size = 1) =>
  (t: number) =>
    size * Math.sin((2 * Math.PI * t) / period + period);
const square = (period: number) => (t: number) => ((t / period) % 1 < 0.5 ? 1 : -1);
const pulse = (period: number, width: number) => (t: number) => (t % period < width ? 6 : 0);

interface Case {
  readonly name: string;
  readonly of: (t: number) => number;
  readonly expected: readonly number[];
  readonly length?: number;
  readonly noise?: number;
  readonly spikes?: number;
  readonly missing?: number;
}

function make({ of, length = n, noise = 0.3, spikes = 0, missing = 0 }: Case): Float64Array {
  const random = generator(7);
  const values = Float64Array.from({ length }, (_, t) => of(t) + noise * random.normal());
  for (let t = 0; t < length; t++) {
    if (random.uniform() < spikes) values[t] += random.uniform() < 0.5 ? 10 : -10;
    if (random.uniform() < missing) values[t] = Number.NaN;
  }
  return values;
}

const three = (t: number) => sine(20)(t) + sine(50)(t) + sine(100)(t);
const found = (values: Float64Array) => detectPeriods(values).map(({ period }) => period);

describe("detectPeriods", () => {
  const cases: readonly Case[] = [
    { name: "one sine", of: sine(37), expected: [37] },
    { name: "three sines", of: three, expected: [20, 50, 100] },
    { name: "three sines with spikes", of: three, spikes: 0.05, expected: [20, 50, 100] },
    { name: "three sines with a fifth missing", of: three, missing: 0.2, expected: [20, 50, 100] },
    {
      name: "three sines on a trend that turns",
      of: (t) => three(t) + 10 * (1 - Math.abs(t / 500 - 1)),
      expected: [20, 50, 100],
    },
    {
      name: "two sines across level shifts",
      of: (t) => sine(23)(t) + sine(61)(t) + (t > 340 ? 7 : 0) - (t > 720 ? 5 : 0),
      expected: [23, 61],
    },
    { name: "a square wave is one period, not its overtones", of: square(64), expected: [64] },
    { name: "short pulses are one period", of: pulse(40, 4), expected: [40] },
    {
      name: "waves of which every other is higher are one period of both",
      of: (t) => sine(6, 3)(t) * (1 + sine(12, 0.6)(t)),
      expected: [12],
      length: 2016,
    },
    { name: "pulses at a fraction of samples", of: pulse(13.05, 1), length: 2016, expected: [13.05] },
    { name: "a day with an hour in it", of: (t) => 3 * sine(288)(t) + sine(12)(t), length: 2016, expected: [288, 12] },
  ];
  test.each(cases)("$name", (item) => {
    const periods = found(make(item));
    expect(periods.length).toBe(item.expected.length);
    for (const expected of item.expected)
      expect(periods.some((period) => Math.abs(period / expected - 1) < 0.02)).toBe(true);
  });

  test("a long gap does not hide a period", () => {
    const values = make({ name: "", of: sine(24), expected: [] }).fill(Number.NaN, 400, 600);
    expect(found(values)[0]).toBeCloseTo(24, 0);
  });

  test("the strongest comes first, with a strength and a p-value", () => {
    const [first, second] = detectPeriods(make({ name: "", of: (t) => sine(30, 1)(t) + sine(77, 3)(t), expected: [] }));
    expect(first.period).toBeCloseTo(77, 0);
    expect(second.period).toBeCloseTo(30, 0);
    expect(first.strength).toBeGreaterThan(second.strength);
    expect(first.strength).toBeGreaterThan(0.7);
    expect(first.pValue).toBeLessThan(1e-6);
  });

  test("noise has no period: at most 4 alarms in 60 white series and 60 random walks", () => {
    const random = generator(3);
    let alarms = 0;
    for (let i = 0; i < 60; i++) {
      let level = 0;
      if (found(Float64Array.from({ length: 600 }, () => random.normal())).length > 0) alarms++;
      if (found(Float64Array.from({ length: 600 }, () => (level += random.normal()))).length > 0) alarms++;
    }
    expect(alarms).toBeLessThanOrEqual(4);
  });

  test("shift and scale do not change what is found", () => {
    const values = make({ name: "", of: three, expected: [] });
    const base = found(values);
    fc.assert(
      fc.property(
        fc.integer({ min: -9, max: 9 }),
        fc.double({ min: -1000, max: 1000, noNaN: true }),
        (power, shift) => {
          const scale = 10 ** power;
          const moved = found(values.map((v) => (v + shift) * scale));
          expect(moved.length).toBe(base.length);
          moved.forEach((period, i) => {
            expect(period).toBeCloseTo(base[i], 3);
          });
        },
      ),
      { numRuns: 15 },
    );
  });

  test.each([
    { name: "too few samples", values: new Float64Array(31).map((_, t) => t % 4) },
    { name: "a constant", values: new Float64Array(500).fill(3.3) },
    { name: "nothing present", values: new Float64Array(500).fill(Number.NaN) },
    { name: "no samples", values: new Float64Array(0) },
    { name: "a straight line", values: new Float64Array(500).map((_, t) => 2 * t) },
    { name: "one step", values: new Float64Array(500).map((_, t) => (t < 250 ? 0 : 1)) },
    { name: "a lone spike", values: new Float64Array(500).map((_, t) => (t === 250 ? 1e9 : 0)) },
  ])("$name has no period", ({ values }) => {
    expect(detectPeriods(values)).toEqual([]);
  });
});

describe("the calendar", () => {
  const stepMs = 1_800_000;
  const day = 48;
  const week = 336;
  const busy = (t: number) => (t % week < 5 * day ? 5 : 1) * (1 + Math.sin((2 * Math.PI * t) / day));

  test("a week shows in two of it where the step tells what a week is", () => {
    const values = make({ name: "", of: busy, length: 2 * week + 10, expected: [] });
    const periods = detectPeriods(values, { stepMs }).map(({ period }) => period);
    expect(periods).toContain(day);
    expect(periods).toContain(week);
    expect(found(values)).not.toContain(week);
  });
  test("a day that is like every other has no week, and a series without a day refuses it", () => {
    const days = make({ name: "", of: sine(day, 3), length: 3 * week, expected: [] });
    expect(detectPeriods(days, { stepMs }).map(({ period }) => period)).toEqual([day]);
    const other = make({ name: "", of: sine(31, 3), length: 3 * week, expected: [] });
    expect(detectPeriods(other, { stepMs }).map(({ period }) => Math.round(period))).toEqual([31]);
  });
  test("three days are enough for a day", () => {
    const values = make({ name: "", of: sine(day, 3), length: 3 * day, expected: [] });
    expect(detectPeriods(values, { stepMs })[0].period).toBe(day);
  });
  test("a period close to a day, but distinct over many cycles, is not changed to a day", () => {
    const values = make({ name: "", of: sine(45, 3), length: 3 * week, expected: [] });
    expect(detectPeriods(values, { stepMs })[0].period).toBeCloseTo(45, 0);
  });
});

describe("fisherPValue", () => {
  // Table of exact 5 % critical values: Fisher (1929), as in Brockwell and Davis (1991), section 10.2.
  test.each([
    { bins: 5, critical: 0.68377 },
    { bins: 10, critical: 0.44495 },
    { bins: 20, critical: 0.27046 },
    { bins: 50, critical: 0.13135 },
  ])("$bins bins: $critical is the 5 % point", ({ bins, critical }) => {
    expect(fisherPValue(critical, bins)).toBeCloseTo(0.05, 3);
  });
  test("falls as the share grows, from 1 to 0", () => {
    expect(fisherPValue(0, 10)).toBe(1);
    expect(fisherPValue(1, 10)).toBe(0);
    let last = 1;
    for (let g = 0.1; g < 1; g += 0.05) {
      const p = fisherPValue(g, 30);
      expect(p).toBeLessThanOrEqual(last);
      last = p;
    }
  });
});

describe("levelShifts", () => {
  test("a lasting step is found at its place and size", () => {
    const values = make({ name: "", of: (t) => sine(30)(t) + (t >= 450 ? 6 : 0), expected: [] });
    const shifts = levelShifts(values, 200);
    expect(shifts.length).toBe(1);
    expect(Math.abs(shifts[0].at - 450)).toBeLessThanOrEqual(6); // half a window
    expect(Math.abs(shifts[0].size - 6)).toBeLessThan(1.5);
  });
  test("the edges of a square wave are not level shifts", () => {
    expect(levelShifts(make({ name: "", of: square(100), expected: [] }), 200)).toEqual([]);
  });
});
