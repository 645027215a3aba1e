import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chunksOf, maxPointsPerQuery, pointsOf } from "../../../src/collect/http/chunks.ts";
import { type AnswerRules, readAnswer } from "../../../src/collect/prometheus/answer.ts";
import { joined, tidied } from "../../../src/collect/samples.ts";
import { samplingStepMs, toSeries } from "../../../src/collect/to-series.ts";

const ranges = fc
  .record({
    startMs: fc.integer({ min: 0, max: 2 ** 41 }),
    stepMs: fc.integer({ min: 1, max: 3_600_000 }),
    points: fc.integer({ min: 1, max: 60_000 }),
    rest: fc.double({ min: 0, max: 0.99, noNaN: true }),
  })
  .map(({ startMs, stepMs, points, rest }) => ({
    startMs,
    stepMs,
    endMs: startMs + (points - 1) * stepMs + Math.floor(rest * stepMs),
  }));

describe("chunks", () => {
  test("together they are the whole range, each instant exactly once, none above the limit", () => {
    fc.assert(
      fc.property(ranges, fc.integer({ min: 500, max: 11_000 }), (range, most) => {
        let next = range.startMs;
        for (const chunk of chunksOf(range, most)) {
          expect(chunk.startMs).toBe(next);
          expect(pointsOf(chunk)).toBeLessThanOrEqual(most);
          expect(chunk.endMs).toBe(chunk.startMs + (pointsOf(chunk) - 1) * range.stepMs);
          next = chunk.endMs + range.stepMs;
        }
        expect(next).toBe(range.startMs + pointsOf(range) * range.stepMs);
      }),
    );
  });

  test("30 days at a minute take five requests below the store's 11,000 points", () => {
    const chunks = chunksOf({ startMs: 0, endMs: 30 * 86_400_000, stepMs: 60_000 });
    expect(chunks).toHaveLength(5);
    expect(maxPointsPerQuery).toBeLessThan(11_000);
  });

  test("an empty range has none, and nonsense is refused", () => {
    expect(chunksOf({ startMs: 1, endMs: 0, stepMs: 1 })).toEqual([]);
    expect(() => chunksOf({ startMs: 0, endMs: 1, stepMs: 0 })).toThrow(RangeError);
    expect(() => chunksOf({ startMs: 0, endMs: 1, stepMs: 1 }, 0)).toThrow(RangeError);
  });
});

const samples = fc.array(fc.tuple(fc.integer({ min: -1_000, max: 1_000 }), fc.double({ noDefaultInfinity: true })), {
  maxLength: 60,
});

describe("samples", () => {
  test("tidied: ascending, no duplicates, and the last of each instant", () => {
    fc.assert(
      fc.property(samples, (pairs) => {
        const last = new Map(pairs);
        const { timesMs, values } = tidied(
          Float64Array.from(pairs, ([t]) => t),
          Float64Array.from(pairs, ([, v]) => v),
        );
        expect([...timesMs]).toEqual([...last.keys()].sort((a, b) => a - b));
        expect([...values]).toEqual([...timesMs].map((t) => last.get(t)));
      }),
    );
  });

  test("joined pieces are the whole, wherever it was cut", () => {
    fc.assert(
      fc.property(samples, fc.nat(60), (pairs, cut) => {
        const of = (part: typeof pairs) =>
          tidied(
            Float64Array.from(part, ([t]) => t),
            Float64Array.from(part, ([, v]) => v),
          );
        expect(joined([of(pairs.slice(0, cut)), of(pairs.slice(cut))])).toEqual(of(pairs));
      }),
    );
  });
});

