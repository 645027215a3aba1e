import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { forecast } from "../../../../src/forecast/experts/expert-forecast.ts";
import type { Forecast, ForecastRequest } from "../../../../src/forecast/forecast.ts";
import { dailyLoad, requestOf, seeded } from "../synthetic.ts";

function made(request: ForecastRequest): Forecast {
  const outcome = forecast(request);
  if (outcome.kind !== "Forecast") throw new Error(`no forecast: ${outcome.kind}`);
  return outcome.forecast;
}

/** What every forecast keeps: lengths, finite values, levels in order, no negative where the history has none. */
function expectSound(result: Forecast, { series, horizon, levels }: ForecastRequest): void {
  expect(result.quantiles).toHaveLength(levels.length);
  const nonNegative = series.values.every((value) => !(value < 0));
  for (const row of [...result.quantiles, result.mean]) {
    expect(row).toHaveLength(horizon);
    expect(row.every(Number.isFinite)).toBe(true);
    if (nonNegative) expect(row.every((value) => value >= 0)).toBe(true);
  }
  for (let k = 1; k < levels.length; k++)
    for (let j = 0; j < horizon; j++) expect(result.quantiles[k][j]).toBeGreaterThanOrEqual(result.quantiles[k - 1][j]);
}

function withGaps(values: Float64Array, isMissing: (i: number) => boolean): Float64Array {
  return values.map((value, i) => (isMissing(i) ? Number.NaN : value));
}

function meanError(result: Forecast, truth: Float64Array): number {
  return result.mean.reduce((sum, value, j) => sum + Math.abs(value - truth[j]), 0) / result.mean.length;
}

const quiet = dailyLoad({ days: 8, stepMinutes: 30, noise: 0 });
const load = dailyLoad({ days: 7, stepMinutes: 30 });
const truth = quiet.subarray(7 * 48); // the course of the eighth day without its noise
const random = seeded(5);
const isLost = Array.from(load, () => random() < 0.2);

describe("histories of all kinds get a sound answer", () => {
  test.each([
    { name: "a week by the half hour", values: load, step: 30, horizon: 48, within: 6 },
    { name: "20 % missing", values: withGaps(load, (i) => isLost[i]), step: 30, horizon: 48, within: 7 },
    { name: "two days missing", values: withGaps(load, (i) => i > 100 && i < 196), step: 30, horizon: 48, within: 8 },
    {
      name: "the last six hours missing",
      values: withGaps(load, (i) => i >= 7 * 48 - 12),
      step: 30,
      horizon: 48,
      within: 8,
    },
    { name: "five and a half days", values: load.subarray(72), step: 30, horizon: 48, within: 8 },
    { name: "a day and a half", values: load.subarray(7 * 48 - 72), step: 30, horizon: 48, within: 15 },
    { name: "an hour", values: load.subarray(7 * 48 - 2 - 1), step: 30, horizon: 48, within: 60 },
    {
      name: "infinite samples count as missing",
      values: load.map((v, i) => (i % 50 === 7 ? Infinity : v)),
      step: 30,
      horizon: 48,
      within: 7,
    },
  ])("$name", ({ values, step, horizon, within }) => {
    const start = new Date(Date.parse("2025-03-10T00:00:00Z") - values.length * step * 60_000).toISOString();
    const request = requestOf(values, step, horizon, start);
    const before = values.slice();
    const result = made(request);
    expectSound(result, request);
    expect(meanError(result, truth)).toBeLessThan(within);
    expect(values).toEqual(before); // input is never changed
    expect(result.startMs).toBe(Date.parse("2025-03-10T00:00:00Z"));
  });

  test.each([0, 5, -3, 1e9, 1e-9, 123_456.789])(
    "a constant of %s is forecast as such, with an interval of no width",
    (constant) => {
      const request = requestOf(new Float64Array(480).fill(constant), 30, 48);
      const result = made(request);
      expectSound(result, request);
      for (const row of result.quantiles)
        for (const value of row) expect(Math.abs(value - constant)).toBeLessThanOrEqual(1e-12 * Math.abs(constant));
    },
  );

  test("negative values are forecast as such", () => {
    const request = requestOf(
      load.map((value) => value - 100),
      30,
      48,
    );
    const result = made(request);
    expectSound(result, request);
    expect(Math.min(...result.mean)).toBeLessThan(-30);
    expect(Math.max(...result.mean)).toBeGreaterThan(30);
  });

  test.each([
    { name: "15 s", stepMinutes: 0.25, days: 2.5, horizon: 960 },
    { name: "1 min", stepMinutes: 1, days: 3, horizon: 120 },
    { name: "7 min, which divide no day", stepMinutes: 7, days: 6, horizon: 206 },
    { name: "1 h for three days ahead", stepMinutes: 60, days: 30, horizon: 72 },
    { name: "6 h", stepMinutes: 360, days: 20, horizon: 8 },
    { name: "1 d", stepMinutes: 1440, days: 60, horizon: 7 },
  ])("steps of $name", ({ stepMinutes, days, horizon }) => {
    const request = requestOf(dailyLoad({ days, stepMinutes }), stepMinutes, horizon);
    const result = made(request);
    expectSound(result, request);
    expect(Math.min(...result.quantiles[4])).toBeGreaterThan(30);
    expect(Math.max(...result.quantiles[4])).toBeLessThan(180);
  });

  test("steps below a minute keep the scatter that they have", () => {
    const request = requestOf(dailyLoad({ days: 2.5, stepMinutes: 0.25, noise: 0.2 }), 0.25, 240);
    const { quantiles } = made(request);
    const widths = quantiles[8].map((upper, j) => upper - quantiles[0][j]);
    const width = widths.reduce((a, b) => a + b) / widths.length;
    expect(width).toBeGreaterThan(40); // the noise's own 0.1 … 0.9 spread is 53 at the level 100
    expect(width).toBeLessThan(80);
  });
});

