import type { Forecast } from "../forecast/forecast.ts";
import { forecastByName } from "../forecast/forecast-by-name.ts";
import { resample } from "../series/resample.ts";
import { endMs, type Series } from "../series/series.ts";
import { overLead } from "./arrivals-over-lead.ts";

/** Least step of a forecast: finer steps do not change decisions. */
const shortestStepMs = 300_000;
const refreshMs = 3_600_000;
/** Quantile levels, between which decisions interpolate. */
export const forecastLevels: readonly number[] = [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999];

export interface LoadForecastsOptions {
  /** The history of a metric's load up to now. */
  readonly history: (metric: string) => Series | undefined;
  /** IANA time zone of the workload's users. */
  readonly timeZone: string;
  readonly horizonMs: number;
  /** Name of the algorithm; Forecast where absent. */
  readonly algorithm?: string;
  /** Step of the stored history; the forecast is not made on finer steps. */
  readonly stepMs?: number;
  /** Seconds from a pod's request until it serves, where measured: a forecast of arrivals is converted to it. */
  readonly leadSeconds?: () => number | undefined;
}

interface CachedForecast {
  readonly atMs: number;
  readonly endMs: number;
  readonly forecast?: Forecast;
  /** The forecast for decisions, and the lead that it was converted to. */
  sized?: { readonly forecast: Forecast; readonly leadSeconds: number | undefined };
}

/** A measured lead changes by seconds with every pod; it is rounded up to this, so that a forecast is rarely converted anew. */
const leadGridSeconds = 5;

/**
 * Makes forecasts on demand, and again each hour while the history grows. For programs without published forecasts; the controllers
 * use those of their workers.
 *
 * @returns a function that gives a metric's forecast; undefined where its history allows none
 */
export function createLoadForecasts(
  options: LoadForecastsOptions,
): (metric: string, timeMs: number) => Forecast | undefined {
  const made = new Map<string, CachedForecast>();
  const sizedOf = (cached: CachedForecast): Forecast | undefined => {
    const measured = options.leadSeconds?.();
    const leadSeconds = measured && Math.ceil(measured / leadGridSeconds) * leadGridSeconds;
    if (cached.forecast !== undefined && (cached.sized === undefined || cached.sized.leadSeconds !== leadSeconds))
      cached.sized = { forecast: overLead(cached.forecast, leadSeconds), leadSeconds };
    return cached.sized?.forecast;
  };
  return (metric, timeMs) => {
    const before = made.get(metric);
    if (before !== undefined && timeMs - before.atMs < refreshMs) return sizedOf(before);
    const known = options.history(metric);
    if (known === undefined || known.values.length === 0) return undefined;
    const end = lastKnownMs(known);
    if (before !== undefined && end <= before.endMs) return sizedOf(before); // no new samples
    const shortest = Math.max(shortestStepMs, options.stepMs ?? 0);
    const series = resample(known, Math.ceil(shortest / known.stepMs) * known.stepMs);
    // The forecast begins at the end of the history, and must cover the time without samples too.
    const horizon = Math.ceil((Math.max(0, timeMs - endMs(series)) + options.horizonMs) / series.stepMs);
    const outcome = forecastByName({
      series,
      horizon,
      levels: forecastLevels,
      timeZone: options.timeZone,
      algorithm: options.algorithm,
      ...(before?.forecast?.weights && { weights: before.forecast.weights }),
    });
    const entry: CachedForecast = {
      atMs: timeMs,
      endMs: end,
      ...(outcome.kind === "Forecast" && { forecast: outcome.forecast }),
    };
    made.set(metric, entry);
    return sizedOf(entry);
  };
}

function lastKnownMs({ startMs, stepMs, values }: Series): number {
  let last = values.length - 1;
  while (last >= 0 && !Number.isFinite(values[last])) last--;
  return startMs + (last + 1) * stepMs;
}
