import type { Backtest } from "./backtest.ts";

/** A forecast of a load, as the decision reads it; step `k` covers `[startMs + k·stepMs, startMs + (k + 1)·stepMs)`. */
export interface LoadForecast {
  readonly startMs: number;
  readonly stepMs: number;
  /** Ascending, each in (0, 1). */
  readonly levels: readonly number[];
  /** One array of values for each level, in the metric's unit. */
  readonly quantiles: readonly ArrayLike<number>[];
  /** How it did when replayed over the history, in the metric's unit; absent where nothing could be replayed. */
  readonly backtest?: Backtest;
}

/**
 * The largest value that the forecast's quantile takes over `[fromMs, toMs]`; between two levels it lies on the line between them,
 * beyond the outermost ones it is theirs.
 *
 * @returns undefined where the forecast does not reach over the whole stretch, or is not a number there
 */
export function largestAhead(outlook: LoadForecast, level: number, fromMs: number, toMs: number): number | undefined {
  let largest = Number.NEGATIVE_INFINITY;
  const reaches = walk(outlook, level, fromMs, toMs, (value) => {
    largest = Math.max(largest, value);
  });
  return reaches ? Math.max(0, largest) : undefined;
}

/** The mean of the forecast's quantile over `[fromMs, toMs]`, read as by `largestAhead`. */
export function meanAhead(outlook: LoadForecast, level: number, fromMs: number, toMs: number): number | undefined {
  let [sum, weight] = [0, 0];
  const reaches = walk(outlook, level, fromMs, toMs, (value, overlapMs) => {
    sum += value * overlapMs;
    weight += overlapMs;
  });
  return reaches && weight > 0 ? Math.max(0, sum / weight) : undefined;
}

/** Visits the steps that `[fromMs, toMs]` touches. @returns false where one has no value */
function walk(
  { startMs, stepMs, levels, quantiles }: LoadForecast,
  level: number,
  fromMs: number,
  toMs: number,
  visit: (value: number, overlapMs: number) => void,
): boolean {
  if (levels.length === 0) return false;
  const first = Math.floor((fromMs - startMs) / stepMs);
  const last = Math.floor((toMs - startMs) / stepMs);
  const above = levels.findIndex((l) => l >= level);
  const upper = above === -1 ? levels.length - 1 : above;
  const lower = above <= 0 ? upper : above - 1;
  const span = levels[upper] - levels[lower];
  const share = span > 0 ? (level - levels[lower]) / span : 0;
  for (let k = first; k <= last; k++) {
    const [low, high] = [quantiles[lower][k], quantiles[upper][k]]; // undefined beyond the horizon
    const value = low + (high - low) * Math.min(1, share);
    if (!Number.isFinite(value)) return false;
    const beginMs = startMs + k * stepMs;
    visit(value, Math.min(toMs, beginMs + stepMs) - Math.max(fromMs, beginMs));
  }
  return true;
}
