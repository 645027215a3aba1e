import type { Forecast, ForecastOutcome } from "../forecast/forecast.ts";
import { forecastByName } from "../forecast/forecast-by-name.ts";
import { forecastLevels } from "../portrait/load-forecasts.ts";
import { resample } from "../series/resample.ts";
import type { Series } from "../series/series.ts";

const minuteMs = 60_000;
/** Forecasts are made on steps of at least this, as the controllers make them. */
const shortestStepMs = 5 * minuteMs;
/** Two days are seen from 24 origins; twice as many tell the same (neighbours share their days) and cost a third more. */
const usualEveryMs = 120 * minuteMs;
/** What the replays of a forecast taught stays good this long, as the controllers hold it. */
const weightsKeptMs = 6 * 60 * minuteMs;
/** Levels of the weighted quantile loss. */
export const scoredLevels: readonly number[] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const levels = [...new Set([...forecastLevels, ...scoredLevels])].sort((a, b) => a - b);

export interface RollingOptions {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly horizonMs: number;
  /** How much of the past a forecast may use. */
  readonly historyMs: number;
  readonly timeZone: string;
  /** Name of the forecast's algorithm; Forecast where absent. */
  readonly algorithm?: string;
  /** Time between two origins, two hours where absent. */
  readonly everyMs?: number;
}

/** Forecasts of one load from origins that roll through the replay, each made from its past only. */
export interface RollingForecasts {
  /** What came, on the forecasts' steps: the whole history. */
  readonly actual: Series;
  readonly made: readonly Forecast[];
  /** Why there is no forecast, where none could be made. */
  readonly refusals: readonly Exclude<ForecastOutcome, { kind: "Forecast" }>[];
  /** The newest forecast made at or before a moment. */
  latest(timeMs: number): Forecast | undefined;
}

/** Forecasts at every origin. Replays of the experts are run four times a day; in between their weights are reused. */
export function rollForecasts(load: Series, options: RollingOptions): RollingForecasts {
  const actual = resample(load, Math.ceil(shortestStepMs / load.stepMs - 1e-9) * load.stepMs);
  const { startMs, stepMs, values } = actual;
  const horizon = Math.max(1, Math.round(options.horizonMs / stepMs));
  const reach = Math.ceil(options.historyMs / stepMs);
  const every = Math.max(1, Math.round((options.everyMs ?? usualEveryMs) / stepMs));
  const first = Math.floor((options.fromMs - startMs) / stepMs);
  const last = Math.min(values.length, Math.floor((options.untilMs - startMs) / stepMs));

  const made: Forecast[] = [];
  const refusals: Exclude<ForecastOutcome, { kind: "Forecast" }>[] = [];
  let weights: Forecast["weights"];
  let learntMs = Number.NEGATIVE_INFINITY;
  for (let origin = first; origin < last; origin += every) {
    const from = Math.max(0, origin - reach);
    const originMs = startMs + origin * stepMs;
    const isStale = originMs - learntMs >= weightsKeptMs;
    const outcome = forecastByName({
      series: { startMs: startMs + from * stepMs, stepMs, values: values.slice(from, origin) },
      horizon,
      levels,
      timeZone: options.timeZone,
      ...(options.algorithm !== undefined && { algorithm: options.algorithm }),
      ...(weights !== undefined && !isStale && { weights }),
    });
    if (outcome.kind !== "Forecast") {
      refusals.push(outcome);
      continue;
    }
    made.push(outcome.forecast);
    if (isStale) [weights, learntMs] = [outcome.forecast.weights, originMs];
  }
  const latest = (timeMs: number) => {
    let [low, high] = [0, made.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (made[middle].startMs <= timeMs) low = middle + 1;
      else high = middle;
    }
    return made[low - 1];
  };
  return { actual, made, refusals, latest };
}
