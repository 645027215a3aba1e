import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { endMs, type Series } from "../series/series.ts";

/** A workload to be replayed. Plain data: it travels to worker threads. */
export interface Workload {
  readonly name: string;
  readonly spec: IntelligentHorizontalPodAutoscalerSpec;
  /** Each metric's whole history by the metric's name: the workload's totals. What is replayed is its last part. */
  readonly loads: ReadonlyMap<string, Series>;
  /** Series by their names that `spec.capacity` is learnt from, beside the loads. */
  readonly columns?: ReadonlyMap<string, Series>;
  /** What one pod carries of each metric when it is full. */
  readonly podTargets: ReadonlyMap<string, number>;
}

/** The cluster that is played, and how much is replayed. */
export interface ReplayRules {
  /** Seconds from a pod's creation to its readiness. */
  readonly startupSeconds: number;
  /** The last part of the history that is replayed; two days, or a third of a shorter history, where absent. */
  readonly replayMs?: number;
}

/** How often the HPA looks and Forescale decides. */
export const tickMs = 15_000;
/** Live values are this old when they are read. */
export const lagMs = 30_000;

const dayMs = 86_400_000;
const usualReplayMs = 2 * dayMs;
const leastLearningMs = 2 * dayMs;
const leastReplayMs = dayMs / 4;
const coarsestStepMs = 3_600_000;

/** What is learnt from and what is replayed, in milliseconds since the epoch. */
export interface Span {
  readonly learnFromMs: number;
  readonly replayFromMs: number;
  readonly replayUntilMs: number;
}

/** A history that cannot be replayed; the message is one sentence with the remedy. */
export class HistoryError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "HistoryError";
  }
}

/**
 * Cuts a workload's history: its last part is replayed, all before it is learnt from.
 *
 * @throws HistoryError for a history too short, too coarse or too empty, or without any load
 */
export function spanOf({ loads }: Pick<Workload, "loads">, { replayMs }: Pick<ReplayRules, "replayMs">): Span {
  for (const [name, series] of loads) checkSeries(name, series);
  const all = [...loads.values()];
  const learnFromMs = Math.max(...all.map((series) => series.startMs));
  const replayUntilMs = Math.min(...all.map(endMs));
  const spanMs = replayUntilMs - learnFromMs;
  const stepMs = Math.max(...all.map((series) => series.stepMs));
  const wantedMs = replayMs ?? Math.min(usualReplayMs, spanMs / 3);
  // On the grid that forecasts are made on, and whole ticks.
  const gridMs = Math.max(stepMs, 300_000);
  const replayFromMs = learnFromMs + Math.ceil((spanMs - wantedMs) / gridMs - 1e-9) * gridMs;
  if (replayFromMs - learnFromMs < leastLearningMs - 1)
    throw new HistoryError(
      replayMs === undefined
        ? `${daysText(spanMs)} of history are too few: a backtest learns from 2 days at least and replays a third; give 3 days, better 2 weeks`
        : `a replay of ${daysText(replayMs)} leaves ${daysText(Math.max(0, spanMs - replayMs))} of ${daysText(spanMs)} to learn from; 2 days at least are needed, so replay less or give more history`,
    );
  if (replayUntilMs - replayFromMs < leastReplayMs)
    throw new HistoryError(
      `a replay of ${daysText(replayUntilMs - replayFromMs)} tells too little; replay 6 h at least`,
    );
  return { learnFromMs, replayFromMs, replayUntilMs };
}

function checkSeries(name: string, { stepMs, values }: Series): void {
  if (stepMs > coarsestStepMs)
    throw new HistoryError(
      `most rows of ${name} are ${Number((stepMs / 3_600_000).toFixed(1))} h apart; give one at least every hour, better every minute`,
    );
  let present = 0;
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    present++;
    largest = Math.max(largest, values[i]);
  }
  if (values.length === 0) throw new HistoryError(`${name} has no rows; give at least 3 days of history`);
  if (present < values.length / 2)
    throw new HistoryError(
      `${name} has values in only ${present} of ${values.length} steps; give a history at least half full, or a coarser step`,
    );
  if (largest === 0) throw new HistoryError(`every value of ${name} is 0; a backtest needs a load`);
}

/** A stretch of time in days, or hours below two days. */
export function daysText(spanMs: number): string {
  const [count, unit] = spanMs < 2 * dayMs ? [spanMs / 3_600_000, "hour"] : [spanMs / dayMs, "day"];
  const rounded = Number(count.toFixed(1));
  return `${rounded} ${unit}${rounded === 1 ? "" : "s"}`;
}
