import { endMs } from "../../series/series.ts";
import { countQuantile, smoothCountQuantile } from "../../series/statistics/count-distribution.ts";
import { coverageFrom } from "../coverage.ts";
import type { Forecast, ForecastArrivals, ForecastOutcome, ForecastRequest } from "../forecast.ts";
import type { NhppWeights } from "../learned-weights.ts";
import { dispersionsOf } from "./nhpp-backtest.ts";
import { type ArrivalHistory, readyHistory } from "./nhpp-history.ts";
import { fitNhpp, type NhppModel, type NhppOptions } from "./nhpp-model.ts";

/** Fewer samples do not show an intensity. */
const fewestSamples = 24;
/** Below this dispersion, `method` calls the counts Poisson. */
const leastNamed = 0.01;
/** Steps after each origin that coverage is measured on. */
const stepsScored = 100;
/** Dispersion of a new level, and of leads beyond the backtest: the square of an error of a third. */
const unknownDispersion = 0.1;
/** A larger dispersion adds nothing. */
const largestDispersion = 100;
/** A level counts as new for so long. */
const newHours = 48;
/** Learned weights are valid for so long. */
const learnedForMs = 86_400_000;

/**
 * Forecast of a load of arrivals: quantiles of the counts under a periodic Poisson intensity, negative binomial where they scatter
 * more than Poisson's. Missing samples and a new level widen the intervals; `method` names the defects of the history.
 *
 * **Source**: RobustScaler (ICDE 2022) for the intensity (`fitNhpp`); the quantiles of the counts are ours.
 *
 * @param request its series is not changed; gaps stay gaps; its time zone is not used; its `weights` are used for a day
 * @returns `TooShort` below 24 present samples, `NotPredictable` for a load of which more than 5 % is below 0
 */
export function nhppForecast(request: ForecastRequest, options: Pick<NhppOptions, "periods"> = {}): ForecastOutcome {
  const { series, horizon, levels } = request;
  const history = readyHistory(series.values, series.stepMs);
  if (history === undefined)
    return {
      kind: "NotPredictable",
      why: "more than 5 % of the samples are below 0, so the load is no count of arrivals; use another algorithm",
    };
  const { values, scale, missingAtEnd } = history;
  const samples = values.reduce((count, value) => count + (Number.isNaN(value) ? 0 : 1), 0);
  if (samples < fewestSamples) return { kind: "TooShort", samples, needed: fewestSamples };

  const kept = keptOf(request);
  const model = fitNhpp({ ...series, values }, horizon, { ...options, ...(kept && { learned: kept }) });
  const { arrivals, bounds, periods, learned, rates, backtest, change } = model;
  const quantile = arrivals.whole ? countQuantile : smoothCountQuantile;
  const isKept = kept !== undefined && learned === kept;
  const testedSteps = isKept || backtest.length > 0 ? model.backtestSteps : Number.POSITIVE_INFINITY; // else the dispersion is wide already
  const level = unknownDispersion * newness(model);
  const dispersions = rates.map((rate, j) => {
    const lead = missingAtEnd + j + 1;
    const beyond = unknownDispersion * Math.max(0, 1 - testedSteps / lead);
    return widened(learned.dispersions[bucketOf(bounds, lead - 1)], rate, history) + level + beyond;
  });
  const load = (count: number) => Math.min(Number.MAX_VALUE, count * arrivals.unit * scale);
  const at = (level: number) => rates.map((rate, j) => load(quantile(rate, dispersions[j], level)));
  const scatter = dispersions.some((dispersion) => dispersion > leastNamed) ? "negative binomial" : "Poisson";
  const recurs = periods.length > 0 ? `periods of ${periods.join(" and ")} samples` : "no period";
  const coverage = isKept ? levels.flatMap((level) => kept.coverage.find((each) => each.level === level) ?? []) : [];
  const notes = [...history.notes];
  if (change) notes.push(`level shift × ${Number(change.factor.toPrecision(2))} ${change.hoursAgo} h ago`);
  if (!isKept && backtest.length === 0) notes.push("history too short for a backtest");
  else if (testedSteps < missingAtEnd + horizon) notes.push(`backtested ${testedSteps} steps ahead only`);
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
      : backtest.length > 0 && { weights: { ...learned, learnedMs: endMs(series), coverage: made } }),
  };
  return { kind: "Forecast", forecast };
}

/**
 * Arrivals in groups: where the variance from step to step is several times the mean, as many arrivals seem to come at once, and a
 * group counts as one. The rest of the dispersion is uncertainty of the rate, the same over short and long stretches.
 */
function inGroups({ arrivals, rates, noise }: NhppModel, dispersions: Float64Array, unit: number): ForecastArrivals {
  const group = arrivals.whole ? noise : 1;
  return {
    expected: rates.map((rate) => rate / group),
    dispersions: dispersions.map((dispersion, j) => Math.max(0, dispersion - (group - 1) / rates[j])),
    unit: Math.min(Number.MAX_VALUE, unit * group),
  };
}

/** The weights of an earlier forecast, while they are valid. */
function keptOf({ weights, series }: ForecastRequest): NhppWeights | undefined {
  if (weights === undefined || !("lags" in weights)) return undefined;
  const ageMs = endMs(series) - weights.learnedMs;
  return ageMs >= 0 && ageMs <= learnedForMs ? weights : undefined;
}

/** The dispersion with missing samples taken into account: the variance ÷ the share of samples that is present. */
function widened(dispersion: number, rate: number, { missing }: ArrivalHistory): number {
  if (missing === 0 || rate === 0) return dispersion;
  return Math.min(Math.max(dispersion, largestDispersion), (1 / rate + dispersion) / (1 - missing) - 1 / rate);
}

/** 1 for a level that has just changed, 0 for one that has lasted two days. */
function newness({ change }: NhppModel): number {
  return change ? Math.max(0, 1 - change.hoursAgo / newHours) : 0;
}

function bucketOf(bounds: readonly number[], step: number): number {
  return bounds.findIndex((bound) => step < bound);
}

/** Each half of the backtest is scored with the dispersion of the other half. */
function coverageOf(
  { backtest, bounds, learned }: NhppModel,
  levels: readonly number[],
  quantile: typeof countQuantile,
): Forecast["coverage"] {
  if (backtest.length < 2) return [];
  const atOrBelow = levels.map(() => 0);
  let samples = 0;
  for (const half of [0, 1]) {
    const others = backtest.filter((_, k) => k % 2 !== half);
    const dispersions = dispersionsOf(others, bounds).map((found, k) => found ?? learned.dispersions[k]);
    for (const { counts, means } of backtest.filter((_, k) => k % 2 === half)) {
      const stride = Math.max(1, Math.floor(counts.length / stepsScored));
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
