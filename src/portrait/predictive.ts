import type { PortraitData } from "../api/kinds/horizontal-portrait.ts";
import type { CapacityModel } from "../capacity/linear.ts";
import type { Forecast } from "../forecast/forecast.ts";

/** One metric's forecast and what a pod does for it. */
export interface MetricForecast {
  readonly name: string;
  readonly forecast: Forecast;
  readonly capacity: CapacityModel;
}

export interface PredictiveOptions {
  readonly nowMs: number;
  readonly horizonMs: number;
  /** How long pods asked for take to serve: each moment is sized for the largest load until they do. */
  readonly leadMs: number;
  /** Quantile of the load to be ready for, in (0, 1). */
  readonly quantile: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

/** A status stays under 8 KiB: a change point takes some 40 bytes of JSON, and the forecast beside it needs its half. */
const mostPoints = 96;

/**
 * The portrait of a forecast: replicas from now on, at their change points. Each moment gets the most that any metric's quantile
 * needs over the lead that follows it, which never delays a scale-up nor advances a scale-down. Where there are too many
 * changes, neighbouring stretches are joined at the larger number.
 *
 * @returns undefined where no forecast reaches beyond now
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
 * Replicas of a Static or TimeSeries portrait at a moment; undefined before its first point and once it has expired. Cron portraits
 * are read by `createSchedule`.
 */
export function replicasAt(portrait: PortraitData, timeMs: number): number | undefined {
  if (portrait.expireTime !== undefined && !(timeMs < Date.parse(portrait.expireTime))) return undefined;
  if (portrait.static !== undefined) return portrait.static.replicas;
  return portrait.timeSeries?.timeSeries.findLast(({ timestamp }) => timestamp * 1000 <= timeMs)?.replicas;
}

/** The largest value of a forecast's quantile over the steps that `[fromMs, toMs)` touches; between two levels on the line between them. */
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

/** Joins stretches at the larger number until at most `most` are left, those first whose joining wastes least. */
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
    // A join may have made a neighbour alike.
    if (best > 1 && kept[best - 2].replicas === kept[best - 1].replicas) kept.splice(best - 1, 1);
    else if (kept[best]?.replicas === kept[best - 1].replicas) kept.splice(best, 1);
  }
  return kept;
}
