import { calendarOf } from "../../series/calendar.ts";
import type { Series } from "../../series/series.ts";
import { clipTo } from "../../series/statistics/robust-statistics.ts";
import {
  describeQuality,
  evidenceOf,
  examine,
  hasStrayNegatives,
  intervalFactor,
  isSparse,
  widenForSparse,
} from "../data/data-quality.ts";
import { withoutOutliers } from "../data/outliers.ts";
import { onNewLevel, recentLevelShift } from "../data/recent-level-shift.ts";
import { atPresentSize, grownBy, steadyGrowth } from "../data/steady-growth.ts";
import { toFine, toWorkingStep } from "../data/working-step.ts";
import type { Forecast, ForecastOutcome, ForecastRequest } from "../forecast.ts";
import type { BacktestErrors, ExpertWeights } from "../learned-weights.ts";
import { findPeriods } from "../periods/find-periods.ts";
import { gridLevels, medianIndex, readLevels } from "../quantiles/quantile-grid.ts";
import { describeWeights } from "./describe-weights.ts";
import { forecastByExperts } from "./expert-ensemble.ts";

/** Fewer samples show neither a level nor how far it moves. */
const neededSamples = 3;

/**
 * Forecasts a series by an ensemble of experts, weighted by a rolling-origin backtest on the same series. Gaps stay gaps; steps below
 * a minute are forecast by the minute, with wider intervals; below two days of history there is no backtest, so that all weights are
 * equal and `method` says so. The history before a level shift is adjusted to the new level. The less of the last week is known, the
 * wider the prediction intervals (`evidenceOf`, `isSparse`; `coverage` is measured without that).
 *
 * @param request its series is not changed; samples that are not finite count as missing, and so do negative ones where they
 *   are less than one in a hundred, and outliers (`withoutOutliers`)
 * @returns a forecast that is non-negative where the history is, and within ±1.8e308, the largest numbers there are; or
 *   `TooShort` below three present samples
 * @throws RangeError for a horizon, level, step or time zone that cannot be
 */
export function forecast(request: ForecastRequest): ForecastOutcome {
  checkRequest(request);
  const { horizon, levels, timeZone } = request;
  const quality = examine(request.series);
  const known = hasStrayNegatives(quality) ? withoutNegatives(request.series) : request.series;
  const series = { ...known, values: withoutOutliers(known.values, known.stepMs).values };
  const samples = countFinite(series.values);
  if (samples < neededSamples) return { kind: "TooShort", samples, needed: neededSamples };

  const unit = unitOf(series.values);
  const scaled = {
    ...series,
    values: series.values.map((value) => (Number.isFinite(value) ? value / unit : Number.NaN)),
  };
  const working = toWorkingStep(scaled);
  const history = working.values;
  const nonNegative = history.every((value) => !(value < 0));
  // Experts get the history up to its last sample; the gap after it makes every lead longer.
  const gap = working.missingAtEnd;
  const leads = Int32Array.from({ length: Math.ceil(horizon / working.fineSteps) }, (_, lead) => gap + lead);
  const calendar = calendarOf(working.startMs, working.stepMs, history.length + gap + leads.length, timeZone);
  const shift = recentLevelShift(history, working.stepMs, calendar);
  const level = shift ? onNewLevel(history, shift, nonNegative) : history;
  const growth = shift || !nonNegative ? 0 : steadyGrowth(level, working.stepMs);
  const values = growth === 0 ? level : atPresentSize(level, working.stepMs, growth);
  const earlier = request.weights && "experts" in request.weights ? request.weights : undefined;
  const made = forecastByExperts({ values, stepMs: working.stepMs, calendar }, leads, earlier);
  const asKnown = widenAll(made.quantiles, leads.length, intervalFactor(evidenceOf(history, working.stepMs, shift)));
  const widened = isSparse(quality) ? widenForSparse(asKnown, leads.length, values) : asKnown;

  const back = (value: number, at: number) => {
    if (nonNegative && value < 0) return 0;
    return growth === 0 ? value : value * grownBy(leads[at % leads.length], working.stepMs, growth);
  };
  const fine = toFine(widened.map(back), leads.length, horizon, scaled, working);
  const inUnit = (value: number) => (nonNegative && value < 0 ? 0 : clipTo(value * unit, Number.MAX_VALUE));
  const quantiles = readLevels(fine, horizon, levels).map((row) => row.map(inUnit));
  const mean = readLevels(fine, horizon, [0.5])[0].map(inUnit);
  const odd = describeQuality(
    quality,
    shift && {
      agoMs: (history.length + gap - shift.at) * working.stepMs,
      factor: shift.factor,
      offset: shift.offset * unit,
    },
    growth,
  );
  const { weights } = made;
  return {
    kind: "Forecast",
    forecast: {
      startMs: series.startMs + series.values.length * series.stepMs,
      stepMs: series.stepMs,
      levels,
      quantiles,
      mean,
      periods: findPeriods(values, working.stepMs).map((period) => period * working.fineSteps),
      method: `${odd && `history: ${odd}; `}${describeWeights(weights)}`,
      coverage: coverageOf(weights, levels),
      ...(weights.errors && { backtest: backtestOf(values, unit, weights.errors, weights.samples) }),
      ...(weights.origins > 0 && { weights }),
    },
  };
}

