import { describe, expect, test } from "vitest";
import type { Demand } from "../../../../src/capacity/demand.ts";
import { createDemandPath } from "../../../../src/decide/demand/capacity-demand.ts";
import type { LoadForecast } from "../../../../src/decide/demand/load-forecast.ts";
import { createDecisionPath } from "../../../../src/decide/recommender.ts";
import { createSchedule } from "../../../../src/portrait/schedule.ts";
import { dayMs, demandAt, historyOf, nowMs, specOf, tickMs } from "../workload.ts";

const history = historyOf(demandAt, 3, 60_000);
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
  test("the path decides in pods what the same path decides from pods, and tells loads in their own unit", () => {
    const spec = specOf();
    const direct = createDecisionPath(spec, {
      schedule: createSchedule(spec),
      histories: new Map([["load", { ...squared, values: squared.values.map(Math.sqrt) }]]),
    });
    const sized = createDemandPath(
      spec,
      { schedule: createSchedule(spec), histories: new Map([["load", squared]]) },
      root,
    );
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
    const outlook: LoadForecast = {
      startMs: nowMs - dayMs,
      stepMs: 3_600_000,
      levels: [0.5, 0.98],
      quantiles: [new Array(72).fill(100), new Array(72).fill(144)],
    };
    const spec = specOf();
    const path = createDemandPath(spec, { schedule: createSchedule(spec), outlook: () => outlook }, root);
    const decision = path.decide({ timeMs: nowMs, loads: new Map([["load", 81]]), replicas });
    expect(decision.total).toBe(12);
  });
});

test("a load beyond any that the capacity was learnt from is told, and only then", () => {
  const upTo100: Demand = {
    ...root,
    extrapolates: ([load]: ArrayLike<number> & Iterable<number>) => load > 100,
  } as Demand;
  const path = createDemandPath(specOf(), { schedule: createSchedule(specOf()) }, upTo100);
  const said = [81, 121, null].map(
    (load, k) => path.decide({ timeMs: nowMs + k * tickMs, loads: new Map([["load", load]]), replicas }).message,
  );
  expect(said.map((message) => message.includes("beyond any that the capacity was learnt from"))).toEqual([
    false,
    true,
    false,
  ]);
});

test("without a learnt capacity the targets decide", () => {
  const spec = specOf();
  const options = { schedule: createSchedule(spec), histories: new Map([["load", history]]) };
  const tick = { timeMs: nowMs, loads: new Map([["load", 7.3]]), replicas };
  expect(createDemandPath(spec, options, undefined).decide(tick)).toEqual(
    createDecisionPath(spec, options).decide(tick),
  );
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
  const open = () => createDemandPath(spec, { schedule: createSchedule(spec) }, both);

  test("size the workload by their sum, beside metrics that are no loads", () => {
    const decision = open().decide(at(250, 45, 3));
    expect(decision.total).toBeGreaterThanOrEqual(7);
    expect(decision.loads.map(({ name }) => name).toSorted()).toEqual(["capacity", "queue"]);
    expect(open().decide(at(250, 45, 30)).total).toBeGreaterThanOrEqual(30);
  });

  test("one of them missing is missing in all, never zero", () => {
    expect(open().decide(at(null, 45, 3))).toMatchObject({ total: 10, reason: "MetricMissing" });
  });

  test("their pasts are taken in once both are there", () => {
    const path = open();
    const past = (value: number) => historyOf(() => value, 1, 60_000);
    path.learn("reads", past(200));
    expect(path.history("capacity")).toBeUndefined();
    path.learn("writes", past(30));
    expect(path.history("capacity")?.values[0]).toBeCloseTo(5, 9);
  });
});
