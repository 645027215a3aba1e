import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addOuter, bandMatrix, factor, solve, solvePentadiagonal } from "../../../src/series/banded.ts";
import { interpolate, presentShare } from "../../../src/series/gaps.ts";
import { binMeans, resample } from "../../../src/series/resample.ts";
import {
  biweightMidvariance,
  huberLoss,
  huberWeight,
  median,
  quantileOfSorted,
  robustScale,
  softThreshold,
} from "../../../src/series/statistics/robust-statistics.ts";
import { hodrickPrescott, lambdaFor } from "../../../src/series/transforms/hodrick-prescott.ts";

const NaN64 = Number.NaN;
const list = (...values: number[]) => Float64Array.from(values);
const value = fc.double({ min: -100, max: 100, noNaN: true });

describe("band solver", () => {
  test("solves what outer products built, whatever the width", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 0, max: 6 }),
        fc.array(value, { minLength: 200, maxLength: 200 }),
        (size, width, raw) => {
          const matrix = bandMatrix(size, width);
          for (let i = 0; i < size; i++) {
            addOuter(matrix, [i], [1], 1);
            if (i >= width && width > 0) addOuter(matrix, [i - width, i], [raw[i] / 50, raw[i + 40] / 50], 1);
          }
          const x = Float64Array.from(raw.slice(80, 80 + size));
          const b = new Float64Array(size);
          for (let i = 0; i < size; i++)
            for (let j = Math.max(0, i - width); j <= i; j++) {
              const a = matrix.bands[(i - j) * size + i];
              b[i] += a * x[j];
              if (i !== j) b[j] += a * x[i];
            }
          solve(factor(matrix), b).forEach((found, i) => {
            expect(Math.abs(found - x[i])).toBeLessThan(1e-6);
          });
        },
      ),
    );
  });
  test("a pentadiagonal system agrees with the general band solver", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 25 }), fc.array(value, { minLength: 120, maxLength: 120 }), (n, raw) => {
        const matrix = bandMatrix(n, 2);
        for (let i = 0; i < n; i++) {
          matrix.bands[i] = 500 + raw[i];
          if (i >= 1) matrix.bands[n + i] = raw[30 + i];
          if (i >= 2) matrix.bands[2 * n + i] = raw[60 + i];
        }
        const b = Float64Array.from(raw.slice(90, 90 + n));
        const expected = solve(factor(matrix), b);
        const main = matrix.bands.slice(0, n);
        const first = new Float64Array(n);
        const second = new Float64Array(n);
        for (let i = 1; i < n; i++) first[i - 1] = matrix.bands[n + i];
        for (let i = 2; i < n; i++) second[i - 2] = matrix.bands[2 * n + i];
        solvePentadiagonal(main, first, second, b);
        b.forEach((found, i) => {
          expect(found).toBeCloseTo(expected[i], 10);
        });
      }),
    );
  });
  test("a matrix that is not positive definite is refused with its row", () => {
    const matrix = bandMatrix(2, 1);
    matrix.bands.set([1, 1, 0, 2]);
    expect(() => factor(matrix)).toThrow(/pivot -3 in row 1/);
  });
});

describe("robust statistics", () => {
  test.each([
    { name: "median of an even count lies between", found: median(list(4, 1, 3, 2)), expected: 2.5 },
    { name: "quantile interpolates", found: quantileOfSorted(list(0, 10), 0.25), expected: 2.5 },
    {
      name: "scale of 1…5 is 1.4826 × the median distance 1",
      found: robustScale(list(1, 2, 3, 4, 5)),
      expected: 1.4826,
    },
    { name: "scale of a constant is 0", found: robustScale(list(0.1, 0.1, 0.1)), expected: 0 },
    { name: "scale survives a majority of equal samples", found: robustScale(list(0, 0, 0, 4)), expected: 1.2533 },
    { name: "Huber's loss is quadratic inside", found: huberLoss(-1, 1.345), expected: 0.5 },
    { name: "and linear outside", found: huberLoss(3, 1), expected: 2.5 },
    { name: "Huber's weight falls outside", found: huberWeight(-4, 1), expected: 0.25 },
    { name: "soft threshold shrinks", found: softThreshold(-3, 1), expected: -2 },
    { name: "soft threshold zeroes", found: softThreshold(0.5, 1), expected: 0 },
  ])("$name", ({ found, expected }) => {
    expect(found).toBeCloseTo(expected, 10);
  });
  test("the quantile of nothing is NaN", () => {
    expect(quantileOfSorted(list(), 0.25)).toBeNaN();
  });
  test("outliers of one in fifty samples hardly change the biweight midvariance", () => {
    // Normal scores: the quantiles of a standard normal, so the variance is known to be about 1.
    const clean = Float64Array.from({ length: 499 }, (_, i) => {
      const p = (i + 1) / 500;
      return 4.91 * (p ** 0.14 - (1 - p) ** 0.14);
    });
    const wild = clean.map((v, i) => (i % 50 === 0 ? 1e6 : v));
    expect(biweightMidvariance(clean)).toBeCloseTo(1, 1);
    expect(biweightMidvariance(wild)).toBeCloseTo(1, 0);
  });
});

describe("Hodrick–Prescott", () => {
  test("a straight line is its own trend, gaps or not", () => {
    const line = Float64Array.from({ length: 50 }, (_, t) => (t % 5 === 2 ? NaN64 : 3 + 2 * t));
    hodrickPrescott(line, 1e4).forEach((v, t) => {
      expect(v).toBeCloseTo(3 + 2 * t, 6);
    });
  });
  test("λ for a period leaves a tenth of that period in the trend", () => {
    const wave = Float64Array.from({ length: 1000 }, (_, t) => Math.sin((2 * Math.PI * t) / 100));
    const trend = hodrickPrescott(wave, lambdaFor(100));
    expect(Math.max(...trend.subarray(300, 700))).toBeCloseTo(1 / 11, 2);
  });
});

describe("gaps", () => {
  test("inner gaps are bridged by a line, ends by the nearest sample", () => {
    expect([...interpolate(list(NaN64, 1, NaN64, NaN64, 4, NaN64))]).toEqual([1, 1, 2, 3, 4, 4]);
  });
  test("nothing present stays missing", () => {
    expect([...interpolate(list(NaN64, NaN64))]).toEqual([NaN64, NaN64]);
    expect(presentShare(list(NaN64, 1))).toBe(0.5);
    expect(presentShare(list())).toBe(0);
  });
});

describe("resampling", () => {
  test("bins average what is there, and are missing below half", () => {
    expect([...binMeans(list(1, 3, NaN64, 5, NaN64, NaN64, 9), 2)]).toEqual([2, 5, NaN64]);
    expect([...binMeans(list(1, NaN64, NaN64), 3)]).toEqual([NaN64]);
  });
  test("bins stand on the epoch's grid", () => {
    const fine = { startMs: 60_000 * 8, stepMs: 60_000, values: Float64Array.from({ length: 13 }, (_, i) => i) };
    const coarse = resample(fine, 300_000);
    expect(coarse.startMs).toBe(600_000);
    expect([...coarse.values]).toEqual([4, 9]);
  });
  test("a step that is no multiple is refused", () => {
    expect(() => resample({ startMs: 0, stepMs: 60_000, values: list(1) }, 90_000)).toThrow(RangeError);
  });
});
