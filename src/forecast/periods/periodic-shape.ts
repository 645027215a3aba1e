import { autocorrelation } from "../../series/statistics/autocorrelation.ts";

/** A lag after which the shape of the series repeats, whatever that shape is. */
export interface Recurrence {
  /** Samples, refined between lags. */
  readonly period: number;
  /** Mean autocorrelation after one and three periods: at even multiples, half the true period would correlate too. */
  readonly correlation: number;
}

const leastCorrelation = 0.28;
const leastContrast = 0.12;
/** A longer lag is preferred only with this many times the correlation of a shorter one. */
const clearly = 1.15;

/**
 * The shortest lag at which the series repeats its shape, cycle after cycle. Pulses spread their power over so many harmonics that no
 * single spectral line is significant, while the autocorrelation sums them up.
 *
 * The correlation must be high after one, two, three and, where the series is long enough, four periods, and clearly lower half way
 * between: a random walk loses it with distance, and a single wave of noise within two cycles.
 *
 * @param values clipped, detrended samples, NaN where missing
 * @param longest longest period to look for, samples
 * @returns undefined where there is none
 */
export function recurrence(values: Float64Array, longest: number): Recurrence | undefined {
  const n = values.length;
  const reach = Math.min(n - 1, Math.ceil(longest * 4.6));
  const r = autocorrelation(values, reach, Math.max(8, Math.round(n / 20)));
  const found: Recurrence[] = [];
  let highest = 0;
  for (let k = 3; k <= longest; k++) {
    if (!(r[k] >= leastCorrelation && r[k] >= r[k - 1] && r[k] > r[k + 1])) continue;
    const tested = test(r, k);
    if (!tested) continue;
    found.push(tested);
    highest = Math.max(highest, tested.correlation);
  }
  return found.find(({ correlation }) => correlation * clearly >= highest);
}

/** Tests the multiples of a lag, each of which refines the period. */
function test(r: Float64Array, lag: number): Recurrence | undefined {
  let period = peakNear(r, lag, 1);
  let least = r[lag];
  let sum = r[lag];
  let odd = r[lag];
  let between = r[Math.round(lag / 2)];
  let count = 1;
  for (let c = 2; c <= 4; c++) {
    const center = Math.round(period * c);
    const slack = Math.max(1, Math.round(0.01 * center));
    if (center + slack + 1 >= r.length) break;
    let best = center;
    for (let k = center - slack; k <= center + slack; k++) if (r[k] > r[best]) best = k;
    if (!(r[best] >= 0)) return undefined;
    least = Math.min(least, r[best]);
    sum += r[best];
    if (c === 3) odd += r[best];
    between += r[Math.round(period * (c - 0.5))];
    period = peakNear(r, best, c);
    count++;
  }
  if (count < 3 || least < leastCorrelation || (sum - between) / count < leastContrast) return undefined;
  return { period, correlation: odd / 2 };
}

/** Position of the peak at a lag that is `multiple` periods, by a parabola, as a period. */
function peakNear(r: Float64Array, lag: number, multiple: number): number {
  const bend = r[lag - 1] - 2 * r[lag] + r[lag + 1];
  const offset = bend < 0 ? (0.5 * (r[lag - 1] - r[lag + 1])) / bend : 0;
  return (lag + Math.max(-0.5, Math.min(0.5, offset))) / multiple;
}
