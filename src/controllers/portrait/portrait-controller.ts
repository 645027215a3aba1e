import type { MetricSpec } from "../../api/fields/metrics.ts";
import { headroomOf } from "../../api/fields/prediction.ts";
import {
  algorithmFault,
  algorithmOf,
  type HorizontalPortrait,
  isForecastAlgorithm,
  type PortraitData,
} from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { ihpaLabel } from "../../api/labels.ts";
import { parseDuration } from "../../api/values/duration.ts";
import type { Forecast } from "../../forecast/forecast.ts";
import { formatKey, keyOf, parseKey } from "../../kube/client/resource.ts";
import type { Next } from "../../kube/loop/work-queue.ts";
import { stamp } from "../../kube/times.ts";
import type { Cache } from "../../kube/watch/cache.ts";
import { predictivePortrait } from "../../portrait/predictive.ts";
import { reactivePortrait } from "../../portrait/reactive.ts";
import type { MetricReader } from "../workload/metric-reader.ts";
import { liveOf } from "../workload/sized-metric.ts";
import { metricsOf } from "../workload/workload.ts";
import type { WorkloadMemory } from "../workload/workload-memory.ts";
import { ForecastMaker, type ForecastMakerOptions } from "./forecast-maker.ts";
import type { PortraitWriter } from "./portrait-writer.ts";
import { predictiveStatus } from "./predictive-status.ts";

export interface PortraitControllerOptions extends ForecastMakerOptions {
  readonly writer: PortraitWriter;
  readonly caches: {
    readonly portraits: Cache<HorizontalPortrait>;
    readonly ihpas: Cache<IntelligentHorizontalPodAutoscaler>;
  };
  readonly metricReader: Pick<MetricReader, "past" | "now">;
  /** The memory of workloads, by the key of their IHPA. */
  readonly workloads: { get(key: string): WorkloadMemory | undefined };
}

/** A predictive portrait is renewed this often. */
const refreshMs = 600_000;
/** After a failure, and while the history is still being read. */
const retryMs = 30_000;
const reactiveRefreshMs = 30_000;
/** How long a reactive portrait is valid; an unchanged one is written again only to stay valid. */
const reactiveValidMs = 300_000;
/** Lead of a workload without a decision yet. */
const usualLeadSeconds = 120;

/**
 * Makes and publishes the predictive and reactive portraits of providers, so that servers can answer from them alone.
 * Burst portraits are written from the decision (`BurstPortraits`).
 */
export class PortraitController {
  readonly #options: PortraitControllerOptions;
  readonly #forecasts: ForecastMaker;
  readonly #madeMs = new Map<string, { atMs: number; generation: number | undefined }>();

  constructor(options: PortraitControllerOptions) {
    this.#options = options;
    this.#forecasts = new ForecastMaker(options);
  }

