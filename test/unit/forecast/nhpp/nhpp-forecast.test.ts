import { describe, expect, test } from "vitest";
import { forecast } from "../../../../src/forecast/experts/expert-forecast.ts";
import type { Forecast, ForecastRequest } from "../../../../src/forecast/forecast.ts";
import { nhppForecast } from "../../../../src/forecast/nhpp/nhpp-forecast.ts";
import { fitNhpp } from "../../../../src/forecast/nhpp/nhpp-model.ts";
import { dailyRate, poissonDraw } from "../../../golden/nhpp-series.ts";
import { generator } from "../robust-series.ts";

const stepMs = 1_800_000;
const perDay = 48;
const levels = [0.1, 0.5, 0.9, 0.99];
const rateAt = (t: number) => dailyRate((t % perDay) / perDay);

/** Counts per half hour over so many days, each `of` what the day's course expects. */
function history(days: number, seed = 1, of: (t: number) => number = () => 1): Float64Array<ArrayBuffer> {
  const { uniform } = generator(seed);
  return Float64Array.from({ length: days * perDay }, (_, t) => poissonDraw(rateAt(t) * of(t), uniform));
}

function request(values: Float64Array, horizon = perDay): ForecastRequest {
  return { series: { startMs: 0, stepMs, values }, horizon, levels, timeZone: "UTC" };
}

function forecastOf(values: Float64Array, horizon = perDay): Forecast {
  const outcome = nhppForecast(request(values, horizon));
  if (outcome.kind !== "Forecast") throw new Error(`got ${outcome.kind}`);
  return outcome.forecast;
}

describe("of counts with a daily course", () => {
  const values = history(14);
  const before = values.slice();
  const made = forecastOf(values);

  test("the median follows the course", () => {
    const error = made.mean.reduce((sum, value, t) => sum + Math.abs(value - rateAt(t)), 0);
    const level = made.mean.reduce((sum, _, t) => sum + rateAt(t), 0);
    expect(error / level).toBeLessThan(0.12);
    expect(made.periods).toContain(perDay);
  });

  test("its quantiles hold on days to come", () => {
    let [below, above] = [0, 0];
    for (let seed = 20; seed < 30; seed++)
      history(1, seed).forEach((count, t) => {
        if (count < made.quantiles[0][t]) below++;
        if (count <= made.quantiles[2][t]) above++;
      });
    expect(below / (10 * perDay)).toBeLessThan(0.13);
    expect(above / (10 * perDay)).toBeGreaterThan(0.86);
    expect(above / (10 * perDay)).toBeLessThan(0.97);
  });

  test("says what it measured on held-back days", () => {
    expect(made.coverage).toHaveLength(levels.length);
    expect(made.coverage[2].observed).toBeGreaterThan(0.84);
    expect(made.method).toMatch(/^NHPP, periods of .*48.* samples, β \d+ and \d+, /);
  });

  test("leaves the history as it was", () => {
    expect(values).toEqual(before);
  });

  test("a fifth missing hardly moves it", () => {
    const { uniform } = generator(9);
    const holed = values.map((value) => (uniform() < 0.15 ? Number.NaN : value));
    holed.fill(Number.NaN, 300, 330);
    const other = forecastOf(holed);
    const apart = other.mean.reduce((sum, value, t) => sum + Math.abs(value - made.mean[t]), 0);
    expect(apart / made.mean.reduce((a, b) => a + b)).toBeLessThan(0.12);
  });
});

test("a last hour above its course lifts the next hours", () => {
  // Half as much again over eight hours, now and then, so that the past can tell that it lasts.
  const isBusy = (t: number) => Math.floor((t + 5) / 16) % 4 === 0;
  const values = history(21, 3, (t) => (isBusy(t) ? 15 : 10));
  const end = [...values.keys()].findLast((t) => t % perDay === 22 && isBusy(t - 1) && isBusy(t + 3))!;
  const lifted = forecastOf(values.slice(0, end), 4).mean.reduce((a, b) => a + b);
  const usual = Array.from({ length: 4 }, (_, j) => 10 * rateAt(end + j)).reduce((a, b) => a + b);
  expect(lifted / usual).toBeGreaterThan(1.2);
});

test("arrivals that scatter more than Poisson's get wider quantiles", () => {
  const random = generator(11);
  const calm = history(8, 11);
  const wild = history(8, 11, () => Math.exp(0.5 * random.normal()));
  const width = ({ quantiles }: Forecast) =>
    quantiles[2].reduce((sum, value, t) => sum + value - quantiles[0][t], 0) / quantiles[1].reduce((a, b) => a + b);
  const made = forecastOf(wild);
  expect(made.method).toContain("negative binomial");
  expect(width(made)).toBeGreaterThan(1.3 * width(forecastOf(calm)));
});

test("a peak at the same minute of every hour is kept, though bins are coarser", () => {
  const { uniform } = generator(7);
  const values = Float64Array.from({ length: 5 * 1440 }, (_, t) => poissonDraw(t % 60 === 0 ? 20 : 5, uniform));
  const outcome = nhppForecast({
    series: { startMs: 0, stepMs: 60_000, values },
    horizon: 180,
    levels,
    timeZone: "UTC",
  });
  if (outcome.kind !== "Forecast") throw new Error(outcome.kind);
  for (let j = 0; j < 180; j++) {
    const expected = j % 60 === 0 ? [16, 24] : [3, 7];
    expect(outcome.forecast.mean[j]).toBeGreaterThanOrEqual(expected[0]);
    expect(outcome.forecast.mean[j]).toBeLessThanOrEqual(expected[1]);
  }
});

