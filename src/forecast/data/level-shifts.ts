import { median, normalMad, quantileOfSorted } from "../../series/statistics/robust-statistics.ts";

/** A level shift: everything from `at` on is `size` higher. */
export interface LevelShift {
  readonly at: number;
  readonly size: number;
}

const narrow = 12;
const most = 6;

/**
 * Finds level shifts: edges that are sharp between neighbouring medians and persist between means over `lasting` samples on both
 * sides (or half of that near an end), so that the edges of a shorter square wave do not count.
 *
 * @param values samples, NaN where missing
 * @param lasting samples that a level must last on both sides
 * @returns at most six, in order of time; none where edges are so common that they are the shape of the series
 */
export function levelShifts(values: Float64Array, lasting: number): LevelShift[] {
  const n = values.length;
  if (n < 6 * narrow) return [];
  const medians = runningMedians(values, narrow);
  const edges = new Float64Array(n);
  const sizes = new Float64Array(n - 2 * narrow + 1);
  for (let t = narrow; t <= n - narrow; t++) {
    const edge = medians[t] - medians[t - narrow];
    edges[t] = Number.isNaN(edge) ? 0 : edge;
    sizes[t - narrow] = Math.abs(edges[t]);
  }
  const scale = normalMad * median(sizes);
  if (scale === 0) return [];
  const found: LevelShift[] = [];
  const free = new Uint8Array(n).fill(1);
  const rest = values.slice();
  for (let tries = 0; tries < 3 * most && found.length < most; tries++) {
    let at = -1;
    for (let t = narrow; t <= n - narrow; t++)
      if (free[t] === 1 && Math.abs(edges[t]) > 4 * scale && (at < 0 || Math.abs(edges[t]) > Math.abs(edges[at])))
        at = t;
    if (at < 0) break;
    free.fill(0, Math.max(0, at - 2 * narrow), at + 2 * narrow);
    const reach = Math.min(lasting, at, n - at);
    if (reach < Math.max(2 * narrow, lasting / 2)) continue;
    const wide = winsorizedMean(rest, at, at + reach) - winsorizedMean(rest, at - reach, at);
    if (!(wide * Math.sign(edges[at]) > 0.6 * Math.abs(edges[at]))) continue;
    const size = edges[at];
    found.push({ at, size });
    for (let t = at; t < n; t++) rest[t] -= size;
  }
  return found.toSorted((a, b) => a.at - b.at);
}

/** The series without its level shifts; a new array. */
export function withoutShifts(values: Float64Array, shifts: readonly LevelShift[]): Float64Array {
  const level = values.slice();
  for (const { at, size } of shifts) for (let t = at; t < level.length; t++) level[t] -= size;
  return level;
}

/** `medians[t]` is the median of what is present in t … t + width − 1; NaN where less than a third is. */
function runningMedians(values: Float64Array, width: number): Float64Array {
  const n = values.length;
  const medians = new Float64Array(n).fill(Number.NaN);
  const window = new Float64Array(width); // sorted
  let count = 0;
  for (let t = 0; t < n; t++) {
    const leaving = t - width;
    if (leaving >= 0 && Number.isFinite(values[leaving])) {
      const at = window.subarray(0, count).indexOf(values[leaving]);
      window.copyWithin(at, at + 1, count--);
    }
    if (Number.isFinite(values[t])) {
      let at = count++;
      for (; at > 0 && window[at - 1] > values[t]; at--) window[at] = window[at - 1];
      window[at] = values[t];
    }
    if (t >= width - 1 && count * 3 >= width)
      medians[t - width + 1] = (window[(count - 1) >> 1] + window[count >> 1]) / 2;
  }
  return medians;
}

/**
 * Winsorized mean, with the outer tenths at both ends clipped: unlike a median it is stable for a series of two values. NaN where
 * less than a third is present.
 */
function winsorizedMean(values: Float64Array, from: number, to: number): number {
  const present = values.subarray(from, to).filter(Number.isFinite).sort();
  if (present.length * 3 < to - from) return Number.NaN;
  const low = quantileOfSorted(present, 0.1);
  const high = quantileOfSorted(present, 0.9);
  let sum = 0;
  for (const v of present) sum += Math.max(low, Math.min(high, v));
  return sum / present.length;
}
