import { describe, expect, test } from "vitest";
import { type Capacity, responseTimeOf } from "../../../src/api/fields/capacity.ts";
import { capacityColumns, demandSeries, learnCapacity, learnFromColumns } from "../../../src/capacity/demand.ts";
import { capacitySamples } from "../../../src/capacity/samples.ts";
import type { Series } from "../../../src/series/series.ts";
import { stepMs, world } from "./workload.ts";

const spec: Capacity = {
  model: "Auto",
  loads: ["requests"],
  usage: { name: "cpu", target: "600m" },
  pods: { name: "pods" },
};
const series = (values: Float64Array, startMs = 0, step = stepMs): Series => ({ startMs, stepMs: step, values });
const { loads, pods, usage } = world({ usage: ([x]) => 0.1 + 0.02 * x });
const history = { loads: [series(loads[0])], pods: series(pods), usage: series(usage!) };

describe("learning", () => {
  test("gives a demand, and a status with the range of the history", () => {
    const { demand, status } = learnCapacity(spec, history);
    expect(demand?.name).toBe("requests");
    expect(demand?.pods([250])).toBeCloseTo(10, 1);
    expect(status).toMatchObject({ model: "LinearWithBase", rangeSeen: [{ name: "requests" }] });
    expect(status.r2).toBeGreaterThan(0.95);
    expect(status.message.length).toBeLessThanOrEqual(1024);
  });

  test("a refused fit keeps the targets and gives the reason", () => {
    const { demand, status } = learnCapacity({ ...spec, usage: { name: "cpu", target: "90m" } }, history);
    expect(demand).toBeUndefined();
    expect(status).toMatchObject({ model: "PerPod", message: expect.stringContaining("raise the target") });
  });

  test("a PerPod capacity is not learned", () => {
    expect(learnCapacity({ ...spec, model: "PerPod" }, history).status.message).toContain(
      "spec.capacity.model is PerPod",
    );
  });
});

describe("from the columns of a history", () => {
  const columns = new Map([
    ["requests", history.loads[0]],
    ["pods", history.pods],
    ["cpu", history.usage],
  ]);

  test("learns the same as from its series", () => {
    expect(capacityColumns(spec)).toEqual(["pods", "cpu"]);
    const [by, from] = [learnCapacity(spec, history), learnFromColumns(spec, columns)];
    expect(from.status).toEqual(by.status);
    expect(from.demand?.pods([250])).toBe(by.demand?.pods([250]));
  });

  test.each(["requests", "pods", "cpu"])("without %s the targets apply, and the status says so", (name) => {
    const { demand, status } = learnFromColumns(spec, new Map([...columns].filter(([column]) => column !== name)));
    expect(demand).toBeUndefined();
    expect(status).toMatchObject({ model: "PerPod", message: expect.stringContaining(`no column ${name};`) });
  });
});

test("histories of different steps and lengths are aligned", () => {
  const samples = capacitySamples({
    loads: [
      series(
        Float64Array.from({ length: 20 }, (_, i) => i),
        60_000,
        60_000,
      ),
    ],
    pods: series(Float64Array.of(1, 2, 3, 4)),
    usage: series(Float64Array.of(7, 8), 300_000),
  });
  expect([...samples.timesMs]).toEqual([300_000, 600_000, 900_000]);
  expect([...samples.loads[0]]).toEqual([6, 11, 16]);
  expect([...samples.pods]).toEqual([2, 3, 4]);
  expect([...samples.usage!]).toEqual([7, 8, Number.NaN]);
});

test("the demand of two loads is missing where one of them is", () => {
  const demand = {
    name: "capacity",
    loads: ["a", "b"],
    pods: (all: ArrayLike<number>) => all[0] + all[1],
    carried: (n: number) => n,
    extrapolates: () => false,
  };
  const made = demandSeries(demand, [
    series(Float64Array.of(1, 2, 3), 0, 60_000),
    series(Float64Array.of(10, Number.NaN), 60_000, 60_000),
  ]);
  expect(made).toEqual({ startMs: 60_000, stepMs: 60_000, values: Float64Array.of(12, Number.NaN) });
});

test.each([
  ["200ms", 0.2],
  ["1.5s", 1.5],
])("%s is %d seconds", (text, seconds) => expect(responseTimeOf(text)).toBe(seconds));

test("another form of a response time is refused", () => expect(() => responseTimeOf("1m")).toThrow("200ms"));
