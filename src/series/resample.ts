import type { Series } from "./series.ts";

/**
 * Averages a series to a coarser step, on the grid of whole steps since the epoch. Samples before the first whole step and after the last one are dropped.
 *
 * @param series the fine series; a bin is the mean of its present samples
 * @param stepMs the coarser step, a whole multiple of the series' own
 * @param minShare a bin with a smaller share of its samples present is missing
 * @returns a new series, or the same one where the steps are equal
 * @throws RangeError when `stepMs` is not a whole multiple of the series' step
 */
export function resample(series: Series, stepMs: number, minShare = 0.5): Series {
  const each = stepMs / series.stepMs;
  if (!(Number.isInteger(each) && each >= 1))
    throw new RangeError(`a step of ${stepMs} ms is not a whole multiple of ${series.stepMs} ms`);
  if (each === 1) return series;
  const startMs = Math.ceil(series.startMs / stepMs) * stepMs;
  const skip = Math.min(series.values.length, Math.round((startMs - series.startMs) / series.stepMs));
  return { startMs, stepMs, values: binMeans(series.values.subarray(skip), each, minShare) };
}

/**
 * Means of consecutive bins of `each` samples; an incomplete last bin is dropped.
 *
 * @param values samples, NaN where missing
 * @param minShare a bin with a smaller share of its samples present is NaN
 */
export function binMeans(values: Float64Array, each: number, minShare = 0.5): Float64Array {
  const means = new Float64Array(Math.floor(values.length / each));
  for (let b = 0; b < means.length; b++) {
    let sum = 0;
    let count = 0;
    for (let t = b * each; t < (b + 1) * each; t++) {
      if (!Number.isFinite(values[t])) continue;
      sum += values[t];
      count++;
    }
    means[b] = count > 0 && count >= minShare * each ? sum / count : Number.NaN;
  }
  return means;
}
