import type { Forecast } from "../forecast/forecast.ts";
import { forecastByName } from "../forecast/forecast-by-name.ts";
import { resample } from "../series/resample.ts";
import { endMs, type Series } from "../series/series.ts";
import { overLead } from "./arrivals-over-lead.ts";

/** Forecasts are made on steps of at least this: finer ones tell the decision nothing more. */
const shortestStepMs = 300_000;
const refreshMs = 3_600_000;
/** Quantiles that decisions read between. */
export const forecastLevels: readonly number[] = [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999];

export interface LoadForecastsOptions {
  /** All that is known of a metric's load up to now. */
  readonly history: (metric: string) => Series | undefined;
  /** IANA time zone of the workload's users. */
  readonly timeZone: string;
  readonly horizonMs: number;
  /** Name of the algorithm; Forecast where absent. */
  readonly algorithm?: string;
  /** Step of the history that the loads came from; nothing finer is known before it ended. */
  readonly stepMs?: number;
  /** How long pods take to serve, as far as it is known: what a forecast of arrivals is sized for. */
  readonly leadSeconds?: () => number | undefined;
}

interface Outlook {
  readonly atMs: number;
  readonly endMs: number;
  readonly forecast?: Forecast;
  /** The forecast as decisions read it, and the lead that it was sized for. */
  sized?: { readonly forecast: Forecast; readonly leadSeconds: number | undefined };
}

/** A measured lead moves by seconds with every pod: so little sizes nothing anew. */
const leadGridSeconds = 5;

/**
 * Forecasts that are made when they are asked for, and anew each hour while the history grows.
 * For programs that hold no forecast: the controllers give what their workers made.
 *
 * @returns a function that gives a metric's forecast; undefined where its history allows none
 */
export function createLoadForecasts(
  options: LoadForecastsOptions,
): (metric: string, timeMs: number) => Forecast | undefined {
  const made = new Map<string, Outlook>();
  const sizedOf = (outlook: Outlook): Forecast | undefined => {
    const measured = options.leadSeconds?.();
    const leadSeconds = measured && Math.ceil(measured / leadGridSeconds) * leadGridSeconds;
    if (outlook.forecast !== undefined && (outlook.sized === undefined || outlook.sized.leadSeconds !== leadSeconds))
      outlook.sized = { forecast: overLead(outlook.forecast, leadSeconds), leadSeconds };
    return outlook.sized?.forecast;
  };
  return (metric, timeMs) => {
    const before = made.get(metric);
    if (before !== undefined && timeMs - before.atMs < refreshMs) return sizedOf(before);
    const known = options.history(metric);
    if (known === undefined || known.values.length === 0) return undefined;
    const end = lastKnownMs(known);
    if (before !== undefined && end <= before.endMs) return sizedOf(before); // nothing new was heard
    const shortest = Math.max(shortestStepMs, options.stepMs ?? 0);
    const series = resample(known, Math.ceil(shortest / known.stepMs) * known.stepMs);
    // From the end of what is known the forecast has to reach over the silence too.
    const horizon = Math.ceil((Math.max(0, timeMs - endMs(series)) + options.horizonMs) / series.stepMs);
    const outcome = forecastByName({
      series,
      horizon,
      levels: forecastLevels,
      timeZone: options.timeZone,
      algorithm: options.algorithm,
      ...(before?.forecast?.weights && { weights: before.forecast.weights }),
    });
    const entry: Outlook = {
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
