import type { Series } from "../../series/series.ts";
import type { NhppLearned } from "../learned-weights.ts";
import { findPeriods } from "../periods/find-periods.ts";
import { type Arrivals, type Binned, binArrivals, readArrivals } from "./nhpp-arrivals.ts";
import { backtestNhpp, type FittedBins, type NhppBacktest, originOf } from "./nhpp-backtest.ts";
import { extrapolateRates } from "./nhpp-extrapolation.ts";
import { fitIntensity } from "./nhpp-intensity.ts";
import { type ArrivalLevelShift, lastLevelShift } from "./nhpp-level-shift.ts";
import { chooseSmoothing } from "./nhpp-smoothing.ts";
import { factorAt, hourProfile, toSteps } from "./nhpp-steps.ts";

/**
 * A periodic Poisson intensity for a load of arrivals, fitted to its history and extrapolated.
 *
 * **Source**: RobustScaler (ICDE 2022), intensity, and its forecast by the last cycle.
 *
 * **Differs**:
 * - the history is put into at most 2,016 bins; within them, the steps of an hour keep their mean shares (clocks send requests at
 *   :00 and :05);
 * - arrivals are measured in units of their own noise, so that β₁ and β₂ mean the same for ten requests an hour and for a
 *   million a second;
 * - the extrapolation is learned at forty past origins, and the dispersion around it, by lead, from refits at up to six of them;
 * - where the level rose to more than three times, or fell to less than a third, within the last two days, the history before is
 *   scaled to the new level.
 *
 * **Cost**: O(bins) per pass of about a dozen fits: 0.2 s for a week of five-minute steps, 0.3 s for one of minutes; an eighth of
 * it with the weights of an earlier model.
 */
export interface NhppModel {
  /** Expected load of each step ahead, in arrivals. */
  readonly rates: Float64Array;
  /** The history, scaled to the present level. */
  readonly arrivals: Arrivals;
  /** Variance ÷ mean of neighbouring counts, about how many arrivals come at once; 1 where that is not clear. */
  readonly noise: number;
  /** A level shift that was removed from it. */
  readonly change?: ArrivalLevelShift;
  /** Periods used, in steps. */
  readonly periods: readonly number[];
  readonly learned: NhppLearned;
  /** Leads, in steps, below which each of the dispersions applies. */
  readonly bounds: readonly number[];
  /** Steps ahead that the backtest covers: a quarter of the history at most. */
  readonly backtestSteps: number;
  /** Actual and expected arrivals after each origin of the backtest; empty where there was none. */
  readonly backtest: readonly NhppBacktest[];
}

export interface NhppOptions {
  /** In samples, strongest first; detected in the history where absent. */
  readonly periods?: readonly number[];
  /** Of an earlier model of the same workload: spares trials and the backtest where lags and bins are still the same. */
  readonly learned?: NhppLearned;
}

const mostBins = 2016;
const fewestBinsACycle = 8;
const arrivalsPerBin = 10;
/** Below this, neighbouring counts scatter as a Poisson process does. */
const leastGroup = 1.5;
/** Counts scatter differently at different leads: the hours between the buckets. */
const bucketHours = [1, 6];

/**
 * Fits the model.
 *
 * @param series values at least 0, NaN where missing; not changed
 * @param horizon steps ahead, from 1
 * @throws RangeError for a negative value
 */
