import fc from "fast-check";
import { expect, test } from "vitest";
import { sortTogether, weightedQuantiles } from "../../../../src/series/statistics/weighted-quantile.ts";

function quantiles(values: number[], weights: number[], levels: number[]): Float64Array {
  const out = new Float64Array(levels.length).fill(Number.NaN);
  const sample = { values: Float64Array.from(values), weights: Float64Array.from(weights), count: values.length };
  weightedQuantiles(sample, levels, out);
  return out;
}

test.each([
  { name: "one sample is every quantile", values: [7], weights: [2], levels: [0.01, 0.5, 0.99], want: [7, 7, 7] },
  { name: "equal weights: the middle of two", values: [3, 1], weights: [1, 1], levels: [0.5], want: [2] },
  {
    name: "beyond the first and the last sample it stays",
    values: [1, 3],
    weights: [1, 1],
    levels: [0.1, 0.9],
    want: [1, 3],
  },
  {
    name: "shares .25 and .75 are the samples themselves",
    values: [3, 1],
    weights: [1, 1],
    levels: [0.25, 0.75],
    want: [1, 3],
  },
  { name: "a heavy sample pulls", values: [0, 10], weights: [3, 1], levels: [0.5], want: [2.5] },
  { name: "no weight, no say", values: [-5, 2, 99], weights: [0, 1, 0], levels: [0.1, 0.9], want: [2, 2] },
])("$name", ({ values, weights, levels, want }) => {
  expect([...quantiles(values, weights, levels)]).toEqual(want);
});

test("without weight nothing is written and the answer is false", () => {
  const out = Float64Array.of(42);
  expect(weightedQuantiles({ values: Float64Array.of(1), weights: Float64Array.of(0), count: 1 }, [0.5], out)).toBe(
    false,
  );
  expect(weightedQuantiles({ values: new Float64Array(0), weights: new Float64Array(0), count: 0 }, [0.5], out)).toBe(
    false,
  );
  expect(out[0]).toBe(42);
});

const sample = fc.array(
  fc.tuple(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.double({ min: 0.01, max: 10, noNaN: true })),
  {
    minLength: 1,
    maxLength: 200,
  },
);

/** Found once: rounding led past a sample's value, by the smallest number there is. */
const found: [number, number][] = [
  [0, 0.01],
  [-5e-324, 0.23000000558814615],
  [-8.899721676814221e-308, 0.01],
];

test("quantiles ascend and stay within the sample", () => {
  fc.assert(
    fc.property(sample, (pairs) => {
      const values = pairs.map(([value]) => value);
      const got = quantiles(
        values,
        pairs.map(([, weight]) => weight),
        [0.01, 0.1, 0.5, 0.9, 0.99],
      );
      expect([...got]).toEqual([...got].toSorted((a, b) => a - b));
      expect(got[0]).toBeGreaterThanOrEqual(Math.min(...values));
      expect(got[4]).toBeLessThanOrEqual(Math.max(...values));
    }),
    { examples: [[found]] },
  );
});

test("sorting keeps every key with its companion", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 300 }), (list) => {
      const keys = Float64Array.from(list);
      const places = Int32Array.from(list, (_, k) => k);
      sortTogether(keys, places, 0, keys.length - 1);
      expect([...keys]).toEqual(list.toSorted((a, b) => a - b));
      expect([...places].map((k) => list[k])).toEqual([...keys]);
      expect(new Set(places).size).toBe(list.length);
    }),
  );
});
