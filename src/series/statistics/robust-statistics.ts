/**
 * Location and spread that a tenth of outliers cannot move far.
 *
 * Samples must be finite: drop gaps first with `finiteOf`.
 */

/** MAD × this is the standard deviation of normal samples. */
export const normalMad = 1.4826;

/** Huber's threshold in standard deviations: 95 % efficient on normal samples (Huber 1964). */
export const huberThreshold = 1.345;

/** The finite samples of a series, in order, as a new array. */
export function finiteOf(values: Float64Array): Float64Array {
  return values.filter(Number.isFinite);
}

/**
 * Quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan 1996).
 *
 * @param sorted finite samples, ascending
 * @param level in [0, 1]
 * @returns NaN when there are no samples
 */
export function quantileOfSorted(sorted: Float64Array, level: number): number {
  const n = sorted.length;
  if (n === 0) return Number.NaN;
  const at = level * (n - 1);
  const low = Math.floor(at);
  const high = Math.min(n - 1, low + 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

/** Median of finite samples; NaN when there are none. Selects instead of sorting: O(n). */
export function median(values: Float64Array): number {
  const n = values.length;
  if (n === 0) return Number.NaN;
  const copy = values.slice();
  const upper = smallest(copy, n >> 1);
  if (n % 2 === 1) return upper;
  let lower = copy[0]; // all elements before the selected one are at most as large
  for (let i = 1; i < n >> 1; i++) if (copy[i] > lower) lower = copy[i];
  return (lower + upper) / 2;
}

/** The value that would stand at `k` (from 0) if the array were sorted (Hoare's quickselect); reorders it. No NaN. */
export function smallest(values: Float64Array, k: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const pivot = values[(low + high) >> 1];
    let i = low;
    let j = high;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i > j) break;
      const swapped = values[i];
      values[i++] = values[j];
      values[j--] = swapped;
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else break;
  }
  return values[k];
}

/** Median absolute deviation from `center` (the median when left out), unscaled; NaN when there are no samples. */
export function medianAbsoluteDeviation(values: Float64Array, center = median(values)): number {
  const n = values.length;
  const distances = new Float64Array(n);
  for (let i = 0; i < n; i++) distances[i] = Math.abs(values[i] - center);
  return median(distances);
}

/**
 * Spread in the units of a standard deviation: the scaled MAD, or, where over half of the samples are equal,
 * the mean absolute deviation, or 0 for a constant series. Never NaN.
 */
export function robustScale(values: Float64Array, center = median(values)): number {
  const n = values.length;
  if (n === 0) return 0;
  const mad = normalMad * medianAbsoluteDeviation(values, center);
  const floor = 1e-12 * Math.abs(center); // rounding errors of a constant series are no spread
  if (mad > floor) return mad;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Math.abs(values[i] - center);
  const mean = (1.2533 * sum) / n; // √(π/2): the mean absolute deviation of normal samples
  return mean > floor ? mean : 0;
}

/**
 * Biweight midvariance: a variance that ignores samples beyond nine MADs (Wilcox 2005, section 3.12.1); the form of
 * RobustPeriod (Wen et al. 2021, section 3.2), unbiased by the count.
 *
 * @returns 0 when the samples have no spread, NaN when there are none
 */
export function biweightMidvariance(values: Float64Array): number {
  const n = values.length;
  if (n === 0) return Number.NaN;
  const center = median(values);
  const mad = medianAbsoluteDeviation(values, center);
  if (mad === 0) return 0;
  let top = 0;
  let bottom = 0;
  for (let i = 0; i < n; i++) {
    const d = values[i] - center;
    const u2 = (d / (9 * mad)) ** 2;
    if (u2 >= 1) continue;
    top += d * d * (1 - u2) ** 4;
    bottom += (1 - u2) * (1 - 5 * u2);
  }
  return (n * top) / (bottom * bottom);
}

/** Huber's loss: x²/2 within ±threshold, linear beyond. */
export function huberLoss(x: number, threshold: number): number {
  const size = Math.abs(x);
  return size <= threshold ? (x * x) / 2 : threshold * size - (threshold * threshold) / 2;
}

/** Weight of a residual in reweighted least squares under Huber's loss: 1 within ±threshold, falling beyond. */
export function huberWeight(x: number, threshold: number): number {
  const size = Math.abs(x);
  return size <= threshold ? 1 : threshold / size;
}

/** x clipped to ±limit. */
export function clipTo(x: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, x));
}

/** Shrinks x towards 0 by `by`: the proximal step of the absolute value. */
export function softThreshold(x: number, by: number): number {
  return x > by ? x - by : x < -by ? x + by : 0;
}
