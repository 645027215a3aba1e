import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { departures } from "../../scripts/figures/departures.ts";
import { loadAt, sizePods } from "../../src/backtest/replay/load.ts";
import { oracleReplicas } from "../../src/backtest/replay/oracle.ts";
import { Scoreboard } from "../../src/backtest/replay/scoreboard.ts";
import { SimulatedDeployment } from "../../src/backtest/replay/simulated-deployment.ts";
import { interpolate } from "../../src/series/gaps.ts";
import type { Series } from "../../src/series/series.ts";
import { madeLoads } from "./loads/made-loads.ts";

const tickMs = 15_000;
const lagTicks = 2;
const dayMs = 86_400_000;
const learntDays = 7;
const replayedDays = 2;
const ticks = (replayedDays * dayMs) / tickMs;
const program = join(import.meta.dirname, "..", "..", "bin", "forescale.mjs");

const startups = [60, 180];
/** What the manifest asks for, and for objectives the share of time that they allow. */
const wishes = [
  { title: "quantile 98", prediction: "{quantile: 98}" },
  { title: "quantile 99.9", prediction: '{quantile: "99.9"}' },
  { title: "objective 1 %", prediction: '{objective: {underProvisioned: "1%"}}', allowed: 0.01 },
  { title: "objective 0.1 %", prediction: '{objective: {underProvisioned: "0.1%"}}', allowed: 0.001 },
] as const;
/** Of the made loads, those that differ most in how they move. */
const chosen = ["office hours", "counts of single events", "hourly jobs", "bursts at random", "no season"];

/** A load in pods: a week that is learnt from, and two days that are replayed. */
interface Replay {
  readonly name: string;
  readonly history: Series;
  /** Pods needed at each tick, and for a quarter of an hour beyond. */
  readonly demand: Float64Array;
  readonly startMs: number;
}

/** What a replay came to. */
interface Outcome {
  readonly overOracle: number;
  readonly short: number;
  readonly unserved: number;
  readonly actionsPerDay: number;
}

function replayOf(name: string, { startMs: from, stepMs, values }: Series, lastDays: number): Replay {
  const perDay = dayMs / stepMs;
  const first = values.length - lastDays * perDay;
  const whole = { startMs: from + first * stepMs, stepMs, values: values.slice(first) };
  const podTarget = sizePods({ ...whole, values: whole.values.slice(0, (learntDays + replayedDays) * perDay) });
  const history = { ...whole, values: whole.values.slice(0, learntDays * perDay).map((value) => value / podTarget) };
  const startMs = whole.startMs + learntDays * dayMs;
  const filled = { ...whole, values: interpolate(whole.values).map((value) => value / podTarget) };
  const demand = Float64Array.from({ length: ticks + 60 }, (_, k) => loadAt(filled, startMs + k * tickMs));
  return { name, history, demand, startMs };
}

