import type { Series } from "../../series/series.ts";
import { countDispersion } from "../../series/statistics/count-dispersion.ts";
import type { NhppExtrapolation, NhppLearned } from "../learned-weights.ts";
import { findPeriods } from "../periods/find-periods.ts";
import { type Arrivals, type Binned, binArrivals, readArrivals } from "./nhpp-arrivals.ts";
import { extrapolateRates, learnExtrapolation, type Origin } from "./nhpp-extrapolation.ts";
import { fitIntensity, type Intensity } from "./nhpp-intensity.ts";
import { type ArrivalLevelShift, lastLevelShift } from "./nhpp-level-shift.ts";
import { chooseSmoothing } from "./nhpp-smoothing.ts";

/**
 * A periodic Poisson intensity for a load that is arrivals, fitted to its history and carried ahead.
 *
 * **Source**: RobustScaler (ICDE 2022), intensity and its forecast by the last cycle.
 *
 * **Differs**:
 * - the history is put into at most 2,016 bins; within them, the steps of an hour keep the shares that they had in all hours
 *   (clocks send requests at :00 and :05);
 * - arrivals are measured in units of their own noise, so that β₁ and β₂ mean the same for ten requests an hour and for a
 *   million a second;
 * - what is carried ahead is learned at forty past origins, and how much counts scatter around it, by lead, from refits at up
 *   to six of them;
 * - where the level changed to more than three times or less than a third of it within two days, what came before is lifted
 *   to the level since.
 *
 * **Cost**: O(bins) a pass of each of some a dozen fits: 0.2 s for a week of five-minute steps, 0.3 s for one of minutes; an eighth
 * of it with what was learned before.
 */
export interface NhppModel {
  /** Expected load of each step ahead, in arrivals. */
  readonly rates: Float64Array;
  /** The history, lifted to the present level. */
  readonly arrivals: Arrivals;
  /** Variance ÷ mean of neighbouring counts: how many arrivals come at once, as it seems; 1 where that is not clear. */
  readonly noise: number;
  /** A change of level that was taken out of it. */
  readonly change?: ArrivalLevelShift;
  /** Periods used, in steps. */
  readonly periods: readonly number[];
  readonly learned: NhppLearned;
  /** Leads, in steps, below which each of the dispersions holds. */
  readonly bounds: readonly number[];
  /** Steps ahead that replays reach: a quarter of the history at most. */
  readonly replayed: number;
  /** What followed each replayed origin; none where nothing was replayed. */
  readonly replays: readonly NhppReplay[];
}

/** Arrivals that followed an origin, step by step, beside what was expected. */
export interface NhppReplay {
  readonly counts: Float64Array;
  readonly means: Float64Array;
}

export interface NhppOptions {
  /** In samples, strongest first; found in the history when left out. */
  readonly periods?: readonly number[];
  /** Of an earlier model of the same workload: spares trials and replays where lags and bins are still the same. */
  readonly learned?: NhppLearned;
}

