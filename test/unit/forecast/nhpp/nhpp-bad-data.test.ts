import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Forecast } from "../../../../src/forecast/forecast.ts";
import { nhppForecast } from "../../../../src/forecast/nhpp/nhpp-forecast.ts";
import { dailyRate, poissonDraw } from "../../../golden/nhpp-series.ts";
import { generator } from "../robust-series.ts";

const stepMs = 1_800_000;
const perDay = 48;
const horizon = perDay;
const levels = [0.01, 0.1, 0.5, 0.9, 0.99, 0.999];
const nan = Number.NaN;

/** Counts a step of a load that asks twice what `dailyRate` does. */
function counts(days: number, seed = 1, of: (t: number) => number = () => 1): Float64Array<ArrayBuffer> {
  const { uniform } = generator(seed);
  return Float64Array.from({ length: days * perDay }, (_, t) =>
    poissonDraw(2 * dailyRate((t % perDay) / perDay) * of(t), uniform),
  );
}

const outcomeOf = (values: Float64Array, step = stepMs, ahead = horizon) =>
  nhppForecast({ series: { startMs: 0, stepMs: step, values }, horizon: ahead, levels, timeZone: "UTC" });

function forecastOf(values: Float64Array): Forecast {
  const outcome = outcomeOf(values);
  if (outcome.kind !== "Forecast") throw new Error(JSON.stringify(outcome));
  return outcome.forecast;
}

/** Mean distance of the median from `times` the day's course, as a share of it. */
function missed({ mean }: Forecast, times = 1): number {
  let [error, whole] = [0, 0];
  mean.forEach((value, j) => {
    const truth = times * 2 * dailyRate((j % perDay) / perDay);
    error += Math.abs(value - truth);
    whole += truth;
  });
  return error / whole;
}

/** Mean width of the band from 10 to 90 % as a share of the median. */
function width({ quantiles }: Forecast): number {
  const [, low, middle, high] = quantiles;
  return high.reduce((sum, value, j) => sum + value - low[j], 0) / middle.reduce((a, b) => a + b);
}

const usual = forecastOf(counts(8));

describe("missing samples", () => {
  test("a fifth of them: the same forecast, wider intervals, and a note", () => {
    let [whole, holed] = [0, 0];
    for (const seed of [1, 2, 3, 4]) {
      const { uniform } = generator(10 + seed);
      const values = counts(8, seed);
      const made = forecastOf(values.map((value) => (uniform() < 0.2 ? nan : value)));
      expect(missed(made)).toBeLessThan(0.12);
      expect(made.method).toMatch(/; \d+ % of the samples missing$/);
      expect(made.periods).toContain(perDay);
      whole += width(forecastOf(values));
      holed += width(made);
    }
    expect(holed).toBeGreaterThan(1.06 * whole);
  });

  test("three days in the middle: the forecast of the others, with a wider interval", () => {
    const made = forecastOf(counts(8).fill(nan, 2 * perDay, 5 * perDay));
    expect(missed(made)).toBeLessThan(0.15);
    expect(width(made)).toBeGreaterThan(1.1 * width(usual));
    expect(made.method).toContain("38 % of the samples missing");
  });

  test("after a silent day the first hour is as uncertain as a day ahead", () => {
    // The rate wanders from day to day, which only later leads show.
    const wandering = counts(12, 2, (t) => [1, 1.4, 0.7, 1.2, 0.8, 1.5, 0.9][Math.floor(t / perDay) % 7]);
    const fresh = forecastOf(wandering.slice(0, 11 * perDay));
    const stale = forecastOf(wandering.slice().fill(nan, 11 * perDay));
    const first = ({ quantiles }: Forecast) => (quantiles[3][0] - quantiles[1][0]) / quantiles[2][0];
    expect(first(stale)).toBeGreaterThan(1.2 * first(fresh));
  });
});

