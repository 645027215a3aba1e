import { finiteOf, median } from "../../series/statistics/robust-statistics.ts";

/** A load made ready to be read as arrivals, and what had to be done to it. */
export interface ArrivalHistory {
  /** At least 0, NaN where missing; in units of `scale`. */
  readonly values: Float64Array<ArrayBuffer>;
  /** A power of two: 1 for loads of a usual size. */
  readonly scale: number;
  /** Share of the steps from the first sample on that are missing, 0 … 1. */
  readonly missing: number;
  /** Steps after the last sample. */
  readonly missingAtEnd: number;
  /** What was done, for people. */
  readonly notes: readonly string[];
}

/** More of them than this below 0, and the load is no count of arrivals. */
const mostNegative = 0.05;
/** So many of the samples may be spikes, and so far above the rest a sample is one. */
const spikeShare = 0.02;
const spikeFactor = 3;
/** What stays above the rest for so long is a level, no spike. */
const longestSpikeHours = 6;
/** A peak that so many other hours or days have at its time belongs to the load. */
const fewestCycles = 3;
/** Sizes within which sums and squares keep all their digits. */
const [smallestSize, largestSize] = [2 ** -40, 2 ** 50];
const worthAWord = 0.05;

/**
 * Readies a history: rounding crumbs below 0 are 0, a few samples below 0 (a counter that was reset) are left out, spikes that do
 * not recur by the hour or the day are held within three times the rest, and sizes that would overflow are scaled.
 *
 * @param values anything; what is not finite is missing; not changed
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
  if (negative > 0) notes.push(`${negative} ${negative === 1 ? "sample" : "samples"} below 0 left out`);

  const held = holdSpikes(kept, stepMs);
  if (held > 0) notes.push(`${held} ${held === 1 ? "spike" : "spikes"} held`);
  const scale = scaleOf(finiteOf(kept));
  const scaled = scale === 1 ? kept : kept.map((value) => value / scale);

  let first = 0;
  while (first < scaled.length && Number.isNaN(scaled[first])) first++;
  let end = scaled.length;
  while (end > first && Number.isNaN(scaled[end - 1])) end--;
  const samples = finiteOf(scaled);
  const missing = 1 - samples.length / Math.max(1, scaled.length - first);
  if (missing >= worthAWord) notes.push(`${Math.round(100 * missing)} % of the samples missing`);
  const [low, high] = samples.reduce(
    ([a, b], value) => [Math.min(a, value), Math.max(b, value)],
    [Number.POSITIVE_INFINITY, 0],
  );
  if (high - low <= 1e-9 * high) notes.push("the load never changed");
  return { values: scaled, scale, missing, missingAtEnd: scaled.length - end, notes };
}

/** The power of two next to the middle of what is above 0, where that or the largest is of an unusual size. */
function scaleOf(present: Float64Array): number {
  const above = present.filter((value) => value > 0);
  if (above.length === 0) return 1;
  const middle = median(above.map((value) => value / 2)); // half of it: two of the largest numbers have no sum
  const largest = above.reduce((a, b) => Math.max(a, b));
  if (middle >= smallestSize && largest < largestSize) return 1;
  return 2 ** Math.max(-1022, Math.min(1023, Math.round(Math.log2(middle)) + 1));
}

/** Holds spikes, in place, at the largest sample that is none: a load of whole counts stays one. @returns how many */
function holdSpikes(values: Float64Array, stepMs: number): number {
  const above = values.filter((value) => value > 0).sort();
  const spikes = Math.max(2, Math.ceil(spikeShare * above.length));
  if (above.length <= 4 * spikes) return 0;
  const usual = spikeFactor * above[above.length - 1 - spikes];
  const longest = Math.max(1, Math.round((longestSpikeHours * 3_600_000) / stepMs));
  const seen = values.slice();
  let held = 0;
  for (let i = 0; i < seen.length; i++) {
    if (!(seen[i] > usual)) continue;
    let [end, samples] = [i, 0];
    for (; end < seen.length && !(seen[end] < usual / 2); end++) if (Number.isFinite(seen[end])) samples++;
    for (let t = i; t < end && samples < longest; t++) {
      if (!(seen[t] > usual)) continue;
      const limit = Math.max(usual, spikeFactor * usualAt(seen, t, stepMs));
      if (!(seen[t] > limit)) continue;
      values[t] = above.findLast((value) => value <= limit)!;
      held++;
    }
    i = end;
  }
  return held;
}

/** What other hours, or other days, have at the time of a step: the larger of the two medians; 0 where too few are known. */
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
