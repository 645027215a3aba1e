/**
 * Probability that the largest of `bins` independent exponential powers holds at least the share `g` of their sum, by Fisher's
 * g-test (1929): Σ_k (−1)^(k−1)·C(n,k)·(1 − kg)^(n−1).
 *
 * Where the terms would cancel or overflow, the first one is used: an upper bound (Bonferroni) that is tight for the small values that
 * matter.
 *
 * @param g share of the largest power, 0 … 1
 * @param bins how many powers there are, from 1
 */
export function fisherPValue(g: number, bins: number): number {
  if (!(g > 0) || bins < 2) return 1;
  if (g >= 1) return 0;
  const first = Math.exp(Math.log(bins) + (bins - 1) * Math.log1p(-g));
  if (first < 0.01 || bins > 50) return Math.min(1, first);
  let sum = 0;
  let choose = 1;
  for (let k = 1; k * g < 1 && k <= bins; k++) {
    choose *= (bins - k + 1) / k;
    sum += (k % 2 === 1 ? 1 : -1) * choose * (1 - k * g) ** (bins - 1);
  }
  return Math.max(0, Math.min(1, sum));
}
