import { median, medianAbsoluteDeviation } from "../../series/statistics/robust-statistics.ts";

/**
 * A load that grows, or shrinks, by about the same factor every day. Experts that repeat earlier days always lag behind it.
 *
 * **Source**: our own; the slope is a median of pairwise slopes, as in the Theil–Sen estimator.
 * **Cost**: O(n).
 */

const dayMs = 86_400_000;
/** Parts of a day that are compared with the same parts of the day before. */
const parts = 4;
/** A week contains both the fall to the weekend and the rise after it. */
const leastDays = 7;
const mostDays = 10;
/** Experts follow slower growth by themselves. */
const leastRate = 0.01;
/** Share of the comparisons that must have the same sign. */
const sameWay = 0.85;
/** The rate must be at least so many standard errors. */
const certain = 4;
/** Share of the rate that is left after another day: growth does not last forever. */
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
  // Parts of one day are correlated: a day counts as one comparison.
  return Math.abs(rate) > (certain * spread) / Math.sqrt(changes.length / parts) ? rate : 0;
}

/** The history with its growth removed, at the present size; a new array. */
export function atPresentSize(values: Float64Array, stepMs: number, rate: number): Float64Array {
  const perStep = (rate * stepMs) / dayMs;
  return values.map((value, t) => value * Math.exp(perStep * (values.length - 1 - t)));
}

/** By how much the load will have grown at a lead, in steps from 0; damped. */
export function grownBy(lead: number, stepMs: number, rate: number): number {
  const days = ((lead + 1) * stepMs) / dayMs;
  return Math.exp((rate * (lastsPerDay ** days - 1)) / Math.log(lastsPerDay));
}

/** Mean of a stretch; NaN where less than half of it is present. */
function meanOf(values: Float64Array, from: number, length: number): number {
  let [sum, count] = [0, 0];
  for (let t = from; t < from + length; t++) {
    if (Number.isNaN(values[t])) continue;
    sum += values[t];
    count++;
  }
  return 2 * count >= length ? sum / count : Number.NaN;
}
