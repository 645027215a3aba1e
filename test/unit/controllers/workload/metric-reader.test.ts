import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { MetricSpec } from "../../../../src/api/fields/metrics.ts";
import type { MetricSource } from "../../../../src/api/kinds/metric-source.ts";
import { Histories } from "../../../../src/collect/history.ts";
import { LiveValues } from "../../../../src/collect/live-values.ts";
import { HistoryStore } from "../../../../src/collect/metrics-api/history-store.ts";
import { Sampler } from "../../../../src/collect/metrics-api/sampler.ts";
import { totalSamples } from "../../../../src/collect/pods/pod-windows.ts";
import { Sources } from "../../../../src/controllers/metric-source/sources.ts";
import { servedWindows } from "../../../../src/controllers/pods/pod-totals.ts";
import { MetricReader } from "../../../../src/controllers/workload/metric-reader.ts";
import { loadKey, type MetricSubject } from "../../../../src/controllers/workload/metric-subject.ts";
import { silent } from "../../../../src/kube/log.ts";
import { Cache } from "../../../../src/kube/watch/cache.ts";
import { type Stub, type StubRequest, startStub, succeed } from "../../collect/stub.ts";
import { cpuMetric, loadMetric, nowMs, recordOf, sourceOf, target } from "../objects.ts";

let clockMs: number;
let cache: Cache<MetricSource>;
let sources: Sources;
let store: HistoryStore;
let stub: Stub;
/** What the stub answers. */
let answer: (request: StubRequest) => { type: string; result: unknown } | number;
let podUsage: unknown[];

function loadsOf(onNew?: () => void): MetricReader {
  const now = () => clockMs;
  sources = new Sources({ cache, readSecret: async () => "", addresses: { allowLoopback: true }, now });
  return new MetricReader({
    sources,
    histories: new Histories({ now, random: () => 0 }),
    live: new LiveValues(),
    sampler: new Sampler({ get: async () => ({ items: podUsage }), store, now }),
    store,
    log: silent,
    now,
    onNew,
  });
}

const readerOf = (name: string, more: Partial<MetricSubject> = {}): MetricSubject => ({
  key: `store/${name}`,
  namespace: "store",
  target: { ...target, name },
  metrics: [loadMetric],
  selector: `app=${name}`,
  pods: [],
  ...more,
});
const queryOf = (query: string): MetricSpec => ({ ...loadMetric, query });

beforeEach(async () => {
  clockMs = nowMs;
  cache = new Cache<MetricSource>();
  store = new HistoryStore({ file: ":memory:" });
  podUsage = [];
  answer = () => ({ type: "vector", result: [] });
  stub = await startStub((request, response) => {
    const found = answer(request);
    if (typeof found === "number") {
      response.writeHead(found, { "content-type": "application/json" });
      response.end(JSON.stringify({ status: "error", errorType: "bad_data", error: "no" }));
    } else succeed(response, found.type, found.result);
  });
});
afterEach(async () => {
  sources?.close();
  store.close();
  await stub.close();
});

