import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Forecast, ForecastRequest } from "../../../../src/forecast/forecast.ts";
import { proactiveForecast } from "../../../../src/forecast/proactive/proactive-forecast.ts";
import { generator } from "../robust-series.ts";
import { requestOf } from "../synthetic.ts";

const day = 144;
const usual = (t: number) => 100 + 60 * Math.sin((2 * Math.PI * t) / day);

function load(length: number, seed = 1, noise = 5): Float64Array {
  const random = generator(seed);
  return Float64Array.from({ length }, (_, t) => usual(t) + noise * random.normal());
}

function ask(request: ForecastRequest): Forecast {
  const outcome = proactiveForecast(request);
  if (outcome.kind !== "Forecast") throw new Error(`expected a forecast, got ${outcome.kind}`);
  return outcome.forecast;
}

/** Every quantile a number, none crossing, none negative where the history is not. */
function expectSound({ quantiles, mean, levels }: Forecast, request: ForecastRequest): void {
  expect(quantiles.length).toBe(levels.length);
  const nonNegative = request.series.values.every((v) => !(v < 0));
  for (const row of [...quantiles, mean]) expect(row.length).toBe(request.horizon);
  for (let j = 0; j < request.horizon; j++) {
    expect(Number.isFinite(mean[j])).toBe(true);
    quantiles.forEach((row, k) => {
      expect(Number.isFinite(row[j])).toBe(true);
      if (nonNegative) expect(row[j]).toBeGreaterThanOrEqual(0);
      if (k > 0) expect(row[j]).toBeGreaterThanOrEqual(quantiles[k - 1][j]);
    });
  }
}

describe("proactiveForecast", () => {
  test("carries the season forward in phase", () => {
    const { mean, method, startMs } = ask(requestOf(load(7 * day), 10, day));
    expect(method).toContain("RobustSTL");
    expect(startMs).toBe(Date.parse("2025-03-03T00:00:00Z") + 7 * day * 600_000);
    mean.forEach((v, j) => {
      expect(Math.abs(v - usual(7 * day + j))).toBeLessThan(16);
    });
  });

  test("nine in ten values come at or below the 0.9 quantile, over six series", () => {
    let below = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const values = load(8 * day, seed);
      const { quantiles } = ask(requestOf(values.slice(0, 7 * day), 10, day));
      for (let j = 0; j < day; j++) if (values[7 * day + j] <= quantiles[8][j]) below++;
    }
    expect(below / (6 * day)).toBeGreaterThan(0.86);
    expect(below / (6 * day)).toBeLessThan(0.94);
  });

  test("the coverage that it tells is near the level, as held-back days are what it was shifted by", () => {
    const { coverage, levels } = ask(requestOf(load(7 * day), 10, day));
    expect(coverage.map(({ level }) => level)).toEqual(levels);
    for (const { level, observed, samples } of coverage) {
      expect(samples).toBeGreaterThan(300);
      expect(Math.abs(observed - level)).toBeLessThan(0.06);
    }
  });

  test("the interval is wide at noisy hours and narrow at the others", () => {
    const random = generator(3);
    const values = Float64Array.from({ length: 7 * day }, (_, t) => {
      const scatter = t % day >= day / 2 ? 20 : 2;
      return 200 + 40 * Math.sin((2 * Math.PI * t) / day) + scatter * random.normal();
    });
    const { quantiles } = ask(requestOf(values, 10, day));
    const widthOf = (from: number, to: number) => {
      let sum = 0;
      for (let j = from; j < to; j++) sum += quantiles[8][j] - quantiles[0][j];
      return sum / (to - from);
    };
    expect(widthOf(80, 140)).toBeGreaterThan(3 * widthOf(8, 64));
  });

  test("a load twice as large, or by the billion, has a forecast just as much larger", () => {
    const values = load(4 * day);
    const plain = ask(requestOf(values, 10, 24));
    for (const factor of [2, 1e9, 1e-9]) {
      const scaled = ask(
        requestOf(
          values.map((v) => v * factor),
          10,
          24,
        ),
      );
      scaled.quantiles.forEach((row, k) => {
        row.forEach((v, j) => {
          expect(Math.abs(v / factor - plain.quantiles[k][j])).toBeLessThan(0.02 * plain.quantiles[k][j]);
        });
      });
    }
  });

  test("the same history gives the same forecast", () => {
    const request = requestOf(load(4 * day), 10, 24);
    expect(ask(request)).toEqual(ask(request));
  });

  test("without a period only the trend is extrapolated", () => {
    const random = generator(5);
    const request = requestOf(
      Float64Array.from({ length: 300 }, () => 50 + 10 * random.normal()),
      10,
      24,
    );
    const made = ask(request);
    expect(made.method).toContain("RobustTrend");
    expectSound(made, request);
  });

  test("an hour of history is answered, and below 24 samples is TooShort", () => {
    const hour = requestOf(load(60), 1, 30);
    expectSound(ask(hour), hour);
    expect(proactiveForecast(requestOf(load(23), 5, 12))).toEqual({ kind: "TooShort", samples: 23, needed: 24 });
    expect(proactiveForecast(requestOf(new Float64Array(500).fill(Number.NaN), 5, 12)).kind).toBe("TooShort");
  });

  test("an origin with just two cycles is valid, also when bins cut the second cycle short", () => {
    const values = Float64Array.from(
      { length: 2139 },
      (_, t) => 100 + 50 * Math.sin((2 * Math.PI * t) / 400) + (t % 7),
    );
    const request = requestOf(values, 1, 24, "1970-01-01T00:00:00Z");
    expectSound(ask(request), request);
  });

  test("a constant load stays what it is", () => {
    const { quantiles, mean } = ask(requestOf(new Float64Array(3 * day).fill(42), 10, day));
    for (const row of [...quantiles, mean]) for (const v of row) expect(Math.abs(v - 42)).toBeLessThan(1);
  });

  test("any history, with gaps, bursts, zeros, negatives, at any scale, gives numbers that do not cross", () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.integer({ min: 1, max: 1e6 }),
          length: fc.integer({ min: 24, max: 500 }),
          scale: fc.constantFrom(1e-9, 1, 1e9),
          level: fc.constantFrom(0, 1, 20),
          missing: fc.double({ min: 0, max: 0.2, noNaN: true }),
          hole: fc.record({ at: fc.integer({ min: 0, max: 500 }), size: fc.integer({ min: 0, max: 150 }) }),
          kind: fc.constantFrom("Noise", "Constant", "Steps", "Zero"),
        }),
        ({ seed, length, scale, level, missing, hole, kind }) => {
          const random = generator(seed);
          const values = Float64Array.from({ length }, (_, t) => {
            if (random.uniform() < missing || (t >= hole.at && t < hole.at + hole.size)) return Number.NaN;
            if (kind === "Zero") return 0;
            if (kind === "Constant") return scale * (level + 1);
            if (kind === "Steps") return scale * (level + Math.floor(t / 60));
            return scale * (level + random.normal());
          });
          const request = requestOf(values, 15, 40);
          const outcome = proactiveForecast(request);
          if (outcome.kind === "Forecast") expectSound(outcome.forecast, request);
          else expect(values.filter(Number.isFinite).length).toBeLessThan(24);
        },
      ),
      { numRuns: 25 },
    );
  });
});
