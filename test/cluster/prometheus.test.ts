import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Exposition, startExposition } from "./exposition.ts";
import { type Prometheus, startPrometheus, whyNoPrometheus } from "./prometheus.ts";
import { type Point, shift, splitAt, valueAt } from "./replay.ts";
import { describeUnless } from "./suite.ts";

const minuteMs = 60_000;

describe("replay", () => {
  const ramp: Point[] = [
    { timeMs: 0, value: 10 },
    { timeMs: 10, value: 20 },
  ];

  it.each([
    [-5, 10],
    [0, 10],
    [5, 15],
    [10, 20],
    [99, 20],
  ])("at %i ms stands at %i", (timeMs, value) => {
    expect(valueAt(ramp, timeMs)).toBe(value);
  });

  it("moves an anchor to a moment and splits there", () => {
    const { past, future } = splitAt(shift(ramp, 10, 110), 100);
    expect(past).toEqual([{ timeMs: 100, value: 10 }]);
    expect(future).toEqual([{ timeMs: 110, value: 20 }]);
  });
});

describeUnless(whyNoPrometheus(), "Prometheus fixture", () => {
  // Three days that end now, one point a minute: more than a block holds.
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const history = Array.from({ length: 3 * 24 * 60 }, (_, k) => ({
    timeMs: nowMs - (3 * 24 * 60 - k) * minuteMs,
    value: k,
  }));
  const labels = { site: 'a "quoted" one' };
  let exposition: Exposition;
  let prometheus: Prometheus;

  beforeAll(async () => {
    // From now on the value climbs by 1 each second.
    const climb = [
      { timeMs: nowMs, value: 1_000_000 },
      { timeMs: nowMs + 3600_000, value: 1_003_600 },
    ];
    exposition = await startExposition([{ metric: "requests_per_second", labels: { site: "live" }, points: climb }]);
    prometheus = await startPrometheus({
      backfill: [{ metric: "requests_per_second", labels, points: history }],
      scrape: [exposition.target],
    });
  });
  afterAll(async () => {
    await prometheus?.stop();
    await exposition?.stop();
  });

  const history3Days = { startMs: history[0].timeMs, endMs: history.at(-1)!.timeMs, stepSeconds: 60 };

  it("answers a range query over backfilled points", async () => {
    const [series] = await prometheus.queryRange('requests_per_second{site!="live"}', history3Days);
    expect(series.labels).toMatchObject(labels);
    expect(series.points).toEqual(history);
  });

  it("sees live values move", async () => {
    const last = async () => {
      const range = { startMs: Date.now() - 10_000, endMs: Date.now(), stepSeconds: 1 };
      const [series] = await prometheus.queryRange('requests_per_second{site="live"}', range);
      return series?.points.at(-1)?.value;
    };
    await expect.poll(last, { timeout: 15_000 }).toBeGreaterThan(1_000_000);
    const first = (await last())!;
    await sleep(2500);
    expect(await last()).toBeGreaterThan(first);
  });

  it("comes back on its port with its data", async () => {
    await prometheus.kill();
    await expect(fetch(`${prometheus.url}/-/ready`)).rejects.toThrow();
    await prometheus.restart();
    const [series] = await prometheus.queryRange('requests_per_second{site!="live"}', history3Days);
    expect(series.points).toHaveLength(history.length);
  });

  it("freezes and thaws", async () => {
    await prometheus.freeze();
    await expect(fetch(`${prometheus.url}/-/ready`, { signal: AbortSignal.timeout(500) })).rejects.toThrow("timeout");
    await prometheus.thaw();
    expect((await fetch(`${prometheus.url}/-/ready`)).ok).toBe(true);
  });
});
