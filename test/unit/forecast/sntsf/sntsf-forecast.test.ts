import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Forecast, ForecastRequest } from "../../../../src/forecast/forecast.ts";
import { fitSntsf, type SntsfOptions, type SntsfWeights } from "../../../../src/forecast/sntsf/sntsf-fit.ts";
import { sntsfForecast } from "../../../../src/forecast/sntsf/sntsf-forecast.ts";
import { lossOf, train, type Windows } from "../../../../src/forecast/sntsf/sntsf-training.ts";
import { featuresFor, toNetworkSeries, windowsAt } from "../../../../src/forecast/sntsf/sntsf-windows.ts";
import { generator } from "../robust-series.ts";
import { requestOf } from "../synthetic.ts";

const day = 144;
const usual = (t: number) => 100 + 60 * Math.sin((2 * Math.PI * t) / day);
const quick: SntsfOptions = { bottleneck: 32, training: { epochs: 6, windowsPerEpoch: 320 } };

function load(length: number, seed = 1, noise = 4): Float64Array {
  const random = generator(seed);
  return Float64Array.from({ length }, (_, t) => usual(t) + noise * random.normal());
}

function ask(request: ForecastRequest, options = quick): Forecast {
  const outcome = sntsfForecast(request, undefined, options);
  if (outcome.kind !== "Forecast") throw new Error(`expected a forecast, got ${outcome.kind}`);
  return outcome.forecast;
}

function fitted(named: Parameters<typeof fitSntsf>[0], reach = 24, options = quick): SntsfWeights {
  const outcome = fitSntsf(named, "UTC", reach, options);
  if (outcome.kind !== "Fitted") throw new Error(`expected weights, got ${outcome.kind}`);
  return outcome.weights;
}

function expectSound({ quantiles, mean, levels }: Forecast, request: ForecastRequest): void {
  expect(quantiles.length).toBe(levels.length);
  for (let j = 0; j < request.horizon; j++) {
    expect(Number.isFinite(mean[j])).toBe(true);
    quantiles.forEach((row, k) => {
      expect(Number.isFinite(row[j])).toBe(true);
      if (k > 0) expect(row[j]).toBeGreaterThanOrEqual(quantiles[k - 1][j]);
    });
  }
}

