import { describe, expect, test } from "vitest";
import { fitIntensity, type Intensity, type IntensityOptions } from "../../../../src/forecast/nhpp/nhpp-intensity.ts";
import { knownIntensity, poissonDraw, rootMeanSquare } from "../../../golden/nhpp-series.ts";
import { generator } from "../robust-series.ts";

const { counts, rates } = knownIntensity(1);
const options: IntensityOptions = { smoothness: 50, periodicity: 50, lags: [144] };

function ratesOf(fit: Intensity): Float64Array {
  return fit.logRates.map(Math.exp);
}

/** Largest share, of the curvature's β₁, by which the fit misses the conditions of the minimum. */
function missedOptimum(seen: Float64Array, fit: Intensity, { smoothness, periodicity, lags }: IntensityOptions) {
  const r = fit.logRates;
  const gradient = r.map((value, i) => (Number.isNaN(seen[i]) ? 0 : Math.exp(value) - seen[i]));
  for (const lag of lags)
    for (let i = 0; i + lag < r.length; i++) {
      const pull = periodicity * (r[i] - r[i + lag]);
      gradient[i] += pull;
      gradient[i + lag] -= pull;
    }
  let steepest = 0;
  for (let i = 0; i < fit.multiplier.length; i++) {
    const z = fit.penalty * fit.multiplier[i];
    steepest = Math.max(steepest, Math.abs(z));
    gradient[i] += z;
    gradient[i + 1] -= 2 * z;
    gradient[i + 2] += z;
  }
  return { gradient: Math.max(...gradient.map(Math.abs)), steepest: steepest / smoothness };
}

describe("the fit", () => {
  test("is the minimum: its gradient is a bend of at most β₁", () => {
    const fit = fitIntensity(counts, { ...options, passes: 1500 });
    const missed = missedOptimum(counts, fit, options);
    expect(missed.steepest).toBeLessThanOrEqual(1 + 1e-9);
    expect(missed.gradient).toBeLessThan(0.2); // of counts around 15
    expect(Math.max(...missedPieces(fit))).toBeLessThan(0.01);
  });

  test("scales: c times the counts with c times both β are c times the intensity", () => {
    const one = fitIntensity(counts, options);
    const ten = fitIntensity(
      counts.map((count) => 10 * count),
      { smoothness: 500, periodicity: 500, lags: [144] },
    );
    one.logRates.forEach((r, i) => {
      expect(ten.logRates[i]).toBeCloseTo(r + Math.log(10), 2);
    });
  });

  test("moves with the counts: a day later, far from the ends, the intensity is the same", () => {
    const whole = fitIntensity(counts, options);
    const later = fitIntensity(counts.subarray(144), options);
    const [a, b] = [ratesOf(whole).subarray(144 + 72, 1008 - 72), ratesOf(later).subarray(72, 864 - 72)];
    expect(rootMeanSquare(a, b)).toBeLessThan(0.6);
  });

  test("bridges a gap by the other days", () => {
    const fit = ratesOf(fitIntensity(counts, options));
    expect(rootMeanSquare(fit.subarray(400, 440), rates.subarray(400, 440))).toBeLessThan(2);
  });

  test("a half observed bin counts half", () => {
    const { uniform } = generator(3);
    const exposure = Float64Array.from({ length: 400 }, (_, i) => (i % 2 === 0 ? 1 : 0.5));
    const seen = exposure.map((share) => poissonDraw(20 * share, uniform));
    const fit = ratesOf(fitIntensity(seen, { smoothness: 200, periodicity: 0, lags: [], exposure }));
    fit.forEach((rate) => {
      expect(Math.abs(rate / 20 - 1)).toBeLessThan(0.15);
    });
  });

  test("ties two periods at once", () => {
    const { uniform } = generator(5);
    const rate = (t: number) => (Math.floor(t / 24) % 7 >= 5 ? 4 : 12) * (t % 24 < 12 ? 0.5 : 1.5);
    const truth = Float64Array.from({ length: 24 * 7 * 5 }, (_, t) => rate(t));
    const seen = truth.map((mean) => poissonDraw(mean, uniform));
    const of = (lags: readonly number[]) =>
      rootMeanSquare(ratesOf(fitIntensity(seen, { smoothness: 1, periodicity: 50, lags })), truth);
    expect(of([168])).toBeLessThan(0.7 * of([]));
    expect(of([24, 168])).toBeLessThan(of([24]));
  });

  test("silence has a small intensity, not none", () => {
    const fit = ratesOf(fitIntensity(new Float64Array(200), { smoothness: 10, periodicity: 10, lags: [20] }));
    fit.forEach((rate) => {
      expect(rate).toBeGreaterThan(0);
      expect(rate).toBeLessThan(0.01);
    });
  });

  test("started from its own end it is there at once", () => {
    const fit = fitIntensity(counts, options);
    const again = fitIntensity(counts, { ...options, start: fit, passes: 5 });
    expect(rootMeanSquare(ratesOf(again), ratesOf(fit))).toBeLessThan(0.05);
  });
});

/** Bends of r that the split variable does not have. */
function missedPieces({ logRates: r, curvature }: Intensity): Float64Array {
  return curvature.map((y, i) => Math.abs(r[i] - 2 * r[i + 1] + r[i + 2] - y));
}

test.each([
  { name: "no smoothness", seen: counts, wrong: { ...options, smoothness: 0 } },
  { name: "a negative periodicity", seen: counts, wrong: { ...options, periodicity: -1 } },
  { name: "a lag that is no whole number", seen: counts, wrong: { ...options, lags: [2.5] } },
  { name: "a negative count", seen: Float64Array.of(1, -1, 1), wrong: { ...options, lags: [] } },
  { name: "two bins", seen: Float64Array.of(1, 1), wrong: { ...options, lags: [] } },
])("refuses $name", ({ seen, wrong }) => {
  expect(() => fitIntensity(seen, wrong)).toThrow(RangeError);
});
