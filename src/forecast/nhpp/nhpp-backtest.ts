import { countDispersion } from "../../series/statistics/count-dispersion.ts";
import type { NhppExtrapolation } from "../learned-weights.ts";
import type { Arrivals, Binned } from "./nhpp-arrivals.ts";
import { extrapolateRates, learnExtrapolation, type Origin } from "./nhpp-extrapolation.ts";
import { fitIntensity, type Intensity, type IntensityOptions } from "./nhpp-intensity.ts";
import { factorAt, toSteps } from "./nhpp-steps.ts";

const mostOrigins = 6;
const refitPasses = 20;
const manyOrigins = 40;
const fewestBins = 24;
/** Where there is no backtest: the square of a third more or less than expected. */
const unknownDispersion = 0.1;

/** Actual arrivals after an origin, step by step, and the expected ones. */
export interface NhppBacktest {
  readonly counts: Float64Array;
  readonly means: Float64Array;
}

/** An intensity fitted to the bins of a history. */
export interface FittedBins {
  readonly fit: Intensity;
  readonly fitOptions: Pick<IntensityOptions, "smoothness" | "periodicity" | "lags">;
  readonly binned: Binned;
  readonly lags: readonly number[];
  readonly binsPerHour: number;
}

export interface BacktestOptions {
  readonly arrivals: Arrivals;
  /** Of `hourProfile`. */
  readonly profile: Float64Array;
  /** Bins ahead that are tested. */
  readonly bins: number;
  /** Leads, in steps, below which each dispersion applies. */
  readonly bounds: readonly number[];
}

export function originOf({ binned, lags, binsPerHour }: FittedBins, logRates: Float64Array): Origin {
  return { logRates, counts: binned.counts, exposure: binned.exposure, lags, binsPerHour };
}

/** Learns the extrapolation and the dispersion of the counts around it from past origins. */
export function backtestNhpp(fitted: FittedBins, options: BacktestOptions) {
  const { fit, fitOptions, binned, lags } = fitted;
  const { bins: testedBins, bounds } = options;
  const bins = binned.counts.length;
  const refits = placeOrigins(bins, testedBins, Math.max(0, ...lags)).map((at) => {
    const start = startBefore(fit, at);
    const exposure = binned.exposure.subarray(0, at);
    const refit = fitIntensity(binned.counts.subarray(0, at), { ...fitOptions, exposure, passes: refitPasses, start });
    return originOf(fitted, refit.logRates);
  });
  // Many origins tell how long a level persists. They use the fit to the whole history, which knows the cycle before an origin
  // hardly better than a refit.
  const first = refits.at(-1)?.logRates.length ?? bins;
  const many = Array.from({ length: refits.length > 0 ? manyOrigins : 0 }, (_, k) =>
    originOf(
      fitted,
      fit.logRates.subarray(0, Math.round(first + ((bins - testedBins - first) * k) / (manyOrigins - 1))),
    ),
  );
  const extrapolation = learnExtrapolation(many, testedBins);
  const testAll = (origins: readonly Origin[]) =>
    origins.map((origin) => testAt(origin, extrapolation, binned, options));
  const backtest = testAll(refits);
  const refitted = dispersionsOf(backtest, bounds);
  // Six origins are few for the first hour. Forty give slightly too small dispersions, as their fit knew the counts that followed.
  const optimistic = dispersionsOf(testAll(many), bounds);
  const dispersions: number[] = [];
  for (let k = 0; k < bounds.length; k++) {
    const known = [refitted[k], optimistic[k]].filter((dispersion) => dispersion !== undefined);
    dispersions.push(known.length > 0 ? Math.max(...known) : (dispersions.at(-1) ?? unknownDispersion));
  }
  return { learned: { extrapolation, dispersions }, backtest };
}

/** Origins of the backtest, latest first, at different phases, each with a cycle before it where the history allows. */
function placeOrigins(bins: number, tested: number, longest: number): number[] {
  const latest = bins - tested;
  const first = Math.max(Math.min(Math.round(1.1 * longest), latest), Math.round(bins / 4), fewestBins);
  if (latest < first) return [];
  // A horizon and a bit apart, so that the phase moves on; closer where the history is short.
  const room = Math.floor((latest - first) / (mostOrigins - 1));
  const apart = Math.max(1, Math.min(Math.round(1.17 * Math.max(tested, bins / 24)), room));
  const origins: number[] = [];
  for (let at = latest; at >= first && origins.length < mostOrigins; at -= apart) origins.push(at);
  return origins;
}

function startBefore(fit: Intensity, end: number): Intensity {
  return {
    ...fit,
    logRates: fit.logRates.slice(0, end),
    curvature: fit.curvature.slice(0, end - 2),
    multiplier: fit.multiplier.slice(0, end - 2),
  };
}

function testAt(
  origin: Origin,
  extrapolation: NhppExtrapolation,
  binned: Binned,
  { arrivals: { counts }, profile, bins }: BacktestOptions,
): NhppBacktest {
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

/** The dispersion of each bucket of leads; undefined where the backtest has too few counts there. */
export function dispersionsOf(backtest: readonly NhppBacktest[], bounds: readonly number[]): (number | undefined)[] {
  return bounds.map((to, k) => {
    const from = bounds[k - 1] ?? 0;
    const counts = Float64Array.from(backtest.flatMap((each) => [...each.counts.subarray(from, to)]));
    const means = Float64Array.from(backtest.flatMap((each) => [...each.means.subarray(from, to)]));
    return counts.length >= fewestBins ? countDispersion(counts, means) : undefined;
  });
}
