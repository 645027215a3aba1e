import { describe, expect, test } from "vitest";
import type { Demand } from "../../../../src/capacity/demand.ts";
import type { LoadForecast } from "../../../../src/decide/demand/load-forecast.ts";
import { createRecommender } from "../../../../src/decide/recommender.ts";
import { dayMs, demandAt, historyOf, nowMs, specOf, tickMs } from "../workload.ts";

const replicas = { online: 10, cutoff: 0, standby: 0, starting: 0 };

/** Pods as the root of the load: many pods share their spare time. */
const root: Demand = {
  name: "load",
  loads: ["load"],
  pods: ([load]: number[]) => Math.sqrt(load),
  carried: (pods) => pods ** 2,
  extrapolates: () => false,
} as Demand;

const squared = historyOf((timeMs) => demandAt(timeMs) ** 2, 3, 60_000);

describe("one load", () => {
  test("a recommender decides in pods what it decides from pods, and reports loads in their own unit", () => {
    const spec = specOf();
    const direct = createRecommender(spec, {
      histories: new Map([["load", { ...squared, values: squared.values.map(Math.sqrt) }]]),
    });
    const sized = createRecommender(spec, { histories: new Map([["load", squared]]), demand: root });
    for (let k = 0; k < 40; k++) {
      const timeMs = nowMs + k * tickMs;
      const load = demandAt(timeMs);
      const expected = direct.decide({ timeMs, loads: new Map([["load", load]]), replicas });
      const decision = sized.decide({ timeMs, loads: new Map([["load", load ** 2]]), replicas });
      expect(decision.total).toBe(expected.total);
      expect(decision.loads[0].value).toBeCloseTo(expected.loads[0].value ** 2, 6);
    }
    const known = sized.history("load")!.values;
    expect(known[known.length - 1]).toBeCloseTo(demandAt(nowMs + 39 * tickMs) ** 2, 0);
  });

  test("a forecast in the load's unit is read in pods", () => {
    const forecast: LoadForecast = {
      startMs: nowMs - dayMs,
      stepMs: 3_600_000,
      levels: [0.5, 0.98],
      quantiles: [new Array(72).fill(100), new Array(72).fill(144)],
    };
    const spec = specOf();
    const recommender = createRecommender(spec, { forecast: () => forecast, demand: root });
    const decision = recommender.decide({ timeMs: nowMs, loads: new Map([["load", 81]]), replicas });
    expect(decision.total).toBe(12);
  });
});

test("a load beyond any that the capacity was learnt from is named as such, and only then", () => {
  const upTo100: Demand = {
    ...root,
    extrapolates: ([load]: ArrayLike<number> & Iterable<number>) => load > 100,
  } as Demand;
  const recommender = createRecommender(specOf(), { demand: upTo100 });
  const said = [81, 121, null].map(
    (load, k) => recommender.decide({ timeMs: nowMs + k * tickMs, loads: new Map([["load", load]]), replicas }).message,
  );
  expect(said.map((message) => message.includes("beyond any that the capacity was learnt from"))).toEqual([
    false,
    true,
    false,
  ]);
});

describe("two loads", () => {
  const external = (name: string) => ({
    name,
    type: "External" as const,
    external: { metric: { name }, target: { type: "AverageValue" as const, averageValue: "1" } },
  });
  const spec = specOf({ metrics: [external("reads"), external("writes"), external("queue")] });
  const both: Demand = {
    name: "capacity",
    loads: ["reads", "writes"],
    pods: (loads) => loads[0] / 100 + loads[1] / 10,
    carried: (pods) => pods,
    extrapolates: () => false,
  };
  const at = (reads: number | null, writes: number | null, queue: number | null) => ({
    timeMs: nowMs,
    loads: new Map([
      ["reads", reads],
      ["writes", writes],
      ["queue", queue],
    ]),
    replicas,
  });
  const open = () => createRecommender(spec, { demand: both });

  test("size the workload by their sum, beside metrics that are no loads", () => {
    const decision = open().decide(at(250, 45, 3));
    expect(decision.total).toBeGreaterThanOrEqual(7);
    expect(decision.loads.map(({ name }) => name).toSorted()).toEqual(["capacity", "queue"]);
    expect(open().decide(at(250, 45, 30)).total).toBeGreaterThanOrEqual(30);
  });

  test("one of them missing is missing in all, never zero", () => {
    expect(open().decide(at(null, 45, 3))).toMatchObject({ total: 10, reason: "MetricMissing" });
  });

  test("their histories are learnt once both are there", () => {
    const recommender = open();
    const past = (value: number) => historyOf(() => value, 1, 60_000);
    recommender.learn("reads", past(200));
    expect(recommender.history("capacity")).toBeUndefined();
    recommender.learn("writes", past(30));
    expect(recommender.history("capacity")?.values[0]).toBeCloseTo(5, 9);
  });
});
