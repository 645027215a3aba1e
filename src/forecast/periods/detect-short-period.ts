import { presentMean } from "../../series/gaps.ts";
import { centeredMean } from "../../series/statistics/moving-mean.ts";
import { smallest } from "../../series/statistics/robust-statistics.ts";
import { lagProducts } from "../../series/transforms/fft.ts";

/** A peak of the autocorrelation below this is no period. */
const weakest = 0.25;

/** A period below half a day. */
export interface ShortPeriod {
  /** Its length in steps, fractions included: pulses every 65 minutes and 15 seconds come every 13.05 steps of five minutes. */
  readonly steps: number;
  /**
   * How much the autocorrelation exceeds that half a period earlier and later: slow changes correlate at every short lag, and a
   * small peak on that slope is no period.
   */
  readonly contrast: number;
}

/**
 * The period below half a day that repeats best in the last days; after 40 cycles of 13.05 steps the fraction is two steps.
 *
 * The autocorrelation of the series minus a moving mean (clipped at its 98 % absolute quantile) gives the first peak that is nearly
 * the highest; its lag is then doubled and refined by a parabola while the autocorrelation stays high.
 *
 * @param values the last days, NaN where missing
 * @returns undefined where there is no clear period
 */
export function detectShortPeriod(values: Float64Array, stepsPerDay: number): ShortPeriod | undefined {
  const n = values.length;
  const longest = Math.min(Math.floor(stepsPerDay / 2), Math.floor(n / 4) - 1);
  if (longest < 3) return undefined;
  const r = correlation(clipped(values, Math.max(2, Math.floor(stepsPerDay / 8))));
  if (r === undefined) return undefined;

  const isPeak = (k: number) => r[k] > r[k - 1] && r[k] >= r[k + 1];
  let highest = Number.NEGATIVE_INFINITY;
  for (let k = 3; k <= longest; k++) if (isPeak(k) && r[k] > highest) highest = r[k];
  if (highest < weakest) return undefined;
  let period = 3;
  while (!(isPeak(period) && r[period] > 0.85 * highest)) period++;
  const contrast = r[period] - (r[Math.round(period / 2)] + r[Math.round(1.5 * period)]) / 2;

  for (let cycles = 2; period * cycles + 1 <= n / 2; cycles *= 2) {
    const lag = period * cycles;
    const around = Math.max(1, Math.min(Math.max(1, Math.floor(0.3 * period)), Math.floor(cycles * 0.6) + 1));
    const from = Math.max(2, Math.round(lag) - around);
    const to = Math.min(n - 2, r.length - 2, Math.round(lag) + around);
    let peak = from;
    for (let k = from; k <= to; k++) if (r[k] > r[peak]) peak = k;
    if (r[peak] < 0.4 * highest) break;
    const bend = r[peak - 1] - 2 * r[peak] + r[peak + 1];
    const shift = bend < 0 ? (0.5 * (r[peak - 1] - r[peak + 1])) / bend : 0;
    period = (peak + Math.max(-0.5, Math.min(0.5, shift))) / cycles;
  }
  return { steps: period, contrast };
}

/** The series minus a moving mean over ± `half` steps, with its extremes clipped. */
function clipped(values: Float64Array, half: number): Float64Array {
  const mean = centeredMean(values, half);
  const rest = new Float64Array(values.length);
  const sizes = new Float64Array(values.length);
  let count = 0;
  for (let i = 0; i < rest.length; i++) {
    rest[i] = values[i] - mean[i];
    if (!Number.isNaN(rest[i])) sizes[count++] = Math.abs(rest[i]);
  }
  if (count === 0) return rest;
  const at = 0.98 * (count - 1);
  const present = sizes.subarray(0, count);
  const below = smallest(present, Math.floor(at));
  const limit = below + (smallest(present, Math.ceil(at)) - below) * (at - Math.floor(at));
  for (let i = 0; i < rest.length; i++) rest[i] = Math.max(-limit, Math.min(limit, rest[i]));
  return rest;
}

/** Mean product of the pairs at each lag ÷ mean square; lags up to just above half the length. */
function correlation(values: Float64Array): Float64Array | undefined {
  const n = values.length;
  const mean = presentMean(values);
  const present = new Float64Array(n);
  let count = 0;
  const x = values.map((value, i) => {
    if (Number.isNaN(value)) return 0;
    present[i] = 1;
    count++;
    return value - mean;
  });
  const maxLag = Math.min(n - 1, Math.floor(n / 2) + 2);
  const sums = lagProducts(x, x, maxLag);
  const energy = sums[0] / Math.max(1, count);
  if (!(energy > 1e-24)) return undefined;
  const pairs = count < n ? lagProducts(present, present, maxLag) : undefined;
  for (let k = 0; k <= maxLag; k++) sums[k] /= Math.max(1, pairs ? Math.round(pairs[k]) : n - k) * energy;
  return sums;
}