  /** Makes one portrait if it is due. A throw means again, with backoff. */
  async reconcile(key: string): Promise<Next> {
    const { caches, now, workloads, writer } = this.#options;
    const portrait = caches.portraits.get(parseKey(key));
    if (portrait === undefined || portrait.metadata.deletionTimestamp !== undefined) {
      this.#madeMs.delete(key);
      writer.forget(key);
      return {};
    }
    if (portrait.spec.externalGeneratorName !== undefined) return {}; // an external generator writes it
    const algorithm = algorithmOf(portrait.spec);
    if (algorithm === "External") return {};
    const fault = algorithmFault(portrait.spec);
    if (fault !== undefined) {
      await writer.fail(portrait, { reason: "AlgorithmNotSupported", message: fault });
      return {};
    }
    if (algorithm === "Burst") return {};
    const isForecast = isForecastAlgorithm(algorithm);
    const every = isForecast ? refreshMs : reactiveRefreshMs;
    const made = this.#madeMs.get(key);
    const dueMs = made && made.generation === portrait.metadata.generation ? made.atMs + every - now() : 0;
    if (dueMs > 0) return { recheckAfterMs: dueMs };

    const owner = parseKey(key);
    const name = portrait.metadata.labels?.[ihpaLabel];
    const ihpa = name === undefined ? undefined : caches.ihpas.get({ namespace: owner.namespace, name });
    const workload = ihpa && workloads.get(formatKey(keyOf(ihpa)));
    if (!ihpa || !workload?.targets) return { recheckAfterMs: retryMs / 6 }; // the IHPA's first tick comes first
    const isDone = await (isForecast ? this.#predict(portrait, ihpa, workload) : this.#react(portrait, ihpa, workload));
    if (!isDone) return { recheckAfterMs: retryMs };
    this.#madeMs.set(key, { atMs: now(), generation: portrait.metadata.generation });
    return { recheckAfterMs: every };
  }

  /** @returns whether a portrait was made; false means a retry soon */
  async #predict(
    portrait: HorizontalPortrait,
    ihpa: IntelligentHorizontalPodAutoscaler,
    workload: WorkloadMemory,
  ): Promise<boolean> {
    const { now, writer } = this.#options;
    const forecasts = new Map<string, Forecast>();
    const sized = workload.sized(ihpa, this.#metricsOf(portrait, ihpa));
    for (const metric of sized) {
      const forecast = await this.#forecasts.make(portrait, ihpa, workload, metric);
      if ("reason" in forecast) {
        await writer.fail(portrait, forecast);
        return false;
      }
      forecasts.set(metric.name, forecast);
      workload.useForecast(metric.name, forecast);
    }
    const { prediction, minReplicas, maxReplicas } = ihpa.spec;
    const headroom = headroomOf(prediction);
    const nowMs = now();
    const data = predictivePortrait(
      sized.map(({ name, capacity }) => ({ name, forecast: forecasts.get(name)!, capacity })),
      {
        nowMs,
        horizonMs: parseDuration(prediction.horizon),
        leadMs: (workload.lastDecision?.lead.seconds ?? usualLeadSeconds) * 1000,
        quantile: headroom.kind === "Quantile" ? headroom.quantile : 1 - headroom.underProvisioned,
        minReplicas,
        maxReplicas,
      },
    );
    if (data === undefined) {
      await writer.fail(portrait, {
        reason: "ForecastRejected",
        message: "the forecast ends before now; check that the source has recent values",
      });
      return false;
    }
    const { content, claims } = predictiveStatus(data, forecasts, workload.lastDecision?.accuracy, nowMs);
    await writer.publish(portrait, content, claims);
    return true;
  }

  /** @returns whether a portrait was made; false means a retry soon */
  async #react(
    portrait: HorizontalPortrait,
    ihpa: IntelligentHorizontalPodAutoscaler,
    workload: WorkloadMemory,
  ): Promise<boolean> {
    const { metricReader, now, writer } = this.#options;
    const subject = workload.subject(ihpa, formatKey(keyOf(ihpa)));
    const live = workload.sized(ihpa, this.#metricsOf(portrait, ihpa)).map((metric) => ({
      name: metric.name,
      load: liveOf(metricReader, subject, metric),
      capacity: metric.capacity,
    }));
    const data = reactivePortrait(live, {
      nowMs: now(),
      replicas: ihpa.status?.currentReplicas ?? 0,
      tolerance: Number(portrait.spec.algorithm?.kubeHPA?.tolerance ?? 0.1),
      validMs: reactiveValidMs,
      minReplicas: ihpa.spec.minReplicas,
      maxReplicas: ihpa.spec.maxReplicas,
    });
    if (data === undefined) {
      await writer.fail(portrait, { reason: "NoMetrics", message: "none of the metrics has a live value" });
      return false;
    }
    if (this.#saysTheSame(portrait, data)) return true;
    await writer.publish(
      portrait,
      { portraitData: { ...data, ...(data.expireTime && { expireTime: stamp(Date.parse(data.expireTime)) }) } },
      [{ type: "PortraitGenerated", status: "True", reason: "AsExpected", message: "from the live values" }],
    );
    return true;
  }

  /** Whether the published reactive portrait is the same, and valid for a while. */
  #saysTheSame({ metadata, status }: HorizontalPortrait, data: PortraitData): boolean {
    const before = status?.portraitData;
    return (
      status?.observedGeneration === metadata.generation &&
      status?.conditions?.every((condition) => condition.status === "True") === true &&
      before?.static?.replicas === data.static?.replicas &&
      Date.parse(before?.expireTime ?? "") - this.#options.now() > reactiveValidMs / 2
    );
  }

  #metricsOf(portrait: HorizontalPortrait, ihpa: IntelligentHorizontalPodAutoscaler): readonly MetricSpec[] {
    const own = portrait.spec.metrics ?? [];
    return own.length > 0 ? (own as readonly MetricSpec[]) : metricsOf(ihpa);
  }
}
