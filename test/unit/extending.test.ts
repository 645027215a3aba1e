import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { lastDayForecast } from "../../docs/examples/extending/algorithm.ts";
import { MemorySource } from "../../docs/examples/extending/metric-source.ts";
import { atMostDouble } from "../../docs/examples/extending/rule.ts";
import { checkRestarts } from "../../docs/examples/extending/stability-check.ts";
import { command } from "../../docs/examples/extending/subcommand.ts";
import { parse } from "../../src/cli/command.ts";
import { Histories } from "../../src/collect/history.ts";
import { LiveValues } from "../../src/collect/live-values.ts";
import type { RuleState, Situation } from "../../src/decide/rules/rule.ts";

const minute = 60_000;
const day = 1440 * minute;
const nowMs = Date.UTC(2026, 0, 5);

test("the metric source of the architecture page gives live values and histories", async () => {
  const source = new MemorySource("memory", (_, timeMs) => 10 + (timeMs % day) / day);
  const live = await new LiveValues().read(source, [{ key: "web/requests", query: "requests" }], { atMs: nowMs });
  expect(live.get("web/requests")).toMatchObject({ kind: "Value", value: 10 });

  const histories = new Histories({ now: () => nowMs });
  const { series, fault } = await histories.refresh({ source, query: "requests", stepMs: minute, spanMs: day });
  expect(fault).toBeUndefined();
  expect(series.values.length).toBeGreaterThan(1400);
  expect(series.values.every((value) => value >= 10 && value < 11)).toBe(true);
});

test("the algorithm of the architecture page repeats the last day, with quantiles that do not cross", () => {
  const values = Float64Array.from({ length: 48 }, (_, hour) => 100 + (hour % 24));
  const series = { startMs: nowMs, stepMs: 60 * minute, values };
  const outcome = lastDayForecast({ series, horizon: 30, levels: [0.1, 0.5, 0.9], timeZone: "UTC" });
  if (outcome.kind !== "Forecast") throw new Error(`expected a forecast, not ${outcome.kind}`);
  const { mean, quantiles, startMs } = outcome.forecast;
  expect(startMs).toBe(nowMs + 2 * day);
  expect([...mean]).toEqual(Array.from({ length: 30 }, (_, hour) => 100 + (hour % 24)));
  const [low, middle, high] = quantiles;
  expect(mean.every((value, step) => low[step] < value && middle[step] === value && high[step] > value)).toBe(true);
});

test("the rule of the architecture page limits a rise to twice the pods in service, and says what it saw", () => {
  const situation: Situation = {
    timeMs: nowMs,
    present: 4,
    isPaused: false,
    behavior: undefined,
    schedule: { proposals: [], minReplicas: 1, maxReplicas: 20 },
    proposals: [],
    selected: undefined,
    selectedReason: "Predicted",
    isDynamic: true,
    demands: new Map(),
    recovering: [],
    before: {},
  };
  const state = (replicas: number): RuleState => ({
    replicas,
    requested: replicas,
    reason: "Predicted",
    rung: undefined,
    memory: {},
  });
  const saw = "4 pods in service, so at most 8";
  expect(atMostDouble.apply(situation, state(8))).toEqual({ saw });
  expect(atMostDouble.apply(situation, state(9))).toMatchObject({ saw, change: { replicas: 8 } });
});

test("the stability check of the architecture page counts restarts since the change began", () => {
  const restarts = [
    { pod: "web-1", timeMs: nowMs - minute },
    { pod: "web-2", timeMs: nowMs + minute },
  ];
  expect(checkRestarts(restarts, nowMs, 1)).toEqual({ kind: "Passed" });
  expect(checkRestarts(restarts, nowMs, 0)).toMatchObject({
    kind: "Failed",
    message: expect.stringContaining("web-2"),
  });
});

test.each([
  { name: "lists the rungs", args: [], out: "Fresh\nCoasting\nReactive\nHeld\nExpired\n" },
  { name: "counts the rungs", args: ["--count"], out: "5\n" },
])("the subcommand of the architecture page $name", async ({ args, out }) => {
  const stdout = new PassThrough();
  const { values, positionals } = parse(command, args);
  const io = {
    stdin: new PassThrough(),
    stdout,
    stderr: new PassThrough(),
    signal: new AbortController().signal,
    cwd: ".",
  };
  expect(await command.run(values, positionals, io)).toBe(0);
  stdout.end();
  expect(await text(stdout)).toBe(out);
});
