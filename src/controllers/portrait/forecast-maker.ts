import { isDeepStrictEqual } from "node:util";
import type { Cause } from "../../api/cause.ts";
import { algorithmOf, type HorizontalPortrait } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { parseDuration } from "../../api/values/duration.ts";
import type { Forecast } from "../../forecast/forecast.ts";
import type { LearnedWeights } from "../../forecast/learned-weights.ts";
import type { ForecastPool } from "../../forecast/workers/worker-pool.ts";
import { formatKey, keyOf } from "../../kube/client/resource.ts";
import { overLead } from "../../portrait/arrivals-over-lead.ts";
import { forecastLevels } from "../../portrait/load-forecasts.ts";
import { resample } from "../../series/resample.ts";
import { endMs } from "../../series/series.ts";
import type { ControllerMetrics } from "../metrics.ts";
import type { MetricReader } from "../workload/metric-reader.ts";
import { pastOf, type SizedMetric } from "../workload/sized-metric.ts";
import type { WorkloadMemory } from "../workload/workload-memory.ts";
import { isValid } from "./portrait-writer.ts";

export interface ForecastMakerOptions {
  readonly metricReader: Pick<MetricReader, "past">;
  readonly pool: Pick<ForecastPool, "forecast">;
  readonly metrics: Pick<ControllerMetrics, "forecastSeconds">;
  readonly now: () => number;
}

/** The horizon grows in steps of this while the source is silent: forecasts of the same length share learned weights. */
const silenceStepMs = 3_600_000;
/** Smallest step of a forecast. */
const forecastStepMs = 300_000;
/** Replays are most of a forecast's cost; the weights learned from them stay good for some hours. */
const weightsKeptMs = 6 * 3_600_000;

/** Makes forecasts of a workload's loads from their history, on worker threads. */
export class ForecastMaker {
  readonly #options: ForecastMakerOptions;
  readonly #weights = new Map<string, { weights: LearnedWeights; atMs: number }>();

  constructor(options: ForecastMakerOptions) {
    this.#options = options;
  }

  /** @returns why there is no forecast, where there is none */
  async make(
    portrait: HorizontalPortrait,
    ihpa: IntelligentHorizontalPodAutoscaler,
    workload: WorkloadMemory,
    metric: SizedMetric,
  ): Promise<Forecast | Cause> {
    const { metrics, now } = this.#options;
    const startedMs = now();
    const made = await this.#make(portrait, ihpa, workload, metric);
    metrics.forecastSeconds.observe({ outcome: "reason" in made ? "Failed" : "Made" }, (now() - startedMs) / 1000);
    return made;
  }

  async #make(
    portrait: HorizontalPortrait,
    ihpa: IntelligentHorizontalPodAutoscaler,
    workload: WorkloadMemory,
    metric: SizedMetric,
  ): Promise<Forecast | Cause> {
    const { metricReader, pool, now } = this.#options;
    const { name } = metric;
    const { prediction } = ihpa.spec;
    const key = formatKey(keyOf(ihpa));
    const past = await pastOf(metricReader, workload.subject(ihpa, key), metric, prediction.history);
    if (past.kind === "Unknown") return past.fault;
    // While the source is silent the previous forecast is kept until it expires: an old history gives no better one.
    if (past.fault && isValid(portrait, now())) return past.fault;
    const { stepMs } = past.series;
    const series = resample(past.series, Math.ceil(forecastStepMs / stepMs) * stepMs);
    // The forecast starts at the end of the history, so it has to cover the silence too.
    const silences = Math.floor(Math.max(0, now() - endMs(series)) / silenceStepMs) + 1;
    const horizon = Math.ceil((silences * silenceStepMs + parseDuration(prediction.horizon)) / series.stepMs);
    const memory = `${key}/${name}`;
    const kept = this.#weights.get(memory);
    const outcome = await pool.forecast({
      series,
      horizon,
      levels: forecastLevels,
      timeZone: prediction.timeZone,
      algorithm: algorithmOf(portrait.spec),
      ...(kept && now() - kept.atMs < weightsKeptMs && { weights: kept.weights }),
    });
    switch (outcome.kind) {
      case "TooShort":
        return {
          reason: "HistoryTooShort",
          message: `${name} has ${outcome.samples} samples of history; ${outcome.needed} are needed`,
        };
      case "NotPredictable":
        return { reason: "NotPredictable", message: `${name}: ${outcome.why}` };
      case "Forecast":
        // The thread returns a copy: only weights that have changed are new.
        if (outcome.forecast.weights && !isDeepStrictEqual(outcome.forecast.weights, kept?.weights))
          this.#weights.set(memory, { weights: outcome.forecast.weights, atMs: now() });
        return overLead(outcome.forecast, workload.lastDecision?.lead.seconds);
    }
  }
}
