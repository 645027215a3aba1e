import type { LeadShape } from "../demand/lead-shape.ts";
/**
 * What the largest load of the next minutes is forecast from: slopes of the last minutes, how far the load stands below its
 * recent peaks, what the same hours of earlier days did next, and how large the residuals of rises were lately. A feature is in pods.
 *
 * Row `i` is a decision taken at point `i` of the grid. It knows points up to `i − lag`, and asks for the largest demand over
 * `[i, i + lead]`.
 */

/** Where a feature stands in a row. */
export const Feature = {
  one: 0,
  x: 1,
  upPoint: 2,
  upMinute: 3,
  upFive: 4,
  downPoint: 5,
  downMinute: 6,
  downFive: 7,
  belowPeakFive: 8,
  belowPeakTwenty: 9,
  belowMeanTwenty: 10,
  aboveMeanTwenty: 11,
  aboveMeanFive: 12,
  riseMeanFive: 13,
  riseMeanTwenty: 14,
  riseMeanHour: 15,
  riseMeanFourHours: 16,
  riseMeanDay: 17,
  riseMaxHour: 18,
  riseMaxFourHours: 19,
  daysRise: 20,
  daysRiseMean: 21,
  weekRise: 22,
  daysGap: 23,
  daysGapMean: 24,
} as const;
export const featureCount = 25;

/** What the expected rise is fitted on. */
export const baseFeatures = [
  Feature.upPoint,
  Feature.downPoint,
  Feature.upMinute,
  Feature.downMinute,
  Feature.upFive,
  Feature.downFive,
  Feature.belowPeakFive,
  Feature.belowPeakTwenty,
  Feature.belowMeanTwenty,
  Feature.aboveMeanTwenty,
  Feature.aboveMeanFive,
  Feature.daysRiseMean,
  Feature.daysGapMean,
  Feature.weekRise,
];

/** What the size of the residual is fitted on. */
export const scaleFeatures = [
  Feature.one,
  Feature.x,
  Feature.upPoint,
  Feature.upMinute,
  Feature.upFive,
  Feature.belowPeakFive,
  Feature.belowPeakTwenty,
  Feature.riseMeanFive,
  Feature.riseMeanTwenty,
  Feature.riseMeanHour,
  Feature.riseMeanFourHours,
  Feature.riseMeanDay,
  Feature.riseMaxHour,
  Feature.riseMaxFourHours,
  Feature.daysRise,
  Feature.daysRiseMean,
  Feature.weekRise,
  Feature.daysGap,
  Feature.daysGapMean,
];

/** The statistics that features are made of: computed for all rows at once when fitting, one by one when deciding. */
export interface LoadStatistics {
  /** Demand at each point, pods. */
  readonly values: Float32Array;
  /** First point that is known. */
  readonly start: number;
  /** Mean load of the days learnt from, in pods. */
  readonly meanLoad: number;
  /** Mean of the `width` points up to and with `at` (fewer where fewer are known). */
  mean(at: number, width: number): number;
  /** Largest of the points `at − five … at`, and of `at − twenty … at`. */
  peakFive(at: number): number;
  peakTwenty(at: number): number;
  /** Largest over a lead with five minutes (one minute) to either side; `at` is the last point of that window. */
  peakLeadWide(at: number): number;
  peakLeadNear(at: number): number;
  /** Mean of the rises (largest demand over the lead, less the value known then) of the last `width` rows up to `row`. */
  riseMean(row: number, width: number): number;
  /** Largest rise of the rows `row − hour … row`, and of `row − fourHours … row`. */
  riseMaxHour(row: number): number;
  riseMaxFourHours(row: number): number;
}

/** Writes the features of `row` into `out` (length `featureCount`). Days that are not known add nothing. */
export function readFeatures(statistics: LoadStatistics, shape: LeadShape, row: number, out: Float64Array): void {
  const { values, start } = statistics;
  const { lead, lag, day, minute, five, twenty, hour, fourHours } = shape;
  const reach = lead + lag;
  const now = row - lag;
  const x = values[now];
  const before = (points: number) => values[Math.max(start, now - points)];

  out[Feature.one] = statistics.meanLoad;
  out[Feature.x] = x;
  const perPoint = (x - before(1)) * reach;
  const perMinute = ((x - before(minute)) * reach) / minute;
  const perFive = ((x - before(five)) * reach) / five;
  out[Feature.upPoint] = above0(perPoint);
  out[Feature.downPoint] = above0(-perPoint);
  out[Feature.upMinute] = above0(perMinute);
  out[Feature.downMinute] = above0(-perMinute);
  out[Feature.upFive] = above0(perFive);
  out[Feature.downFive] = above0(-perFive);
  out[Feature.belowPeakFive] = statistics.peakFive(now) - x;
  out[Feature.belowPeakTwenty] = statistics.peakTwenty(now) - x;
  const meanTwenty = statistics.mean(now, twenty);
  out[Feature.belowMeanTwenty] = above0(meanTwenty - x);
  out[Feature.aboveMeanTwenty] = above0(x - meanTwenty);
  out[Feature.aboveMeanFive] = above0(x - statistics.mean(now, five));

  // The newest row whose whole lead has been seen.
  const seen = now - lead;
  out[Feature.riseMeanFive] = statistics.riseMean(seen, five);
  out[Feature.riseMeanTwenty] = statistics.riseMean(seen, twenty);
  out[Feature.riseMeanHour] = statistics.riseMean(seen, hour);
  out[Feature.riseMeanFourHours] = statistics.riseMean(seen, fourHours);
  out[Feature.riseMeanDay] = statistics.riseMean(seen, day);
  out[Feature.riseMaxHour] = statistics.riseMaxHour(seen);
  out[Feature.riseMaxFourHours] = statistics.riseMaxFourHours(seen);

  let [rise, riseSum, riseDays, highest, nearSum, nearDays, weekRise] = [0, 0, 1, 0, 0, 0, 0];
  for (const days of [1, 2, 3, 7]) {
    const then = row - days * day; // the same moment, days earlier
    if (then - lag < start) continue;
    const valueThen = values[then - lag];
    // A five-minute margin that a coarse grid or a long lead would carry past what is known is cut.
    const wide = then - five >= start ? statistics.peakLeadWide(Math.min(then + lead + five, now)) : Number.NaN;
    const near = then - minute >= start ? statistics.peakLeadNear(Math.min(then + lead + minute, now)) : Number.NaN;
    if (!Number.isNaN(wide)) {
      highest = Math.max(highest, wide);
      if (days === 7) weekRise = above0(wide - valueThen);
      else rise = Math.max(rise, wide - valueThen);
    }
    if (!Number.isNaN(near)) {
      nearSum += near;
      nearDays++;
      if (days !== 7) {
        riseSum += above0(near - valueThen);
        riseDays++;
      }
    }
  }
  out[Feature.daysRise] = rise;
  out[Feature.daysRiseMean] = riseSum / riseDays;
  out[Feature.weekRise] = weekRise;
  out[Feature.daysGap] = above0(highest - x);
  out[Feature.daysGapMean] = nearDays > 0 ? above0(nearSum / nearDays - x) : 0;
}

function above0(value: number): number {
  return Math.max(value, 0);
}
