import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { accuracyOf, coveredLevels } from "../../../src/backtest/accuracy.ts";
import { type RollingForecasts, rollForecasts, scoredLevels } from "../../../src/backtest/rolling-forecasts.ts";
import type { Forecast } from "../../../src/forecast/forecast.ts";
import type { Series } from "../../../src/series/series.ts";
import { wavyLoad } from "./loads.ts";

const hourMs = 3_600_000;
const levels = [...new Set([...scoredLevels, ...coveredLevels])].sort((a, b) => a - b);

/** Forecasts every six hours of the last two days that say `say(value, level)` of each value to come. */
function foretold(actual: Series, say: (value: number, level: number) => number): RollingForecasts {
  const made: Forecast[] = [];
  for (let origin = actual.values.length - 576; origin < actual.values.length; origin += 72) {
    const rows = levels.map((level) =>
      Float64Array.from({ length: 288 }, (_, lead) => say(actual.values[origin + lead], level)),
    );
    made.push({
      startMs: actual.startMs + origin * actual.stepMs,
      stepMs: actual.stepMs,
      levels,
      quantiles: rows,
      mean: rows[levels.indexOf(0.5)],
      periods: [],
      method: "said",
      coverage: [],
    });
  }
  return { actual, made, refusals: [], latest: () => made[0] };
}

const load = wavyLoad(5, 300_000, (day) => 40 * Math.sin(9.7 * day));

describe("forecast errors", () => {
  test("are nil for who knows the future, and every quantile is met", () => {
    const said = accuracyOf(foretold(load, (value) => value))!;
    expect(said).toMatchObject({ wape: 0, relativeWql: 0, relativeToLevel: 0, origins: 8 });
    for (const { observed } of said.coverage) expect(observed).toBe(1);
  });

  test("of a median a tenth too high are a tenth, and only the levels above it cover", () => {
    const said = accuracyOf(foretold(load, (value, level) => value * (1 + (level - 0.4)))) as NonNullable<
      ReturnType<typeof accuracyOf>
    >;
    expect(said.wape).toBeCloseTo(0.1, 9);
    expect(said.coverage.map(({ observed }) => observed)).toEqual([0, 1, 1, 1, 1]);
  });

  test("of repeating the last day are one", () => {
    const day = 288;
    const said = accuracyOf({
      ...foretold(load, (value) => value),
      made: foretold(load, (value) => value).made.map((forecast) => {
        const origin = (forecast.startMs - load.startMs) / load.stepMs;
        const row = Float64Array.from({ length: day }, (_, lead) => load.values[origin + lead - day]);
        return { ...forecast, quantiles: levels.map(() => row) };
      }),
    });
    expect(said?.relativeWql).toBeCloseTo(1, 9);
  });

  test("in all horizons together are those of the parts, weighed by their values", () => {
    const scale = fc.double({ min: 0.5, max: 1.5, noNaN: true });
    fc.assert(
      fc.property(scale, (factor) => {
        const said = accuracyOf(foretold(load, (value, level) => value * factor * (0.7 + 0.6 * level)))!;
        expect(said.horizons.map(({ fromHours, toHours }) => [fromHours, toHours])).toEqual([
          [0, 1],
          [1, 4],
          [4, 12],
          [12, 24],
        ]);
        expect(said.horizons.reduce((sum, { samples }) => sum + samples, 0)).toBe(said.samples);
        const covered = said.horizons.reduce((sum, each) => sum + each.coverage[2].observed * each.samples, 0);
        expect(covered / said.samples).toBeCloseTo(said.coverage[2].observed, 9);
      }),
      { numRuns: 10 },
    );
  });

  test("leave out what never came, and there are none without a value", () => {
    const values = load.values.slice();
    values.fill(Number.NaN, values.length - 288);
    const gapped = accuracyOf(foretold({ ...load, values }, (value) => value))!;
    const whole = accuracyOf(foretold(load, (value) => value))!;
    expect(gapped.samples).toBeLessThan(whole.samples);
    expect(accuracyOf({ ...foretold(load, (value) => value), made: [] })).toBeUndefined();
  });

  test("of a load that repeats itself exactly are measured by nothing", () => {
    const exact = wavyLoad(5);
    const values = exact.values.map((_, i) => exact.values[i % 288]);
    expect(accuracyOf(foretold({ ...exact, values }, (value) => value))).toMatchObject({ relativeWql: undefined });
  });
});

test("rolling forecasts see their past only: another future changes none of those made before it", () => {
  const untilMs = load.startMs + load.values.length * load.stepMs;
  const options = {
    fromMs: untilMs - 24 * hourMs,
    untilMs,
    horizonMs: 24 * hourMs,
    historyMs: 14 * 24 * hourMs,
    timeZone: "UTC",
  };
  const values = load.values.slice();
  values.fill(9999, values.length - 144);
  const [one, other] = [load, { ...load, values }].map((series) => rollForecasts(series, options));
  const before = one.made.filter(({ startMs }) => startMs <= untilMs - 12 * hourMs);
  expect(before.length).toBe(7);
  expect(other.made.slice(0, before.length)).toEqual(before);
  expect(other.made.at(-1)).not.toEqual(one.made.at(-1));
  expect(one.latest(untilMs - 24 * hourMs - 1)).toBeUndefined();
  expect(one.latest(untilMs - 23 * hourMs)).toBe(one.made[0]);
});