function withoutNegatives(series: Series): Series {
  return { ...series, values: series.values.map((value) => (value < 0 ? Number.NaN : value)) };
}

/** Scales the distances from the median; a new array. */
function widenAll(quantiles: Float64Array, many: number, factor: number): Float64Array {
  const out = quantiles.slice();
  for (let q = 0; q < gridLevels.length; q++)
    for (let l = 0; l < many; l++) {
      const median = quantiles[medianIndex * many + l];
      out[q * many + l] = median + factor * (quantiles[q * many + l] - median);
    }
  return out;
}

/** Learned weights hold relative errors only; they refer to the present load. */
function backtestOf(values: Float64Array, unit: number, { wape, relativeError }: BacktestErrors, samples: number) {
  let [sum, count] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    sum += Math.abs(values[i]);
    count++;
  }
  const load = clipTo((sum / Math.max(1, count)) * unit, Number.MAX_VALUE);
  return { error: clipTo(wape * load, Number.MAX_VALUE), load, relativeError, samples };
}

function checkRequest({ series, horizon, levels }: ForecastRequest): void {
  if (!(series.stepMs > 0 && Number.isFinite(series.stepMs)))
    throw new RangeError(`a step of ${series.stepMs} ms is not above 0`);
  if (!Number.isFinite(series.startMs)) throw new RangeError(`a start of ${series.startMs} is not a time`);
  if (!(Number.isInteger(horizon) && horizon >= 1))
    throw new RangeError(`a horizon of ${horizon} steps is not a whole number from 1`);
  levels.forEach((level, k) => {
    if (!(level > 0 && level < 1)) throw new RangeError(`level ${level} is not between 0 and 1`);
    if (k > 0 && !(level > levels[k - 1])) throw new RangeError(`level ${level} does not ascend from ${levels[k - 1]}`);
  });
}

/** Coverage of each level in the backtest, interpolated between the experts' levels as quantiles are. */
function coverageOf({ atOrBelow, samples }: ExpertWeights, levels: readonly number[]): Forecast["coverage"] {
  if (samples === 0) return [];
  const shares = Float64Array.from(atOrBelow, (count) => count / samples);
  return readLevels(shares, 1, levels).map(([observed], k) => ({
    level: levels[k],
    observed: Math.min(1, Math.max(0, observed)),
    samples,
  }));
}

function countFinite(values: Float64Array): number {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i])) count++;
  return count;
}

/**
 * The power of two next to the mean of |y|: in this unit, guards against division by zero work at any scale, and multiplication is exact. 1 where all is 0.
 */
function unitOf(values: Float64Array): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size > largest && size < Number.POSITIVE_INFINITY) largest = size;
  }
  if (largest === 0) return 1;
  let sum = 0; // relative to the largest: the sum itself could overflow
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    sum += Math.abs(values[i]) / largest;
    count++;
  }
  return 2 ** Math.min(1023, Math.round(Math.log2(largest) + Math.log2(sum / count)));
}
