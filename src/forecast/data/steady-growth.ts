import { median, medianAbsoluteDeviation } from "../../series/statistics/robust-statistics.ts";

/**
 * A load that becomes larger, or smaller, by about the same share day after day. Experts that repeat earlier days, each at the
 * level of its time, always come too late for it.
 *
 * **Source**: our own; the slope is a median of pairwise ones, as Theil's and Sen's.
 * **Cost**: O(n).
 */

const dayMs = 86_400_000;
/** Parts of a day that are compared with the same ones of the day before. */
const parts = 4;
/** A working week's rhythm has both its fall and its rise within so many days. */
const leastDays = 7;
const mostDays = 10;
/** Slower growth is what the experts' own levels follow. */
const leastRate = 0.01;
/** So many of the comparisons, in a hundred, must go the same way. */
const sameWay = 0.85;
/** How many of its standard errors the rate must be. */
const certain = 4;
/** What of the rate is left after another day: nothing grows for ever. */
const lastsPerDay = 0.9;

/**
 * Finds steady growth over the last days.
 *
 * @param values samples, NaN where missing, in a unit in which their mean size is about 1
 * @returns the growth a day, as the difference of logarithms; 0 where there is none that is steady, or where seven days are
 *   not known
 */
export function steadyGrowth(values: Float64Array, stepMs: number): number {
  const perPart = Math.round(dayMs / stepMs / parts);
  if (perPart < 1 || Math.abs(perPart * parts * stepMs - dayMs) > 1e-3 * dayMs) return 0;
  const days = Math.min(mostDays, Math.floor(values.length / (perPart * parts)));
  if (days < leastDays) return 0;
  const first = values.length - days * parts * perPart;
  const sums = Array.from({ length: days * parts }, (_, part) => meanOf(values, first + part * perPart, perPart));
  const changes: number[] = [];
  for (let part = parts; part < sums.length; part++) {
    const change = Math.log(sums[part] / sums[part - parts]);
    if (Number.isFinite(change)) changes.push(change);
  }
  if (changes.length < (leastDays - 1) * parts) return 0;
  const sample = Float64Array.from(changes);
  const rate = median(sample);
  if (!(Math.abs(rate) >= leastRate)) return 0;
  if (changes.filter((change) => Math.sign(change) === Math.sign(rate)).length < sameWay * changes.length) return 0;
  const spread = 1.4826 * medianAbsoluteDeviation(sample, rate);
  // Parts of one day go together: a day counts as one comparison.
  return Math.abs(rate) > (certain * spread) / Math.sqrt(changes.length / parts) ? rate : 0;
}

/** The history as it would be, had it always been at the present size; a new array. */
export function atPresentSize(values: Float64Array, stepMs: number, rate: number): Float64Array {
  const perStep = (rate * stepMs) / dayMs;
  return values.map((value, t) => value * Math.exp(perStep * (values.length - 1 - t)));
}

/** By how much the load will have grown at a lead, in steps from 0; damped. */
export function grownBy(lead: number, stepMs: number, rate: number): number {
  const days = ((lead + 1) * stepMs) / dayMs;
  return Math.exp((rate * (lastsPerDay ** days - 1)) / Math.log(lastsPerDay));
}

/** The mean of a stretch; NaN where less than half of it is known. */
function meanOf(values: Float64Array, from: number, length: number): number {
  let [sum, count] = [0, 0];
  for (let t = from; t < from + length; t++) {
    if (Number.isNaN(values[t])) continue;
    sum += values[t];
    count++;
  }
  return 2 * count >= length ? sum / count : Number.NaN;
}
