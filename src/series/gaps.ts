/** Share of samples that are present, 0 … 1; 0 for an empty series. */
export function presentShare(values: Float64Array): number {
  let present = 0;
  for (let t = 0; t < values.length; t++) if (Number.isFinite(values[t])) present++;
  return values.length === 0 ? 0 : present / values.length;
}

/** Mean of the samples that are present; 0 where there are none. */
export function presentMean(values: Float64Array): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    sum += values[i];
    count++;
  }
  return count > 0 ? sum / count : 0;
}

/**
 * Fills gaps by linear interpolation, and the ends with the nearest sample.
 *
 * @param values samples, NaN where missing
 * @returns a new array of the same length; unchanged (all NaN) where nothing is present
 */
export function interpolate(values: Float64Array): Float64Array {
  const n = values.length;
  const filled = values.slice();
  let last = -1;
  for (let t = 0; t < n; t++) {
    if (!Number.isFinite(values[t])) continue;
    if (last < 0) filled.fill(values[t], 0, t);
    else if (t > last + 1) {
      const slope = (values[t] - values[last]) / (t - last);
      for (let i = last + 1; i < t; i++) filled[i] = values[last] + slope * (i - last);
    }
    last = t;
  }
  if (last >= 0) filled.fill(values[last], last + 1);
  return filled;
}
