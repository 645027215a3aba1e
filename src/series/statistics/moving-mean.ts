/**
 * Moving means of a series with gaps (NaN).
 *
 * **Cost**: O(n), whatever the width.
 */

/**
 * Weighted mean over ± `half` steps, weight falling linearly to 0 at half + 1; missing samples are left out. From one step to
 * the next the weighted sum grows by the half + 1 samples ahead and shrinks by as many behind, so that any width costs O(n).
 */
export function triangularMean(values: Float64Array, half: number): Float64Array {
  const n = values.length;
  const { sums, counts } = runningSums(values);
  const out = new Float64Array(n);
  let sum = 0; // in units of 1 / (half + 1)
  let weight = 0;
  for (let e = 0; e < Math.min(n, half); e++) {
    if (Number.isNaN(values[e])) continue;
    sum += (half - e) * values[e];
    weight += half - e;
  }
  for (let i = 0; i < n; i++) {
    const ahead = Math.min(n, i + half + 1);
    const behind = Math.max(0, i - half - 1);
    sum += sums[ahead] - sums[i] - (sums[i] - sums[behind]);
    weight += counts[ahead] - counts[i] - (counts[i] - counts[behind]);
    out[i] = weight > 0 ? sum / weight : Number.NaN;
  }
  return out;
}

/** Mean over ± `half` steps of what is present; near the ends the window moves inward and keeps its full length. */
export function centeredMean(values: Float64Array, half: number): Float64Array {
  const n = values.length;
  const { sums, counts } = runningSums(values);
  const width = 2 * half + 1;
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const from = i + half + 1 > n ? Math.max(0, n - width) : Math.max(0, i - half);
    const to = i - half < 0 ? Math.min(n, width) : Math.min(n, i + half + 1);
    const count = counts[to] - counts[from];
    out[i] = count > 0 ? (sums[to] - sums[from]) / count : Number.NaN;
  }
  return out;
}

/** Sum and count of the present samples before each step, length n + 1. */
function runningSums(values: Float64Array): { sums: Float64Array; counts: Int32Array } {
  const sums = new Float64Array(values.length + 1);
  const counts = new Int32Array(values.length + 1);
  for (let i = 0; i < values.length; i++) {
    const missing = Number.isNaN(values[i]);
    sums[i + 1] = sums[i] + (missing ? 0 : values[i]);
    counts[i + 1] = counts[i] + (missing ? 0 : 1);
  }
  return { sums, counts };
}
