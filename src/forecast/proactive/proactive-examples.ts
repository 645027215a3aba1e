import type { Calendar } from "../../series/calendar.ts";
import { clipTo } from "../../series/statistics/robust-statistics.ts";
import { type ComponentForecast, cyclesNeeded, forecastComponents } from "../decomposition/component-forecast.ts";
import { spreadLeads } from "../quantiles/lead-buckets.ts";

/** What the forecasts from all origins share. */
export interface Frame {
  /** sign(y)·√|y|, NaN where missing; its last sample is present. */
  readonly rooted: Float64Array;
  readonly periods: readonly number[];
  readonly stepMs: number;
  readonly startMs: number;
  /** Steps after the last sample that are forecast. */
  readonly reach: number;
  /** Least spread. */
  readonly leastSpread: number;
  /** Covers the history and `reach`. */
  readonly calendar: Calendar;
}

/** The forecast of the components from an origin: `leads[l]` = 0 is the step `origin`. */
export interface Origin extends ComponentForecast {
  readonly origin: number;
  readonly leads: Int32Array;
}

const mostOrigins = 16;
const leadsScored = 48;
const fewestSamples = 24;
const dayMs = 86_400_000;

/**
 * Forecasts from past origins, a quarter of a day (or of a longer period, or a 24th of the history) apart, each with all the
 * history before it; which must contain the longest period twice. Leads without an actual value are omitted.
 */
export function pastOrigins(frame: Frame): Origin[] {
  const { rooted, periods, stepMs, reach, leastSpread } = frame;
  const n = rooted.length;
  const longest = Math.max(0, ...periods);
  const apart = Math.max(1, Math.round(Math.min(dayMs / stepMs / 4, n / 24)));
  const first = Math.max(cyclesNeeded * longest, fewestSamples);
  const wanted = spreadLeads(reach, leadsScored);
  const origins: Origin[] = [];
  for (let back = apart; n - back >= first && origins.length < mostOrigins; back += apart) {
    const origin = n - back;
    const values = rooted.subarray(0, origin);
    if (!values.subarray(-fewestSamples).some(Number.isFinite)) continue;
    const leads = wanted.filter((lead) => Number.isFinite(rooted[origin + lead]));
    if (leads.length === 0) continue;
    const parts = forecastComponents({ values, periods, leads, stepsPerHour: 3_600_000 / stepMs, leastSpread });
    origins.push({ origin, leads, ...parts });
  }
  return origins;
}

export const featureWidth = 9;

/**
 * Features of each lead of an origin: time of day as sine and cosine, day of the week, the lead, trend plus seasonality, position and
 * slope of the trend, the last hour's remainder and the spread.
 *
 * @returns `[lead · featureWidth + feature]`
 */
export function featuresOf({ calendar, startMs, stepMs }: Frame, at: Origin): Float64Array {
  const { origin, leads, center, toUsual, spread, recent } = at;
  const features = new Float64Array(leads.length * featureWidth);
  const slope = toUsual.length > 1 ? toUsual[0] - toUsual[toUsual.length - 1] : 0;
  for (let l = 0; l < leads.length; l++) {
    const step = origin + leads[l];
    const local = startMs + (step + calendar.offsetSteps[step]) * stepMs;
    const angle = (2 * Math.PI * (local % dayMs)) / dayMs;
    features.set(
      [
        Math.sin(angle),
        Math.cos(angle),
        calendar.dayOfWeek[step],
        Math.log(leads[l] + 1),
        center[l],
        clipTo(toUsual[l] / spread[l], 100),
        clipTo(slope / spread[l], 100),
        clipTo(recent / spread[l], 100),
        spread[l],
      ],
      l * featureWidth,
    );
  }
  return features;
}
