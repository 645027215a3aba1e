import type { Forecast } from "../forecast/forecast.ts";
import type { Series } from "../series/series.ts";
import { type RollingForecasts, scoredLevels } from "./rolling-forecasts.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Hours ahead at which one bucket ends and the next begins. */
const edgesHours = [0, 1, 4, 12, 24 * 7];
/** Quantiles whose coverage is reported. */
export const coveredLevels: readonly number[] = [0.1, 0.5, 0.9, 0.95, 0.99];

/** How forecasts did, against what came; ratios are undefined where what they are measured by made no error. */
export interface Errors {
  /** Steps compared. */
  readonly samples: number;
  /** Σ|error of the median| ÷ Σ|load|. */
  readonly wape: number | undefined;
  /** Weighted quantile loss over the levels 0.1 … 0.9, ÷ that of repeating the last day. */
  readonly relativeWql: number | undefined;
  /** Absolute error of the median ÷ that of carrying the last hour's mean on. */
  readonly relativeToLevel: number | undefined;
  /** Share of what came at or below each quantile. */
  readonly coverage: readonly { readonly level: number; readonly observed: number }[];
}

export interface HorizonErrors extends Errors {
  readonly fromHours: number;
  readonly toHours: number;
}

/** Forecast errors over all leads, and by how far ahead. */
export interface ForecastAccuracy extends Errors {
  /** Forecasts compared. */
  readonly origins: number;
  readonly horizons: readonly HorizonErrors[];
}

/** Sums that errors are made of. */
interface Sums {
  samples: number;
  load: number;
  error: number;
  loss: number;
  dailyLoss: number;
  levelError: number;
  readonly atOrBelow: Float64Array;
}

/**
 * Compares rolling forecasts with what came. Steps without a value, or without one a day earlier, are left out.
 *
 * @returns undefined where nothing could be compared
 */
export function accuracyOf({ actual, made }: RollingForecasts): ForecastAccuracy | undefined {
  const buckets = edgesHours.slice(1).map(() => emptySums());
  let longestMs = 0;
  for (const forecast of made) {
    const horizonMs = forecast.mean.length * forecast.stepMs;
    longestMs = Math.max(longestMs, horizonMs);
    compare(actual, forecast, buckets);
  }
  const whole = emptySums();
  for (const bucket of buckets) addSums(whole, bucket);
  if (whole.samples === 0) return undefined;
  const horizons = buckets.flatMap((bucket, b) =>
    bucket.samples === 0
      ? []
      : [{ fromHours: edgesHours[b], toHours: Math.min(edgesHours[b + 1], longestMs / hourMs), ...errorsOf(bucket) }],
  );
  return { origins: made.length, ...errorsOf(whole), horizons };
}

function compare({ startMs, stepMs, values }: Series, forecast: Forecast, buckets: readonly Sums[]): void {
  const origin = Math.round((forecast.startMs - startMs) / stepMs);
  const day = Math.max(1, Math.round(dayMs / stepMs));
  const level = meanOf(values, Math.max(0, origin - Math.max(1, Math.round(hourMs / stepMs))), origin);
  const median = forecast.levels.indexOf(0.5);
  const scored = scoredLevels.map((q) => forecast.levels.indexOf(q));
  const covered = coveredLevels.map((q) => forecast.levels.indexOf(q));
  for (let lead = 0; lead < forecast.mean.length; lead++) {
    const at = origin + lead;
    if (at >= values.length) break;
    const value = values[at];
    const yesterday = lastDay(values, origin, at, day);
    if (!Number.isFinite(value) || !Number.isFinite(yesterday)) continue;
    const aheadHours = ((lead + 0.5) * stepMs) / hourMs;
    const sums = buckets[edgesHours.findIndex((edge) => edge > aheadHours) - 1];
    sums.samples++;
    sums.load += Math.abs(value);
    sums.error += Math.abs(value - forecast.quantiles[median][lead]);
    for (const [k, q] of scored.entries()) {
      const error = value - forecast.quantiles[q][lead];
      sums.loss += (error >= 0 ? scoredLevels[k] * error : (scoredLevels[k] - 1) * error) / scored.length;
    }
    sums.dailyLoss += Math.abs(value - yesterday) / 2; // the mean pinball loss of a point, over levels that are symmetric
    sums.levelError += Number.isFinite(level) ? Math.abs(value - level) : 0;
    for (const [k, q] of covered.entries())
      if (value <= forecast.quantiles[q][lead] + 1e-9 * Math.abs(value)) sums.atOrBelow[k]++;
  }
}

/** The value a whole number of days before, of what was known at the origin; a gap takes the day before it. */
function lastDay(values: Float64Array, origin: number, at: number, day: number): number {
  let earlier = at - day * Math.ceil((at - origin + 1) / day);
  while (earlier >= 0 && !Number.isFinite(values[earlier])) earlier -= day;
  return earlier >= 0 ? values[earlier] : Number.NaN;
}

function meanOf(values: Float64Array, from: number, to: number): number {
  let [sum, count] = [0, 0];
  for (let i = from; i < to; i++) {
    if (!Number.isFinite(values[i])) continue;
    sum += values[i];
    count++;
  }
  return count > 0 ? sum / count : Number.NaN;
}

function emptySums(): Sums {
  const atOrBelow = new Float64Array(coveredLevels.length);
  return { samples: 0, load: 0, error: 0, loss: 0, dailyLoss: 0, levelError: 0, atOrBelow };
}

function addSums(to: Sums, from: Sums): void {
  for (const key of ["samples", "load", "error", "loss", "dailyLoss", "levelError"] as const) to[key] += from[key];
  from.atOrBelow.forEach((count, k) => {
    to.atOrBelow[k] += count;
  });
}

function errorsOf({ samples, load, error, loss, dailyLoss, levelError, atOrBelow }: Sums): Errors {
  // Rounding is no error: a load that repeats itself exactly leaves nothing to be measured by.
  const over = (part: number, whole: number) => (whole > 1e-9 * load ? part / whole : undefined);
  return {
    samples,
    wape: load > 0 ? error / load : undefined,
    relativeWql: over(loss, dailyLoss),
    relativeToLevel: over(error, levelError),
    coverage: coveredLevels.map((level, k) => ({ level, observed: atOrBelow[k] / samples })),
  };
}
