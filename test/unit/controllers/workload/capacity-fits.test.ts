import { beforeEach, expect, test } from "vitest";
import type { MetricSpec } from "../../../../src/api/fields/metrics.ts";
import { CapacityFits } from "../../../../src/controllers/workload/capacity-fits.ts";
import type { LiveLoad, PastLoad } from "../../../../src/controllers/workload/metric-subject.ts";
import { liveOf, pastOf } from "../../../../src/controllers/workload/sized-metric.ts";
import { Workload } from "../../../../src/controllers/workload/workload.ts";
import { silent } from "../../../../src/kube/log.ts";
import { ihpaOf, nowMs } from "../objects.ts";

const stepMs = 300_000;
const steps = 4 * 288;
const log = silent;
const of = (value: (k: number) => number): PastLoad => ({
  kind: "Known",
  series: { startMs: nowMs - steps * stepMs, stepMs, values: Float64Array.from({ length: steps }, (_, k) => value(k)) },
});
const external = (name: string): MetricSpec => ({
  name,
  type: "External",
  external: { metric: { name }, target: { type: "AverageValue", averageValue: "10" } },
});
const reads = (k: number) => 100 + 60 * Math.sin(k / 46);
const writes = (k: number) => 30 + 10 * Math.cos(k / 31);
const pods = (k: number) => 4 + (k % 6);
const capacity = { model: "LinearWithBase" as const, loads: ["reads"], usage: { name: "cpu", target: "600m" } };
const ihpa = ihpaOf({ metrics: [external("reads")], capacity });

let pasts: Record<string, PastLoad>;
let asked: string[];
let clockMs: number;
let live: Record<string, number>;
let workload: Workload;
let fits: CapacityFits;
const metricReader = {
  past: async (_: unknown, spec: MetricSpec) => {
    asked.push(`${spec.name} ${spec.type} ${spec.query ?? ""}`.trim());
    return pasts[spec.name!];
  },
  now: (_: unknown, spec: MetricSpec): LiveLoad | undefined => ({ value: live[spec.name!] ?? null, lagMs: 30_000 }),
};

beforeEach(() => {
  pasts = { reads: of(reads), pods: of(pods), cpu: of((k) => 0.1 * pods(k) + 0.02 * reads(k)) };
  [asked, clockMs, live] = [[], nowMs, { reads: 150 }];
  workload = new Workload(Workload.identity(ihpa));
  fits = new CapacityFits({ metricReader, log, now: () => clockMs });
});

const refresh = (of = ihpa) => fits.refresh(of, workload, workload.subject(of, "store/shop"));
const status = (of = ihpa) => fits.statusOf(of, workload, workload.subject(of, "store/shop"));
const decide = (seconds: number, of = ihpa) => {
  const decision = workload.decide(
    of,
    undefined,
    {
      timeMs: nowMs + seconds * 1000,
      loads: new Map(Object.entries(live)),
      replicas: { online: 3, cutoff: 0, standby: 0, starting: 0 },
    },
    { tickMs: 15_000, syncSeconds: 0 },
  );
  if (!("timeMs" in decision)) throw new Error(decision.message);
  return decision;
};

test("CPU and ready pods are read without a query in the spec", async () => {
  await refresh();
  expect(asked[0]).toBe("reads External");
  expect(asked[1]).toMatch(/^pods External sum\(kube_pod_status_ready\{condition="true",namespace="store",pod=~"web-/);
  expect(asked[2]).toBe("cpu Resource");
});

test("a learned capacity sizes the next tick, in place of the target", async () => {
  expect(decide(0).total).toBeGreaterThanOrEqual(15); // 150 ÷ 10
  expect(status()).toBeUndefined();
  await refresh();
  // (0.6 − 0.1) ÷ 0.02 = 25 a pod
  const sized = workload.decide(
    ihpa,
    undefined,
    {
      timeMs: nowMs + 3_600_000,
      loads: new Map([["reads", 150]]),
      replicas: { online: 3, cutoff: 0, standby: 0, starting: 0 },
    },
    { tickMs: 15_000, syncSeconds: 0 },
  );
  if (!("timeMs" in sized)) throw new Error(sized.message);
  expect(sized.proposals.find(({ provider }) => provider === "Reactive")?.replicas).toBe(6);
  expect(status()).toMatchObject({ model: "LinearWithBase", extrapolated: false, fittedAt: "2026-01-05T12:00:00Z" });
});

test("the capacity is learned again after a day, and when the spec changes", async () => {
  await refresh();
  const before = asked.length;
  clockMs += 23 * 3_600_000;
  await refresh();
  expect(asked).toHaveLength(before);
  clockMs += 2 * 3_600_000;
  await refresh();
  expect(asked).toHaveLength(2 * before);
  await refresh(ihpaOf({ metrics: [external("reads")], capacity: { ...capacity, usage: { name: "cpu", target: 1 } } }));
  expect(asked).toHaveLength(3 * before);
});

test("a history that can't be read leaves the target in use, is reported, and is tried again in an hour", async () => {
  pasts.cpu = { kind: "Unknown", fault: { reason: "NoMetrics", message: "no series" } };
  await refresh();
  expect(status()).toMatchObject({ model: "PerPod", message: "cpu: no series" });
  expect(decide(0).total).toBeGreaterThanOrEqual(15);
  const before = asked.length;
  await refresh();
  expect(asked).toHaveLength(before);
  clockMs += 3_601_000;
  await refresh();
  expect(asked.length).toBeGreaterThan(before);
});

test("several loads are one metric in pods, live and past; its live history survives a change of the spec", async () => {
  const both = ihpaOf({
    metrics: [external("reads"), external("writes")],
    capacity: { ...capacity, loads: ["reads", "writes"] },
  });
  pasts.writes = of(writes);
  pasts.cpu = of((k) => 0.1 * pods(k) + 0.01 * reads(k) + 0.04 * writes(k));
  live = { reads: 100, writes: 40 };
  await refresh(both);
  decide(0, both);
  const [metric, ...more] = workload.sized(both, both.spec.metrics as MetricSpec[]);
  expect([metric.name, metric.specs.length, more.length]).toEqual(["capacity", 2, 0]);
  const subject = workload.subject(both, "store/shop");
  expect(liveOf(metricReader, subject, metric)).toBeCloseTo((0.01 * 100 + 0.04 * 40) / 0.5, 1);
  const past = await pastOf(metricReader, subject, metric, "14d");
  if (past.kind !== "Known") throw new Error("unknown");
  expect(past.series.values[7]).toBeCloseTo((0.01 * reads(7) + 0.04 * writes(7)) / 0.5, 1);

  decide(15, both);
  const lived = workload.history("capacity")!;
  const changed = { ...both, spec: { ...both.spec, maxReplicas: 30 } };
  decide(30, changed);
  const after = workload.history("capacity")!;
  expect(after.startMs + after.values.length * after.stepMs).toBeGreaterThanOrEqual(
    lived.startMs + lived.values.length * lived.stepMs,
  );
  live.writes = Number.NaN;
  expect(liveOf(metricReader, subject, metric)).toBeNaN();
});