/** One replay of `forescale decide`, as any program would drive it: a line a tick, the pods asked for are created at once. */
async function drive(
  { history, demand, startMs }: Replay,
  prediction: string,
  startupSeconds: number,
  folder: string,
): Promise<Outcome> {
  const here = mkdtempSync(join(folder, "replay-"));
  writeFileSync(join(here, "ihpa.yaml"), manifest(prediction));
  writeFileSync(join(here, "history.csv"), csv(history));
  const child = spawn(process.execPath, [program, "decide", "--ihpa", "ihpa.yaml", "--history", "history.csv"], {
    cwd: here,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const oracle = oracleReplicas(demand, (startupSeconds * 1000) / tickMs).subarray(0, ticks);
  const deployment = new SimulatedDeployment(oracle[0], startupSeconds * 1000);
  const board = new Scoreboard();
  try {
    for (let tick = 0; tick < ticks; tick++) {
      const nowMs = startMs + tick * tickMs;
      const started = deployment.advance(nowMs);
      const { online, starting } = deployment;
      const load = Number(demand[Math.max(0, tick - lagTicks)].toPrecision(6));
      const line = { time: new Date(nowMs).toISOString(), metrics: { load }, replicas: { online, starting } };
      child.stdin.write(`${JSON.stringify({ ...line, startup_s: started })}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error("forescale decide ended before its input did");
      const { total, error } = JSON.parse(value);
      if (typeof total !== "number") throw new Error(`forescale decide: ${error}`);
      deployment.scale(total, nowMs);
      board.add(deployment.total, deployment.online, demand[tick], tickMs / 1000);
    }
  } finally {
    child.stdin.end();
    if (child.exitCode === null) child.kill();
  }
  const { podHours, underProvisionedMinutes, unserved } = board.score;
  return {
    overOracle: podHours / ((oracle.reduce((sum, pods) => sum + pods, 0) * tickMs) / 3_600_000),
    short: underProvisionedMinutes / (replayedDays * 1440),
    unserved,
    actionsPerDay: board.actions / replayedDays,
  };
}

function csv({ startMs, stepMs, values }: Series): string {
  const rows = Array.from(values, (value, i) => {
    const stamp = new Date(startMs + i * stepMs).toISOString();
    return `${stamp},${Number.isFinite(value) ? value.toPrecision(6) : ""}`;
  });
  return `timestamp,load\n${rows.join("\n")}\n`;
}

function manifest(prediction: string): string {
  return `apiVersion: autoscaling.forescale.io/v1alpha1
kind: IntelligentHorizontalPodAutoscaler
metadata: {name: bench, namespace: default}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: bench}
  minReplicas: 1
  maxReplicas: 200
  scaleMode: Auto
  metrics:
  - name: load
    type: External
    external: {metric: {name: load}, target: {type: AverageValue, averageValue: "1"}}
  prediction: ${prediction}
  portraitProviders:
  - {type: Dynamic, priority: 1, dynamic: {portraitType: Predictive}}
  - {type: Dynamic, priority: 1, dynamic: {portraitType: Reactive}}
`;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const percent = (share: number, digits: number) => `${(100 * share).toFixed(digits)} %`;

export default {
  name: "Closed loop: `forescale decide` in a model of a cluster, two days after a week that was learnt, load at most some 50 pods",
  async run(show: (text: string) => void): Promise<void> {
    const made = madeLoads().filter(({ name }) => chosen.includes(name));
    const replays = [
      replayOf("departures", departures(), 16),
      ...made.map(({ name, series }) => replayOf(name, series, 14)),
    ];
    const jobs = startups.flatMap((startup) =>
      wishes.flatMap((wish) => replays.map((replay) => ({ startup, wish, replay }))),
    );
    const outcomes: Outcome[] = new Array(jobs.length);
    const folder = mkdtempSync(join(tmpdir(), "forescale-bench-"));
    let [next, done] = [0, 0];
    const work = async () => {
      while (next < jobs.length) {
        const k = next++;
        const { replay, wish, startup } = jobs[k];
        outcomes[k] = await drive(replay, wish.prediction, startup, folder);
        show(`replay ${++done} of ${jobs.length}`);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(availableParallelism(), jobs.length) }, work));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }

    const head = [
      "pods start in",
      "asked for",
      "pod-hours ÷ oracle",
      "too few pods",
      "unserved",
      "actions a day",
      "kept",
    ];
    const lines = [`| ${head.join(" | ")} |`, "|---|---|---:|---:|---:|---:|---|"];
    for (const startup of startups)
      for (const wish of wishes) {
        const of = outcomes.filter((_, k) => jobs[k].startup === startup && jobs[k].wish === wish);
        const column = (read: (outcome: Outcome) => number) => mean(of.map(read));
        const within = (factor: number) =>
          "allowed" in wish ? of.filter(({ short }) => short <= factor * wish.allowed + 1e-9).length : 0;
        lines.push(
          `| ${[
            `${startup} s`,
            wish.title,
            column(({ overOracle }) => overOracle).toFixed(3),
            percent(
              column(({ short }) => short),
              2,
            ),
            percent(
              column(({ unserved }) => unserved),
              3,
            ),
            column(({ actionsPerDay }) => actionsPerDay).toFixed(0),
            "allowed" in wish ? `${within(1)} of ${of.length}, ${within(2)} within twice` : "",
          ].join(" | ")} |`,
        );
      }
    lines.push("", `Means over ${replays.length} replays: ${replays.map(({ name }) => name).join(", ")}.`);
    process.stdout.write(`${lines.join("\n")}\n`);
  },
};