describe("a change of level", () => {
  test.each([
    { factor: 10, hours: 24, from: 1 },
    { factor: 10, hours: 14, from: 1 },
    { factor: 0.1, hours: 24, from: 10 },
    { factor: 4, hours: 36, from: 1 },
  ])(
    "to $factor times, $hours hours ago: the course at its new level, a wider band, and the reason",
    ({ factor, hours, from }) => {
      const made = forecastOf(counts(8, 1, (t) => (t >= 8 * perDay - 2 * hours ? from * factor : from)));
      expect(missed(made, from * factor)).toBeLessThan(0.25);
      expect(width(made)).toBeGreaterThan(1.1 * width(forecastOf(counts(8, 1, () => from * factor))));
      const [, level, since] = /; level shift × ([\d.]+) (\d+) h ago/.exec(made.method)!;
      expect(Math.abs(Math.log(Number(level) / factor))).toBeLessThan(0.3);
      expect(Math.abs(Number(since) - hours)).toBeLessThanOrEqual(2);
      expect(made.periods).toContain(perDay);
    },
  );

  test.each([
    { name: "weekends at a third", of: (t: number) => (Math.floor(t / perDay) % 7 >= 5 ? 1 / 3 : 1) },
    { name: "office hours alone", of: (t: number) => (t % perDay >= 18 && t % perDay < 34 ? 3 : 0.2) },
    { name: "a day at ten times, over since yesterday", of: (t: number) => (Math.floor(t / perDay) === 12 ? 10 : 1) },
    { name: "an outage since yesterday", of: (t: number) => (t >= 13.5 * perDay ? 1e-9 : 1) },
  ])("is not: $name", ({ of }) => {
    for (const end of [13.1, 13.4, 14, 14.3, 14.6, 15])
      expect(forecastOf(counts(15, 3, of).slice(0, end * perDay)).method).not.toContain("level shift");
  });
});

describe("spikes", () => {
  test.each([1e3, 1e6, 1e12])("of %d times in one of a hundred samples cost neither period nor level", (size) => {
    const { uniform } = generator(6);
    const made = forecastOf(counts(8).map((value) => (uniform() < 0.01 ? value * size : value)));
    expect(made.periods).toContain(perDay);
    expect(missed(made)).toBeLessThan(0.15);
    expect(made.method).toMatch(/; \d+ spikes? clipped/);
  });

  test("that come every day at their time are load", () => {
    const made = forecastOf(counts(8).map((value, t) => (t % perDay === 10 ? 4000 : value)));
    expect(made.method).not.toContain("held");
    expect(made.mean[10]).toBeGreaterThan(2000);
    expect(made.mean[14]).toBeLessThan(200);
  });

  test("hold a counter that was reset, and its negative difference is left out", () => {
    const values = counts(8);
    values[200] = -123_456;
    values[300] = 9.7e8;
    const made = forecastOf(values);
    expect(made.method).toContain("1 negative sample removed; 1 spike clipped");
    expect(missed(made)).toBeLessThan(0.12);
  });
});

describe("size", () => {
  const { normal } = generator(8);
  const smooth = Float64Array.from(
    { length: 6 * perDay },
    (_, t) => dailyRate((t % perDay) / perDay) * (1 + 0.05 * normal()),
  );
  const plain = forecastOf(smooth);

  test.each([-1000, -100, -30, 30, 100, 1000])("2^%d times the load: as many times the forecast", (exponent) => {
    const made = forecastOf(smooth.map((value) => value * 2 ** exponent));
    made.quantiles.forEach((row, k) => {
      row.forEach((value, j) => {
        expect(value / 2 ** exponent / plain.quantiles[k][j]).toBeCloseTo(1, 6);
      });
    });
  });

  test.each([1, 7, 7.3, 1e-9, 1e9, 1e300])("a constant of %d stays what it is, has no period, and says so", (level) => {
    const made = forecastOf(new Float64Array(5 * perDay).fill(level));
    made.mean.forEach((value) => {
      expect(Math.abs(value / level - 1)).toBeLessThan(0.05);
    });
    expect(made.periods).toEqual([]);
    expect(made.method).toContain("constant");
  });
});

