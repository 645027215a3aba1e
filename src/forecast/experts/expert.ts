import type { Calendar } from "../../series/calendar.ts";

/** The input of an expert: the history up to an origin, and the leads to forecast. */
export interface ExpertInput {
  /** Samples before the origin, NaN where missing; its length is the origin. */
  readonly raw: Float64Array;
  /** sign(y)·√|y| of the same samples: the noise of a load grows with its level, and here it hardly does. */
  readonly rooted: Float64Array;
  /** Leads wanted, ascending: lead j is the step origin + j. */
  readonly leads: Int32Array;
  /** Steps of the whole forecast, above every lead. */
  readonly horizon: number;
  /** A day in steps, rounded, at least 1. */
  readonly stepsPerDay: number;
  /** `dayLags[d]` = d days in steps, rounded, from d = 0 to beyond the start of the history. */
  readonly dayLags: Int32Array;
  readonly stepMinutes: number;
  /** Covers the history and the horizon. */
  readonly calendar: Calendar;
}

/**
 * A simple forecaster, one of an ensemble. Gives quantiles in the series' own unit, `out[level · leads + lead]` on `gridLevels`,
 * ascending over the levels; `undefined` where it needs more history.
 */
export interface Expert {
  readonly name: string;
  /** Prior weight for each bucket of leads, the last one for all later buckets; 1 where absent. */
  readonly trust?: readonly number[];
  forecast(past: ExpertInput): Float64Array | undefined;
}

/** A span of minutes in steps of this series, as a real number. */
export function stepsIn(past: ExpertInput, minutes: number): number {
  return minutes / past.stepMinutes;
}
