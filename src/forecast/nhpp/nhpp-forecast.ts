import { endMs } from "../../series/series.ts";
import { countQuantile, smoothCountQuantile } from "../../series/statistics/count-distribution.ts";
import { coverageFrom } from "../coverage.ts";
import type { Forecast, ForecastArrivals, ForecastOutcome, ForecastRequest } from "../forecast.ts";
import type { NhppWeights } from "../learned-weights.ts";
import { type ArrivalHistory, readyHistory } from "./nhpp-history.ts";
import { dispersionsOf, fitNhpp, type NhppModel, type NhppOptions } from "./nhpp-model.ts";

/** Fewer samples than this show no intensity. */
const fewestSamples = 24;
/** Below this, counts are called Poisson's. */
const worthAWord = 0.01;
/** Steps of each replay that coverage is measured on. */
const stepsJudged = 100;
/** Square of what a level may be off by that is new, or further ahead than replays reach: a third. */
const unseenDispersion = 0.1;
/** More than this tells nothing. */
const largestDispersion = 100;
/** A level is new for so long. */
const newHours = 48;
/** What was learned is true for so long. */
const learnedForMs = 86_400_000;

/**
 * Forecast of a load that is arrivals: the quantiles of the counts that a periodic Poisson intensity makes, negative binomial
 * where they scatter more than Poisson's. Missing samples and a new level widen them; `method` names what was odd.
 *
 * **Source**: RobustScaler (ICDE 2022) for the intensity (`fitNhpp`); the quantiles of the counts are ours.
 *
 * @param request its series is not changed; gaps stay gaps. Its time zone plays no part. Its `weights` are used for a day
 * @returns `TooShort` below 24 present samples, `NotPredictable` for a load of which more than 5 % is below 0
 */
export function nhppForecast(request: ForecastRequest, options: Pick<NhppOptions, "periods"> = {}): ForecastOutcome {
  const { series, horizon, levels } = request;
  const history = readyHistory(series.values, series.stepMs);
  if (history === undefined)
    return { kind: "NotPredictable", why: "the load often falls below 0, so it is no count of arrivals" };
  const { values, scale, missingAtEnd } = history;
  const samples = values.reduce((count, value) => count + (Number.isNaN(value) ? 0 : 1), 0);
  if (samples < fewestSamples) return { kind: "TooShort", samples, needed: fewestSamples };

  const kept = keptOf(request);
  const model = fitNhpp({ ...series, values }, horizon, { ...options, ...(kept && { learned: kept }) });
  const { arrivals, bounds, periods, learned, rates, replays, change } = model;
  const quantile = arrivals.whole ? countQuantile : smoothCountQuantile;
  const isKept = kept !== undefined && learned === kept;
  const replayed = isKept || replays.length > 0 ? model.replayed : Number.POSITIVE_INFINITY; // else all is unseen already
  const level = unseenDispersion * newness(model);
  const dispersions = rates.map((rate, j) => {
    const lead = missingAtEnd + j + 1;
    const beyond = unseenDispersion * Math.max(0, 1 - replayed / lead);
    return widened(learned.dispersions[bucketOf(bounds, lead - 1)], rate, history) + level + beyond;
  });
  const load = (count: number) => Math.min(Number.MAX_VALUE, count * arrivals.unit * scale);
  const at = (level: number) => rates.map((rate, j) => load(quantile(rate, dispersions[j], level)));
  const scatter = dispersions.some((dispersion) => dispersion > worthAWord) ? "negative binomial" : "Poisson";
  const recurs = periods.length > 0 ? `periods of ${periods.join(" and ")} samples` : "no period";
  const coverage = isKept ? levels.flatMap((level) => kept.coverage.find((each) => each.level === level) ?? []) : [];
  const notes = [...history.notes];
  if (change) notes.push(`level ×${Number(change.factor.toPrecision(2))} since ${change.hoursAgo} h`);
  if (!isKept && replays.length === 0) notes.push("too short to replay");
  else if (replayed < missingAtEnd + horizon) notes.push(`replayed ${replayed} steps ahead only`);
  const made = isKept ? coverage : coverageOf(model, levels, quantile);
  const forecast: Forecast = {
    startMs: endMs(series),
    stepMs: series.stepMs,
    levels,
    quantiles: levels.map(at),
    mean: at(0.5),
    periods,
    method: [`NHPP, ${recurs}, β ${learned.smoothness} and ${learned.periodicity}, ${scatter} counts`, ...notes].join(
      "; ",
    ),
    coverage: made,
    arrivals: inGroups(model, dispersions, load(1)),
    ...(isKept
      ? { weights: kept }
      : replays.length > 0 && { weights: { ...learned, learnedMs: endMs(series), coverage: made } }),
  };
  return { kind: "Forecast", forecast };
}

/**
 * Arrivals as they scatter from step to step: where their variance is several times their mean, as many seem to come at once, and
 * each group is one arrival. What they scatter beyond that is the rate's own uncertainty, over a short stretch as over a long one.
 */
function inGroups({ arrivals, rates, noise }: NhppModel, dispersions: Float64Array, unit: number): ForecastArrivals {
  const group = arrivals.whole ? noise : 1;
  return {
    expected: rates.map((rate) => rate / group),
    dispersions: dispersions.map((dispersion, j) => Math.max(0, dispersion - (group - 1) / rates[j])),
    unit: Math.min(Number.MAX_VALUE, unit * group),
  };
}

/** What an earlier forecast learned, while it is true. */
function keptOf({ weights, series }: ForecastRequest): NhppWeights | undefined {
  if (weights === undefined || !("lags" in weights)) return undefined;
  const ageMs = endMs(series) - weights.learnedMs;
  return ageMs >= 0 && ageMs <= learnedForMs ? weights : undefined;
}

/** The dispersion with which counts scatter as if told from the samples there are alone: their variance ÷ the share present. */
function widened(dispersion: number, rate: number, { missing }: ArrivalHistory): number {
  if (missing === 0 || rate === 0) return dispersion;
  return Math.min(Math.max(dispersion, largestDispersion), (1 / rate + dispersion) / (1 - missing) - 1 / rate);
}

/** 1 for a level that has just changed, 0 for one that has held for two days. */
function newness({ change }: NhppModel): number {
  return change ? Math.max(0, 1 - change.hoursAgo / newHours) : 0;
}

function bucketOf(bounds: readonly number[], step: number): number {
  return bounds.findIndex((bound) => step < bound);
}

/** Each half of the replays judged by the dispersion of the other. */
function coverageOf(
  { replays, bounds, learned }: NhppModel,
  levels: readonly number[],
  quantile: typeof countQuantile,
): Forecast["coverage"] {
  if (replays.length < 2) return [];
  const atOrBelow = levels.map(() => 0);
  let samples = 0;
  for (const half of [0, 1]) {
    const others = replays.filter((_, k) => k % 2 !== half);
    const dispersions = dispersionsOf(others, bounds).map((found, k) => found ?? learned.dispersions[k]);
    for (const { counts, means } of replays.filter((_, k) => k % 2 === half)) {
      const stride = Math.max(1, Math.floor(counts.length / stepsJudged));
      for (let j = 0; j < counts.length; j += stride) {
        if (!Number.isFinite(counts[j])) continue;
        samples++;
        levels.forEach((level, k) => {
          if (counts[j] <= quantile(means[j], dispersions[bucketOf(bounds, j)], level) + 1e-9) atOrBelow[k]++;
        });
      }
    }
  }
  return coverageFrom(levels, atOrBelow, samples);
}
