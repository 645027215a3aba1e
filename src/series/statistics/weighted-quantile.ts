/** A weighted sample in scratch arrays, the first `count` elements of which it fills. */
export interface WeightedSample {
  /** Finite; sorted in place, with the weights, when quantiles are taken. */
  readonly values: Float64Array;
  /** One for each value, from 0; values of weight 0 do not count. */
  readonly weights: Float64Array;
  readonly count: number;
}

/**
 * Quantiles of a weighted sample: sorted sample k stands at (Σ_before w + w_k/2) / Σ w; between two samples the value is
 * interpolated linearly, beyond the first and the last it stays at them.
 *
 * @param sample sorted in place as a side effect
 * @param levels ascending, each in [0, 1]
 * @param out receives one value for each level, at `at`, `at + stride`, `at + 2·stride`, …
 * @returns whether there was any weight; `out` is untouched where there was none
 */
export function weightedQuantiles(
  { values, weights, count }: WeightedSample,
  levels: readonly number[],
  out: Float64Array,
  at = 0,
  stride = 1,
): boolean {
  let total = 0;
  for (let k = 0; k < count; k++) total += weights[k];
  if (!(total > 0)) return false;
  sortTogether(values, weights, 0, count - 1);

  let before = 0;
  let level = 0;
  let lastValue = values[0];
  let lastShare = -1; // no sample of positive weight yet
  for (let k = 0; k < count && level < levels.length; k++) {
    const weight = weights[k];
    if (!(weight > 0)) continue;
    const value = values[k];
    const share = (before + weight / 2) / total;
    before += weight;
    while (level < levels.length && levels[level] <= share) {
      out[at + level * stride] =
        lastShare >= 0 && share > lastShare
          ? // Rounding must not exceed the sample's own value.
            Math.min(value, lastValue + ((value - lastValue) * (levels[level] - lastShare)) / (share - lastShare))
          : value;
      level++;
    }
    lastValue = value;
    lastShare = share;
  }
  for (; level < levels.length; level++) out[at + level * stride] = lastValue;
  return true;
}

/**
 * Sorts `keys[from … to]` ascending and moves `others` along, in place: quicksort by the middle of three, insertion at the
 * end. Typed arrays' own sort cannot carry a second array, and sorting indices through a callback is ten times slower.
 *
 * @param keys no NaN
 * @param others same length as `keys`
 */
export function sortTogether(keys: Float64Array, others: Float64Array | Int32Array, from: number, to: number): void {
  let low = from;
  let high = to;
  while (high - low > 16) {
    const middle = (low + high) >> 1;
    if (keys[middle] < keys[low]) swap(keys, others, middle, low);
    if (keys[high] < keys[low]) swap(keys, others, high, low);
    if (keys[high] < keys[middle]) swap(keys, others, high, middle);
    const pivot = keys[middle];
    let i = low;
    let j = high;
    while (i <= j) {
      while (keys[i] < pivot) i++;
      while (keys[j] > pivot) j--;
      if (i <= j) swap(keys, others, i++, j--);
    }
    // The smaller part by recursion, the larger by the loop: the depth stays logarithmic.
    if (j - low < high - i) {
      sortTogether(keys, others, low, j);
      low = i;
    } else {
      sortTogether(keys, others, i, high);
      high = j;
    }
  }
  for (let i = low + 1; i <= high; i++) {
    const key = keys[i];
    const other = others[i];
    let j = i - 1;
    for (; j >= low && keys[j] > key; j--) {
      keys[j + 1] = keys[j];
      others[j + 1] = others[j];
    }
    keys[j + 1] = key;
    others[j + 1] = other;
  }
}

function swap(keys: Float64Array, others: Float64Array | Int32Array, i: number, j: number): void {
  const key = keys[i];
  keys[i] = keys[j];
  keys[j] = key;
  const other = others[i];
  others[i] = others[j];
  others[j] = other;
}