export function fitNhpp(series: Series, horizon: number, options: NhppOptions = {}): NhppModel {
  const { values, stepMs } = series;
  const read = readArrivals(values, stepMs / 1000);
  const stepsPerHour = 3_600_000 / stepMs;
  const change = lastLevelShift(read.counts, stepsPerHour);
  const arrivals = change
    ? { ...read, counts: read.counts.map((count, i) => (i < change.at ? count * change.factor : count)) }
    : read;
  const used = usablePeriods(options.periods ?? periodsOf(arrivals, stepMs), values.length);
  const stepsPerBin = chooseBin(values.length, used);
  const binned = binArrivals(arrivals, stepsPerBin);
  const bins = binned.counts.length;
  const lags = used
    .map((period) => Math.round(period / stepsPerBin))
    .filter((lag, k, all) => lag >= fewestBinsACycle && 2 * lag <= bins && all.indexOf(lag) === k);
  const isSame = options.learned?.stepsPerBin === stepsPerBin && `${options.learned.lags}` === `${lags}`;
  const known = isSame ? options.learned : undefined;
  const { smoothness, periodicity } = known ?? chooseSmoothing(binned.counts, binned.exposure, lags);
  const fitOptions = { smoothness, periodicity, lags };
  const fit = fitIntensity(binned.counts, { ...fitOptions, exposure: binned.exposure });
  const horizonBins = Math.ceil(horizon / stepsPerBin);
  const testedBins = Math.min(horizonBins, Math.max(1, Math.floor(bins / 4)));
  const profile = hourProfile(arrivals.counts, binned, fit, stepsPerHour);
  const bounds = [...bucketHours.map((hours) => hours * stepsPerHour), Number.POSITIVE_INFINITY];
  const fitted: FittedBins = { fit, fitOptions, binned, lags, binsPerHour: stepsPerHour / stepsPerBin };
  const learn = () => {
    const found = backtestNhpp(fitted, { arrivals, profile, bins: testedBins, bounds });
    return { learned: { lags, stepsPerBin, smoothness, periodicity, ...found.learned }, backtest: found.backtest };
  };
  const { learned, backtest } = known ? { learned: known, backtest: [] } : learn();
  const ahead = extrapolateRates(originOf(fitted, fit.logRates), learned.extrapolation, horizonBins);
  return {
    rates: toSteps(ahead, binned, horizon).map((rate, j) => rate * factorAt(profile, values.length + j)),
    arrivals,
    noise: binnedMean(binned) >= arrivalsPerBin && binned.noise >= leastGroup ? binned.noise : 1,
    ...(change && { change }),
    periods: lags.map((lag) => lag * stepsPerBin),
    learned,
    bounds,
    backtestSteps: testedBins * stepsPerBin,
    backtest,
  };
}

/**
 * Periods in samples, detected in bins of about ten arrivals, up to an hour long: counts of one and none are all noise, and days
 * would not resemble each other.
 */
function periodsOf({ counts }: Arrivals, stepMs: number): number[] {
  const present = counts.filter(Number.isFinite);
  const mean = present.reduce((a, b) => a + b, 0) / present.length;
  const joined = Math.max(1, Math.min(Math.ceil(arrivalsPerBin / mean), Math.floor(3_600_000 / stepMs)));
  const binned = binArrivals({ unit: 1, whole: false, counts }, joined);
  const rates = binned.counts.map((count, b) => count / binned.exposure[b]);
  const [low, high] = rates.reduce(
    ([a, b], rate) => (Number.isNaN(rate) ? [a, b] : [Math.min(a, rate), Math.max(b, rate)]),
    [Number.POSITIVE_INFINITY, 0],
  );
  if (!(high - low > 1e-9 * high)) return []; // rounding errors of a constant would look periodic
  return findPeriods(rates, stepMs * joined).map((period) => period * joined);
}

/** Mean arrivals per bin. */
function binnedMean({ counts, noise }: Binned): number {
  const present = counts.filter(Number.isFinite);
  return (noise * present.reduce((a, b) => a + b, 0)) / Math.max(1, present.length);
}

/** The strongest two that the history shows twice, not near each other. */
function usablePeriods(periods: readonly number[], length: number): number[] {
  const used: number[] = [];
  for (const period of periods)
    if (period >= 2 && 2 * period <= length && used.every((other) => Math.abs(other / period - 1) > 0.05))
      used.push(period);
  return used.slice(0, 2);
}

/** The bin, in steps, that divides the periods best, at most twice the smallest one allowed. */
function chooseBin(length: number, periods: readonly number[]): number {
  const smallest = Math.ceil(length / mostBins);
  let [best, least] = [smallest, Number.POSITIVE_INFINITY];
  for (let bin = smallest; bin <= 2 * smallest; bin++) {
    const error = Math.max(0, ...periods.map((period) => Math.abs(period / bin - Math.round(period / bin))));
    if (error < least - 1e-6) [best, least] = [bin, error];
  }
  return best;
}