describe("a bad history: a sensible forecast, wider intervals, a note", () => {
  const width = ({ quantiles }: Forecast) =>
    quantiles[9].reduce((sum, upper, j) => sum + upper - quantiles[0][j], 0) / quantiles[9].length;
  const day = (values: Float64Array) => values.map((value, i) => (i >= values.length - 48 ? 2 * value : value));
  const clean = made(requestOf(load, 30, 48));

  test("a load that doubled yesterday is forecast doubled", () => {
    const result = made(requestOf(day(load), 30, 48));
    expect(
      meanError(
        result,
        truth.map((v) => 2 * v),
      ),
    ).toBeLessThan(12);
    expect(result.method).toMatch(/^history: level shift × 2 24 h ago; quantile experts/);
    expect(width(result)).toBeGreaterThan(2.1 * width(clean)); // twice the load has twice the band
  });

  test.each([
    { name: "a fifth missing", values: withGaps(load, (i) => isLost[i]), reason: /^history: 18 % missing/ },
    {
      name: "two days missing",
      values: withGaps(load, (i) => i > 100 && i < 196),
      reason: /^history: 28 % missing, a gap of 48 h that ended 2.9 days ago; /,
    },
    {
      name: "spikes",
      values: load.map((v, i) => (i % 61 === 7 ? 10 * v : v)),
      reason: /^quantile experts/,
    },
  ])("$name", ({ values, reason }) => {
    const result = made(requestOf(values, 30, 48));
    expect(result.method).toMatch(reason);
    expect(width(result)).toBeGreaterThan(1.03 * width(clean));
    expect(meanError(result, truth)).toBeLessThan(10);
  });

  test("a huge negative sample, as a counter's reset leaves it, is left out", () => {
    const values = load.slice();
    values[200] = -1e9;
    const result = made(requestOf(values, 30, 48));
    expect(result.method).toMatch(/^history: 1 negative sample removed; /);
    expect(meanError(result, truth)).toBeLessThan(6);
    expect(Math.min(...result.quantiles[0])).toBeGreaterThanOrEqual(0);
  });

  test.each([1e4, 1e6, 1e9, 1e308])("a last value of %s is not the level, and method says so", (value) => {
    const result = made(requestOf(load.with(load.length - 1, value), 30, 48));
    expect(result.method).toMatch(/^history: 1 outlier removed; quantile experts/);
    expect(meanError(result, truth)).toBeLessThan(7);
    expect(Math.max(...result.quantiles[10])).toBeLessThan(1.3 * Math.max(...clean.quantiles[10]));
  });

  test("minutes of outliers, with nothing after them, do not change the forecast", () => {
    const minutes = dailyLoad({ days: 2, stepMinutes: 1 });
    const values = minutes.slice().fill(1e7, 2860, 2864).fill(Number.NaN, 2864);
    const [spoilt, silent] = [values, minutes.slice().fill(Number.NaN, 2860)].map((v) => made(requestOf(v, 1, 60)));
    expect(spoilt.method).toMatch(/4 outliers removed/);
    expect(spoilt.quantiles).toEqual(silent.quantiles);
  });

  test.each([3, 10])("a jump to %s times the load with the last sample is load, and moves the forecast", (factor) => {
    const values = dailyLoad({ days: 7, stepMinutes: 5 });
    const usual = made(requestOf(values, 5, 1));
    const jumped = made(requestOf(values.with(values.length - 1, factor * values[values.length - 1]), 5, 1));
    expect(jumped.method).not.toContain("removed");
    expect(jumped.quantiles[10][0]).toBeGreaterThan(1.02 * usual.quantiles[10][0]);
  });

  test("nothing is said of a whole one", () => {
    expect(clean.method).toMatch(/^quantile experts weighted by/);
  });

  test("a bump on a slow course is no period of minutes", () => {
    const noise = seeded(8);
    let slow = 0;
    // Half hours come a little busier than what wanders around them.
    const values = Float64Array.from({ length: 2016 }, (_, i) => {
      slow = 0.85 * slow + noise() - 0.5;
      return 100 + 50 * Math.sin((i * Math.PI) / 144) + 20 * slow + (i % 6 === 0 ? 8 : 0);
    });
    expect(made(requestOf(values, 5, 12)).periods).toEqual([288]);
  });
});

