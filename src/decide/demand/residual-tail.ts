/** How often a residual, in units of its scale, was larger than `e`: the empirical tail, continued exponentially beyond the largest seen. */
export interface ResidualTail {
  /** Surprises seen, ascending; never empty. */
  readonly residuals: Float64Array;
}

/** @param residuals in units of their scale, in any order; at least one, none NaN */
export function residualTailOf(residuals: Float64Array): ResidualTail {
  if (residuals.length === 0) throw new RangeError("a tail needs at least one residual");
  return { residuals: residuals.toSorted() };
}

/** The probability, in (0, 1], of a residual above `e`: falls as `e` rises. n residuals leave 1/(n + 1) for what was never seen. */
export function exceedance(tail: ResidualTail, e: number): number {
  const { residuals } = tail;
  const n = residuals.length;
  const largest = residuals[n - 1];
  if (e >= largest) return Math.exp((largest - e) / Math.max(1e-9, 0.3 * largest)) / (n + 1);
  let [low, high] = [0, n]; // how many residuals are ≤ e
  while (low < high) {
    const middle = (low + high) >> 1;
    if (residuals[middle] <= e) low = middle + 1;
    else high = middle;
  }
  return 1 - low / (n + 1);
}

/** The residual that a share `level` of those seen did not exceed. */
export function residualAt({ residuals }: ResidualTail, level: number): number {
  return residuals[Math.min(residuals.length - 1, Math.max(0, Math.ceil(level * residuals.length) - 1))];
}

/** The tail of a load whose residuals are not known yet: exponential, its mean the unit. */
export const exponentialTail: ResidualTail = {
  residuals: Float64Array.from({ length: 200 }, (_, k) => -Math.log(1 - (k + 0.5) / 200)),
};