/** Gives each query `v(N)` of a batch N, and finds nothing for others. */
function numbers({ parameters }: StubRequest) {
  const query = parameters.get("query")!;
  if (query.includes("bad")) return 400;
  const batch = [...query.matchAll(/label_replace\(\n(.*?)\n,"forescale_key","(\d+)"/g)];
  const parts =
    batch.length > 0
      ? batch.map(([, part, key]) => ({ part, metric: { forescale_key: key } }))
      : [{ part: query, metric: {} }];
  const result = parts.flatMap(({ part, metric }) => {
    const number = /v\("?(\d+)/.exec(part)?.[1];
    return number === undefined ? [] : [{ metric, value: [(clockMs - 30_000) / 1000, number] }];
  });
  return { type: "vector", result };
}

describe("live values", () => {
  const trusting = { default: true, tenancy: { rule: "None" as const } };

  test("take one request per source for any number of workloads, and a fault concerns only its own workload", async () => {
    cache.set(sourceOf("main", { ...trusting, url: stub.url }));
    answer = numbers;
    const metricReader = loadsOf();
    const subjects = Array.from({ length: 60 }, (_, i) => readerOf(`w${i}`, { metrics: [queryOf(`v(${i})`)] }));
    for (const subject of subjects) metricReader.follow(subject);
    await metricReader.round();
    expect(stub.requests).toHaveLength(1);
    for (const [i, subject] of subjects.entries())
      expect(metricReader.now(subject, subject.metrics[0])).toEqual({ value: i, lagMs: 30_000 });

    const bad = readerOf("bad", { metrics: [queryOf("bad(")] });
    const none = readerOf("none", { metrics: [queryOf("nothing")] });
    const unknown = readerOf("unknown", { metrics: [{ ...loadMetric, source: "other" }] });
    for (const subject of [bad, none, unknown]) metricReader.follow(subject);
    await metricReader.round();
    expect(metricReader.now(bad, bad.metrics[0])).toMatchObject({ value: null, fault: { reason: "SourceRefused" } });
    expect(metricReader.now(none, none.metrics[0])).toMatchObject({ value: null, fault: { reason: "NoMetrics" } });
    expect(metricReader.now(unknown, unknown.metrics[0])).toMatchObject({
      value: null,
      fault: { reason: "SourceNotFound" },
    });
    expect(metricReader.now(subjects[59], subjects[59].metrics[0])).toEqual({ value: 59, lagMs: 30_000 });
  });

  test("are missing while the source is down, never the old ones", async () => {
    cache.set(sourceOf("main", { ...trusting, url: stub.url, timeout: "1s" }));
    answer = numbers;
    const metricReader = loadsOf();
    const subject = readerOf("web", { metrics: [queryOf("v(5)")] });
    metricReader.follow(subject);
    await metricReader.round();
    expect(metricReader.now(subject, subject.metrics[0])?.value).toBe(5);
    answer = () => 401;
    await metricReader.round();
    expect(metricReader.now(subject, subject.metrics[0])).toMatchObject({
      value: null,
      fault: { reason: "SourceRefused" },
    });
  });

  test("that are zero when a source comes back are not used at once", async () => {
    cache.set(sourceOf("main", { ...trusting, url: stub.url, step: "1m" }));
    let [part, metric] = ["v(5)", {}];
    answer = () =>
      part === ""
        ? 400
        : { type: "vector", result: [{ metric, value: [(clockMs - 30_000) / 1000, /\d+/.exec(part)![0]] }] };
    metric = {};
    const metricReader = loadsOf();
    const subject = readerOf("web", { metrics: [queryOf("x")] });
    metricReader.follow(subject);
    const next = async (answered: string) => {
      part = answered;
      clockMs += 15_000;
      await metricReader.round();
      return metricReader.now(subject, subject.metrics[0])!.value;
    };
    expect(await next("v(5)")).toBe(5);
    expect(await next("")).toBeNull();
    expect(await next("v(0)")).toBeNull();
    clockMs += 120_000;
    expect(await next("v(0)")).toBe(0);
  });

  test("per pod count only pods that serve, and a pod without a value counts as the average", async () => {
    cache.set(sourceOf("main", { default: true, url: stub.url }));
    const at = (clockMs - 30_000) / 1000;
    answer = () => ({
      type: "vector",
      result: [
        { metric: { pod: "a" }, value: [at, "2"] },
        { metric: { pod: "b" }, value: [at, "4"] },
        { metric: { pod: "starting" }, value: [at, "100"] },
        { metric: { pod: "stranger" }, value: [at, "100"] },
      ],
    });
    const metricReader = loadsOf();
    const pods = [recordOf("a", 600), recordOf("b", 600), recordOf("silent", 600), recordOf("starting", undefined)];
    const subject = readerOf("web", { metrics: [cpuMetric], pods });
    metricReader.follow(subject);
    await metricReader.round();
    expect(stub.requests[0].parameters.get("query")).toMatch(
      /^sum by \(pod\) \(rate\(container_cpu_usage_seconds_total\{.*namespace="store"/,
    );
    expect(metricReader.now(subject, cpuMetric)?.value).toBe(9);
  });

  test("come from the metrics APIs without a source, and become the history", async () => {
    const metricReader = loadsOf();
    const subject = readerOf("web", { metrics: [cpuMetric], pods: [recordOf("a", 600)] });
    metricReader.follow(subject);
    for (let minute = 0; minute < 3; minute++) {
      podUsage = [
        {
          metadata: { name: "a" },
          timestamp: new Date(clockMs).toISOString(),
          window: "15s",
          containers: [{ name: "main", usage: { cpu: `${minute + 1}` } }],
        },
      ];
      await metricReader.round();
      expect(metricReader.now(subject, cpuMetric)).toMatchObject({ value: minute + 1 });
      clockMs += 60_000;
    }
    const past = await metricReader.past(subject, cpuMetric, "14d");
    expect(past.kind === "Known" && [...past.series.values]).toEqual([1, 2, 3]);
    // Another measure of the same workload, and the same measure of another workload, have their own.
    const memory = { ...cpuMetric, resource: { ...cpuMetric.resource!, name: "memory" } };
    expect(await metricReader.past(subject, memory, "14d")).toMatchObject({
      kind: "Unknown",
      fault: { reason: "HistoryTooShort" },
    });
    expect((await metricReader.past(readerOf("other"), cpuMetric, "14d")).kind).toBe("Unknown");
  });

  test("a new workload is announced at once, and counts as read after its first round", async () => {
    let told = 0;
    const metricReader = loadsOf(() => told++);
    const subject = readerOf("web");
    metricReader.follow(subject);
    metricReader.follow(subject);
    expect(told).toBe(1);
    expect(metricReader.hasAsked(subject.key)).toBe(false);
    await metricReader.round();
    expect(metricReader.hasAsked(subject.key)).toBe(true);
    metricReader.forget(subject.key);
    await metricReader.round();
    expect(metricReader.hasAsked(subject.key)).toBe(false);
    expect(metricReader.now(subject, loadMetric)).toBeUndefined();
  });
});

describe("history", () => {
  /** A matrix over the range asked for, of the series that `valuesAt` gives at each instant. */
  const matrix = ({ parameters }: StubRequest, valuesAt: (seconds: number) => Record<string, number>) => {
    const [start, end, step] = ["start", "end", "step"].map((name) => Number(parameters.get(name)));
    const series = new Map<string, [number, string][]>();
    for (let at = start; at <= end; at += step)
      for (const [pod, value] of Object.entries(valuesAt(at)))
        series.set(pod, [...(series.get(pod) ?? []), [at, String(value)]]);
    return { type: "matrix", result: [...series].map(([pod, values]) => ({ metric: { pod }, values })) };
  };

  test("per pod leaves out samples from before a pod served", async () => {
    cache.set(sourceOf("main", { default: true, url: stub.url }));
    const readyAt = nowMs / 1000 - 1800;
    answer = (request) =>
      matrix(request, (at) => ({ old: 1, ...(at >= readyAt - 20 && { young: at < readyAt + 120 ? 50 : 1 }) }));
    const metricReader = loadsOf();
    const pods = [recordOf("young", 1800)]; // nothing is known of the old one: it counts
    const past = await metricReader.past(readerOf("web", { metrics: [cpuMetric], pods }), cpuMetric, "1h");
    if (past.kind !== "Known") throw new Error(past.fault.message);
    const values = [...past.series.values];
    expect(past.fault).toBeUndefined();
    expect(Math.max(...values)).toBe(2);
    expect(values[0]).toBe(1);
    expect(values.at(-1)).toBe(2);
  });

  test("is the known one while the source is down, with the reason why it is old", async () => {
    cache.set(sourceOf("main", { default: true, url: stub.url, tenancy: { rule: "None" } }));
    answer = (request) => matrix(request, () => ({ total: 7 }));
    const metricReader = loadsOf();
    const subject = readerOf("web", { metrics: [queryOf("x")] });
    expect(await metricReader.past(subject, subject.metrics[0], "1h")).toMatchObject({ kind: "Known" });
    answer = () => 401;
    clockMs += 300_000;
    const past = await metricReader.past(subject, subject.metrics[0], "1h");
    expect(past).toMatchObject({
      kind: "Known",
      fault: { reason: "SourceRefused", message: expect.stringContaining("main") },
    });
    expect(past.kind === "Known" && past.series.values.length).toBeGreaterThan(50);
  });

  test("that ended long ago has a fault, though the source answers", async () => {
    cache.set(sourceOf("main", { default: true, url: stub.url, tenancy: { rule: "None" } }));
    answer = (request) =>
      matrix(request, (at): Record<string, number> => (at < nowMs / 1000 - 1800 ? { total: 7 } : {}));
    const subject = readerOf("web", { metrics: [queryOf("x")] });
    expect(await loadsOf().past(subject, subject.metrics[0], "2h")).toMatchObject({
      kind: "Known",
      fault: { reason: "NoMetrics", message: expect.stringMatching(/no value for 30 minutes/) },
    });
  });

  test("that a source never had gives a fault that names the query", async () => {
    cache.set(sourceOf("main", { default: true, url: stub.url, tenancy: { rule: "None" } }));
    answer = () => ({ type: "matrix", result: [] });
    const subject = readerOf("web", { metrics: [queryOf("nothing_here")] });
    expect(await loadsOf().past(subject, subject.metrics[0], "2h")).toMatchObject({
      kind: "Unknown",
      fault: { reason: "NoMetrics", message: expect.stringContaining("nothing_here") },
    });
  });

  test("of pods comes from kube-state-metrics, confined to the tenant's namespace", async () => {
    cache.set(sourceOf("main", { default: true, url: stub.url }));
    const from = nowMs / 1000 - 3600;
    answer = (request) => {
      const query = request.parameters.get("query")!;
      const of = (value: number) => ({
        type: "matrix",
        result: [
          {
            metric: { pod: "web-7d9f4c6b5d-x2kqz", uid: "u1" },
            values: [
              [from, String(value)],
              [from + 60, String(value)],
            ],
          },
        ],
      });
      if (query.includes("kube_pod_status_ready{")) return of(1);
      if (query.includes("kube_pod_created")) return of(from - 45);
      if (query.includes("kube_pod_status_ready_time")) return of(from - 5);
      return { type: "matrix", result: [] };
    };
    const records = await loadsOf().pods(readerOf("web"));
    expect(records).toMatchObject([{ uid: "u1", name: "web-7d9f4c6b5d-x2kqz", startupSeconds: 40 }]);
    for (const { parameters } of stub.requests) expect(parameters.get("query")).toContain('namespace="store",');
  });
});

test("a load's key depends on the workload and on what is measured, not on target or name", () => {
  const key = (spec: MetricSpec, name = "web") => loadKey({ namespace: "store", target: { ...target, name } }, spec);
  const one = key(cpuMetric);
  expect(key({ ...cpuMetric, name: "renamed" })).toBe(one);
  expect(key({ ...cpuMetric, resource: { name: "cpu", target: { type: "AverageValue", averageValue: "1" } } })).toBe(
    one,
  );
  const others = [
    key(cpuMetric, "other"),
    key({ ...cpuMetric, query: "x" }),
    key({ ...cpuMetric, source: "main" }),
    key(loadMetric),
    key({ ...cpuMetric, resource: { ...cpuMetric.resource!, name: "memory" } }),
  ];
  expect(new Set([one, ...others]).size).toBe(others.length + 1);
});

const seconds = (ago: number) => nowMs - ago * 1000;
test.each([
  { name: "nobody knows it: while it had samples", records: [], windows: [[1120, 60]] },
  { name: "its start was seen: from Ready on", records: [recordOf("a", 1000)], windows: [[1000, -Infinity]] },
  {
    name: "first seen when it had been there for long: from its creation on",
    records: [recordOf("a", 100, { createdMs: seconds(1100), startupSeconds: undefined })],
    windows: [
      [1100, 100],
      [100, -Infinity],
    ],
  },
  { name: "never Ready: never", records: [recordOf("a", undefined, { createdMs: seconds(1100) })], windows: [] },
  {
    name: "one of the same name was there before: while that had samples",
    records: [recordOf("db-0", 380)],
    windows: [
      [1120, 400],
      [380, -Infinity],
    ],
  },
])("when a pod served: $name", ({ records, windows }) => {
  const timesMs = Float64Array.of(seconds(1000), seconds(500), seconds(60));
  expect(servedWindows(records, { timesMs, values: timesMs }, 120_000)).toEqual(
    windows.map(([from, to]) => ({ fromMs: seconds(from), toMs: to === -Infinity ? Infinity : seconds(to) })),
  );
});

test("pods without a record count only while they had samples", () => {
  const samples = (pairs: [number, number][]) => ({
    timesMs: Float64Array.from(pairs, ([at]) => at * 60_000),
    values: Float64Array.from(pairs, ([, value]) => value),
  });
  const parts = [
    samples([
      [1, 10],
      [2, 10],
      [3, 10],
      [4, 10],
    ]),
    samples([
      [1, 20],
      [2, 20],
    ]),
    samples([
      [3, 30],
      [4, 30],
    ]),
  ];
  const total = totalSamples(
    parts.map((each) => ({ samples: each, windows: servedWindows([], each, 0) })),
    0,
  );
  expect([...total.values]).toEqual([30, 30, 40, 40]);
});
