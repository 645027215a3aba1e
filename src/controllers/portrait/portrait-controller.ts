import { isDeepStrictEqual } from "node:util";
import type { Cause } from "../../api/cause.ts";
import type { MetricSpec } from "../../api/fields/metrics.ts";
import { headroomOf } from "../../api/fields/prediction.ts";
import {
  algorithmFault,
  algorithmOf,
  type HorizontalPortrait,
  type HorizontalPortraitStatus,
  isForecastAlgorithm,
  type PortraitData,
} from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { ihpaLabel } from "../../api/labels.ts";
import { parseDuration } from "../../api/values/duration.ts";
import type { Forecast, KeptWeights } from "../../forecast/forecast.ts";
import type { ForecastPool } from "../../forecast/workers/worker-pool.ts";
import type { Applier } from "../../kube/client/apply.ts";
import { formatKey, type KubeObject, keyOf, parseKey, resourceOf } from "../../kube/client/resource.ts";
import type { EventRecorder } from "../../kube/loop/events.ts";
import type { Next } from "../../kube/loop/work-queue.ts";
import { stamp } from "../../kube/times.ts";
import type { Cache } from "../../kube/watch/cache.ts";
import { overLead } from "../../portrait/arrivals-over-lead.ts";
import { forecastLevels } from "../../portrait/load-forecasts.ts";
import { predictivePortrait } from "../../portrait/predictive.ts";
import { reactivePortrait } from "../../portrait/reactive.ts";
import { resample } from "../../series/resample.ts";
import { endMs } from "../../series/series.ts";
import type { ControllerMetrics } from "../metrics.ts";
import { type Claim, transitions, withClaims } from "../status/set-condition.ts";
import { StatusOverlay } from "../status/status-overlay.ts";
import type { MetricReader } from "../workload/metric-reader.ts";
import { liveOf, pastOf, type SizedMetric } from "../workload/sized-metric.ts";
import { metricsOf, type Workload } from "../workload/workload.ts";
import { withinSize } from "./portrait-size.ts";
import { type PortraitContent, predictiveClaims, predictiveStatus, stamped } from "./predictive-status.ts";

export interface PortraitControllerOptions {
  readonly applier: Pick<Applier, "applyStatus">;
  readonly events: Pick<EventRecorder, "record">;
  readonly caches: {
    readonly portraits: Cache<HorizontalPortrait>;
    readonly ihpas: Cache<IntelligentHorizontalPodAutoscaler>;
  };
  readonly loads: Pick<MetricReader, "past" | "now">;
  readonly pool: Pick<ForecastPool, "forecast">;
  /** What the IHPA controller remembers, by key. */
  readonly workloads: { workload(key: string): Workload | undefined };
  readonly metrics: ControllerMetrics;
  readonly now: () => number;
}

/** A predictive portrait is made anew this often. */
const refreshMs = 600_000;
/** After a failure, and while the history is still being read. */
const retryMs = 30_000;
const reactiveRefreshMs = 30_000;
/** A reactive portrait speaks of now; one that says the same again is written only to live on. */
const reactiveValidMs = 300_000;
/** The horizon grows by this while the source is silent: forecasts of one length share what their replays taught. */
const silenceStepMs = 3_600_000;
/** Forecasts are made on steps of at least this. */
const forecastStepMs = 300_000;

/** A metric of a predictive portrait that is to be forecast. */
interface ForecastRequest {
  readonly portrait: HorizontalPortrait;
  readonly ihpa: IntelligentHorizontalPodAutoscaler;
  readonly workload: Workload;
  readonly metric: SizedMetric;
  readonly horizonMs: number;
}

/** Makes the portraits that dynamic providers ask for, and publishes them, so that servers can go on from them alone. */
export class PortraitController {
  readonly #options: PortraitControllerOptions;
  readonly #madeMs = new Map<string, { atMs: number; generation: number | undefined }>();
  readonly #written = new StatusOverlay<HorizontalPortraitStatus>();
  readonly #weights = new Map<string, { weights: KeptWeights; atMs: number }>();

  constructor(options: PortraitControllerOptions) {
    this.#options = options;
  }

