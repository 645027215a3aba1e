/** How far a model was off where it had not looked. */
export interface FitScore {
  /** Share of the variance explained; below 0 where worse than the mean; 1 where there is none to explain and no error. */
  readonly r2: number;
  /** Σ|error| ÷ Σ|measured|: WAPE. */
  readonly wape: number;
}

const dayMs = 86_400_000;
/** With fewer days, the last quarter is held back. */
const fewestDays = 3;

/**
 * Which moments to learn from and which to judge on: the last days, as tomorrow comes after them too. At least a day, at most
 * three, about a fifth.
 *
 * @param timesMs ascending
 * @returns the index of the first moment held back
 */
export function firstHeldBack(timesMs: Float64Array): number {
  if (timesMs.length === 0) return 0;
  const last = timesMs[timesMs.length - 1];
  const spanMs = last - timesMs[0];
  const days = Math.min(3, Math.max(1, Math.round(spanMs / dayMs / 5)));
  const heldMs = spanMs >= fewestDays * dayMs ? days * dayMs : spanMs / 4;
  return timesMs.findIndex((time) => time > last - heldMs);
}

/** Restarts, deployments and broken scrapes are no fault of a model: this share of the moments, the worst, is not scored. */
const oddShare = 0.1;

/** Scores `fitted` against `measured`, both finite, of the same length, the worst tenth left out. */
export function scoreOf(measured: Float64Array, fitted: Float64Array): FitScore {
  const order = Uint32Array.from(measured.keys());
  const errors = measured.map((value, i) => Math.abs(value - fitted[i]));
  order.sort((a, b) => errors[a] - errors[b]);
  const kept = order.subarray(0, Math.max(1, Math.round((1 - oddShare) * order.length)));
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

/** An error this small is good enough whatever its share of the variance: an autoscaled pod's usage hardly varies. */
const smallError = 0.1;
const largestError = 0.25;
const leastExplained = 0.5;

/** Why a fit is not good enough to size pods by; undefined where it is. */
export function faultOfFit({ r2, wape }: FitScore): string | undefined {
  if (wape <= smallError || (wape <= largestError && r2 >= leastExplained)) return undefined;
  return `on the days held back it is ${percent(wape)} off and explains ${percent(Math.max(0, r2))} of the variance; ${percent(largestError)} and ${percent(leastExplained)}, or ${percent(smallError)} off, would do`;
}

export function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}
