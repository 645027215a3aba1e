import type { Rung } from "../../api/conditions.ts";
import type { DecisionReason, ForecastAccuracy } from "../decision.ts";
import { type MetricDemand, wholePods } from "../metric/metric-demand.ts";
import type { Proposal } from "./select-proposal.ts";

/**
 * What the selected proposal rests on.
 *
 * @param isDynamic whether it was made from metrics
 * @param forecastMetrics metrics that a Predictive provider uses
 */
export function reasonOf(
  selected: Proposal,
  isDynamic: boolean,
  forecastMetrics: ReadonlySet<string>,
  demands: ReadonlyMap<string, MetricDemand>,
): DecisionReason {
  if (selected.provider === "Static") return "Fixed";
  if (selected.provider === "Cron") return "Scheduled";
  if (!isDynamic) return "Proposed";
  const all = [...demands.values()];
  if (all.some((demand) => demand.kind === "Silent" && demand.wanted === selected.replicas)) return "SourceSilent";
  const live = all.filter((demand) => demand.kind === "Live");
  if (selected.provider === "Burst")
    return live.some(({ burst }) => burst === selected.replicas) ? "Burst" : "Observed";
  const distrusted = live.find(({ verdict }) => !verdict.isTrusted);
  if (forecastMetrics.size > 0 && distrusted)
    return distrusted.verdict.reason === "BacktestFailed" ? "BacktestFailed" : "NotAccurate";
  if (selected.provider === "Reactive") return "Observed";
  const binding = live.find(({ wanted }) => wanted === selected.replicas);
  if (binding?.isCut) return "ForecastCut";
  return binding && binding.wanted === wholePods(binding.observed) ? "Observed" : "Predicted";
}

/** @param forecastMetrics metrics that a Predictive provider uses: what history tells of the others moves no number */
export function rungOf(demands: ReadonlyMap<string, MetricDemand>, forecastMetrics: ReadonlySet<string>): Rung {
  const all = [...demands];
  if (all.some(([, demand]) => demand.kind !== "Live")) return "Coasting";
  const usesForecast = all.some(
    ([name, demand]) => demand.kind === "Live" && demand.usesForecast && forecastMetrics.has(name),
  );
  return usesForecast ? "Fresh" : "Reactive";
}

/** The accuracy of the forecasts that a Predictive provider uses: the first that is not trusted, else the first. */
export function accuracyOf(
  demands: ReadonlyMap<string, MetricDemand>,
  forecastMetrics: ReadonlySet<string>,
  level: number,
): ForecastAccuracy | undefined {
  let first: ForecastAccuracy | undefined;
  for (const [metric, demand] of demands) {
    if (demand.kind !== "Live" || !forecastMetrics.has(metric)) continue;
    if (!demand.verdict.isTrusted) return { metric, level, ...demand.verdict };
    first ??= { metric, level, ...demand.verdict };
  }
  return first;
}
