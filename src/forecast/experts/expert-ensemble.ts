import type { Calendar } from "../../series/calendar.ts";
import { signedRoots } from "../../series/transforms/square-root.ts";
import type { BacktestErrors, ExpertWeights } from "../learned-weights.ts";
import { bucketsOf } from "../quantiles/lead-buckets.ts";
import { gridLevels, medianIndex } from "../quantiles/quantile-grid.ts";
import { analogs, analogsByClock } from "./analog-experts.ts";
import { type BacktestOrigin, combine, upperStretch, weighExperts, widenUpper } from "./combination.ts";
import { drift } from "./drift-expert.ts";
import type { Expert, ExpertInput } from "./expert.ts";
import { courseFromNow, driftingLevel, profileAndLevel, weekProfile } from "./profile-experts.ts";
import { recentErrors } from "./recent-errors-expert.ts";
import { shortPeriod } from "./short-period-expert.ts";
import { timeOfDay } from "./time-of-day-expert.ts";

/**
 * An ensemble of simple experts. Each forecasts a weighted sample of the past; their weights come from a rolling-origin backtest on
 * the same series.
 *
 * **Source**: our own; the experts are seasonal profiles, exponential smoothing and analog (nearest-neighbour) forecasts.
 * **Measured** on 54 load traces, pinball loss relative to a daily seasonal naive forecast, 24 h / first hour: .486 / .341 (the first
 * six experts alone .493 / .347; with level shifts .480 / .340; the best published forecaster tried there .673 / .537).
 * **Cost**: thirteen runs of the experts: twelve in the backtest at some forty leads, one forecast at all leads.
 */
const fromTwoDays: readonly Expert[] = [
  timeOfDay,
  profileAndLevel,
  driftingLevel,
  shortPeriod,
  analogs,
  analogsByClock,
  courseFromNow,
  recentErrors,
];
/** From two weeks on, the history has each weekday twice. */
const fromTwoWeeks: readonly Expert[] = [...fromTwoDays, weekProfile];
/** From one day to two: equal weights, as there is no backtest. */
const fromOneDay: readonly Expert[] = [timeOfDay, profileAndLevel, shortPeriod, analogs, analogsByClock, drift];
const belowOneDay: readonly Expert[] = [drift];

/** The experts that can use a history of so many days. */
export function expertsFor(days: number): readonly Expert[] {
  if (days >= weeksFromDays) return fromTwoWeeks;
  return days >= backtestAfterDays ? fromTwoDays : days >= 1 ? fromOneDay : belowOneDay;
}

/** A history ready for the experts. */
export interface History {
  /** Samples in a unit in which their mean size is about 1; NaN where missing. */
  readonly values: Float64Array;
  readonly stepMs: number;
  /** Covers the history and all leads. */
  readonly calendar: Calendar;
}

export interface ExpertForecast {
  /** On the grid levels, `[level · leads + lead]`. */
  readonly quantiles: Float64Array;
  readonly weights: ExpertWeights;
}

const dayMs = 86_400_000;
const backtestOrigins = 12;
/**
 * Days between origins: a quarter, over the last three days. With two weeks of history they spread over the last week, so that its
 * weekend is among them.
 */
const apartDays = 1 / 4;
const apartDaysWithWeeks = 7 / 12;
const weeksFromDays = 14;
/** Days of history that an origin needs before it. */
const backtestAfterDays = 2;

/**
 * @param leads ascending; lead 0 is the first step after the history
 * @param earlier weights of an earlier run: used instead of a backtest where they fit
 */
export function forecastByExperts(history: History, leads: Int32Array, earlier?: ExpertWeights): ExpertForecast {
  const { values, stepMs } = history;
  const horizon = leads.length;
  const frame = frameOf(history, leads[leads.length - 1] + 1);
  const experts = expertsFor(values.length / frame.stepsPerDay);
  const nonNegative = values.every((value) => !(value < 0));
  const ask = (origin: number, wanted: Int32Array) => {
    const raw = values.subarray(0, origin);
    const rooted = frame.rooted.subarray(0, origin);
    const past: ExpertInput = { ...frame, raw, rooted, leads: wanted, dayLags: dayLags(stepMs, origin) };
    return experts.map((expert) => {
      const quantiles = expert.forecast(past);
      if (quantiles && nonNegative) for (let i = 0; i < quantiles.length; i++) if (quantiles[i] < 0) quantiles[i] = 0;
      return quantiles;
    });
  };
  const buckets = bucketsOf(horizon, frame.stepsPerHour);
  const finish = (quantiles: Float64Array, wanted: Int32Array, stretch: number) =>
    widenUpper(quantiles, wanted, frame.stepsPerHour, stretch);

  const learn = (): ExpertWeights => {
    const backtest = backtestExperts(values, horizon, frame, ask);
    const about = { experts: experts.map(({ name }) => name), stepMs, horizon, origins: backtest.length };
    const weights = weighExperts(backtest, experts, buckets);
    if (weights === undefined)
      return {
        ...about,
        weights: buckets.map(() => experts.map(() => 1 / experts.length)),
        stretch: 1,
        atOrBelow: [],
        samples: 0,
      };
    const combined = backtest.map(({ quantiles, leads }) => combine(quantiles, leads, buckets, weights));
    const stretch = upperStretch(backtest, combined);
    const finished = combined.map((quantiles, r) => finish(quantiles, backtest[r].leads, stretch));
    return { ...about, weights, stretch, ...countAtOrBelow(backtest, finished), errors: errorsOf(backtest, finished) };
  };
  const weights = earlier && fits(earlier, stepMs, horizon, experts) ? earlier : learn();
  const quantiles = finish(combine(ask(values.length, leads), leads, buckets, weights.weights), leads, weights.stretch);
  if (nonNegative) for (let i = 0; i < quantiles.length; i++) if (quantiles[i] < 0) quantiles[i] = 0;
  return { quantiles, weights };
}

