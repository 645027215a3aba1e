import { type Past, presentMean, stepsIn } from "./past.ts";

/** Weights between days of the week, `[one · 7 + other]`: weekday against weekend `across`, the same weekday 4, else 1. */
export function dayWeights(across: number): Float64Array {
  const out = new Float64Array(49);
  for (let one = 0; one < 7; one++)
    for (let other = 0; other < 7; other++)
      out[one * 7 + other] = one === other ? 4 : one >= 5 === other >= 5 ? 1 : across;
  return out;
}

/** `base^0 … base^(count−1)`: powers are far too slow for inner loops. */
export function powers(base: number, count: number): Float64Array {
  const out = new Float64Array(count);
  for (let k = 0, power = 1; k < count; k++, power *= base) out[k] = power;
  return out;
}

/** A day's profile: what the same time of *other* days was. */
export interface Profile {
  /** For each step of the history, from days before and after. */
  readonly past: Float64Array;
  /** For each lead, from days before. */
  readonly ahead: Float64Array;
}

/** A day apart counts this much less. */
const fading = 0.9;

/**
 * Weighted mean of the same local time on other days, smoothed first by a triangle of ± 30 minutes.
 *
 * @param values one for each step of the history, NaN where missing
 * @param days weights between days of the week
 * @returns the values' mean where no other day tells
 */
export function dayProfile(values: Float64Array, past: Past, days: Float64Array): Profile {
  const smooth = smoothTriangle(values, Math.floor(stepsIn(past, 30)));
  const fallback = presentMean(values);
  const reach = past.dayLags.length - 1;
  const fade = powers(fading, reach + 1);
  const n = values.length;
  const aheadOf = (i: number) => profileAt(i, smooth, past, days, fade, fallback);
  const before = new Float64Array(n);
  for (let i = 0; i < n; i++) before[i] = aheadOf(i);
  const ahead = new Float64Array(past.leads.length);
  for (let l = 0; l < ahead.length; l++) ahead[l] = aheadOf(n + past.leads[l]);
  return { past: before, ahead };
}

function profileAt(
  i: number,
  smooth: Float64Array,
  { dayLags, calendar: { dayOfWeek, offsetSteps } }: Past,
  days: Float64Array,
  fade: Float64Array,
  fallback: number,
): number {
  const n = smooth.length;
  const row = dayOfWeek[i] * 7;
  const offset = offsetSteps[i];
  let sum = 0;
  let weights = 0;
  for (let d = 1; d < dayLags.length; d++) {
    const earlier = i - dayLags[d];
    if (earlier < 0) break;
    const s = earlier + offset - offsetSteps[earlier]; // the same time on the wall clock, across daylight saving
    if (s < 0 || s >= n) continue;
    const value = smooth[s];
    if (Number.isNaN(value)) continue;
    const weight = fade[d - 1] * days[row + dayOfWeek[s]];
    sum += weight * value;
    weights += weight;
  }
  for (let d = 1; d < dayLags.length; d++) {
    const later = i + dayLags[d];
    if (later >= n) break;
    const s = later + offset - offsetSteps[later];
    if (s < 0 || s >= n) continue;
    const value = smooth[s];
    if (Number.isNaN(value)) continue;
    const weight = fade[d - 1] * days[row + dayOfWeek[s]];
    sum += weight * value;
    weights += weight;
  }
  return weights > 0 ? sum / weights : fallback;
}

/**
 * Weighted mean over ± `half` steps, weight falling linearly to 0 at half + 1; missing samples are left out. From one step to
 * the next the weighted sum grows by the half + 1 samples ahead and shrinks by as many behind, so that any width costs O(n).
 */
export function smoothTriangle(values: Float64Array, half: number): Float64Array {
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
export function centredMean(values: Float64Array, half: number): Float64Array {
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
