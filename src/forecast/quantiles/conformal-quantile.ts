/**
 * Quantile of residuals with the n + 1 of conformal prediction (Vovk, Gammerman and Shafer 2005), linear between two of them.
 *
 * @param sorted finite, ascending
 * @returns 0 where there are none; the first or last residual where the level lies beyond them
 */
export function conformalQuantile(sorted: Float64Array, level: number): number {
  if (sorted.length === 0) return 0;
  const at = Math.max(0, Math.min(sorted.length - 1, level * (sorted.length + 1) - 1));
  const low = Math.floor(at);
  const high = Math.min(sorted.length - 1, low + 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

/** Twice a normal's quantile, by the logistic approximation: for too few residuals to tell how far values stray. */
export function wideNormalQuantile(level: number): number {
  return (2 / 1.702) * Math.log(level / (1 - level));
}
