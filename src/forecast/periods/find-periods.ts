import { presentMean } from "../../series/gaps.ts";
import { centeredMean } from "../../series/statistics/moving-mean.ts";
import { clipTo, finiteOf, median, robustScale } from "../../series/statistics/robust-statistics.ts";
import { detectShortPeriod } from "./detect-short-period.ts";

const dayMs = 86_400_000;
/** Least autocorrelation at a lag of a day or a week. */
const weakest = 0.3;
/** Least excess of the autocorrelation after a week over that after three or four days. */
const weakestWeek = 0.2;
/** Cycles that the history needs: two, but for a few missing samples at the end. */
const fewestCycles = 1.95;
/** Clipping limits in robust standard deviations, before and after the moving mean is subtracted: a spike is no daily period. */
const [roughClip, clip] = [100, 4];

/**
 * Periods that the experts use, in steps, strongest first: one below half a day, the day, the week. Each needs two cycles of
 * history. The day and the week need an autocorrelation of 0.3 after subtraction of a moving mean, the week also more than other
 * whole days, the short one as much more than half a period away. A fast check for each forecast; `detectPeriods` is the full search.
 *
 * @param values NaN where missing
 */
export function findPeriods(values: Float64Array, stepMs: number): number[] {
  const day = dayMs / stepMs;
  const found: { lag: number; strength: number }[] = [];
  if (day >= 2 && values.length >= fewestCycles * day) {
    const strength = meanCorrelation(withoutTrend(values, day), [day]);
    if (strength >= weakest) found.push({ lag: Math.round(day), strength });
  }
  if (7 * day >= 2 && values.length >= fewestCycles * 7 * day) {
    const rest = withoutTrend(values, 7 * day);
    const strength = meanCorrelation(rest, [7 * day]);
    const isWeek = day < 2 || strength - meanCorrelation(rest, [3 * day, 4 * day]) >= weakestWeek;
    if (strength >= weakest && isWeek) found.push({ lag: Math.round(7 * day), strength });
  }
  const stepsPerDay = Math.max(1, Math.round(day));
  const short = detectShortPeriod(values.subarray(Math.max(0, values.length - 4 * stepsPerDay)), stepsPerDay);
  if (short !== undefined && short.contrast >= weakest) found.push({ lag: short.steps, strength: short.contrast });
  return found.toSorted((a, b) => b.strength - a.strength).map(({ lag }) => lag);
}

/** The series minus a moving mean over a cycle, which removes trends and level shifts; spikes clipped. */
function withoutTrend(values: Float64Array, cycle: number): Float64Array {
  const present = finiteOf(values);
  const center = median(present);
  const most = roughClip * robustScale(present, center);
  const rough = values.map((value) => clipTo(value - center, most));
  const mean = centeredMean(rough, Math.round(cycle / 2));
  const rest = rough.map((value, i) => value - mean[i]);
  const limit = clip * robustScale(finiteOf(rest), 0);
  return rest.map((value) => clipTo(value, limit));
}

/** Mean autocorrelation over some lags. */
function meanCorrelation(values: Float64Array, lags: readonly number[]): number {
  return lags.reduce((sum, lag) => sum + lagCorrelation(values, Math.round(lag)), 0) / lags.length;
}

/** Autocorrelation at a lag; 0 for a constant series. */
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