test("half an hour of minutes gives a wide interval and a note, an hour one that soon is", () => {
  const { uniform } = generator(3);
  const values = Float64Array.from({ length: 60 }, () => poissonDraw(50, uniform));
  const outcome = outcomeOf(values.subarray(0, 30), 60_000);
  if (outcome.kind !== "Forecast") throw new Error(outcome.kind);
  expect(outcome.forecast.method).toContain("too short for a backtest");
  expect(width(outcome.forecast)).toBeGreaterThan(0.5);
  expect(Math.abs(outcome.forecast.mean[0] / 50 - 1)).toBeLessThan(0.2);
  const hour = outcomeOf(values, 60_000, 600);
  if (hour.kind !== "Forecast") throw new Error(hour.kind);
  expect(hour.forecast.method).toContain("backtested 15 steps ahead only");
  const [, low, , high] = hour.forecast.quantiles;
  expect(high[599] - low[599]).toBeGreaterThan(2 * (high[0] - low[0]));
  expect(outcomeOf(values.subarray(0, 12), 300_000)).toEqual({ kind: "TooShort", samples: 12, needed: 24 });
});

/** Something that goes wrong with a history, in place. */
type Fault = (values: Float64Array) => void;
const share = fc.double({ min: 0, max: 1, noNaN: true });
const at = (values: Float64Array, place: number) => Math.floor(place * (values.length - 1));
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.tuple(fc.integer(), fc.double({ min: 0, max: 0.3, noNaN: true })).map(([seed, rate]) => (values: Float64Array) => {
    const { uniform } = generator(seed);
    for (let i = 0; i < values.length; i++) if (uniform() < rate) values[i] = nan;
  }),
  fc.tuple(share, share).map(([from, to]) => (values: Float64Array) => {
    values.fill(nan, at(values, from), at(values, to));
  }),
  fc.tuple(share, fc.constantFrom(0, 1e-9, 7.3, 1e9)).map(([from, level]) => (values: Float64Array) => {
    values.fill(level, at(values, from));
  }),
  fc.tuple(share, fc.constantFrom(1e-12, 0.01, 0.3, 3, 100, 1e12)).map(([from, factor]) => (values: Float64Array) => {
    for (let i = at(values, from); i < values.length; i++) values[i] *= factor;
  }),
  fc
    .tuple(share, fc.constantFrom(-1, -1e-15, -1e300, 1e15, 1e300, Number.MAX_VALUE, 5e-324, Infinity, -Infinity))
    .map(([place, value]) => (values: Float64Array) => {
      values[at(values, place)] = value;
    }),
  fc.constant((values: Float64Array) => {
    for (let i = 1; i < values.length; i++) values[i] += i % 37 === 0 ? 0 : values[i - 1]; // a counter
  }),
);

test("whatever happened to the history: numbers that don't cross, or why not", () => {
  fc.assert(
    fc.property(
      fc.record({
        seed: fc.integer(),
        length: fc.integer({ min: 1, max: 6 * perDay }),
        step: fc.constantFrom(1_000, 60_000, 300_000, stepMs, 3_600_000, 86_400_000, 7 * 86_400_000, 100_001),
        isWhole: fc.boolean(),
        size: fc.constantFrom(1e-300, 1e-9, 1, 1e9, 1e300),
        ahead: fc.integer({ min: 1, max: 60 }),
        faults: fc.array(fault, { maxLength: 3 }),
      }),
      ({ seed, length, step, isWhole, size, ahead, faults }) => {
        const { uniform } = generator(seed);
        const values = Float64Array.from({ length }, (_, t) => {
          const rate = dailyRate(((t * step) / 86_400_000) % 1);
          return isWhole ? poissonDraw(rate, uniform) : rate * (0.5 + uniform());
        }).map((value) => value * size);
        for (const spoil of faults) spoil(values);
        const outcome = outcomeOf(values, step, ahead);
        if (outcome.kind === "TooShort") return outcome.samples < outcome.needed;
        if (outcome.kind === "NotPredictable") return outcome.why.includes("below 0");
        const { quantiles, mean, method, coverage, arrivals } = outcome.forecast;
        expect(method).toMatch(/^NHPP, /);
        expect([...mean, ...arrivals!.expected, ...arrivals!.dispersions].every(Number.isFinite)).toBe(true);
        expect(coverage.every(({ observed }) => observed >= 0 && observed <= 1)).toBe(true);
        for (let j = 0; j < ahead; j++) {
          let last = 0;
          for (const row of quantiles) {
            expect(row[j]).toBeGreaterThanOrEqual(last);
            expect(row[j]).toBeLessThan(Number.POSITIVE_INFINITY);
            last = row[j];
          }
        }
        return true;
      },
    ),
    { numRuns: 60 },
  );
}, 120_000);
