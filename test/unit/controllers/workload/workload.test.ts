import { beforeEach, describe, expect, test } from "vitest";
import type { MetricSpec } from "../../../../src/api/fields/metrics.ts";
import { requestsOf } from "../../../../src/controllers/pods/workload-pods.ts";
import { Workload } from "../../../../src/controllers/workload/workload.ts";
import type { Decision, DecisionTick } from "../../../../src/decide/decision.ts";
import { cpuMetric, ihpaOf, loadMetric, nowMs, podOf, recordOf } from "../objects.ts";

const options = { tickMs: 15_000, syncSeconds: 15 };
let workload: Workload;
let ihpa: ReturnType<typeof ihpaOf>;

beforeEach(() => {
  ihpa = ihpaOf();
  workload = new Workload(Workload.identity(ihpa));
});

const tickAt = (seconds: number, load: number | null, present = 5): Omit<DecisionTick, "startupSeconds"> => ({
  timeMs: nowMs + seconds * 1000,
  loads: new Map([["load", load]]),
  replicas: { online: present, cutoff: 0, standby: 0, starting: 0 },
  specReplicas: present,
});
const decide = (seconds: number, load: number | null, spec = ihpa, present = 5): Decision => {
  const decision = workload.decide(spec, undefined, tickAt(seconds, load, present), options);
  if (!("timeMs" in decision)) throw new Error(decision.message);
  return decision;
};
const hours = (count: number, value: number) => ({
  startMs: nowMs - count * 3_600_000,
  stepMs: 60_000,
  values: new Float64Array(count * 60).fill(value),
});

describe("decisions", () => {
  test("the same instant asked again gives the same decision, and so does the time within a tick", () => {
    const first = decide(0, 50);
    expect(decide(0, 90)).toBe(first);
    expect(decide(3, 90)).toBe(first);
    expect(decide(15, 90)).not.toBe(first);
  });

  test("a changed spec decides at once, and goes on from what was decided before", () => {
    // 150 ask for 15 pods; the load then falls, which has to hold for a while before pods go.
    let total = 5;
    for (let tick = 0; tick < 5; tick++) total = decide(tick * 15, 150, ihpa, total).total!;
    expect(total).toBeGreaterThanOrEqual(15);
    const changed = ihpaOf({ maxReplicas: 19 });
    const after = decide(61, 20, changed, total);
    expect(after.timeMs).toBe(nowMs + 61_000);
    expect(after.total).toBe(Math.min(total, 19));
    // A workload without that memory would hold what is there, whatever was wanted.
    expect(after.reason).toBe("ScaleDownStabilized");
  });

  test("a changed spec keeps the live history that no store has", () => {
    for (let tick = 0; tick < 8; tick++) decide(tick * 15, 50);
    const known = workload.history("load")!;
    decide(121, 50, ihpaOf({ maxReplicas: 19 }));
    expect(workload.history("load")!.values.length).toBeGreaterThanOrEqual(known.values.length);
  });

  test("a metric that comes to mean something else begins anew, and a past asked for before is not taken", () => {
    const [before, after] = [loadMetric, { ...loadMetric, query: "sum(other)" }];
    workload.unlearned([before]);
    workload.learn(before, hours(2, 1000));
    decide(0, 1000, ihpa);
    expect(workload.unlearned([before])).toEqual([]);
    const changed = ihpaOf({ metrics: [after] });
    expect(workload.unlearned([after])).toEqual([after]);
    workload.learn(before, hours(2, 1000)); // its answer comes late
    expect(workload.unlearned([after])).toEqual([after]);
    decide(15, 10, changed);
    const highest = Math.max(...[...workload.history("load")!.values].filter((value) => !Number.isNaN(value)));
    expect(highest).toBeCloseTo(10, 3);
  });

  test("another target or another price is the same metric: its past stays", () => {
    workload.unlearned([loadMetric]);
    workload.learn(loadMetric, hours(2, 30));
    const external = { ...loadMetric.external!, target: { type: "AverageValue" as const, averageValue: "20" } };
    const cheaper: MetricSpec = { ...loadMetric, external };
    expect(workload.unlearned([cheaper])).toEqual([]);
    decide(0, 30, ihpaOf({ metrics: [cheaper] }));
    expect(workload.targets).toEqual(new Map([["load", 20]]));
  });

  test("a share of requests needs pods once; while there are none, those seen last hold", () => {
    const spec = ihpaOf({ metrics: [cpuMetric] });
    const tick = { ...tickAt(0, 1), loads: new Map([["cpu", 1]]) };
    expect(workload.decide(spec, undefined, tick, options)).toMatchObject({ reason: "InvalidSpec" });
    expect(workload.decide(spec, requestsOf([podOf("a", 60)]), tick, options)).toMatchObject({ rung: "Reactive" });
    expect(workload.targets).toEqual(new Map([["cpu", 0.25]]));
    expect(workload.decide(spec, undefined, { ...tick, timeMs: nowMs + 15_000 }, options)).toMatchObject({
      timeMs: nowMs + 15_000,
    });
  });

  test("a clock that steps back a little is waited for; one that goes back an hour begins anew, and holds what is there", () => {
    const first = decide(0, 50);
    expect(decide(-30, 50)).toBe(first);
    const back = decide(-3600, 10, ihpa, 9);
    expect(back.timeMs).toBe(nowMs - 3_600_000);
    expect(back.total).toBe(9);
    expect(decide(-3585, 10, ihpa, 9).timeMs).toBe(nowMs - 3_585_000);
  });

  test("without an HPA no sync is added to the lead", () => {
    workload.pods.recall([recordOf("a", 100)], nowMs);
    const none = workload.decide(ihpa, undefined, tickAt(0, 50), { ...options, syncSeconds: 0 }) as Decision;
    expect(none.lead).toEqual({ seconds: 20, source: "Measured", samples: 1 });
    expect(decide(1, 50).lead.seconds).toBe(35);
  });
});