  /** Brings one portrait about. A throw means again, with backoff. */
  async reconcile(key: string): Promise<Next> {
    const { caches, now, workloads } = this.#options;
    const portrait = caches.portraits.get(parseKey(key));
    if (portrait === undefined || portrait.metadata.deletionTimestamp !== undefined) {
      this.#madeMs.delete(key);
      this.#written.forget(key);
      return {};
    }
    if (portrait.spec.externalGeneratorName !== undefined) return {}; // somebody else's to write
    const algorithm = algorithmOf(portrait.spec);
    if (algorithm === "External") return {};
    const fault = algorithmFault(portrait.spec);
    if (fault !== undefined) {
      await this.#fail(portrait, { reason: "AlgorithmNotSupported", message: fault });
      return {};
    }
    const isForecast = isForecastAlgorithm(algorithm);
    const every = isForecast ? refreshMs : reactiveRefreshMs;
    const made = this.#madeMs.get(key);
    const dueMs = made && made.generation === portrait.metadata.generation ? made.atMs + every - now() : 0;
    if (dueMs > 0) return { recheckAfterMs: dueMs };

    const owner = parseKey(key);
    const name = portrait.metadata.labels?.[ihpaLabel];
    const ihpa = name === undefined ? undefined : caches.ihpas.get({ namespace: owner.namespace, name });
    const workload = ihpa && workloads.workload(formatKey(keyOf(ihpa)));
    if (!ihpa || !workload?.targets) return { recheckAfterMs: retryMs / 6 }; // the IHPA's first tick comes first
    const isDone = await (isForecast
      ? this.#predict(portrait, ihpa, workload)
      : algorithm === "Burst"
        ? this.#showBurst(portrait, workload)
        : this.#react(portrait, ihpa, workload));
    if (!isDone) return { recheckAfterMs: retryMs };
    this.#madeMs.set(key, { atMs: now(), generation: portrait.metadata.generation });
    return { recheckAfterMs: every };
  }

  /** @returns whether a portrait was made; false means soon again */
  async #predict(
    portrait: HorizontalPortrait,
    ihpa: IntelligentHorizontalPodAutoscaler,
    workload: Workload,
  ): Promise<boolean> {
    const { prediction, minReplicas, maxReplicas } = ihpa.spec;
    const horizonMs = parseDuration(prediction.horizon);
    const sized = workload.sized(ihpa, this.#metricsOf(portrait, ihpa));
    const forecasts = new Map<string, Forecast>();
    for (const metric of sized) {
      const outcome = await this.#forecast({ portrait, ihpa, workload, metric, horizonMs });
      if ("reason" in outcome) {
        await this.#fail(portrait, outcome);
        return false;
      }
      forecasts.set(metric.name, outcome);
      workload.useForecast(metric.name, outcome);
    }
    const headroom = headroomOf(prediction);
    const nowMs = this.#options.now();
    const data = predictivePortrait(
      sized.map(({ name, capacity }) => ({ name, forecast: forecasts.get(name)!, capacity })),
      {
        nowMs,
        horizonMs,
        leadMs: (workload.lastDecision?.lead.seconds ?? 120) * 1000,
        quantile: headroom.kind === "Quantile" ? headroom.quantile : 1 - headroom.underProvisioned,
        minReplicas,
        maxReplicas,
      },
    );
    if (data === undefined) {
      const message = "the forecast ends before now; check whether the metric source is far behind";
      await this.#fail(portrait, { reason: "ForecastRejected", message });
      return false;
    }
    const content = { data, forecasts, accuracy: workload.lastDecision?.accuracy, nowMs };
    await this.#publish(portrait, predictiveStatus(content), predictiveClaims(content));
    return true;
  }

  /** Forecasts one metric, and measures how long that takes. */
  async #forecast(request: ForecastRequest): Promise<Forecast | Cause> {
    const { now, metrics } = this.#options;
    const startedMs = now();
    const outcome = await this.#tryForecast(request);
    metrics.forecastSeconds.observe({ outcome: "reason" in outcome ? "Failed" : "Made" }, (now() - startedMs) / 1000);
    return outcome;
  }

  async #tryForecast({ portrait, ihpa, workload, metric, horizonMs }: ForecastRequest): Promise<Forecast | Cause> {
    const { loads, pool, now } = this.#options;
    const { name } = metric;
    const key = formatKey(keyOf(ihpa));
    const past = await pastOf(loads, workload.reader(ihpa, key), metric, ihpa.spec.prediction.history);
    if (past.kind === "Unknown") return past.fault;
    // While the source is silent the forecast made before holds until it expires: an old past gives no newer future.
    if (past.fault && isValid(portrait, now())) return past.fault;
    const { stepMs } = past.series;
    const series = resample(past.series, Math.ceil(forecastStepMs / stepMs) * stepMs);
    // From the end of what is known the forecast has to reach over the silence too.
    const silences = Math.floor(Math.max(0, now() - endMs(series)) / silenceStepMs) + 1;
    const horizon = Math.ceil((silences * silenceStepMs + horizonMs) / series.stepMs);
    const memory = `${key}/${name}`;
    const held = this.#weights.get(memory);
    const outcome = await pool.forecast({
      series,
      horizon,
      levels: forecastLevels,
      timeZone: ihpa.spec.prediction.timeZone,
      algorithm: algorithmOf(portrait.spec),
      ...(held && now() - held.atMs < weightsKeptMs && { weights: held.weights }),
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
        // From a thread comes a copy: only what was learned anew counts from now.
        if (outcome.forecast.weights && !isDeepStrictEqual(outcome.forecast.weights, held?.weights))
          this.#weights.set(memory, { weights: outcome.forecast.weights, atMs: now() });
        return overLead(outcome.forecast, workload.lastDecision?.lead.seconds);
    }
  }