describe("samples to series", () => {
  const minute = (times: number[], values: number[]) => ({
    timesMs: Float64Array.from(times),
    values: Float64Array.from(values),
  });

  test.each([
    { name: "a step has the mean of its samples", times: [20_000, 40_000, 60_000], values: [1, 2, 6], steps: [3] },
    {
      name: "a stamp on the edge speaks for the step that ends there",
      times: [60_000, 120_000],
      values: [5, 7],
      steps: [5, 7],
    },
    { name: "the start itself belongs to the step before", times: [0], values: [5], steps: [NaN] },
    {
      name: "a step without samples is missing, never zero",
      times: [60_000, 180_000],
      values: [1, 3],
      steps: [1, NaN, 3],
    },
    { name: "NaN is left out of the mean", times: [30_000, 60_000], values: [NaN, 4], steps: [4] },
    { name: "samples outside are left out", times: [-30_000, 90_000], values: [1, 2], steps: [NaN] },
    {
      name: "the mean of huge values is no infinity",
      times: [30_000, 60_000],
      values: [1.7e308, 1.7e308],
      steps: [1.7e308],
    },
  ])("$name", ({ times, values, steps }) => {
    const series = toSeries(minute(times, values), { startMs: 0, stepMs: 60_000, steps: steps.length });
    expect([...series.values]).toEqual(steps);
  });

  test("a step's value lies between its samples, and the order of pieces does not matter", () => {
    fc.assert(
      fc.property(samples, (pairs) => {
        const finite = pairs.filter(([, v]) => Number.isFinite(v) && Math.abs(v) < 1e300);
        const { timesMs, values } = tidied(
          Float64Array.from(finite, ([t]) => t),
          Float64Array.from(finite, ([, v]) => v),
        );
        const series = toSeries({ timesMs, values }, { startMs: -1_000, stepMs: 100, steps: 20 });
        series.values.forEach((mean, step) => {
          const inside = [...values].filter(
            (_, i) => timesMs[i] > -1_000 + step * 100 && timesMs[i] <= -900 + step * 100,
          );
          if (inside.length === 0) expect(mean).toBeNaN();
          else {
            const slack = 1e-9 * Math.max(...inside.map(Math.abs));
            expect(mean).toBeGreaterThanOrEqual(Math.min(...inside) - slack);
            expect(mean).toBeLessThanOrEqual(Math.max(...inside) + slack);
          }
        });
      }),
    );
  });

  test.each([
    [300_000, 60_000],
    [60_000, 15_000],
    [30_000, 15_000],
    [15_000, 15_000],
    [3_600_000, 720_000],
    [7_000, 7_000],
  ])("a step of %d ms is sampled each %d ms", (stepMs, sampling) => {
    expect(samplingStepMs(stepMs)).toBe(sampling);
  });
});

describe("answers", () => {
  const rules: AnswerRules = { expect: "matrix", earliestMs: 0, latestMs: 2e12, maxSamples: 1_000 };

  test("what was written is read, gaps as NaN", () => {
    const value = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constantFrom(NaN, Infinity, -Infinity),
    );
    const written = (v: number) =>
      v === Infinity ? "+Inf" : v === -Infinity ? "-Inf" : Object.is(v, -0) ? "-0" : String(v);
    fc.assert(
      fc.property(fc.array(value, { maxLength: 50 }), fc.dictionary(fc.string(), fc.string()), (values, metric) => {
        const body = JSON.stringify({
          status: "success",
          data: {
            resultType: "matrix",
            result: [{ metric, values: values.map((v, i) => [1.7e9 + i * 0.5, written(v)]) }],
          },
        });
        const answer = readAnswer(body, rules);
        if (answer.kind !== "Series") throw new Error(answer.message);
        expect([...answer.series[0].values]).toEqual(values.map((v) => (Number.isFinite(v) ? v : NaN)));
        expect([...answer.series[0].timesMs]).toEqual(values.map((_, i) => 1.7e12 + i * 500));
        expect(Object.fromEntries(answer.series[0].labels)).toEqual({ ...metric });
      }),
    );
  });

  test("whatever JSON comes, the outcome is an answer or a fault, and a fault is one printable line", () => {
    const shaped = fc.record(
      {
        status: fc.constantFrom("success", "error"),
        data: fc.record({ resultType: fc.constant("matrix"), result: fc.json().map((j) => JSON.parse(j)) }),
        error: fc.string({ unit: "binary" }),
      },
      { requiredKeys: ["status"] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          shaped.map((s) => JSON.stringify(s)),
          fc.string(),
        ),
        (body) => {
          const answer = readAnswer(body, rules);
          expect(["Series", "Fault"]).toContain(answer.kind);
          if (answer.kind === "Fault") expect(answer.message).toMatch(/^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e]*$/);
        },
      ),
      { numRuns: 150 },
    );
  });
});