test("a day of mostly empty minutes is found and carried on", () => {
  const { uniform } = generator(13);
  const minuteRate = (t: number) => dailyRate((t % 1440) / 1440) / 60;
  const values = Float64Array.from({ length: 10 * 1440 }, (_, t) => poissonDraw(minuteRate(t), uniform));
  const { rates, periods } = fitNhpp({ startMs: 0, stepMs: 60_000, values }, 1440);
  expect(periods).toContain(1440);
  const error = rates.reduce((sum, rate, t) => sum + Math.abs(rate - minuteRate(t)), 0);
  expect(error / rates.reduce((a, b) => a + b)).toBeLessThan(0.25);
});

describe("what a forecast learned", () => {
  const day = request(history(10));
  const first = nhppForecast(day);
  if (first.kind !== "Forecast") throw new Error(first.kind);
  const { weights } = first.forecast;
  const later = (hours: number) => ({ ...day, series: { ...day.series, startMs: hours * 3_600_000 }, weights });
  /** Marked, so that its use can be told. */
  const marked = { ...weights, dispersions: [0.5, 0.5, 0.5] } as typeof weights;

  test("is handed to the next one, plain data, and spares its backtest", () => {
    expect(structuredClone(weights)).toEqual(weights);
    expect(nhppForecast({ ...day, weights })).toEqual(first);
    const used = nhppForecast({ ...later(23), weights: marked });
    expect(used).toMatchObject({ forecast: { weights: marked, coverage: first.forecast.coverage } });
  });

  test("is learned anew after a day, and when the bins are others", () => {
    expect(nhppForecast({ ...later(25), weights: marked })).toMatchObject({
      forecast: { weights: { learnedMs: 25 * 3_600_000 + 10 * 86_400_000 } },
    });
    const hourly = { ...day, series: { ...day.series, values: day.series.values.subarray(0, 90) }, weights: marked };
    expect(nhppForecast(hourly)).toMatchObject({ kind: "Forecast" });
    expect(nhppForecast(hourly)).not.toMatchObject({ forecast: { weights: marked } });
  });

  test("tells another algorithm nothing", () => {
    expect(forecast({ ...day, weights })).toEqual(forecast(day));
    const others = forecast(day);
    if (others.kind !== "Forecast") throw new Error(others.kind);
    expect(nhppForecast({ ...day, weights: others.forecast.weights })).toEqual(first);
  });
});

test("what was learned once serves again, and gives the same rates", () => {
  const series = { startMs: 0, stepMs, values: history(10) };
  const first = fitNhpp(series, perDay);
  const second = fitNhpp(series, perDay, { learned: first.learned });
  expect(second.rates).toEqual(first.rates);
  expect(second.backtest).toEqual([]);
});

describe("of odd histories", () => {
  const noisy = history(6).map((value, t) => value + 0.1 + 0.05 * Math.sin(t));
  test.each([
    { name: "nothing but zeros", values: new Float64Array(200) },
    { name: "a constant", values: new Float64Array(200).fill(7.3) },
    { name: "no rhythm", values: history(5, 2).map((_, t) => (t * 7919) % 13) },
    { name: "a billion", values: noisy.map((value) => value * 1e9) },
    { name: "a billionth", values: noisy.map((value) => value * 1e-9) },
    { name: "a gap at the end", values: history(8).fill(Number.NaN, 350) },
    { name: "infinite samples", values: history(8).fill(Number.POSITIVE_INFINITY, 100, 110) },
    { name: "twelve hours", values: history(1).subarray(0, 24) },
    {
      name: "a level ten times higher since yesterday",
      values: history(8).map((v, t) => (t > 7 * perDay ? 10 * v : v)),
    },
  ])("$name: finite, never negative, never crossing", ({ values }) => {
    const { quantiles, mean } = forecastOf(values);
    expect(mean).toHaveLength(perDay);
    for (let j = 0; j < perDay; j++) {
      let last = 0;
      for (const row of quantiles) {
        expect(row[j]).toBeGreaterThanOrEqual(last);
        expect(Number.isFinite(row[j])).toBe(true);
        last = row[j];
      }
    }
  });

  test("a load of 2³⁰ times the size has a forecast of 2³⁰ times the size", () => {
    const [small, large] = [forecastOf(noisy), forecastOf(noisy.map((value) => value * 2 ** 30))];
    large.mean.forEach((value, j) => {
      expect(value / 2 ** 30 / small.mean[j]).toBeCloseTo(1, 6);
    });
  });

  test("a constant stays what it is", () => {
    forecastOf(new Float64Array(200).fill(7.3)).mean.forEach((value) => {
      expect(value / 7.3).toBeCloseTo(1, 1);
    });
  });

  test("23 samples are too few, and many negative ones are no arrivals", () => {
    expect(nhppForecast(request(history(1).subarray(0, 23)))).toEqual({ kind: "TooShort", samples: 23, needed: 24 });
    expect(nhppForecast(request(history(2).fill(-1, 5, 12))).kind).toBe("NotPredictable");
  });
});
