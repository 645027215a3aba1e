import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arrivalHeadroom } from "../../../src/capacity/arrival-headroom.ts";
import { countDispersion } from "../../../src/series/statistics/count-dispersion.ts";
import {
  countProbability,
  countQuantile,
  normalQuantile,
  smoothCountQuantile,
} from "../../../src/series/statistics/count-distribution.ts";
import { poissonDraw } from "../../golden/nhpp-series.ts";
import { generator } from "../forecast/robust-series.ts";

/** The chance of at most `count`, summed term by term. */
function summed(count: number, mean: number, dispersion: number): number {
  let p = dispersion > 0 ? (1 + dispersion * mean) ** (-1 / dispersion) : Math.exp(-mean);
  let sum = p;
  for (let k = 0; k < count; k++) {
    p *=
      dispersion > 0
        ? (((k + 1 / dispersion) / (k + 1)) * dispersion * mean) / (1 + dispersion * mean)
        : mean / (k + 1);
    sum += p;
  }
  return sum;
}

const mean = fc.double({ min: 0.01, max: 120, noNaN: true });
const dispersion = fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 3, noNaN: true }));
const level = fc.double({ min: 0.005, max: 0.995, noNaN: true });

describe("the distribution of counts", () => {
  test("is the sum of its terms", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200 }), mean, dispersion, (count, m, a) => {
        expect(countProbability(count, m, a)).toBeCloseTo(summed(count, m, a), 9);
      }),
    );
  });

  test("a quantile is the first count whose probability reaches its level", () => {
    fc.assert(
      fc.property(mean, dispersion, level, (m, a, p) => {
        const q = countQuantile(m, a, p);
        expect(summed(q, m, a)).toBeGreaterThanOrEqual(p - 1e-9);
        if (q > 0) expect(summed(q - 1, m, a)).toBeLessThan(p + 1e-9);
        expect(smoothCountQuantile(m, a, p)).toBeLessThanOrEqual(q);
        expect(smoothCountQuantile(m, a, p)).toBeGreaterThanOrEqual(q - 1);
      }),
    );
  });

  test.each([0, 1e-3, 0.2])("quantiles grow on steadily past 10⁶ (dispersion %d)", (a) => {
    const [below, above] = [countQuantile(0.999e6, a, 0.95) / 0.999e6, countQuantile(1.001e6, a, 0.95) / 1.001e6];
    expect(Math.abs(above / below - 1)).toBeLessThan(1e-4);
    expect(countQuantile(1e12, a, 0.95) / 1e12).toBeGreaterThanOrEqual(1);
  });

  test.each([
    { p: 0.975, z: 1.959963985 },
    { p: 0.5, z: 0 },
    { p: 0.001, z: -3.090232306 },
  ])("the normal quantile of $p is $z", ({ p, z }) => {
    expect(normalQuantile(p)).toBeCloseTo(z, 7);
  });
});

describe("the dispersion of counts", () => {
  const gammaOfTwo = (uniform: () => number) => -Math.log((1 - uniform()) * (1 - uniform())) / 2; // mean 1, variance ½
  const draws = (expected: number, isWild: boolean, seed: number) => {
    const { uniform } = generator(seed);
    return Float64Array.from({ length: 400 }, () =>
      poissonDraw(expected * (isWild ? gammaOfTwo(uniform) : 1), uniform),
    );
  };

  test.each([2, 20, 200])("around %d: near 0 for Poisson, near ½ for a rate of that variance", (expected) => {
    const means = new Float64Array(400).fill(expected);
    expect(countDispersion(draws(expected, false, 1), means)).toBeLessThan(0.1);
    const wild = countDispersion(draws(expected, true, 2), means);
    expect(wild).toBeGreaterThan(0.3);
    expect(wild).toBeLessThan(0.75);
  });

  test("a burst in every 25th count hardly changes it", () => {
    const counts = draws(20, false, 3).map((count, i) => (i % 25 === 0 ? count + 5000 : count));
    expect(countDispersion(counts, new Float64Array(400).fill(20))).toBeLessThan(0.05);
  });

  test("too few counts give 0", () => {
    expect(countDispersion(Float64Array.of(0, 50, 0), Float64Array.of(5, 5, 5))).toBe(0);
  });
});

describe("the headroom for arrivals", () => {
  const window = { startupSeconds: 13, level: 0.9, dispersion: 0 };

  test("half a request a second over 13 s of start-up, at 90 %: ten instead of 6.5", () => {
    const headroom = arrivalHeadroom(0.5, window);
    expect(headroom).toMatchObject({ expected: 6.5, sizedFor: 10, distribution: "Poisson" });
    expect(headroom.load).toBeCloseTo(10 / 13, 12);
    expect(headroom.reason).toBe(
      "6.5 requests expected during 13 s of start-up, sized for 10 (90th percentile, Poisson)",
    );
  });

  test("is smaller in proportion for a busy service, larger for a bursty one", () => {
    const share = (rate: number, dispersion: number) => arrivalHeadroom(rate, { ...window, dispersion }).load / rate;
    expect(share(1000, 0)).toBeLessThan(1.02);
    expect(share(1, 0)).toBeGreaterThan(1.3);
    expect(share(1000, 0.1)).toBeGreaterThan(1.3);
  });

  test("is never below the expected load, and never falls as load or level rise", () => {
    fc.assert(
      fc.property(mean, mean, dispersion, level, level, (a, b, spread, p, q) => {
        const of = (rate: number, at: number) =>
          arrivalHeadroom(rate, { startupSeconds: 60, level: at, dispersion: spread });
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        expect(of(low, p).load).toBeGreaterThanOrEqual(low);
        expect(of(high, p).load).toBeGreaterThanOrEqual(of(low, p).load);
        expect(of(low, Math.max(p, q)).sizedFor).toBeGreaterThanOrEqual(of(low, Math.min(p, q)).sizedFor);
      }),
    );
  });

  test.each([
    { ...window, startupSeconds: 0 },
    { ...window, level: 1 },
    { ...window, dispersion: -1 },
  ])("refuses %o", (wrong) => {
    expect(() => arrivalHeadroom(1, wrong)).toThrow(RangeError);
  });
});
