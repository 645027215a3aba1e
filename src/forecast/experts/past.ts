import type { Calendar } from "../../series/calendar.ts";

/** History up to an origin, as every expert sees it, and the leads that it is asked for. */
export interface Past {
  /** Samples before the origin, NaN where missing; its length is the origin. */
  readonly raw: Float64Array;
  /** sign(y)·√|y| of the same samples: noise of load grows with its level, and there it hardly does. */
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

/** Levels at which experts answer; every level that a caller asks for is read off these. */
export const gridLevels: readonly number[] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
export const medianIndex = gridLevels.indexOf(0.5);

/**
 * One way to see the future in the past. Gives quantiles in the series' own unit, `out[level · leads + lead]` on
 * `gridLevels`, ascending over the levels; `undefined` where its view needs more history.
 */
export interface Expert {
  readonly name: string;
  /** How much it counts before any replay, for each bucket of leads and the last of them from there on; 1 where absent. */
  readonly trust?: readonly number[];
  forecast(past: Past): Float64Array | undefined;
}

/** A span of minutes in steps of this series, as a real number. */
export function stepsIn(past: Past, minutes: number): number {
  return minutes / past.stepMinutes;
}

/** sign(y)·√|y|, NaN stays. */
export function root(values: Float64Array): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = Math.sign(values[i]) * Math.sqrt(Math.abs(values[i]));
  return out;
}

/** The way back from `root`, in place: sign(z)·z². */
export function unrootInPlace(values: Float64Array): Float64Array {
  for (let i = 0; i < values.length; i++) values[i] = values[i] * Math.abs(values[i]);
  return values;
}

/** Mean of what is present; 0 where nothing is. */
export function presentMean(values: Float64Array): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    sum += values[i];
    count++;
  }
  return count > 0 ? sum / count : 0;
}
