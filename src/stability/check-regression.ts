import type { CheckResult } from "./stability.ts";

/** A measured value and its time. */
export interface Sample {
  readonly timeMs: number;
  readonly value: number;
}

/** Input of the built-in regression check: one measure that is bad when it rises. */
export interface Regression {
  /** For messages: `error rate`, `response time`. */
  readonly name: string;
  /** Samples from before the change's first step until now, in any order. */
  readonly samples: readonly Sample[];
  /** When the change's first step was made, and its last one. */
  readonly beganMs: number;
  readonly stepMs: number;
  readonly nowMs: number;
  /** Relative rise that does not count as worse. */
  readonly tolerance: number;
  /** Absolute rise that does not count as worse: noise on a value near zero. */
  readonly slack: number;
}

/** Fewest samples on either side for a result. */
const fewest = 3;
/** Samples after a step arrive within this time; without any by then, the result is Unknown. */
const patienceMs = 120_000;

/**
 * Whether a measure is worse than before a change: the median since the last step lies above the median before the first one by more
 * than tolerance and slack, and above the 90th percentile from before, so that a noisy service does not fail.
 * With too few samples after a step it passes, for at most two minutes.
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

/** The smallest sample with this share of all samples at or below it. */
function quantile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.ceil(share * values.length) - 1)];
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