  async #react(
    portrait: HorizontalPortrait,
    ihpa: IntelligentHorizontalPodAutoscaler,
    workload: Workload,
  ): Promise<boolean> {
    const { loads, now } = this.#options;
    const reader = workload.reader(ihpa, formatKey(keyOf(ihpa)));
    const live = workload.sized(ihpa, this.#metricsOf(portrait, ihpa)).map((metric) => ({
      name: metric.name,
      load: liveOf(loads, reader, metric),
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
      await this.#fail(portrait, { reason: "NoMetrics", message: "none of the metrics has a live value" });
      return false;
    }
    if (this.#saysTheSame(portrait, data)) return true;
    await this.#publish(portrait, { portraitData: stamped(data) }, [
      { type: "PortraitGenerated", status: "True", reason: "AsExpected", message: "from the live values" },
    ]);
    return true;
  }

  /** Shows what the decision made of a burst; without one there is no portrait, and nothing to complain of. */
  async #showBurst(portrait: HorizontalPortrait, workload: Workload): Promise<boolean> {
    const { now } = this.#options;
    const { proposals = [], message = "" } = workload.lastDecision ?? {};
    const burst = proposals.find(({ provider }) => provider === "Burst");
    const expireTime = stamp(now() + reactiveValidMs);
    await this.#publish(
      portrait,
      burst ? { portraitData: { type: "Static", static: { replicas: burst.replicas }, expireTime } } : {},
      [
        burst
          ? { type: "PortraitGenerated", status: "True", reason: "Burst", message: message.slice(0, 1024) }
          : { type: "PortraitGenerated", status: "True", reason: "AsExpected", message: "no burst is under way" },
      ],
    );
    return true;
  }

  /** Whether a reactive portrait that stands says the same, and lives on for a while. */
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

  /** A portrait that can't be made now keeps what it has: it is valid until it expires. */
  #fail(portrait: HorizontalPortrait, { reason, message }: Cause): Promise<void> {
    const { portraitData, forecast, accuracy, periods } = portrait.status ?? {};
    const stillValid = isValid(portrait, this.#options.now());
    const claims: Claim[] = [{ type: "PortraitGenerated", status: "False", reason, message: message.slice(0, 1024) }];
    if (portrait.spec.portraitType === "Predictive")
      claims.push({
        type: "ForecastReady",
        status: stillValid ? "True" : "False",
        reason,
        message:
          `${stillValid ? `the forecast made before holds until ${portraitData!.expireTime}: ` : ""}${message}`.slice(
            0,
            1024,
          ),
      });
    return this.#publish(
      portrait,
      {
        ...(portraitData && { portraitData }),
        ...(forecast && { forecast }),
        ...(accuracy && { accuracy }),
        ...(periods && { periods }),
      },
      claims,
    );
  }

  async #publish(portrait: HorizontalPortrait, status: PortraitContent, claims: readonly Claim[]): Promise<void> {
    const { applier, events, now } = this.#options;
    const { generation } = portrait.metadata;
    const before = this.#written.of(portrait)?.conditions;
    const written = withinSize({
      observedGeneration: generation,
      ...status,
      conditions: withClaims(before, claims, generation, stamp(now())),
    });
    await applier.applyStatus(
      resourceOf("HorizontalPortrait"),
      {
        ...portrait,
        status: written,
      } as KubeObject,
      { cached: portrait as KubeObject, force: true },
    );
    this.#written.note(portrait, written);
    for (const { type, status: holds, reason, message } of transitions(before, claims))
      events.record({
        regarding: portrait,
        type: holds === "True" ? "Normal" : "Warning",
        reason,
        action: "Forecast",
        note: `${type} is ${holds}: ${message}`,
      });
  }
}

/** Replays are most of a forecast's cost; what they taught stays good for some hours. */
const weightsKeptMs = 6 * 3_600_000;

/** Whether what a portrait says still holds. */
function isValid({ status }: HorizontalPortrait, nowMs: number): boolean {
  return Date.parse(status?.portraitData?.expireTime ?? "") > nowMs; // false where there is none
}
