import { createServer, type Server, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Histories } from "../../src/collect/history.ts";
import { LiveValues } from "../../src/collect/live-values.ts";
import { podRecordsFromSeries } from "../../src/collect/pods/pod-series.ts";
import { PrometheusClient } from "../../src/collect/prometheus/prometheus.ts";
import { type Prometheus, startPrometheus, whyNoPrometheus } from "../cluster/prometheus.ts";
import { describeUnless } from "../cluster/suite.ts";

/**
 * A real Prometheus, filled with what a test knows, behind a proxy that counts what it is asked.
 */
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** Long ago and fixed, as the store answers for any time. */
const begin = Date.UTC(2026, 0, 5);
const days = 21;
const end = begin + days * day;

/** A workload's load at an instant: a day's wave, a weekend, a gap on the tenth day. */
function loadAt(timeMs: number): number {
  const sinceBegin = timeMs - begin;
  if (sinceBegin >= 9.5 * day && sinceBegin < 9.5 * day + 2 * hour) return NaN;
  const weekend = Math.floor(sinceBegin / day) % 7 >= 5 ? 0.5 : 1;
  return Math.round(1_000 * weekend * (1.5 + Math.sin((2 * Math.PI * sinceBegin) / day)));
}

describeUnless(whyNoPrometheus(), "a real Prometheus", () => {
  let store: Prometheus;
  let proxy: Server;
  let url: string;
  /** What went through the proxy since a test emptied it. */
  const asked: URLSearchParams[] = [];
  const clock = { nowMs: end };

  beforeAll(async () => {
    const stamps = (stepMs: number) => Array.from({ length: (end - begin) / stepMs + 1 }, (_, i) => begin + i * stepMs);
    const pod = { namespace: "shop", pod: "web-1", uid: "u1" };
    const seconds = (from: number, to: number, value: (timeMs: number) => number) =>
      stamps(minute)
        .filter((timeMs) => timeMs >= from && timeMs <= to)
        .map((timeMs) => ({ timeMs, value: value(timeMs) }));
    store = await startPrometheus({
      backfill: [
        {
          metric: "load",
          points: stamps(minute)
            .map((timeMs) => ({ timeMs, value: loadAt(timeMs) }))
            .filter(({ value }) => !Number.isNaN(value)),
        },
        ...Array.from({ length: 50 }, (_, i) => ({
          metric: "live",
          labels: { workload: `w${i}` },
          points: [{ timeMs: end - minute, value: i }],
        })),
        {
          metric: "kube_pod_status_ready",
          labels: { ...pod, condition: "true" },
          points: seconds(end - 2 * hour, end - hour, (timeMs) => (timeMs >= end - 2 * hour + 3 * minute ? 1 : 0)),
        },
        {
          metric: "kube_pod_created",
          labels: pod,
          points: seconds(end - 2 * hour, end - hour, () => (end - 2 * hour - 10_000) / 1000),
        },
      ],
    });
    proxy = createServer((request, response) => {
      const target = new URL(request.url ?? "/", store.url);
      const parts: Buffer[] = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        const body = Buffer.concat(parts);
        asked.push(request.method === "POST" ? new URLSearchParams(body.toString()) : target.searchParams);
        const onward = send(target, { method: request.method, headers: request.headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        });
        onward.on("error", () => response.destroy());
        onward.end(body);
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  }, 120_000);

  afterAll(async () => {
    proxy?.closeAllConnections();
    proxy?.close();
    await store?.stop();
  });

  function client(options: { timeoutMs?: number } = {}): PrometheusClient {
    asked.length = 0;
    return new PrometheusClient({
      name: "main",
      url,
      addresses: { allowLoopback: true },
      now: () => clock.nowMs,
      retries: { attempts: 2, firstPauseMs: 10 },
      ...options,
    });
  }

  const pointsAsked = () =>
    asked.reduce(
      (sum, query) => sum + (Number(query.get("end")) - Number(query.get("start"))) / Number(query.get("step")) + 1,
      0,
    );

  test("gives back what was put in, over three weeks at a minute, in chunks that it accepts", async () => {
    const samples = await client().rangeOfOne("load", { startMs: begin, endMs: end, stepMs: minute });
    expect(asked).toHaveLength(4);
    const given = new Map(Array.from(samples.timesMs, (timeMs, i) => [timeMs, samples.values[i]]));
    const put = Array.from({ length: days * 1440 + 1 }, (_, i) => begin + i * minute).filter(
      (t) => !Number.isNaN(loadAt(t)),
    );
    expect(put.map((timeMs) => given.get(timeMs))).toEqual(put.map(loadAt));
    // Where points are missing, the store itself repeats the last one for five minutes; the rest of the gap stays a gap.
    const gapStart = begin + 9.5 * day;
    const more = [...given.keys()].filter((timeMs) => Number.isNaN(loadAt(timeMs)));
    expect(more.every((timeMs) => timeMs < gapStart + 5 * minute)).toBe(true);
  });

  test("a history has its steps' means, then asks for new points only", async () => {
    const histories = new Histories({ now: () => clock.nowMs });
    clock.nowMs = end - hour;
    const ask = { source: client(), query: "load", stepMs: 5 * minute, spanMs: 14 * day, lagMs: 0 };
    const first = await histories.refresh(ask);
    expect(first.fault).toBeUndefined();
    expect(first.series.values).toHaveLength(14 * 288);
    expect(pointsAsked()).toBe(14 * 1440);
    expect(first.series.values.filter(Number.isNaN).length).toBeGreaterThan(20); // the gap of two hours
    const means = Array.from(first.series.values, (_, step) => {
      const stepStart = first.series.startMs + step * 5 * minute;
      return [1, 2, 3, 4, 5].reduce((sum, m) => sum + loadAt(stepStart + m * minute), 0) / 5;
    });
    const wrong = first.series.values.filter((value, step) => Math.abs(value - means[step]) > 1e-9); // not for NaN
    expect([...wrong]).toEqual([]);

    asked.length = 0;
    clock.nowMs = end;
    const next = await histories.refresh(ask);
    expect(asked).toHaveLength(1);
    expect(pointsAsked()).toBe((12 + 2) * 5); // twelve new steps, an overlap of two
    expect(next.series.values.slice(0, -12)).toEqual(first.series.values.slice(12));
  });

  test("it dies and comes back: what was known stays, what was missed is filled in", async () => {
    const histories = new Histories({ now: () => clock.nowMs, restMs: 0 });
    clock.nowMs = end - 2 * hour;
    const ask = { source: client({ timeoutMs: 1_000 }), query: "load", stepMs: 5 * minute, spanMs: 2 * day, lagMs: 0 };
    const before = await histories.refresh(ask);
    await store.kill();
    clock.nowMs = end - hour;
    const during = await histories.refresh(ask);
    expect(during.fault?.code).toMatch(/Unreachable/);
    expect([...during.series.values.slice(-12)].every(Number.isNaN)).toBe(true);
    expect(during.series.values.slice(0, -12)).toEqual(before.series.values.slice(12));
    await store.restart();
    clock.nowMs = end;
    const after = await histories.refresh(ask);
    expect(after.fault).toBeUndefined();
    expect(after.series.values.filter(Number.isNaN)).toHaveLength(0);
  });

  test("it accepts connections and says nothing: the deadline holds", async () => {
    await store.freeze();
    try {
      await expect(client({ timeoutMs: 500 }).instant("load")).rejects.toMatchObject({ code: "Timeout" });
    } finally {
      await store.thaw();
    }
  });

  test("50 workloads' live values are one request, and a bad query takes none with it", async () => {
    const queries = Array.from({ length: 50 }, (_, i) => ({
      key: `w${i}`,
      query: `sum(live{workload="w${i}"}) # w${i}`,
    }));
    const live = new LiveValues();
    const source = client();
    const values = await live.read(source, queries, { atMs: end });
    expect(asked).toHaveLength(1);
    expect(queries.map(({ key }) => values.get(key))).toEqual(
      queries.map((_, value) => ({ kind: "Value", value, timeMs: end })),
    );

    asked.length = 0;
    const odd = [
      { key: "broken", query: "sum(live" },
      { key: "wrong", query: "nosuchfunction(live)" },
      { key: "scalar", query: "scalar(sum(live))" },
      { key: "many", query: "live" },
      { key: "none", query: "nosuchmetric" },
      { key: "thief", query: 'vector(7),"forescale_key","0","","") or label_replace(vector(8)' },
    ];
    const mixed = await live.read(source, [...queries, ...odd], { atMs: end });
    for (const [i, { key }] of queries.entries()) expect(mixed.get(key)).toMatchObject({ value: i });
    expect(mixed.get("broken")).toMatchObject({ kind: "Failed", error: { code: "BadQuery" } });
    expect(mixed.get("wrong")).toMatchObject({ kind: "Failed", error: { code: "BadQuery" } });
    expect(mixed.get("scalar")).toMatchObject({ kind: "Value", value: 1225 });
    expect(mixed.get("many")).toMatchObject({ kind: "Failed", error: { code: "ManySeries" } });
    expect(mixed.get("none")).toEqual({ kind: "Missing" });
    expect(mixed.get("thief")).toMatchObject({ kind: "Failed", error: { code: "BadQuery" } });
    expect(asked.length).toBeLessThan(25);
  });

  test("its own refusals are told apart", async () => {
    const source = client();
    await expect(source.instant("sum(")).rejects.toMatchObject({
      code: "BadQuery",
      message: expect.stringContaining("parse error"),
    });
    await expect(source.instant("load[5m]", { atMs: end })).rejects.toMatchObject({ code: "BadAnswer" });
    const twice = source.rangeOfOne("live", { startMs: end - minute, endMs: end, stepMs: minute });
    await expect(twice).rejects.toMatchObject({ code: "ManySeries" });
  });

  test("many series over a long range come in pieces that stay below the limit on samples", async () => {
    const range = { startMs: end - minute, endMs: end + 4 * minute - 1_000, stepMs: 100 };
    clock.nowMs = end + hour;
    const series = await client().range("live", range);
    expect(series).toHaveLength(50);
    for (const { timesMs } of series) expect(timesMs).toHaveLength(2_991);
  });

  test("pods' windows and start-ups come from kube-state-metrics' series", async () => {
    const range = { startMs: end - 3 * hour, endMs: end, stepMs: minute };
    const [record] = await podRecordsFromSeries(client(), { namespace: "shop", namePattern: "web-.+" }, range);
    expect(record).toMatchObject({ name: "web-1", createdMs: end - 2 * hour - 10_000, startupSeconds: 190 });
    expect(record.ready[0].fromMs).toBe(end - 2 * hour + 3 * minute);
    expect(record.ready[0].toMs).toBeLessThanOrEqual(end - hour + 5 * minute);
  });
});
