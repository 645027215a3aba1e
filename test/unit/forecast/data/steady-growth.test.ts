import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { atPresentSize, grownBy, steadyGrowth } from "../../../../src/forecast/data/steady-growth.ts";
import { forecast } from "../../../../src/forecast/experts/expert-forecast.ts";
import { seededRandom } from "../../../../src/series/statistics/seeded-random.ts";

const stepMs = 300_000;
const perDay = 288;

interface Shape {
  readonly seed: number;
  readonly days?: number;
  readonly rate?: number;
  readonly noise?: number;
  /** Level of each day of the week, the first one first. */
  readonly week?: readonly number[];
}

/** A daily rhythm that grows, with noise of a share of its size. */
function load({ seed, days = 8, rate = 0, noise = 0.05, week = [1] }: Shape): Float64Array {
  const random = seededRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Float64Array.from({ length: days * perDay }, (_, t) => {
    const day = Math.floor(t / perDay);
    const rhythm = 1 + 0.6 * Math.sin((2 * Math.PI * t) / perDay + seed);
    return Math.max(0, rhythm * Math.exp((rate * t) / perDay) * week[day % week.length] * (1 + noise * normal()));
  });
}

const seeds = fc.integer({ min: 1, max: 1e6 });

describe("growth from day to day", () => {
  test("is found where it is steady, up or down, and is about what it was", () => {
    fc.assert(
      fc.property(
        seeds,
        fc.double({ min: 0.03, max: 0.15, noNaN: true }),
        fc.boolean(),
        fc.integer({ min: 7, max: 20 }),
        (seed, size, falls, days) => {
          const rate = falls ? -size : size;
          const found = steadyGrowth(load({ seed, rate, days }), stepMs);
          expect(found).toBeGreaterThan(rate - 0.012);
          expect(found).toBeLessThan(rate + 0.012);
        },
      ),
    );
  });

  test("is not found in a stationary load, nor in a working week, wherever the history begins and ends", () => {
    const working = [1, 1, 1, 1, 1, 0.4, 0.35];
    fc.assert(
      fc.property(seeds, fc.nat(6), fc.integer({ min: 7, max: 28 }), (seed, shift, days) => {
        expect(steadyGrowth(load({ seed, days }), stepMs)).toBe(0);
        const week = [...working.slice(shift), ...working.slice(0, shift)];
        expect(steadyGrowth(load({ seed, days, week, noise: 0.02 }), stepMs)).toBe(0);
      }),
    );
  });

  test.each([
    { name: "six days", values: load({ seed: 1, days: 6, rate: 0.06 }) },
    { name: "no load at all", values: new Float64Array(8 * perDay) },
    { name: "nothing known", values: new Float64Array(8 * perDay).fill(Number.NaN) },
    { name: "no day in whole steps", values: load({ seed: 1, rate: 0.06 }), step: 7 * 60_000 * 60 },
  ])("$name: none", ({ values, step = stepMs }) => {
    expect(steadyGrowth(values, step)).toBe(0);
  });

  test("is found with a fifth of the samples missing", () => {
    const random = seededRandom(9);
    const values = load({ seed: 3, rate: 0.06 }).map((value) => (random() < 0.2 ? Number.NaN : value));
    expect(steadyGrowth(values, stepMs)).toBeCloseTo(0.06, 1);
  });
});

test("at its present size a growing load stands, and grows on from there, ever less", () => {
  const rate = 0.06;
  const level = atPresentSize(
    Float64Array.from({ length: perDay }, (_, t) => Math.exp((rate * t) / perDay)),
    stepMs,
    rate,
  );
  for (const value of level) expect(value).toBeCloseTo(level.at(-1)!, 12);
  expect(grownBy(0, stepMs, rate)).toBeCloseTo(Math.exp(rate / perDay), 5);
  expect(grownBy(perDay - 1, stepMs, rate)).toBeLessThan(Math.exp(rate));
  expect(grownBy(perDay - 1, stepMs, rate)).toBeGreaterThan(Math.exp(0.9 * rate));
  expect(grownBy(1000 * perDay, stepMs, rate)).toBeLessThan(Math.exp(10 * rate));
});

test.each([0.06, 0.02, -0.06])("a load that changes by %d a day: the forecast goes on with it, and says so", (rate) => {
  let [below, count] = [0, 0];
  for (let seed = 1; seed <= 5; seed++) {
    const all = load({ seed, rate, days: 8 });
    const series = { startMs: Date.UTC(2026, 2, 2), stepMs, values: all.slice(0, 7 * perDay) };
    const outcome = forecast({ series, horizon: perDay, levels: [0.1, 0.5, 0.9], timeZone: "UTC" });
    if (outcome.kind !== "Forecast") throw new Error(outcome.kind);
    expect(outcome.forecast.method).toMatch(rate > 0 ? /grows by [\d.]+ % a day/ : /shrinks by [\d.]+ % a day/);
    const [low, , high] = outcome.forecast.quantiles;
    for (let h = 0; h < perDay; h++) {
      if (all[7 * perDay + h] <= high[h] && all[7 * perDay + h] >= low[h]) below++;
      count++;
    }
  }
  // As sure as for a load that stands: eight in ten lie between the two.
  expect(below / count).toBeGreaterThan(0.72);
});
