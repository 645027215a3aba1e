import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import type { IntelligentHorizontalPodAutoscaler } from "../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readManifest } from "../../../src/api/validation/read-manifest.ts";
import { runPolicy } from "../../../src/backtest/replay/cluster.ts";
import { forescalePolicy } from "../../../src/backtest/replay/forescale-policy.ts";
import { learntPart, replayInputsOf } from "../../../src/backtest/replay/replay-inputs.ts";
import { spanOf } from "../../../src/backtest/workload.ts";
import { command } from "../../../src/cli/decide.ts";
import { Workload } from "../../../src/controllers/workload/workload.ts";
import type { Decision, DecisionTick } from "../../../src/decide/decision.ts";
import { Forecasts } from "../../../src/demo/forecasts.ts";
import type { MetricServer } from "../../../src/demo/metric-server.ts";
import { Replay, tickMs } from "../../../src/demo/replay.ts";
import { createForecastPool } from "../../../src/forecast/workers/worker-pool.ts";
import type { Series } from "../../../src/series/series.ts";
import { wavyLoad } from "../backtest/loads.ts";

const hourMs = 3_600_000;
const podTarget = 50;
/** Four days on minutes: enough to learn the next minutes from. */
const load = wavyLoad(4, 60_000);

/** A lead that the manifest sets: the pipe command's pods are asked for at once, the others' at the HPA's next sync. */
function ihpaOf(behavior: object = {}): IntelligentHorizontalPodAutoscaler {
  const manifest = {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "IntelligentHorizontalPodAutoscaler",
    metadata: { name: "shop", namespace: "default", uid: "shop", generation: 1 },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "shop" },
      minReplicas: 1,
      maxReplicas: 60,
      scaleMode: "Auto",
      metrics: [
        {
          name: "load",
          type: "External",
          query: "sum(rate(requests_total[1m]))",
          external: { metric: { name: "load" }, target: { type: "AverageValue", averageValue: String(podTarget) } },
        },
      ],
      prediction: { quantile: 95, lead: 75 },
      portraitProviders: [
        { type: "Dynamic", priority: 1, dynamic: { portraitType: "Predictive" } },
        { type: "Dynamic", priority: 1, dynamic: { portraitType: "Reactive" } },
      ],
      ...behavior,
    },
  };
  return readManifest(stringify(manifest), { kind: "IntelligentHorizontalPodAutoscaler" }).object;
}

const inSteps = {
  behavior: {
    scaleUp: { grayStrategy: { grayState: "Online", changePercent: 50, changeIntervalSeconds: 15 } },
    scaleDown: {
      grayStrategy: { grayState: "Cutoff", changePercent: 25, changeIntervalSeconds: 30, observationSeconds: 120 },
    },
  },
  standby: { minReplicas: 2, mode: "Image" },
};

/** What the answers of all of them have in common. */
type Answer = Pick<Decision, "total" | "desired" | "rung"> & { readonly reason: string };

interface Recorded {
  readonly ticks: DecisionTick[];
  readonly decisions: Decision[];
  readonly history: Series;
}

/** The ticks of a backtest's replay, with what was decided at each. */
function byBacktest(ihpa: IntelligentHorizontalPodAutoscaler): Recorded {
  const workload = {
    name: "shop",
    spec: ihpa.spec,
    loads: new Map([["load", load]]),
    podTargets: new Map([["load", podTarget]]),
  };
  const scene = replayInputsOf(workload, spanOf(workload, { replayMs: 6 * hourMs }), { startupSeconds: 60 });
  const ticks: DecisionTick[] = [];
  const decisions: Decision[] = [];
  runPolicy(
    scene,
    forescalePolicy(
      scene,
      () => undefined,
      (decision, tick) => {
        ticks.push(tick);
        decisions.push(decision);
      },
    ),
  );
  return { ticks, decisions, history: learntPart(load, scene.span) };
}