describe("too little is said, not guessed", () => {
  test.each([
    { name: "nothing", values: [], samples: 0 },
    { name: "only gaps", values: [Number.NaN, Number.NaN, Number.NaN, Number.NaN], samples: 0 },
    { name: "two samples", values: [1, Number.NaN, 2], samples: 2 },
  ])("$name is TooShort", ({ values, samples }) => {
    expect(forecast(requestOf(Float64Array.from(values), 5, 3))).toEqual({ kind: "TooShort", samples, needed: 3 });
  });

  test("an hour of history: intervals widen with the lead, and method says why", () => {
    const request = requestOf(dailyLoad({ days: 1 / 24, stepMinutes: 1 }), 1, 720);
    const result = made(request);
    const width = (j: number) => result.quantiles[8][j] - result.quantiles[0][j];
    expect(width(719)).toBeGreaterThan(1.5 * width(5));
    expect(result.method).toContain("too short for a backtest");
    expect(result.coverage).toEqual([]);
    expect(result.weights).toBeUndefined();
  });
});

describe("a few samples that agree by chance", () => {
  const few = (many: number) => {
    const values = new Float64Array(960).fill(Number.NaN); // ten days by the quarter hour
    for (let k = 0; k < many; k++) values[Math.round((k * 959) / (many - 1))] = 5;
    return made(requestOf(values, 15, 12));
  };
  const width = ({ quantiles }: Forecast) => quantiles[10][0] - quantiles[0][0];

  test("three samples in ten days: wide intervals, and method says why", () => {
    const result = few(3);
    expectSound(result, requestOf(Float64Array.of(5), 15, 12));
    expect(result.mean[0]).toBeCloseTo(5, 9);
    expect(result.quantiles[0][0]).toBeLessThan(3.5);
    expect(result.quantiles[8][0]).toBeGreaterThan(7);
    expect(result.quantiles[10][0]).toBeGreaterThan(10);
    expect(result.method).toMatch(/^history: only 3 samples, 99 % missing/);
  });

  test("the more there are, the narrower, and two dozen are a constant", () => {
    const widths = [3, 6, 12, 23, 24].map((many) => width(few(many)));
    for (let k = 1; k < widths.length; k++) expect(widths[k]).toBeLessThan(widths[k - 1]);
    expect(widths[4]).toBeLessThan(1e-9);
  });
});

