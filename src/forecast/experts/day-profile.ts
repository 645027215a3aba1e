import { presentMean } from "../../series/gaps.ts";
import { triangularMean } from "../../series/statistics/moving-mean.ts";
import { type ExpertInput, stepsIn } from "./expert.ts";

/** Weights between days of the week, `[one · 7 + other]`: weekday against weekend `across`, the same weekday 4, else 1. */
export function dayWeights(across: number): Float64Array {
  const out = new Float64Array(49);
  for (let one = 0; one < 7; one++)
    for (let other = 0; other < 7; other++)
      out[one * 7 + other] = one === other ? 4 : one >= 5 === other >= 5 ? 1 : across;
  return out;
}

/** `base^0 … base^(count−1)`, as `**` is too slow for inner loops. */
export function powers(base: number, count: number): Float64Array {
  const out = new Float64Array(count);
  for (let k = 0, power = 1; k < count; k++, power *= base) out[k] = power;
  return out;
}

/** A daily profile: the mean of the same time on *other* days. */
export interface Profile {
  /** For each step of the history, from days before and after. */
  readonly past: Float64Array;
  /** For each lead, from days before. */
  readonly ahead: Float64Array;
}

/** Weight of a day relative to one that is a day nearer. */
const fading = 0.9;

/**
 * Weighted mean of the same local time on other days, after a triangular moving mean over ± 30 minutes.
 *
 * @param values one for each step of the history, NaN where missing
 * @param days weights between days of the week
 * @returns the mean of all values where no other day has a sample
 */
export function dayProfile(values: Float64Array, past: ExpertInput, days: Float64Array): Profile {
  const smooth = triangularMean(values, Math.floor(stepsIn(past, 30)));
  const fallback = presentMean(values);
  const reach = past.dayLags.length - 1;
  const fade = powers(fading, reach + 1);
  const n = values.length;
  const weighting = { days, fade };
  const aheadOf = (i: number) => profileAt(i, smooth, past, weighting) ?? fallback;
  const before = new Float64Array(n);
  for (let i = 0; i < n; i++) before[i] = aheadOf(i);
  const ahead = new Float64Array(past.leads.length);
  for (let l = 0; l < ahead.length; l++) ahead[l] = aheadOf(n + past.leads[l]);
  return { past: before, ahead };
}

const directions = [-1, 1] as const;

/** Weighted mean over the days before and after step `i`; undefined where none has a sample. */
function profileAt(
  i: number,
  smooth: Float64Array,
  { dayLags, calendar: { dayOfWeek, offsetSteps } }: ExpertInput,
  { days, fade }: { readonly days: Float64Array; readonly fade: Float64Array },
): number | undefined {
  const n = smooth.length;
  const row = dayOfWeek[i] * 7;
  const offset = offsetSteps[i];
  let sum = 0;
  let weights = 0;
  for (const direction of directions)
    for (let d = 1; d < dayLags.length; d++) {
      const other = i + direction * dayLags[d];
      if (direction < 0 ? other < 0 : other >= n) break;
      const s = other + offset - offsetSteps[other]; // the same local time, across daylight saving
      if (s < 0 || s >= n) continue;
      const value = smooth[s];
      if (Number.isNaN(value)) continue;
      const weight = fade[d - 1] * days[row + dayOfWeek[s]];
      sum += weight * value;
      weights += weight;
    }
  return weights > 0 ? sum / weights : undefined;
}
