import type { CheckResult } from "./stability.ts";

/** What was measured at a moment. */
export interface Sample {
  readonly timeMs: number;
  readonly value: number;
}

/** What the built-in check compares: one measure that is bad when it rises. */
export interface Regression {
  /** For people: `error rate`, `response time`. */
  readonly name: string;
  /** Samples from before the change's first step until now, in any order. */
  readonly samples: readonly Sample[];
  /** When the change's first step was made, and its last one. */
  readonly beganMs: number;
  readonly stepMs: number;
  readonly nowMs: number;
  /** Rise, as a share of what it was, that is no worse. */
  readonly tolerance: number;
  /** Rise, in the measure's own unit, that is no worse: what noise makes of almost nothing. */
  readonly slack: number;
}

/** Samples that it takes to say anything. */
const fewest = 3;
/** What a step did shows within this time; nothing measured by then means that nothing can be. */
const patienceMs = 120_000;

/**
 * Whether a measure is worse than before a change: the median since the last step lies above the median before the first one by more
 * than tolerance and slack, and above nine tenths of what was measured then, so that a noisy service trips nothing.
 * Until enough was measured after a step it passes, for two minutes.
 */
export function checkRegression({ name, samples, beganMs, stepMs, nowMs, tolerance, slack }: Regression): CheckResult {
  const valid = samples.filter(({ value }) => Number.isFinite(value));
  const before = sorted(valid.filter(({ timeMs }) => timeMs < beganMs));
  const since = sorted(valid.filter(({ timeMs }) => timeMs > stepMs && timeMs <= nowMs));
  if (before.length < fewest)
    return { kind: "Unknown", message: `too few samples of the ${name} before the change (${before.length})` };
  if (since.length < fewest) {
    if (nowMs - stepMs <= patienceMs) return { kind: "Passed" };
    return { kind: "Unknown", message: `too few samples of the ${name} since the last step (${since.length})` };
  }
  const [was, is] = [quantile(before, 0.5), quantile(since, 0.5)];
  const isWorse = is > was * (1 + tolerance) + slack && is > quantile(before, 0.9);
  if (!isWorse) return { kind: "Passed" };
  return { kind: "Failed", message: `the ${name} rose from ${short(was)} to ${short(is)} after the change` };
}

function sorted(samples: readonly Sample[]): number[] {
  return samples.map(({ value }) => value).toSorted((a, b) => a - b);
}

/** The next sample at or above a share of them. */
function quantile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.ceil(share * values.length) - 1)];
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