describe("sntsfForecast", () => {
  test("learns a daily course: a day rolled forward is within a tenth of it, most of the time", () => {
    const request = requestOf(load(6 * day), 10, day);
    const { mean, method } = ask(request, { bottleneck: 16, training: { epochs: 15 } });
    expect(method).toContain("SNTSF");
    let near = 0;
    mean.forEach((v, j) => {
      if (Math.abs(v - usual(6 * day + j)) < 0.1 * 160) near++;
    });
    expect(near / day).toBeGreaterThan(0.8);
  });

  test("the same seed gives the same weights, another seed others", () => {
    const series = requestOf(load(2 * day), 10, 24).series;
    const named = [{ name: "web", series }];
    expect(fitted(named)).toEqual(fitted(named));
    const other = fitted(named, 24, { ...quick, training: { ...quick.training, seed: 2 } });
    expect(other.parameters).not.toEqual(fitted(named).parameters);
  });

  test("weights are plain data: a copy of them forecasts the same", () => {
    const request = requestOf(load(2 * day), 10, 24);
    const weights = fitted([{ name: "web", series: request.series }]);
    const copy = structuredClone(weights);
    expect(sntsfForecast(request, { weights: copy, name: "web" })).toEqual(
      sntsfForecast(request, { weights, name: "web" }),
    );
  });

  test("series that share a network keep their own number: the same past, named apart, has another future", () => {
    // One rises through every hour and falls back, the other does the contrary; two thirds of an hour look alike.
    const of = (shape: readonly number[]) =>
      requestOf(
        Float64Array.from({ length: 4 * day }, (_, t) => shape[t % 6]),
        10,
        3,
      );
    const rises = of([100, 100, 100, 200, 200, 200]);
    const falls = of([100, 100, 100, 50, 50, 50]);
    const weights = fitted(
      [
        { name: "rises", series: rises.series },
        { name: "falls", series: falls.series },
      ],
      3,
      { context: 3, ahead: 3, bottleneck: 4, training: { epochs: 20 } },
    );
    const cut = { ...rises, series: { ...rises.series, values: rises.series.values.slice(0, 3 * day + 3) } };
    const meanOf = (name: string) => {
      const outcome = sntsfForecast(cut, { weights, name });
      if (outcome.kind !== "Forecast") throw new Error(outcome.kind);
      return outcome.forecast.mean.reduce((sum, v) => sum + v / 3, 0);
    };
    expect(meanOf("rises")).toBeGreaterThan(160);
    expect(meanOf("falls")).toBeLessThan(80);
  });

  test("weights of another step, or without the name, are a mistake of the caller", () => {
    const request = requestOf(load(2 * day), 10, 24);
    const weights = fitted([{ name: "web", series: request.series }]);
    expect(() => sntsfForecast(request, { weights, name: "db" })).toThrow(/db/);
    const faster = { ...request, series: { ...request.series, stepMs: 300_000 } };
    expect(() => sntsfForecast(faster, { weights, name: "web" })).toThrow(RangeError);
    expect(() => fitSntsf([], "UTC", 24)).toThrow(RangeError);
    const twice = { name: "web", series: request.series };
    expect(() => fitSntsf([twice, twice], "UTC", 24)).toThrow(/same name/);
  });

  test("an hour of history is TooShort, and says what is needed in its own steps", () => {
    expect(sntsfForecast(requestOf(load(60), 1, 30))).toEqual({ kind: "TooShort", samples: 60, needed: 960 });
    expect(sntsfForecast(requestOf(new Float64Array(0), 1, 30)).kind).toBe("TooShort");
  });

  test("scale does not matter: by the billion, or by the billionth, it is the same network", () => {
    const values = load(2 * day);
    const plain = ask(requestOf(values, 10, 24));
    for (const factor of [4 ** 15, 4 ** -15]) {
      const scaled = ask(
        requestOf(
          values.map((v) => v * factor),
          10,
          24,
        ),
      );
      scaled.mean.forEach((v, j) => {
        expect(Math.abs(v / factor - plain.mean[j])).toBeLessThan(1e-6 * plain.mean[j]);
      });
    }
  });

  test("any history, with gaps, zeros, negatives and bursts, gives numbers that do not cross, or is TooShort", () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.integer({ min: 1, max: 1e6 }),
          length: fc.integer({ min: 0, max: 300 }),
          scale: fc.constantFrom(1e-9, 1, 1e9),
          level: fc.constantFrom(0, 1, 20),
          missing: fc.double({ min: 0, max: 0.2, noNaN: true }),
          hole: fc.record({ at: fc.integer({ min: 0, max: 300 }), size: fc.integer({ min: 0, max: 100 }) }),
          kind: fc.constantFrom("Noise", "Constant", "Bursts", "Zero"),
        }),
        ({ seed, length, scale, level, missing, hole, kind }) => {
          const random = generator(seed);
          const values = Float64Array.from({ length }, () => {
            const value = scale * (level + random.normal());
            if (kind === "Zero") return 0;
            if (kind === "Constant") return scale * (level + 1);
            return kind === "Bursts" && random.uniform() > 0.05 ? 0 : value;
          }).map((v, t) => (random.uniform() < missing || (t >= hole.at && t < hole.at + hole.size) ? Number.NaN : v));
          const request = requestOf(values, 10, 30);
          const outcome = sntsfForecast(request, undefined, {
            bottleneck: 64,
            training: { epochs: 2, windowsPerEpoch: 64 },
          });
          if (outcome.kind === "Forecast") expectSound(outcome.forecast, request);
          else expect(values.filter(Number.isFinite).length).toBeLessThan(96);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("what the network sees", () => {
  const shape = { context: 3, ahead: 2, series: 1, cardinalities: [24], gates: 1, bottleneck: 2 };
  const series = (values: readonly number[]) => ({
    startMs: Date.parse("2025-01-06T00:00:00Z"),
    stepMs: 3_600_000,
    values: Float64Array.from(values),
  });

  test("a missing sample is masked and gets the mean of the others; as a target it has no loss", () => {
    const input = toNetworkSeries(series([4, Number.NaN, 16, Number.NaN, 36]), 4, "UTC", ["Hour"], 0);
    const { windows, scales } = windowsAt(shape, input, [3], true);
    expect(scales[0]).toBe(3); // √4 and √16
    expect([...windows.x].map((v) => v * 3)).toEqual([2, 3, 4]);
    expect([...windows.mask]).toEqual([1, 0, 1]);
    expect(windows.targets[0]).toBeNaN();
    expect(windows.targets[1]).toBeCloseTo(6 / 3, 12);
  });

  test("the hour is the users': nine in the morning in Berlin is eight in UTC", () => {
    const values = new Float64Array(20).fill(1);
    const hourAt8 = (zone: string) => toNetworkSeries({ ...series([]), values }, 4, zone, ["Hour"], 0).calendar[8];
    expect(hourAt8("UTC")).toBe(8);
    expect(hourAt8("Europe/Berlin")).toBe(9);
    expect(hourAt8("America/New_York")).toBe(3);
  });
});

describe("calendar features", () => {
  test.each([
    { name: "three weeks by the ten minutes", days: 21, stepMinutes: 10, features: ["Minute", "Hour", "Weekday"] },
    { name: "three weeks by the hour", days: 21, stepMinutes: 60, features: ["Hour", "Weekday"] },
    { name: "Monday to Saturday", days: 6, stepMinutes: 10, features: ["Minute", "Hour", "Weekend"] },
    {
      name: "Monday to Friday: a weekend never seen is none to learn",
      days: 5,
      stepMinutes: 10,
      features: ["Minute", "Hour"],
    },
    { name: "a month by the day", days: 30, stepMinutes: 1440, features: ["Weekday"] },
  ])("$name", ({ days, stepMinutes, features }) => {
    const values = new Float64Array((days * 1440) / stepMinutes);
    const startMs = Date.parse("2025-03-03T00:00:00Z");
    expect(featuresFor({ startMs, stepMs: stepMinutes * 60_000, values }, "UTC")).toEqual(features);
  });
});

describe("training", () => {
  const shape = { context: 4, ahead: 1, series: 1, cardinalities: [], gates: 1, bottleneck: 2 };
  const windowsOf = (many: number, seed: number): Windows => {
    const random = generator(seed);
    const x = Float64Array.from({ length: many * 4 }, () => random.uniform());
    return {
      many,
      x,
      mask: new Float64Array(many * 4).fill(1),
      series: new Int32Array(many),
      first: new Int32Array(0),
      last: new Int32Array(0),
      targets: Float64Array.from({ length: many }, (_, w) => 2 * x[w * 4 + 3] - x[w * 4]),
    };
  };
  const options = { epochs: 40, batch: 16, learningRate: 0.01, patience: 40, windowsPerEpoch: 1000, seed: 1 };

  test("finds a linear rule to a twentieth of what it starts from", () => {
    const untrained = train(shape, windowsOf(400, 1), windowsOf(100, 2), { ...options, epochs: 0 });
    const trained = train(shape, windowsOf(400, 1), windowsOf(100, 2), options);
    expect(trained.validationLoss).toBeLessThan(untrained.validationLoss / 20);
  });

  test("the parameters with the least validation loss are kept", () => {
    const validation = windowsOf(50, 2);
    const trained = train(shape, windowsOf(50, 1), validation, options);
    expect(lossOf(trained, validation)).toBe(trained.validationLoss);
  });

  test("stops when the validation windows tell it that nothing more is learned", () => {
    const validation = windowsOf(50, 2);
    const random = generator(9);
    const noise = { ...windowsOf(200, 1), targets: Float64Array.from({ length: 200 }, () => 10 * random.normal()) };
    expect(train(shape, noise, validation, { ...options, patience: 2 }).epochs).toBeLessThan(10);
  });
});
