/** The error of a model on the held-out days. */
export interface FitScore {
  /** Share of the variance explained; below 0 where worse than the mean; 1 where there is none to explain and no error. */
  readonly r2: number;
  /** Σ|error| ÷ Σ|measured|: WAPE. */
  readonly wape: number;
}

const dayMs = 86_400_000;
/** With fewer days, the last quarter is held out. */
const fewestDays = 3;

/**
 * Splits a history into samples to fit on and samples to score on. The last days are held out, as a forecast is for days after
 * the history too: about a fifth of the time, at least one day and at most three.
 *
 * @param timesMs ascending
 * @returns the index of the first held-out sample
 */
export function firstHeldBack(timesMs: Float64Array): number {
  if (timesMs.length === 0) return 0;
  const last = timesMs[timesMs.length - 1];
  const spanMs = last - timesMs[0];
  const days = Math.min(3, Math.max(1, Math.round(spanMs / dayMs / 5)));
  const heldMs = spanMs >= fewestDays * dayMs ? days * dayMs : spanMs / 4;
  return timesMs.findIndex((time) => time > last - heldMs);
}

/** The worst samples, this share, are not scored: restarts, deployments and broken scrapes are no fault of a model. */
const trimmedShare = 0.1;

/** Scores `fitted` against `measured`, both finite, of the same length, without the worst tenth. */
export function scoreOf(measured: Float64Array, fitted: Float64Array): FitScore {
  const order = Uint32Array.from(measured.keys());
  const errors = measured.map((value, i) => Math.abs(value - fitted[i]));
  order.sort((a, b) => errors[a] - errors[b]);
  const kept = order.subarray(0, Math.max(1, Math.round((1 - trimmedShare) * order.length)));
  let mean = 0;
  for (const i of kept) mean += measured[i] / kept.length;
  let [left, total, error, size] = [0, 0, 0, 0];
  for (const i of kept) {
    left += errors[i] ** 2;
    total += (measured[i] - mean) ** 2;
    error += errors[i];
    size += Math.abs(measured[i]);
  }
  const r2 = total > 1e-18 * size * size ? 1 - left / total : error > 1e-9 * size ? 0 : 1;
  return { r2, wape: size > 0 ? error / size : error > 0 ? Number.MAX_VALUE : 0 };
}

/** An error this small is good enough even if little variance is explained: the usage of an autoscaled pod hardly varies. */
const smallError = 0.1;
const largestError = 0.25;
const leastExplained = 0.5;

/** Why a fit is not good enough to size pods; undefined where it is. */
export function rejectionOf({ r2, wape }: FitScore): string | undefined {
  if (wape <= smallError || (wape <= largestError && r2 >= leastExplained)) return undefined;
  return `on the held-out days the error is ${percent(wape)} and ${percent(Math.max(0, r2))} of the variance is explained; an error of at most ${percent(largestError)} with ${percent(leastExplained)} explained, or of at most ${percent(smallError)}, is needed`;
}

export function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}
