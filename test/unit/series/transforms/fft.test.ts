import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { autocorrelation } from "../../../../src/series/statistics/autocorrelation.ts";
import { inverseReal, lagProducts, nextPowerOfTwo, realSpectrum } from "../../../../src/series/transforms/fft.ts";

const samples = fc
  .array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 70 })
  .map((values) => Float64Array.from(values));

function slowSpectrum(values: Float64Array, length: number) {
  const bins = Math.floor(length / 2) + 1;
  const re = new Float64Array(bins);
  const im = new Float64Array(bins);
  for (let k = 0; k < bins; k++)
    for (let t = 0; t < values.length; t++) {
      re[k] += values[t] * Math.cos((2 * Math.PI * k * t) / length);
      im[k] -= values[t] * Math.sin((2 * Math.PI * k * t) / length);
    }
  return { re, im };
}

function expectClose(a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number) {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) expect(Math.abs(a[i] - b[i])).toBeLessThanOrEqual(tolerance);
}

describe("realSpectrum", () => {
  test("agrees with the defining sum at every length", () => {
    fc.assert(
      fc.property(samples, fc.integer({ min: 0, max: 20 }), (values, padding) => {
        const length = values.length + padding;
        const fast = realSpectrum(values, length);
        const slow = slowSpectrum(values, length);
        expectClose(fast.re, slow.re, 1e-8);
        expectClose(fast.im, slow.im, 1e-8);
      }),
    );
  });
  test("the inverse gives the series back", () => {
    fc.assert(
      fc.property(samples, (values) => {
        const back = inverseReal(realSpectrum(values, nextPowerOfTwo(values.length)));
        expectClose(back.subarray(0, values.length), values, 1e-9);
      }),
    );
  });
  test("a sine of 7 cycles in 2,016 samples has all its power in bin 7", () => {
    const { re, im } = realSpectrum(
      Float64Array.from({ length: 2016 }, (_, t) => Math.sin((2 * Math.PI * 7 * t) / 2016)),
    );
    for (let k = 0; k < re.length; k++) expect(Math.hypot(re[k], im[k])).toBeCloseTo(k === 7 ? 1008 : 0, 6);
  });
  test("a length shorter than the series is refused", () => {
    expect(() => realSpectrum(new Float64Array(8), 4)).toThrow(RangeError);
  });
});

describe("lagProducts", () => {
  test("agrees with the defining sum and never wraps around", () => {
    fc.assert(
      fc.property(samples, (values) => {
        const n = values.length;
        const slow = Float64Array.from({ length: n }, (_, k) => {
          let sum = 0;
          for (let t = 0; t + k < n; t++) sum += values[t] * values[n - 1 - t - k];
          return sum;
        });
        expectClose(lagProducts(values, values.toReversed(), n - 1), slow, 1e-6);
      }),
    );
  });
});

describe("autocorrelation", () => {
  const wave = Float64Array.from({ length: 400 }, (_, t) => Math.sin((2 * Math.PI * t) / 25));

  test("a sine is 1 at its period and −1 at half of it", () => {
    const r = autocorrelation(wave, 100);
    expect(r[0]).toBe(1);
    expect(r[25]).toBeCloseTo(1, 6);
    expect(r[50]).toBeCloseTo(1, 6);
    expect(r[12]).toBeLessThan(-0.98);
  });
  test("gaps do not weaken it", () => {
    const holed = wave.map((v, t) => (t % 7 === 3 || (t > 120 && t < 170) ? Number.NaN : v));
    expect(autocorrelation(holed, 60)[25]).toBeGreaterThan(0.99);
  });
  test("shift and scale do not change it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.double({ min: -10, max: 10, noNaN: true }), { nil: Number.NaN }), {
          minLength: 20,
          maxLength: 60,
        }),
        fc.double({ min: 0.1, max: 100, noNaN: true }),
        fc.double({ min: -50, max: 50, noNaN: true }),
        (raw, scale, shift) => {
          const values = Float64Array.from(raw);
          const mean = raw.filter(Number.isFinite).reduce((a, b) => a + b, 0) / raw.length;
          fc.pre(raw.filter((v) => Math.abs(v - mean) > 0.01).length > 10);
          const a = autocorrelation(values, 10);
          const b = autocorrelation(
            values.map((v) => v * scale + shift),
            10,
          );
          for (let k = 0; k <= 10; k++)
            expect(Number.isNaN(a[k]) ? Number.isNaN(b[k]) : Math.abs(a[k] - b[k]) < 1e-5).toBe(true);
        },
      ),
    );
  });
  test.each([
    { name: "a constant series has none", values: new Float64Array(30).fill(7.1), expected: 0 },
    {
      name: "a series with nothing present has NaN",
      values: new Float64Array(30).fill(Number.NaN),
      expected: Number.NaN,
    },
  ])("$name", ({ values, expected }) => {
    expect(autocorrelation(values, 5)[3]).toBe(expected);
  });
});