describe("days and clocks", () => {
  const hour = 3_600_000;
  /** Busy from 8 to 18 on the clock of Berlin, quiet otherwise, weekdays and weekends alike or not. */
  function officeHours(startMs: number, hours: number, weekends: boolean): Float64Array {
    const clock = new Intl.DateTimeFormat("en-US", {
      timeZone: "Europe/Berlin",
      hour: "numeric",
      hourCycle: "h23",
      weekday: "short",
    });
    const noise = seeded(3);
    return Float64Array.from({ length: hours }, (_, i) => {
      const parts = Object.fromEntries(clock.formatToParts(startMs + i * hour).map(({ type, value }) => [type, value]));
      const isOff = !weekends && (parts.weekday === "Sat" || parts.weekday === "Sun");
      return (Number(parts.hour) >= 8 && Number(parts.hour) < 18 && !isOff ? 100 : 10) + noise();
    });
  }

  test("office hours follow the wall clock when daylight saving begins", () => {
    const startMs = Date.parse("2025-03-15T23:00:00Z"); // two weeks before the change, midnight in Berlin
    const values = officeHours(startMs, 14 * 24, true);
    const ask = (timeZone: string) =>
      made({ ...requestOf(values, 60, 24), series: { startMs, stepMs: hour, values }, timeZone });
    const firstBusy = (result: Forecast) => result.mean.findIndex((value) => value > 50);
    // The history ends at 2025-03-29T23:00Z; at 01:00Z the clocks jump; 8 o'clock is then 06:00Z.
    expect(firstBusy(ask("Europe/Berlin"))).toBe(7);
    expect(firstBusy(ask("UTC"))).toBe(8);
  });

  test("a Saturday is forecast as the weekend that it is, in its own zone", () => {
    const startMs = Date.parse("2025-01-04T23:00:00Z");
    const values = officeHours(startMs, 20 * 24, false);
    const end = startMs + values.length * hour; // Friday, 24 January, 23:00Z: midnight in Berlin
    const result = made({
      ...requestOf(values, 60, 72),
      series: { startMs, stepMs: hour, values },
      timeZone: "Europe/Berlin",
    });
    expect(new Date(end).toISOString()).toBe("2025-01-24T23:00:00.000Z");
    expect(Math.max(...result.mean.subarray(0, 48))).toBeLessThan(50);
    expect(result.mean[48 + 12]).toBeGreaterThan(90);
  });
});

describe("levels, weights, coverage", () => {
  const request = requestOf(load, 30, 48);

  test("any list of levels: those between agree with their neighbours, the tail goes on", () => {
    const levels = [0.001, 0.05, 0.25, 0.5, 0.87, 0.9, 0.93, 0.99, 0.999, 0.9999];
    const result = made({ ...request, levels });
    expectSound(result, { ...request, levels });
    expect(result.quantiles[3]).toEqual(made(request).quantiles[4]);
    expect(result.quantiles[9][20]).toBeGreaterThan(result.quantiles[8][20]);
    expect(made({ ...request, levels: [] }).quantiles).toEqual([]);
  });

  test("the weights of the last run spare the backtest and give the same forecast", () => {
    const first = made(request);
    const again = made({ ...request, weights: first.weights });
    expect(again).toEqual(first);
    expect(structuredClone(first.weights)).toEqual(first.weights); // they cross threads and files
  });

  test("weights of another step or horizon are not used", () => {
    const other = made({ ...request, horizon: 24 }).weights;
    expect(made({ ...request, weights: other })).toEqual(made(request));
  });

  test("method names the experts that counted, periods has the day, coverage is near its level", () => {
    const { method, periods, coverage } = made(request);
    expect(method).toMatch(/^quantile experts weighted by a backtest from 12 origins: .+ \d+ %/);
    expect(periods).toContain(48);
    for (const { level, observed, samples } of coverage) {
      expect(samples).toBeGreaterThan(300);
      expect(Math.abs(observed - level)).toBeLessThan(0.1);
    }
  });

  test("pulses every 65 minutes come when they are due", () => {
    const values = Float64Array.from({ length: 2016 }, (_, i) => ((i * 5) % 65 < 5 ? 90 : 10) + ((i * 7919) % 13) / 6);
    const result = made(requestOf(values, 5, 60));
    const due = Array.from({ length: 60 }, (_, j) => ((2016 + j) * 5) % 65 < 5);
    due.forEach((pulse, j) => {
      if (pulse) expect(result.mean[j]).toBeGreaterThan(50);
      else expect(result.mean[j]).toBeLessThan(50);
    });
    expect(result.periods[0]).toBeCloseTo(13, 1);
  });
});