interface ComparedOrigin extends BacktestOrigin {
  /** The seasonal naive forecast, which repeats the last day, at each lead; NaN where missing. */
  readonly naive: Float64Array;
}

type Frame = Omit<ExpertInput, "raw" | "leads" | "dayLags"> & { readonly stepsPerHour: number };

function frameOf({ values, stepMs, calendar }: History, horizon: number): Frame {
  return {
    rooted: signedRoots(values),
    horizon,
    stepsPerDay: Math.max(1, Math.round(dayMs / stepMs)),
    stepsPerHour: Math.max(1, Math.floor(dayMs / 24 / stepMs)),
    stepMinutes: stepMs / 60_000,
    calendar,
  };
}

/** d days in steps, for every d whose step may lie within `reach` steps. */
function dayLags(stepMs: number, reach: number): Int32Array {
  const days = Math.floor((reach * stepMs) / dayMs) + 2;
  return Int32Array.from({ length: days }, (_, d) => Math.round((d * dayMs) / stepMs));
}

function fits(weights: ExpertWeights, stepMs: number, horizon: number, experts: readonly Expert[]): boolean {
  return (
    weights.stepMs === stepMs &&
    weights.horizon === horizon &&
    weights.experts.length === experts.length &&
    weights.experts.every((name, x) => name === experts[x].name)
  );
}

/** Forecasts of the experts at past origins, each from the history before it, and the actual values. */
function backtestExperts(
  values: Float64Array,
  horizon: number,
  { stepsPerDay, stepsPerHour }: Frame,
  ask: (origin: number, leads: Int32Array) => (Float64Array | undefined)[],
): ComparedOrigin[] {
  const n = values.length;
  const wanted = backtestLeads(horizon, stepsPerHour);
  const apart = n >= weeksFromDays * stepsPerDay ? apartDaysWithWeeks : apartDays;
  const backtest: ComparedOrigin[] = [];
  for (let k = 1; k <= backtestOrigins; k++) {
    const origin = n - Math.max(1, Math.round(stepsPerDay * apart * k));
    if (origin < backtestAfterDays * stepsPerDay) break;
    const leads = wanted.filter((lead) => lead < n - origin);
    const actual = Float64Array.from(leads, (lead) => values[origin + lead]);
    if (leads.length === 0 || actual.every(Number.isNaN)) continue;
    // The last known day, repeated.
    const repeated = leads.map((lead) => origin + lead - stepsPerDay * Math.ceil((lead + 1) / stepsPerDay));
    const naive = Float64Array.from(repeated, (at) => values[at]);
    backtest.push({ leads, actual, naive, quantiles: ask(origin, leads) });
  }
  return backtest;
}

/** Six leads of the first hour and 36 spread over the rest: neighbours are alike, and 48 are not better (measured). */
function backtestLeads(horizon: number, stepsPerHour: number): Int32Array {
  if (horizon <= stepsPerHour) return Int32Array.from({ length: horizon }, (_, lead) => lead);
  const leads = new Set<number>();
  for (let lead = 0; lead < stepsPerHour; lead += Math.max(1, Math.floor(stepsPerHour / 6))) leads.add(lead);
  const spread = Math.min(horizon - stepsPerHour, 36);
  for (let s = 0; s < spread; s++)
    leads.add(Math.floor(stepsPerHour + (spread > 1 ? (s * (horizon - 1 - stepsPerHour)) / (spread - 1) : 0)));
  return Int32Array.from(leads).sort();
}

function errorsOf(backtest: readonly ComparedOrigin[], combined: readonly Float64Array[]): BacktestErrors {
  let [error, load, compared, naiveError] = [0, 0, 0, 0];
  backtest.forEach(({ leads, actual, naive }, r) => {
    for (let l = 0; l < leads.length; l++) {
      if (Number.isNaN(actual[l])) continue;
      const miss = Math.abs(actual[l] - combined[r][medianIndex * leads.length + l]);
      error += miss;
      load += Math.abs(actual[l]);
      if (Number.isNaN(naive[l])) continue;
      compared += miss;
      naiveError += Math.abs(actual[l] - naive[l]);
    }
  });
  // A day that repeats exactly leaves the naive forecast no error.
  const share = (part: number, whole: number) =>
    whole > 0 ? part / whole : part > 1e-9 ? Number.POSITIVE_INFINITY : 0;
  return { wape: share(error, load), relativeError: share(compared, naiveError) };
}

function countAtOrBelow(
  backtest: readonly BacktestOrigin[],
  combined: readonly Float64Array[],
): { atOrBelow: number[]; samples: number } {
  const atOrBelow = gridLevels.map(() => 0);
  let samples = 0;
  backtest.forEach(({ leads, actual }, r) => {
    for (let l = 0; l < leads.length; l++) {
      if (Number.isNaN(actual[l])) continue;
      samples++;
      // Tolerance for rounding: a value of 0 is at a quantile of 0.
      for (let q = 0; q < gridLevels.length; q++)
        if (actual[l] <= combined[r][q * leads.length + l] + 1e-9) atOrBelow[q]++;
    }
  });
  return { atOrBelow, samples };
}