/** The ticks of a demo's replay, with what was decided at each. */
async function byDemo(ihpa: IntelligentHorizontalPodAutoscaler): Promise<Recorded> {
  const replayFromMs = load.startMs + 81 * hourMs;
  const trace = {
    name: "waves",
    title: "waves",
    source: "made for this test",
    metric: "load",
    unit: "requests/s",
    load,
    replayFromMs,
    replayUntilMs: replayFromMs + 3 * hourMs,
    podCarries: podTarget,
  };
  let total: number | undefined;
  const server: MetricServer = {
    curl: "",
    folder: "",
    setTime() {},
    publish(object) {
      if (object.kind !== "HorizontalPortrait") total = object.status?.decision?.total;
    },
    read: async () =>
      total === undefined ? { kind: "Missing", why: "none yet" } : { kind: "Values", values: [total] },
    async close() {},
  };
  const pool = createForecastPool(1);
  const ticks: DecisionTick[] = [];
  const decisions: Decision[] = [];
  const replay = new Replay({
    trace,
    ihpa,
    server,
    forecasts: new Forecasts(pool, load),
    onDecision(decision, tick) {
      ticks.push(tick);
      decisions.push(decision);
    },
  });
  while (!replay.isOver) await replay.tick();
  await pool.close();
  const known = Math.floor((replayFromMs - load.startMs) / load.stepMs);
  return { ticks, decisions, history: { ...load, values: load.values.slice(0, known) } };
}

/** The same ticks, decided by what the controller remembers of a workload. */
function byController(ihpa: IntelligentHorizontalPodAutoscaler, { ticks, history }: Recorded): Decision[] {
  const workload = new Workload(Workload.identity(ihpa));
  for (const spec of workload.unlearned(ihpa.spec.metrics ?? [])) workload.learn(spec, history);
  return ticks.map((tick) => {
    const decision = workload.decide(ihpa, undefined, tick, { tickMs, syncSeconds: 15 });
    if (!("timeMs" in decision)) throw new Error(decision.message);
    return decision;
  });
}

/** The same ticks, through the pipe command. */
async function byPipe(
  folder: string,
  ihpa: IntelligentHorizontalPodAutoscaler,
  { ticks, history }: Recorded,
): Promise<Answer[]> {
  const rows = Array.from(
    history.values,
    (value, k) => `${new Date(history.startMs + k * history.stepMs).toISOString()},${value}`,
  );
  await writeFile(join(folder, "history.csv"), ["timestamp,load", ...rows].join("\n"));
  await writeFile(join(folder, "ihpa.yaml"), stringify(ihpa));
  const lines = ticks.map(({ timeMs, loads, lagMs = 30_000, replicas, startupSeconds }) =>
    JSON.stringify({
      time: new Date(timeMs).toISOString(),
      metrics: Object.fromEntries(loads),
      replicas,
      startup_s: startupSeconds,
      lag_s: lagMs / 1000,
    }),
  );
  const stdout = new PassThrough();
  const answers: Buffer[] = [];
  stdout.on("data", (chunk: Buffer) => answers.push(chunk));
  const io = {
    stdin: Readable.from(lines.map((line) => `${line}\n`)),
    stdout,
    stderr: new PassThrough(),
    cwd: folder,
    signal: new AbortController().signal,
  };
  const status = await command.run({ ihpa: "ihpa.yaml", history: "history.csv" }, [], io);
  expect(status).toBe(0);
  return Buffer.concat(answers)
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("for the same ticks the controller and the pipe command give the number of", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "forescale-same-number-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const numbers = ({ total, desired, rung, reason }: Answer) => ({
    total,
    desired,
    rung,
    reason: reason.split(":")[0],
  });

  test.each([
    { name: "the backtest", behavior: {}, record: byBacktest },
    { name: "the backtest, in steps and with a hot pool", behavior: inSteps, record: byBacktest },
    { name: "the demo", behavior: {}, record: byDemo },
  ])("$name", async ({ behavior, record }) => {
    const ihpa = ihpaOf(behavior);
    const recorded = await record(ihpa);
    const expected = recorded.decisions.map(numbers);
    expect(new Set(expected.map(({ total }) => total)).size).toBeGreaterThan(5);
    expect(byController(ihpa, recorded).map(numbers)).toEqual(expected);
    expect((await byPipe(folder, ihpa, recorded)).map(numbers)).toEqual(expected);
  });
});
