import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decompositionForecast } from "../../../../src/forecast/decomposition/decomposition-forecast.ts";
import type { Forecast } from "../../../../src/forecast/forecast.ts";
import { generator } from "../robust-series.ts";

const levels = [0.1, 0.5, 0.9, 0.99];
const stepMs = 600_000;
const day = 144;

function ask(values: Float64Array, periods: readonly number[], horizon = day): Forecast {
  const outcome = decompositionForecast(
    { series: { startMs: 0, stepMs, values }, horizon, levels, timeZone: "UTC" },
    periods,
  );
  if (outcome.kind !== "Forecast") throw new Error(`expected a forecast, got ${outcome.kind}`);
  return outcome.forecast;
}

function load(length: number, seed = 1, noise = 5): Float64Array {
  const random = generator(seed);
  return Float64Array.from({ length }, (_, t) => usual(t) + noise * random.normal());
}
const usual = (t: number) => 100 + 60 * Math.sin((2 * Math.PI * t) / day);

describe("decompositionForecast", () => {
  test("carries the season forward in phase", () => {
    const { mean, method, startMs } = ask(load(7 * day), [day]);
    expect(method).toContain("RobustSTL");
    expect(startMs).toBe(7 * day * stepMs);
    mean.forEach((v, j) => {
      expect(Math.abs(v - usual(7 * day + j))).toBeLessThan(14);
    });
  });

  test("nine in ten values come at or below the 0.9 quantile, over twenty series", () => {
    let below = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const values = load(8 * day, seed);
      const { quantiles } = ask(values.slice(0, 7 * day), [day]);
      for (let j = 0; j < day; j++) if (values[7 * day + j] <= quantiles[2][j]) below++;
    }
    expect(below / (20 * day)).toBeGreaterThan(0.85);
    expect(below / (20 * day)).toBeLessThan(0.95);
  });

  test("coverage is given for each level, from held-out origins", () => {
    const { coverage } = ask(load(7 * day), [day]);
    expect(coverage.map(({ level }) => level)).toEqual(levels);
    expect(coverage[2].samples).toBeGreaterThan(100);
    expect(Math.abs(coverage[2].observed - 0.9)).toBeLessThan(0.06);
  });

  test("a level that has lasted for a day is believed", () => {
    const values = load(7 * day).map((v, t) => (t >= 6 * day ? v + 150 : v));
    const { mean } = ask(values, [day], 6);
    for (let j = 0; j < 6; j++) expect(mean[j]).toBeGreaterThan(usual(7 * day + j) + 110);
  });

  test("without a period the trend goes on alone", () => {
    const random = generator(2);
    const { mean, method, periods } = ask(
      Float64Array.from({ length: 500 }, (_, t) => 50 + t / 50 + random.normal()),
      [],
      12,
    );
    expect(method).toBe("RobustTrend");
    expect(periods).toEqual([]);
    for (const v of mean) expect(Math.abs(v - 60)).toBeLessThan(3);
  });

  test("a gap at the end is part of the lead", () => {
    const values = load(7 * day).fill(Number.NaN, 7 * day - 30);
    const { mean } = ask(values, [day]);
    mean.forEach((v, j) => {
      expect(Math.abs(v - usual(7 * day + j))).toBeLessThan(18);
    });
  });

  test("periods that the history does not hold twice are left out", () => {
    expect(ask(load(3 * day), [day, 2 * day]).periods).toEqual([day]);
  });

  test("whatever the series: finite, ordered over the levels, never negative where the history is not", () => {
    const value = fc.oneof(
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      fc.constant(Number.NaN),
      fc.constant(0),
      fc.double({ min: 0, max: 1e-9, noNaN: true }),
    );
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 30, maxLength: 120 }),
        fc.integer({ min: 2, max: 70 }),
        (raw, period) => {
          const values = Float64Array.from(raw);
          fc.pre(values.filter(Number.isFinite).length >= 24);
          const { quantiles, mean } = ask(values, [period], 20);
          for (let j = 0; j < 20; j++) {
            expect(Number.isFinite(mean[j])).toBe(true);
            expect(quantiles[0][j]).toBeGreaterThanOrEqual(0);
            for (let q = 1; q < levels.length; q++) expect(quantiles[q][j]).toBeGreaterThanOrEqual(quantiles[q - 1][j]);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("scale carries through", () => {
    const values = load(5 * day);
    const base = ask(values, [day]).mean;
    const scaled = ask(
      values.map((v) => v * 1e6),
      [day],
    ).mean;
    scaled.forEach((v, j) => {
      expect(v / 1e6 / base[j]).toBeCloseTo(1, 6);
    });
  });

  test("too few samples are said to be too few", () => {
    const outcome = decompositionForecast(
      { series: { startMs: 0, stepMs, values: new Float64Array(10).fill(1) }, horizon: 3, levels, timeZone: "UTC" },
      [],
    );
    expect(outcome).toEqual({ kind: "TooShort", samples: 10, needed: 24 });
  });
});

test("a period shown just under twice, once the history is cut to whole bins, is left out instead of failing", () => {
  const values = Float64Array.from({ length: 2139 }, (_, i) => 50 + 20 * Math.sin((2 * Math.PI * i) / 400));
  const series = { startMs: Date.UTC(2025, 0, 6), stepMs: 60_000, values };
  for (const period of [400, 1069, 1050, 1040.3])
    expect(decompositionForecast({ series, horizon: 60, levels: [0.5, 0.9], timeZone: "UTC" }, [period]).kind).toBe(
      "Forecast",
    );
});
