import { presentMean } from "../../series/gaps.ts";
import { centeredMean } from "../../series/statistics/moving-mean.ts";
import { clipTo, finiteOf, median, robustScale } from "../../series/statistics/robust-statistics.ts";
import { detectShortPeriod } from "./detect-short-period.ts";

const dayMs = 86_400_000;
/** A series that agrees with itself less than this after a day or a week does not repeat by it. */
const weakest = 0.3;
/** Weekdays that differ agree more after a week than after three or four days, by this at least. */
const weakestWeek = 0.2;
/** Cycles that must be seen: two, but for a few samples that the end may lack. */
const fewestCycles = 1.95;
/** Robust standard deviations beyond which a sample counts no more, of the whole and of what a moving mean leaves: a spike is no day. */
const [roughClip, clip] = [100, 4];

/**
 * Periods that the experts use, in steps, strongest first: one below half a day, the day, the week. Each needs two cycles of
 * history, the day and the week a correlation of 0.3 of what a moving mean of their length leaves, the week more than other
 * whole days, the short one as much more than half a period off. A quick look, made with each forecast: `detectPeriods` is the search.
 *
 * @param values NaN where missing
 */
export function findPeriods(values: Float64Array, stepMs: number): number[] {
  const day = dayMs / stepMs;
  const found: { lag: number; strength: number }[] = [];
  if (day >= 2 && values.length >= fewestCycles * day) {
    const strength = agreement(withoutSlow(values, day), [day]);
    if (strength >= weakest) found.push({ lag: Math.round(day), strength });
  }
  if (7 * day >= 2 && values.length >= fewestCycles * 7 * day) {
    const rest = withoutSlow(values, 7 * day);
    const strength = agreement(rest, [7 * day]);
    const isWeek = day < 2 || strength - agreement(rest, [3 * day, 4 * day]) >= weakestWeek;
    if (strength >= weakest && isWeek) found.push({ lag: Math.round(7 * day), strength });
  }
  const stepsPerDay = Math.max(1, Math.round(day));
  const short = detectShortPeriod(values.subarray(Math.max(0, values.length - 4 * stepsPerDay)), stepsPerDay);
  if (short !== undefined && short.contrast >= weakest) found.push({ lag: short.steps, strength: short.contrast });
  return found.toSorted((a, b) => b.strength - a.strength).map(({ lag }) => lag);
}

/** What a moving mean over a cycle leaves (trends, wandering, new levels go with it), spikes held. */
function withoutSlow(values: Float64Array, cycle: number): Float64Array {
  const present = finiteOf(values);
  const center = median(present);
  const most = roughClip * robustScale(present, center);
  const rough = values.map((value) => clipTo(value - center, most));
  const mean = centeredMean(rough, Math.round(cycle / 2));
  const rest = rough.map((value, i) => value - mean[i]);
  const limit = clip * robustScale(finiteOf(rest), 0);
  return rest.map((value) => clipTo(value, limit));
}

/** Mean correlation of the pairs that are so many steps apart. */
function agreement(values: Float64Array, lags: readonly number[]): number {
  return lags.reduce((sum, lag) => sum + lagCorrelation(values, Math.round(lag)), 0) / lags.length;
}

/** Correlation of the pairs that are `lag` steps apart; 0 where nothing varies. */
function lagCorrelation(values: Float64Array, lag: number): number {
  const mean = presentMean(values);
  let product = 0;
  let before = 0;
  let after = 0;
  for (let i = lag; i < values.length; i++) {
    const x = values[i - lag] - mean;
    const y = values[i] - mean;
    if (Number.isNaN(x) || Number.isNaN(y)) continue;
    product += x * y;
    before += x * x;
    after += y * y;
  }
  const scale = Math.sqrt(before * after);
  return scale > 1e-20 ? product / scale : 0;
}