describe("a caller's mistake is named", () => {
  const request = requestOf(load, 30, 4);
  test.each([
    { name: "no horizon", change: { horizon: 0 }, message: "a horizon of 0 steps is not a whole number from 1" },
    { name: "half a step", change: { horizon: 1.5 }, message: "a horizon of 1.5 steps" },
    { name: "a level of 1", change: { levels: [0.5, 1] }, message: "level 1 is not between 0 and 1" },
    { name: "levels that fall", change: { levels: [0.9, 0.5] }, message: "level 0.5 does not ascend from 0.9" },
    { name: "a zone that is none", change: { timeZone: "Mars/Olympus" }, message: "Mars/Olympus" },
    {
      name: "a step of 0",
      change: { series: { ...request.series, stepMs: 0 } },
      message: "a step of 0 ms is not above 0",
    },
  ])("$name", ({ change, message }) => {
    expect(() => forecast({ ...request, ...change })).toThrow(RangeError);
    expect(() => forecast({ ...request, ...change })).toThrow(message);
  });
});

describe("for any history", () => {
  const value = fc.oneof(
    { weight: 8, arbitrary: fc.double({ min: -1000, max: 1000, noNaN: true }) },
    { weight: 1, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constant(Number.NaN) },
  );
  const history = fc.array(value, { minLength: 3, maxLength: 160 }).map((list) => Float64Array.from(list));
  const stepMinutes = fc.constantFrom(1, 5, 30, 60, 360);

  test("a forecast is finite and its levels never cross", () => {
    fc.assert(
      fc.property(history, stepMinutes, fc.integer({ min: 1, max: 40 }), (values, step, horizon) => {
        const request = requestOf(values, step, horizon);
        const outcome = forecast(request);
        if (outcome.kind === "Forecast") expectSound(outcome.forecast, request);
        else expect(values.filter(Number.isFinite).length).toBeLessThan(3);
      }),
      { numRuns: 60 },
    );
  });

  const size = fc.integer({ min: -40, max: 40 }).map((exponent) => 2 ** exponent);

  test("near the largest numbers there are, too", () => {
    const largest = fc.oneof(value, fc.constantFrom(1e308, -1e308, Number.MAX_VALUE, -Number.MAX_VALUE, 5e-324));
    const huge = fc.array(largest, { minLength: 3, maxLength: 160 }).map((list) => Float64Array.from(list));
    const sound = (values: Float64Array, step: number) => {
      const request = requestOf(values, step, 3);
      const outcome = forecast(request);
      if (outcome.kind === "Forecast") expectSound(outcome.forecast, request);
    };
    sound(Float64Array.of(1, 2, 1e308, 4, 5, 1e308, 1e308), 60);
    sound(Float64Array.of(1e308, -1e308, Number.MAX_VALUE, -Number.MAX_VALUE), 60);
    sound(new Float64Array(1000).fill(Number.MAX_VALUE), 0.25);
    fc.assert(fc.property(huge, stepMinutes, sound), { numRuns: 60 });
  });

  test("in another unit it is the same forecast", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), size, fc.constantFrom(30, 60), (seed, unit, step) => {
        const values = dailyLoad({ days: 4, stepMinutes: step, seed });
        const one = made(requestOf(values, step, 12));
        const other = made(
          requestOf(
            values.map((v) => v * unit),
            step,
            12,
          ),
        );
        one.quantiles.forEach((row, q) => {
          row.forEach((v, j) => {
            expect(Math.abs(other.quantiles[q][j] / unit - v)).toBeLessThan(1e-6 * (1 + Math.abs(v)));
          });
        });
      }),
      { numRuns: 20 },
    );
  });

  test("whole weeks later it is the same forecast", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: -500, max: 500 }), (seed, weeks) => {
        const request = requestOf(dailyLoad({ days: 4, stepMinutes: 60, seed }), 60, 12);
        const startMs = request.series.startMs + weeks * 7 * 86_400_000;
        const later = made({ ...request, series: { ...request.series, startMs } });
        expect(later.quantiles).toEqual(made(request).quantiles);
      }),
      { numRuns: 20 },
    );
  });
});
