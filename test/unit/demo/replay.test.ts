import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sizePods } from "../../../src/backtest/replay/load.ts";
import { palette } from "../../../src/demo/chart.ts";
import { Forecasts } from "../../../src/demo/forecasts.ts";
import { demoIhpa } from "../../../src/demo/manifest.ts";
import type { MetricServer } from "../../../src/demo/metric-server.ts";
import { Replay, tickMs } from "../../../src/demo/replay.ts";
import { ReplayClock } from "../../../src/demo/replay-clock.ts";
import { drawScreen } from "../../../src/demo/screen.ts";
import { describeSummary, summarise } from "../../../src/demo/summary.ts";
import type { Trace } from "../../../src/demo/trace.ts";
import { createForecastPool } from "../../../src/forecast/workers/worker-pool.ts";

const stepMs = 300_000;
const startMs = Date.UTC(2025, 0, 6);
/** Five days with a steep rise at 08:00 and a slow fall, five-minute steps. */
const values = Float64Array.from({ length: 5 * 288 }, (_, k) => {
  const hour = (k % 288) / 12;
  return hour < 8 ? 10 : hour < 8.25 ? 10 + (hour - 8) * 360 : Math.max(10, 100 - (hour - 8.25) * 7) + (k % 3);
});
const load = { startMs, stepMs, values };
const trace: Trace = {
  name: "days",
  title: "days of work",
  source: "made for this test",
  metric: "requests",
  unit: "requests/s",
  load,
  replayFromMs: startMs + (4 * 24 + 7) * 3_600_000,
  replayUntilMs: startMs + (4 * 24 + 10) * 3_600_000,
  podCarries: sizePods(load),
};

/** A server without a network: gives back what was published last. */
function memoryServer(): MetricServer {
  let total: number | undefined;
  return {
    curl: `curl --cacert /tmp/forescale-abcdef/ca.crt --cert /tmp/forescale-abcdef/client.crt --key /tmp/forescale-abcdef/client.key 'https://127.0.0.1:40000/${"a".repeat(130)}'`,
    folder: "",
    setTime() {},
    publish(object) {
      if (object.kind !== "HorizontalPortrait") total = object.status?.decision?.total;
    },
    read: async () =>
      total === undefined ? { kind: "Missing", why: "nothing published" } : { kind: "Values", values: [total] },
    async close() {},
  };
}

describe("three hours with a steep rise", () => {
  const pool = createForecastPool(1);
  const server = memoryServer();
  const forecasts = new Forecasts(pool, load);
  const replay = new Replay({ trace, ihpa: demoIhpa(trace, "95"), server, forecasts });
  beforeAll(async () => {
    while (!replay.isOver) await replay.tick();
  }, 120_000);
  afterAll(() => pool.close());

  test("end after the trace's last moment", () => {
    expect(replay.ticks).toEqual({ done: (3 * 3_600_000) / tickMs, all: (3 * 3_600_000) / tickMs });
    expect(replay.nowMs).toBe(trace.replayUntilMs);
  });

  test("cost more pods than the oracle has, never short of any, and fewer than twice as many", () => {
    const [forescale, oracle] = [replay.score("forescale"), replay.score("oracle")];
    expect(oracle.underProvisionedMinutes).toBe(0);
    expect(forescale.podHours).toBeGreaterThan(oracle.podHours);
    expect(forescale.podHours).toBeLessThan(2 * oracle.podHours);
  });

  test("leave Forescale short for less time than the plain HPA, which sees the rise only when it is there", () => {
    expect(replay.score("hpa").underProvisionedMinutes).toBeGreaterThan(1);
    expect(replay.score("forescale").underProvisionedMinutes).toBeLessThan(replay.score("hpa").underProvisionedMinutes);
  });

  test.each([
    [80, 24],
    [100, 30],
    [132, 50],
    [200, 60],
    [60, 15],
    [20, 5],
  ])("fit a screen of %i×%i", (columns, rows) => {
    const stage = { trace, replay, forecasts, pace: new ReplayClock(600, () => 0), curl: server.curl };
    const lines = drawScreen(stage, { columns, rows }, palette(true)).map((line) =>
      line.replace(/\x1b\[[0-9;]*m/g, ""),
    );
    const isCurl = (line: string) => line.startsWith("curl ");
    expect(lines.filter((line) => !isCurl(line) && line.length > columns)).toEqual([]);
    const height = lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / columns)), 0);
    expect(height).toBeLessThanOrEqual(rows);
    if (rows >= 15) expect(lines.filter(isCurl)).toEqual([server.curl]);
    if (rows >= 24) expect(lines.join("\n")).toMatch(/Forescale .*pod|░/);
  });

  test("show no colour where none is wanted", () => {
    const stage = { trace, replay, forecasts, pace: new ReplayClock(600, () => 0), curl: server.curl };
    expect(drawScreen(stage, { columns: 80, rows: 24 }, palette(false)).join("")).not.toContain("\x1b");
  });

  test("sum up in the fields of the contract, as numbers, in one line of JSON", () => {
    const done = replay.ticks.done * tickMs;
    const summary = summarise({ trace: trace.name, source: trace.source }, 600, done, (policy) => replay.score(policy));
    const line = JSON.stringify(summary);
    expect(line).not.toContain("\n");
    expect(Object.keys(summary)).toEqual(["trace", "source", "speed", "simulatedHours", "policies"]);
    expect(Object.keys(summary.policies)).toEqual(["forescale", "hpa", "oracle"]);
    for (const score of Object.values(summary.policies)) {
      expect(Object.keys(score)).toEqual(["podHours", "underProvisionedMinutes", "unserved"]);
      for (const value of Object.values(score)) expect(Number.isFinite(value) && value >= 0).toBe(true);
    }
    expect(summary).toMatchObject({ trace: "days", source: "made for this test", speed: 600, simulatedHours: 3 });
    expect(JSON.parse(line)).toEqual(summary);
  });

  test("say in words what the figures say", () => {
    const policies = {
      forescale: { podHours: 90, underProvisionedMinutes: 2, unserved: 0.001 },
      hpa: { podHours: 100, underProvisionedMinutes: 12.25, unserved: 0.01 },
      oracle: { podHours: 75, underProvisionedMinutes: 0, unserved: 0 },
    };
    const lines = describeSummary({ trace: "", source: "", speed: 600, simulatedHours: 3, policies }, 80);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.join(" ")).toContain(
      "too few pods for 2.0 minutes, the plain HPA for 12.3 minutes; it used 10 % fewer pod-hours than the plain HPA and 20 % more than an oracle",
    );
  });
});

describe("the pace", () => {
  const signal = new AbortController().signal;

  test("is the one asked for while it is kept", async () => {
    let nowMs = 0;
    const pace = new ReplayClock(100, () => nowMs);
    pace.start();
    for (let k = 0; k < 1000; k++) {
      nowMs += 150; // a tick of 15 s at 100×
      pace.advance(15_000);
      await pace.wait({ signal, meanwhile() {} });
    }
    expect([pace.reached, pace.current]).toEqual([100, 100]);
  });

  test("says what was reached where the machine is too slow", () => {
    let nowMs = 0;
    const pace = new ReplayClock(100, () => nowMs);
    pace.start();
    for (let k = 0; k < 1000; k++) {
      nowMs += 300;
      pace.advance(15_000);
    }
    expect(pace.reached).toBeCloseTo(50, 0);
    expect(pace.current).toBeCloseTo(50, 0);
  });
});
