import { finiteOf, median } from "../../series/statistics/robust-statistics.ts";

/** A load prepared to be read as arrivals, and what was changed. */
export interface ArrivalHistory {
  /** At least 0, NaN where missing; in units of `scale`. */
  readonly values: Float64Array<ArrayBuffer>;
  /** A power of two: 1 unless the numbers are extremely large or small. */
  readonly scale: number;
  /** Share of the steps from the first sample on that are missing, 0 … 1. */
  readonly missing: number;
  /** Steps after the last sample. */
  readonly missingAtEnd: number;
  /** What was changed, for people. */
  readonly notes: readonly string[];
}

/** With a larger share of negative samples, the load is no count of arrivals. */
const mostNegative = 0.05;
/** At most this share of the samples are spikes; a spike is so many times the others. */
const spikeShare = 0.02;
const spikeFactor = 3;
/** A longer excess is a level, not a spike. */
const longestSpikeHours = 6;
/** A peak that so many other hours or days have at the same time belongs to the load. */
const fewestCycles = 3;
/** Sizes within which sums and squares keep their digits. */
const [smallestSize, largestSize] = [2 ** -40, 2 ** 50];
const leastNamed = 0.05;

/**
 * Prepares a history: rounding errors below 0 become 0, a few negative samples (a counter that was reset) are removed, spikes that
 * do not recur by the hour or the day are clipped to three times the others, and sizes that would overflow are scaled.
 *
 * @param values any numbers; those that are not finite are missing; not changed
 * @returns undefined where more than one in twenty samples is below 0
 */
export function readyHistory(values: Float64Array, stepMs: number): ArrivalHistory | undefined {
  const present = finiteOf(values);
  const largest = present.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const notes: string[] = [];
  let negative = 0;
  const kept = values.map((value) => {
    if (!Number.isFinite(value)) return Number.NaN;
    if (value >= 0) return value;
    if (value > -1e-9 * largest) return 0;
    negative++;
    return Number.NaN;
  });
  if (negative > mostNegative * present.length) return undefined;
  if (negative > 0) notes.push(`${negative} negative ${negative === 1 ? "sample" : "samples"} removed`);

  const clipped = clipSpikes(kept, stepMs);
  if (clipped > 0) notes.push(`${clipped} ${clipped === 1 ? "spike" : "spikes"} clipped`);
  const scale = scaleOf(finiteOf(kept));
  const scaled = scale === 1 ? kept : kept.map((value) => value / scale);

  let first = 0;
  while (first < scaled.length && Number.isNaN(scaled[first])) first++;
  let end = scaled.length;
  while (end > first && Number.isNaN(scaled[end - 1])) end--;
  const samples = finiteOf(scaled);
  const missing = 1 - samples.length / Math.max(1, scaled.length - first);
  if (missing >= leastNamed) notes.push(`${Math.round(100 * missing)} % of the samples missing`);
  const [low, high] = samples.reduce(
    ([a, b], value) => [Math.min(a, value), Math.max(b, value)],
    [Number.POSITIVE_INFINITY, 0],
  );
  if (high - low <= 1e-9 * high) notes.push("constant");
  return { values: scaled, scale, missing, missingAtEnd: scaled.length - end, notes };
}

/** The power of two next to the median of the positive values, where that or the largest is extremely large or small. */
function scaleOf(present: Float64Array): number {
  const above = present.filter((value) => value > 0);
  if (above.length === 0) return 1;
  const middle = median(above.map((value) => value / 2)); // halves: the sum of two of the largest numbers overflows
  const largest = above.reduce((a, b) => Math.max(a, b));
  if (middle >= smallestSize && largest < largestSize) return 1;
  return 2 ** Math.max(-1022, Math.min(1023, Math.round(Math.log2(middle)) + 1));
}

/** Clips spikes, in place, to the largest sample that is none, so that whole counts stay whole. @returns how many */
function clipSpikes(values: Float64Array, stepMs: number): number {
  const above = values.filter((value) => value > 0).sort();
  const spikes = Math.max(2, Math.ceil(spikeShare * above.length));
  if (above.length <= 4 * spikes) return 0;
  const usual = spikeFactor * above[above.length - 1 - spikes];
  const longest = Math.max(1, Math.round((longestSpikeHours * 3_600_000) / stepMs));
  const original = values.slice();
  let clipped = 0;
  for (let i = 0; i < original.length; i++) {
    if (!(original[i] > usual)) continue;
    let [end, samples] = [i, 0];
    for (; end < original.length && !(original[end] < usual / 2); end++) if (Number.isFinite(original[end])) samples++;
    for (let t = i; t < end && samples < longest; t++) {
      if (!(original[t] > usual)) continue;
      const limit = Math.max(usual, spikeFactor * usualAt(original, t, stepMs));
      if (!(original[t] > limit)) continue;
      values[t] = above.findLast((value) => value <= limit)!;
      clipped++;
    }
    i = end;
  }
  return clipped;
}

/** The usual value at a step, from the same time in other hours or on other days: the larger of the two medians; 0 where too few are known. */
function usualAt(values: Float64Array, at: number, stepMs: number): number {
  let usual = 0;
  for (const cycleMs of [3_600_000, 86_400_000]) {
    const cycle = cycleMs / stepMs;
    if (cycle < 4 || !Number.isInteger(cycle)) continue;
    const others: number[] = [];
    for (let t = at % cycle; t < values.length; t += cycle) {
      const near = t === at ? [] : [values[t - 1], values[t], values[t + 1]].filter(Number.isFinite);
      if (near.length > 0) others.push(Math.max(...near));
    }
    if (others.length >= fewestCycles) usual = Math.max(usual, median(Float64Array.from(others)));
  }
  return usual;
}
