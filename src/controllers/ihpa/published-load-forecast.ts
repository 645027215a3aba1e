import type { HorizontalPortrait, HorizontalPortraitStatus } from "../../api/kinds/horizontal-portrait.ts";
import type { LoadForecast } from "../../decide/demand/load-forecast.ts";
import type { WorkloadMemory } from "../workload/workload-memory.ts";

/**
 * The forecast of a metric in a portrait's status, back on regular steps, until the portrait expires.
 *
 * @returns undefined where the status has no forecast of the metric, or does not say how far it reaches
 */
export function publishedLoadForecast(status: HorizontalPortraitStatus, metric: string): LoadForecast | undefined {
  const published = status.forecast?.metrics?.find(({ name }) => name === metric);
  const endMs = Date.parse(status.portraitData?.expireTime ?? "");
  if (!published || published.points.length === 0 || Number.isNaN(endMs)) return undefined;
  const { levels, points, stepSeconds } = published;
  const [startMs, stepMs] = [points[0].time * 1000, stepSeconds * 1000];
  const steps = Math.max(0, Math.ceil((endMs - startMs) / stepMs));
  const quantiles = levels.map(() => new Float64Array(steps));
  let at = 0;
  for (let step = 0; step < steps; step++) {
    while (at + 1 < points.length && points[at + 1].time * 1000 <= startMs + step * stepMs) at++;
    for (const [level, row] of quantiles.entries()) row[step] = points[at].values[level] ?? Number.NaN;
  }
  return { startMs, stepMs, levels, quantiles };
}

/** After a restart, published forecasts are used until new ones are made. */
export function restoreForecasts(
  workload: Pick<WorkloadMemory, "useForecast">,
  portraits: readonly HorizontalPortrait[],
): void {
  for (const { metadata, status } of portraits) {
    if (status?.observedGeneration !== metadata.generation) continue; // of another spec
    for (const { name } of status?.forecast?.metrics ?? []) {
      const forecast = publishedLoadForecast(status!, name);
      if (forecast) workload.useForecast(name, forecast);
    }
  }
}
