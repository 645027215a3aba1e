import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { withoutOutliers } from "../../../../src/forecast/data/outliers.ts";
import { dailyLoad } from "../synthetic.ts";

const minute = 60_000;
const load = dailyLoad({ days: 2, stepMinutes: 1 });
const last = load.length - 1;
const put = (at: number, ...run: number[]) => load.map((value, t) => run[t - at] ?? value);
const found = (values: Float64Array, stepMs = minute) => {
  const { values: kept, outliers } = withoutOutliers(values, stepMs);
  const at = [...kept.keys()].filter((t) => Number.isNaN(kept[t]) && !Number.isNaN(values[t]));
  expect(at).toHaveLength(outliers);
  return at;
};

describe("a value that no load can have is found", () => {
  test.each([1e4, 1e6, 1e9, 1e308, -1e9])("%s among loads of 100, anywhere", (value) => {
    for (const at of [0, 1, 1000, last]) expect(found(put(at, value))).toEqual([at]);
  });

  test("minutes of it, and gaps between and behind them", () => {
    expect(found(put(1000, 1e7, 2e7, Number.NaN, 1e7, 1e7))).toEqual([1000, 1001, 1003, 1004]);
    expect(found(put(last - 6, 1e7, 1e7, 1e7, 1e7, Number.NaN, Number.NaN, Number.NaN))).toHaveLength(4);
  });

  test("a smaller one behind a larger one", () => {
    const values = put(1000, 1e9);
    values[last] = 1e4;
    expect(found(values)).toEqual([1000, last]);
  });
});

describe("load is none", () => {
  test.each([
    { name: "a burst that began with the last sample, 3 times the largest", values: put(last, 480) },
    { name: "10 times the largest", values: put(last, 1600) },
    { name: "two minutes of 50 times the largest", values: put(last - 1, 8000, 9000) },
    { name: "a quarter of an hour of anything", values: put(last - 14, ...new Array(15).fill(1e9)) },
    { name: "pulses that recur", values: load.map((v, t) => (t % 720 === 5 ? 1e4 : v)) },
    { name: "a history too short to know", values: Float64Array.of(1, 2, 3, 1e9) },
    { name: "a load that nearly always is 0", values: load.map((_, t) => (t === 77 ? 500 : Number(t % 300 === 0))) },
    { name: "a course through ten powers of ten", values: load.map((_, t) => 10 ** ((10 * t) / last)) },
    { name: "nothing at all", values: new Float64Array(0) },
  ])("$name", ({ values }) => {
    expect(found(values)).toEqual([]);
  });

  test("whatever stays within twenty times the rest is returned as it is", () => {
    const within = fc.array(fc.double({ min: 1, max: 19, noNaN: true }), { minLength: 0, maxLength: 200 });
    fc.assert(
      fc.property(within, (list) => {
        const values = Float64Array.from(list);
        expect(withoutOutliers(values, minute).values).toBe(values);
      }),
    );
  });
});
