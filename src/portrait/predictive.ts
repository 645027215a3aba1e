import type { PortraitData } from "../api/kinds/horizontal-portrait.ts";
import type { CapacityModel } from "../capacity/linear.ts";
import type { Forecast } from "../forecast/forecast.ts";

/** One metric's forecast and the capacity of a pod for it. */
export interface MetricForecast {
  readonly name: string;
  readonly forecast: Forecast;
  readonly capacity: CapacityModel;
}

export interface PredictiveOptions {
  readonly nowMs: number;
  readonly horizonMs: number;
  /** Lead: from a pod's request until it serves. Each time is sized for the largest load within the lead. */
  readonly leadMs: number;
  /** Quantile of the load to size for, in (0, 1). */
  readonly quantile: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

/** A status stays under 8 KiB: a change point takes about 40 bytes of JSON, and the forecast needs half of the space. */
const mostPoints = 96;

/**
 * The portrait of a forecast: replicas from now on, at their change points. Each time gets the replicas that the largest quantile of
 * any metric needs within the following lead, which never delays a scale-up and never advances a scale-down. Where there are too
 * many changes, neighbouring intervals are merged at the larger number.
 *
 * @returns undefined where no forecast covers a time after now
 */
export function predictivePortrait(
  metrics: readonly MetricForecast[],
  options: PredictiveOptions,
): PortraitData | undefined {
  const { nowMs, horizonMs, leadMs, minReplicas, maxReplicas } = options;
  const stepMs = Math.min(...metrics.map(({ forecast }) => forecast.stepMs));
  const endMs = Math.min(
    nowMs + horizonMs,
    ...metrics.map(({ forecast }) => forecast.startMs + forecast.stepMs * forecast.mean.length),
  );
  if (metrics.length === 0 || !(endMs > nowMs)) return undefined;

  const points: { timestamp: number; replicas: number }[] = [];
  for (let fromMs = nowMs; fromMs < endMs; fromMs = (Math.floor(fromMs / stepMs) + 1) * stepMs) {
    const untilMs = Math.min((Math.floor(fromMs / stepMs) + 1) * stepMs, endMs) + leadMs;
    let wanted = 0;
    for (const { forecast, capacity } of metrics) {
      const load = largestBetween(forecast, options.quantile, fromMs, Math.min(untilMs, endMs));
      wanted = Math.max(wanted, Math.ceil(capacity.pods(load) - 1e-9));
    }
    const replicas = Math.min(Math.max(wanted, minReplicas), maxReplicas);
    if (points.at(-1)?.replicas !== replicas) points.push({ timestamp: Math.floor(fromMs / 1000), replicas });
  }
  return {
    type: "TimeSeries",
    timeSeries: { timeSeries: joinSmallest(points, mostPoints) },
    expireTime: new Date(endMs).toISOString(),
  };
}

/**
 * Replicas of a Static or TimeSeries portrait at a time; undefined before its first point and once it has expired. Cron portraits
 * are read by `createSchedule`.
 */
export function replicasAt(portrait: PortraitData, timeMs: number): number | undefined {
  if (portrait.expireTime !== undefined && !(timeMs < Date.parse(portrait.expireTime))) return undefined;
  if (portrait.static !== undefined) return portrait.static.replicas;
  return portrait.timeSeries?.timeSeries.findLast(({ timestamp }) => timestamp * 1000 <= timeMs)?.replicas;
}

/** The largest value of a forecast's quantile over the steps that overlap `[fromMs, toMs)`; linear between two levels. */
function largestBetween({ startMs, stepMs, levels, quantiles }: Forecast, level: number, fromMs: number, toMs: number) {
  const first = Math.max(0, Math.floor((fromMs - startMs) / stepMs));
  const last = Math.min(quantiles[0].length - 1, Math.ceil((toMs - startMs) / stepMs) - 1);
  const found = levels.findIndex((each) => each >= level);
  const upper = found < 0 ? levels.length - 1 : found;
  const lower = found > 0 ? found - 1 : upper;
  const share = upper > lower ? (level - levels[lower]) / (levels[upper] - levels[lower]) : 0;
  let largest = 0;
  for (let k = first; k <= last; k++)
    largest = Math.max(largest, quantiles[lower][k] + share * (quantiles[upper][k] - quantiles[lower][k]));
  return largest;
}

/** Merges neighbouring intervals at the larger number until at most `most` are left, those with the least waste first. */
function joinSmallest(points: readonly { timestamp: number; replicas: number }[], most: number) {
  const kept = points.map((point) => ({ ...point }));
  while (kept.length > most) {
    let [best, least] = [1, Number.POSITIVE_INFINITY];
    for (let i = 1; i < kept.length; i++) {
      const [a, b] = [kept[i - 1], kept[i]];
      const lower = a.replicas < b.replicas ? i - 1 : i;
      const until = kept[lower + 1]?.timestamp ?? kept[lower].timestamp + 3600;
      const waste = Math.abs(a.replicas - b.replicas) * (until - kept[lower].timestamp);
      if (waste < least) [best, least] = [i, waste];
    }
    kept[best - 1].replicas = Math.max(kept[best - 1].replicas, kept[best].replicas);
    kept.splice(best, 1);
    // A merge may have made neighbours equal.
    if (best > 1 && kept[best - 2].replicas === kept[best - 1].replicas) kept.splice(best - 1, 1);
    else if (kept[best]?.replicas === kept[best - 1].replicas) kept.splice(best, 1);
  }
  return kept;
}