describe("pods", () => {
  test("each start is told once, whatever is seen again", () => {
    const lead = (seconds: number) => decide(seconds, 50).lead;
    workload.pods.observe([podOf("a", undefined, { createdAgo: 40 })], "app=web", nowMs - 20_000);
    expect(lead(0).samples).toBe(0);
    for (let tick = 1; tick < 4; tick++) {
      workload.pods.observe([podOf("a", 10, { createdAgo: 40 })], "app=web", nowMs + tick * 15_000);
      expect(lead(tick * 15)).toEqual({ seconds: 45, source: "Measured", samples: 1 });
    }
    workload.pods.recall([{ ...workload.pods.records[0] }], nowMs + 60_000);
    expect(lead(60).samples).toBe(1);
  });

  test("a start that was seen between two decisions is not lost", () => {
    decide(0, 50);
    workload.pods.recall([recordOf("a", 100)], nowMs);
    expect(decide(3, 50).lead.samples).toBe(0); // the decision of the tick stands
    expect(decide(15, 50).lead.samples).toBe(1);
  });

  test("what changed is to be kept, what did not is not", () => {
    const [ready, unready] = [podOf("a", 10), podOf("a", undefined)];
    expect(workload.pods.observe([unready], "app=web", nowMs)).toHaveLength(1);
    expect(workload.pods.observe([unready], "app=web", nowMs + 15_000)).toEqual([]);
    expect(workload.pods.observe([ready], "app=web", nowMs + 30_000)).toHaveLength(1);
    expect(workload.pods.observe([], "app=web", nowMs + 45_000)).toMatchObject([
      { uid: "uid-a", endedMs: nowMs + 45_000 },
    ]);
    expect(workload.pods.observe([], "app=web", nowMs + 60_000)).toEqual([]);
    // A day later it is forgotten here; the store goes by its own retention.
    workload.pods.observe([], "app=web", nowMs + 25 * 3_600_000);
    expect(workload.pods.records).toEqual([]);
  });

  test("after a restart the lead is what it was, and windows go on", () => {
    const records = [
      recordOf("a", 5000),
      recordOf("gone", 9000, { ready: [{ fromMs: nowMs - 9e6, toMs: nowMs - 8e6 }], endedMs: nowMs - 8e6 }),
      recordOf("old", 9000, { ready: [], endedMs: nowMs - 40 * 3_600_000 }),
    ];
    workload.pods.recall(records, nowMs);
    workload.pods.observe([podOf("a", 5000, { createdAgo: 5020 })], "app=web", nowMs);
    expect(decide(0, 50).lead).toEqual({ seconds: 35, source: "Measured", samples: 3 });
    expect(workload.pods.records.map(({ name }) => name).toSorted()).toEqual(["a", "gone"]);
    expect(workload.subject(ihpa, "store/shop")).toMatchObject({ selector: "app=web", pods: [{}, {}] });
  });

  test("what others know from before our first look is added, and our own look stays", () => {
    workload.pods.observe([podOf("a", 100, { createdAgo: 90_000 })], "app=web", nowMs);
    expect(workload.pods.records[0].startupSeconds).toBeUndefined();
    const theirs = recordOf("a", 0, {
      createdMs: nowMs - 90_000_000,
      startupSeconds: 30,
      ready: [
        { fromMs: nowMs - 80_000_000, toMs: nowMs - 200_000 },
        { fromMs: nowMs - 90_000, toMs: Infinity },
      ],
    });
    workload.pods.recall([theirs], nowMs);
    expect(workload.pods.records).toMatchObject([
      {
        startupSeconds: 30,
        ready: [
          { fromMs: nowMs - 80_000_000, toMs: nowMs - 200_000 },
          { fromMs: nowMs - 100_000, toMs: Infinity },
        ],
      },
    ]);
  });
});