const mostBins = 2016;
const fewestBins = 24;
const fewestBinsACycle = 8;
const mostReplays = 6;
const refitPasses = 20;
const originsJudged = 40;
const arrivalsToSeek = 10;
/** Below this, neighbouring counts scatter as Poisson's. */
const leastGroup = 1.5;
/** Counts scatter differently at different leads: so many hours divide them. */
const bucketHours = [1, 6];
/** Where nothing could be replayed: a third more or less than expected. */
const unseenDispersion = 0.1;
/** A step of the hour that saw few arrivals is taken to be like any other. */
const priorArrivals = 20;

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
  const originOf = (logRates: Float64Array): Origin => ({
    logRates,
    counts: binned.counts,
    exposure: binned.exposure,
    lags,
    binsPerHour: stepsPerHour / stepsPerBin,
  });

  const horizonBins = Math.ceil(horizon / stepsPerBin);
  const judgedBins = Math.min(horizonBins, Math.max(1, Math.floor(bins / 4)));
  const profile = clockProfile(arrivals.counts, binned, fit, stepsPerHour);
  const bounds = [...bucketHours.map((hours) => hours * stepsPerHour), Number.POSITIVE_INFINITY];
  const learn = () => {
    const past = placeOrigins(bins, judgedBins, Math.max(0, ...lags)).map((at) => {
      const start = before(fit, at);
      const exposure = binned.exposure.subarray(0, at);
      const refit = fitIntensity(binned.counts.subarray(0, at), {
        ...fitOptions,
        exposure,
        passes: refitPasses,
        start,
      });
      return originOf(refit.logRates);
    });
    // Many origins tell how a level lasts; they read the whole fit, which knows a cycle before them hardly better than a refit.
    const first = past.at(-1)?.logRates.length ?? bins;
    const many = Array.from({ length: past.length > 0 ? originsJudged : 0 }, (_, k) =>
      originOf(fit.logRates.subarray(0, Math.round(first + ((bins - judgedBins - first) * k) / (originsJudged - 1)))),
    );
    const extrapolation = learnExtrapolation(many, judgedBins);
    const replayAll = (origins: readonly Origin[]) =>
      origins.map((origin) => replay(origin, extrapolation, judgedBins, arrivals, binned, profile));
    const replays = replayAll(past);
    const refitted = dispersionsOf(replays, bounds);
    // Six origins are few for the first hour; forty flatter a little, as the fit knew what followed them.
    const flattered = dispersionsOf(replayAll(many), bounds);
    const dispersions: number[] = [];
    for (let k = 0; k < bounds.length; k++) {
      const seen = [refitted[k], flattered[k]].filter((dispersion) => dispersion !== undefined);
      dispersions.push(seen.length > 0 ? Math.max(...seen) : (dispersions.at(-1) ?? unseenDispersion));
    }
    const learned = { lags, stepsPerBin, smoothness, periodicity, extrapolation, dispersions };
    return { learned, replays };
  };
  const { learned, replays } = known ? { learned: known, replays: [] } : learn();
  const ahead = extrapolateRates(originOf(fit.logRates), learned.extrapolation, horizonBins);
  return {
    rates: toSteps(ahead, binned, horizon).map((rate, j) => rate * factorAt(profile, values.length + j)),
    arrivals,
    noise: binnedMean(binned) >= arrivalsToSeek && binned.noise >= leastGroup ? binned.noise : 1,
    ...(change && { change }),
    periods: lags.map((lag) => lag * stepsPerBin),
    learned,
    bounds,
    replayed: judgedBins * stepsPerBin,
    replays,
  };
}

/**
 * Periods in samples, sought in steps, of up to an hour, that have some ten arrivals each: counts of one and none are all noise, and
 * no more alike from day to day than from hour to hour.
 */
function periodsOf({ counts }: Arrivals, stepMs: number): number[] {
  const present = counts.filter(Number.isFinite);
  const mean = present.reduce((a, b) => a + b, 0) / present.length;
  const joined = Math.max(1, Math.min(Math.ceil(arrivalsToSeek / mean), Math.floor(3_600_000 / stepMs)));
  const binned = binArrivals({ unit: 1, whole: false, counts }, joined);
  const rates = binned.counts.map((count, b) => count / binned.exposure[b]);
  const [low, high] = rates.reduce(
    ([a, b], rate) => (Number.isNaN(rate) ? [a, b] : [Math.min(a, rate), Math.max(b, rate)]),
    [Number.POSITIVE_INFINITY, 0],
  );
  if (!(high - low > 1e-9 * high)) return []; // rounding alone would make a constant repeat
  return findPeriods(rates, stepMs * joined).map((period) => period * joined);
}

/** Arrivals a bin. */
function binnedMean({ counts, noise }: Binned): number {
  const present = counts.filter(Number.isFinite);
  return (noise * present.reduce((a, b) => a + b, 0)) / Math.max(1, present.length);
}

/** At most two, each seen twice over, none near another. */
function usablePeriods(periods: readonly number[], length: number): number[] {
  const used: number[] = [];
  for (const period of periods)
    if (period >= 2 && 2 * period <= length && used.every((other) => Math.abs(other / period - 1) > 0.05))
      used.push(period);
  return used.slice(0, 2);
}

/** The bin, in steps, of which periods are nearly whole multiples, not much above the smallest that is coarse enough. */
function chooseBin(length: number, periods: readonly number[]): number {
  const smallest = Math.ceil(length / mostBins);
  let [best, least] = [smallest, Number.POSITIVE_INFINITY];
  for (let bin = smallest; bin <= 2 * smallest; bin++) {
    const error = Math.max(0, ...periods.map((period) => Math.abs(period / bin - Math.round(period / bin))));
    if (error < least - 1e-6) [best, least] = [bin, error];
  }
  return best;
}

