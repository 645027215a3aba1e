import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { robustStl } from "../../../../src/forecast/decomposition/robust-stl.ts";
import { extrapolateTrend, robustTrend } from "../../../../src/forecast/decomposition/robust-trend.ts";
import { generator } from "../robust-series.ts";

const sine = (t: number, period: number) => Math.sin((2 * Math.PI * t) / period);

function noisy(length: number, of: (t: number) => number, seed = 1, noise = 0.2): Float64Array {
  const random = generator(seed);
  return Float64Array.from({ length }, (_, t) => of(t) + noise * random.normal());
}

function meanError(found: Float64Array, truth: (t: number) => number, from = 0, to = found.length): number {
  let sum = 0;
  for (let t = from; t < to; t++) sum += Math.abs(found[t] - truth(t));
  return sum / (to - from);
}

const series = fc
  .record({
    seed: fc.integer({ min: 1, max: 1000 }),
    period: fc.integer({ min: 4, max: 30 }),
    gap: fc.integer({ min: 0, max: 20 }),
  })
  .map(({ seed, period, gap }) => ({
    period,
    values: noisy(period * 5 + 3, (t) => sine(t, period) + t / 50, seed).fill(Number.NaN, 20 - Math.min(gap, 8), 20),
  }));

describe("robustStl", () => {
  test("the parts sum to the whole, and only the remainder is missing where the series is", () => {
    fc.assert(
      fc.property(series, ({ values, period }) => {
        const { trend, seasons, remainder } = robustStl({ periods: [period] }).fit(values);
        for (let t = 0; t < values.length; t++) {
          expect(Number.isFinite(trend[t] + seasons[0][t])).toBe(true);
          if (Number.isNaN(values[t])) expect(remainder[t]).toBeNaN();
          else expect(trend[t] + seasons[0][t] + remainder[t]).toBeCloseTo(values[t], 9);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("shift goes to the trend, scale to every part", () => {
    fc.assert(
      fc.property(
        series,
        fc.integer({ min: -6, max: 6 }),
        fc.double({ min: -100, max: 100, noNaN: true }),
        ({ values, period }, power, shift) => {
          const scale = 10 ** power;
          const base = robustStl({ periods: [period] }).fit(values);
          const moved = robustStl({ periods: [period] }).fit(values.map((v) => scale * (v + shift)));
          for (let t = 0; t < values.length; t++) {
            expect(moved.trend[t] / scale - shift).toBeCloseTo(base.trend[t], 6);
            expect(moved.seasons[0][t] / scale).toBeCloseTo(base.seasons[0][t], 6);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test("a season is found whose period is no whole number", () => {
    const { seasons } = robustStl({ periods: [13.05] }).fit(noisy(2016, (t) => 2 * sine(t, 13.05)));
    expect(meanError(seasons[0], (t) => 2 * sine(t, 13.05))).toBeLessThan(0.3);
  });

  test("a level shift is followed by the trend within a few samples", () => {
    const level = (t: number) => (t >= 260 ? 6 : 0);
    const { trend } = robustStl({ periods: [40] }).fit(noisy(480, (t) => sine(t, 40) + level(t)));
    expect(meanError(trend, level, 0, 250)).toBeLessThan(0.3);
    expect(meanError(trend, level, 270, 480)).toBeLessThan(0.3);
  });

  test("spikes stay in the remainder", () => {
    const values = noisy(480, (t) => sine(t, 40));
    for (const at of [77, 200, 333]) values[at] += 15;
    const { trend, seasons, remainder } = robustStl({ periods: [40] }).fit(values);
    for (const at of [77, 200, 333]) expect(remainder[at]).toBeGreaterThan(13);
    expect(meanError(seasons[0], (t) => sine(t, 40))).toBeLessThan(0.25);
    expect(meanError(trend, () => 0)).toBeLessThan(0.25);
  });

  test("a fifth of the samples missing changes little", () => {
    const random = generator(5);
    const values = noisy(480, (t) => sine(t, 40)).map((v) => (random.uniform() < 0.2 ? Number.NaN : v));
    const { seasons } = robustStl({ periods: [40] }).fit(values);
    expect(meanError(seasons[0], (t) => sine(t, 40))).toBeLessThan(0.25);
  });

  test("two seasonal components are separated", () => {
    const { seasons } = robustStl({ periods: [12, 90] }).fit(noisy(900, (t) => sine(t, 12) + 2 * sine(t, 90)));
    expect(meanError(seasons[0], (t) => sine(t, 12), 100)).toBeLessThan(0.3);
    expect(meanError(seasons[1], (t) => 2 * sine(t, 90), 100)).toBeLessThan(0.35);
  });

  test("a period that a longer one holds already is dropped", () => {
    const { seasons } = robustStl({ periods: [20, 40] }).fit(noisy(480, (t) => sine(t, 40)));
    expect(Math.max(...seasons[0].map(Math.abs))).toBe(0);
    expect(meanError(seasons[1], (t) => sine(t, 40))).toBeLessThan(0.25);
  });

  test("the season is carried on in phase", () => {
    const ahead = robustStl({ periods: [40] })
      .fit(noisy(410, (t) => sine(t, 40), 2, 0.05))
      .predict(90);
    expect(meanError(ahead, (j) => sine(410 + j, 40))).toBeLessThan(0.15);
  });

  test.each([
    { name: "a period above half of the series", periods: [60], message: /period 60/ },
    { name: "a period below 2", periods: [1.5], message: /period 1.5/ },
    { name: "no period", periods: [], message: /no period/ },
  ])("$name is refused", ({ periods, message }) => {
    expect(() => robustStl({ periods }).fit(new Float64Array(100))).toThrow(message);
  });
  test("a constant is all trend; nothing present is refused", () => {
    const { trend, seasons } = robustStl({ periods: [10] }).fit(new Float64Array(50).fill(4));
    expect([...trend]).toEqual(new Array(50).fill(4));
    expect([...seasons[0]]).toEqual(new Array(50).fill(0));
    expect(() => robustStl({ periods: [10] }).fit(new Float64Array(50).fill(Number.NaN))).toThrow(RangeError);
  });
});

describe("robustTrend", () => {
  test("follows a bend and a level shift, and leaves spikes alone", () => {
    const truth = (t: number) => (t < 200 ? t / 20 : t < 400 ? 10 - (t - 200) / 40 : 14);
    const values = noisy(600, truth, 4, 0.3);
    for (const at of [50, 51, 300, 500]) values[at] -= 30;
    const { trend, remainder } = robustTrend().fit(values);
    expect(meanError(trend, truth, 5, 390)).toBeLessThan(0.3);
    expect(meanError(trend, truth, 410, 595)).toBeLessThan(0.3);
    for (const at of [50, 51, 300, 500]) expect(remainder[at]).toBeLessThan(-28);
  });
  test("a gap is bridged", () => {
    const values = noisy(300, (t) => t / 10, 1, 0.1).fill(Number.NaN, 100, 160);
    expect(meanError(robustTrend().fit(values).trend, (t) => t / 10, 100, 160)).toBeLessThan(1);
  });
  test("shift and scale carry through", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: -9, max: 9 }), (seed, power) => {
        const values = noisy(120, (t) => sine(t, 70), seed);
        const base = robustTrend().fit(values).trend;
        const scale = 10 ** power;
        const moved = robustTrend().fit(values.map((v) => (v + 3) * scale)).trend;
        for (let t = 0; t < 120; t++) expect(moved[t] / scale - 3).toBeCloseTo(base[t], 5);
      }),
      { numRuns: 25 },
    );
  });
  test.each([
    { name: "one sample", values: Float64Array.of(5), trend: 5 },
    { name: "two equal samples", values: Float64Array.of(5, 5), trend: 5 },
    { name: "samples apart from gaps", values: Float64Array.of(Number.NaN, 5, Number.NaN), trend: 5 },
  ])("$name are their own trend", ({ values, trend }) => {
    for (const v of robustTrend().fit(values).trend) expect(v).toBeCloseTo(trend, 6);
  });
  test("nothing present is refused", () => {
    expect(() => robustTrend().fit(new Float64Array(3).fill(Number.NaN))).toThrow(RangeError);
  });
});

describe("carryTrend", () => {
  test("a slope fades: it goes on by slope·φ/(1 − φ) in all", () => {
    const line = Float64Array.from({ length: 200 }, (_, t) => 2 * t);
    const ahead = extrapolateTrend(line, 2000, 0.9);
    expect(ahead[0]).toBeCloseTo(398 + 2 * 0.9, 4);
    expect(ahead[1999]).toBeCloseTo(398 + (2 * 0.9) / 0.1, 4);
  });
});