/** Origins to replay from, latest first, at different phases, each with a cycle before it where that can be. */
function placeOrigins(bins: number, judged: number, longest: number): number[] {
  const latest = bins - judged;
  const first = Math.max(Math.min(Math.round(1.1 * longest), latest), Math.round(bins / 4), fewestBins);
  if (latest < first) return [];
  // A horizon and a bit apart, so that the phase moves on; closer where the history is short.
  const room = Math.floor((latest - first) / (mostReplays - 1));
  const apart = Math.max(1, Math.min(Math.round(1.17 * Math.max(judged, bins / 24)), room));
  const origins: number[] = [];
  for (let at = latest; at >= first && origins.length < mostReplays; at -= apart) origins.push(at);
  return origins;
}

function before(fit: Intensity, end: number): Intensity {
  return {
    ...fit,
    logRates: fit.logRates.slice(0, end),
    curvature: fit.curvature.slice(0, end - 2),
    multiplier: fit.multiplier.slice(0, end - 2),
  };
}

/** Expected counts of bins spread over their steps, on a line between the middles of bins; in arrivals. */
function toSteps(rates: Float64Array, { stepsPerBin, noise }: Binned, steps: number): Float64Array<ArrayBuffer> {
  const out = new Float64Array(steps);
  for (let j = 0; j < steps; j++) {
    const place = (j + 0.5) / stepsPerBin - 0.5;
    const low = Math.max(0, Math.floor(place));
    const high = Math.min(rates.length - 1, low + 1);
    const share = Math.max(0, place - low);
    out[j] = ((rates[low] + share * (rates[high] - rates[low])) * noise) / stepsPerBin;
  }
  return out;
}

/** Factors for the steps of an hour, `[step mod steps an hour]`; empty where bins are as fine as steps or hours are no whole steps. */
function clockProfile(counts: Float64Array, binned: Binned, fit: Intensity, stepsPerHour: number): Float64Array {
  const { stepsPerBin, exposure } = binned;
  if (stepsPerBin === 1 || !Number.isInteger(stepsPerHour)) return new Float64Array(0);
  const seen = new Float64Array(stepsPerHour).fill(priorArrivals);
  const expected = new Float64Array(stepsPerHour).fill(priorArrivals);
  const first = counts.length - exposure.length * stepsPerBin;
  const means = toSteps(fit.logRates.map(Math.exp), binned, counts.length - first);
  for (let i = first; i < counts.length; i++) {
    if (!Number.isFinite(counts[i])) continue;
    seen[i % stepsPerHour] += counts[i] / binned.noise;
    expected[i % stepsPerHour] += means[i - first] / binned.noise;
  }
  return seen.map((count, phase) => count / expected[phase]);
}

function factorAt(profile: Float64Array, step: number): number {
  return profile.length > 0 ? profile[step % profile.length] : 1;
}

function replay(
  origin: Origin,
  extrapolation: NhppExtrapolation,
  bins: number,
  { counts }: Arrivals,
  binned: Binned,
  profile: Float64Array,
): NhppReplay {
  const ahead = binned.counts.length - origin.logRates.length;
  const from = counts.length - ahead * binned.stepsPerBin;
  const steps = bins * binned.stepsPerBin;
  return {
    counts: counts.subarray(from, from + steps),
    means: toSteps(extrapolateRates(origin, extrapolation, bins), binned, steps).map(
      (mean, j) => mean * factorAt(profile, from + j),
    ),
  };
}

/** The dispersion of each bucket of leads; undefined where replays hardly reach it. */
export function dispersionsOf(replays: readonly NhppReplay[], bounds: readonly number[]): (number | undefined)[] {
  return bounds.map((to, k) => {
    const from = bounds[k - 1] ?? 0;
    const counts = Float64Array.from(replays.flatMap((each) => [...each.counts.subarray(from, to)]));
    const means = Float64Array.from(replays.flatMap((each) => [...each.means.subarray(from, to)]));
    return counts.length >= fewestBins ? countDispersion(counts, means) : undefined;
  });
}
