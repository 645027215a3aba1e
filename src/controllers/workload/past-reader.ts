import type { Cause } from "../../api/cause.ts";
import { type MetricSpec, metricName } from "../../api/fields/metrics.ts";
import { parseDuration } from "../../api/values/duration.ts";
import { CollectError } from "../../collect/collect-error.ts";
import type { Histories } from "../../collect/history.ts";
import type { CollectMetrics } from "../../collect/metrics.ts";
import type { HistoryStore } from "../../collect/metrics-api/history-store.ts";
import { podRecordsFromSeries } from "../../collect/pods/pod-series.ts";
import type { PodRecord } from "../../collect/pods/pod-windows.ts";
import type { Log } from "../../kube/log.ts";
import type { Series } from "../../series/series.ts";
import type { Sources } from "../metric-source/sources.ts";
import { totalling } from "../pods/pod-totals.ts";
import { podPattern } from "./metric-query.ts";
import { faultOf, routeOf } from "./metric-route.ts";
import { loadKey, type MetricSubject, type PastLoad } from "./metric-subject.ts";

export interface PastReaderOptions {
  readonly sources: Pick<Sources, "get">;
  readonly histories: Histories;
  /** The embedded history, for metrics without a store; undefined where the controller was given no history file. */
  readonly store: HistoryStore | undefined;
  readonly metrics?: CollectMetrics;
  readonly log: Log;
  readonly now: () => number;
}

/** Step of the embedded history. */
export const embeddedStepMs = 60_000;
/** A source is silent when the newest value of a history is older than this. */
const silentMs = 900_000;
/** Past pods are read this far back, at this step: a month of thousands of pods would be too much for one query. */
const podsSpanMs = 2 * 86_400_000;
const podsStepMs = 60_000;

/** Reads the history of loads and of pods. */
export class PastReader {
  readonly #options: PastReaderOptions;

  constructor(options: PastReaderOptions) {
    this.#options = options;
  }

  /** As much of a load's history as could be read. Failures are return values. */
  async past(subject: MetricSubject, spec: MetricSpec, span: string): Promise<PastLoad> {
    const { sources, histories, metrics, now } = this.#options;
    const route = await routeOf(sources, subject, spec);
    if (route.kind === "Fault") return { kind: "Unknown", fault: route.fault };
    if (route.kind === "Api") return this.#embedded(loadKey(subject, spec), parseDuration(span));
    const { client, stepMs, lagMs, name } = route.source;
    const { series, freshAtMs, fault } = await histories.refresh({
      source: route.load.isPerPod ? totalling(client, subject.pods, route.load.lookbackMs) : client,
      query: route.load.query,
      stepMs,
      spanMs: parseDuration(span),
      lagMs,
    });
    metrics?.history(name, series.values);
    if (series.values.length === 0)
      return {
        kind: "Unknown",
        fault: fault
          ? faultOf(fault)
          : {
              reason: "NoMetrics",
              message: `metric source ${name} has no value of ${metricName(spec)} in the last ${span}: ${route.load.query}`,
            },
      };
    // Where only old parts could not be read, the history is shorter, not stale.
    if (fault && (freshAtMs === undefined || now() - freshAtMs > stepMs))
      return { kind: "Known", series, fault: faultOf(fault) };
    return { kind: "Known", series, ...this.#silence(series, metricName(spec)) };
  }

  /** The workload's past pods, from the series of kube-state-metrics; none where its sources do not have them. */
  async pods(subject: MetricSubject): Promise<PodRecord[]> {
    const { sources, log, now } = this.#options;
    for (const spec of subject.metrics) {
      const route = await routeOf(sources, subject, spec);
      if (route.kind !== "Store") continue;
      const { client, tenantQuery, lagMs } = route.source;
      const toMs = Math.floor((now() - lagMs) / podsStepMs) * podsStepMs;
      try {
        const records = await podRecordsFromSeries(
          { range: (query, range, options) => client.range(tenantQuery(query, subject.namespace), range, options) },
          {
            namespace: subject.namespace,
            namePattern: podPattern(subject.target),
            expectedPods: Math.max(1, subject.pods.length),
          },
          { startMs: toMs - podsSpanMs, endMs: toMs, stepMs: podsStepMs },
        );
        return records.filter(({ uid }) => uid !== ""); // old exporters give no uid, and names are used again
      } catch (error) {
        if (!(error instanceof CollectError)) throw error;
        log.warn("the history of pods could not be read", { ihpa: subject.key, error: error.message });
        return [];
      }
    }
    return [];
  }

  #embedded(key: string, spanMs: number): PastLoad {
    const { store, now } = this.#options;
    if (!store)
      return {
        kind: "Unknown",
        fault: {
          reason: "NoMetrics",
          message:
            "there is no metric source and no embedded history; create a MetricSource, or start the controller with --history FILE",
        },
      };
    const toMs = Math.floor(now() / embeddedStepMs) * embeddedStepMs;
    const series = store.read(key, embeddedStepMs, toMs - spanMs, toMs);
    if (series.values.length === 0)
      return {
        kind: "Unknown",
        fault: {
          reason: "HistoryTooShort",
          message: "the embedded history has no sample yet; it fills while the controller runs",
        },
      };
    return { kind: "Known", series, ...this.#silence(series, "the metric") };
  }

  #silence(series: Series, name: string): { fault?: Cause } {
    const agoMs = this.#options.now() - knownUntilMs(series);
    if (agoMs < Math.max(silentMs, 3 * series.stepMs)) return {};
    return {
      fault: { reason: "NoMetrics", message: `${name} has had no value for ${Math.round(agoMs / 60_000)} minutes` },
    };
  }
}

function knownUntilMs({ startMs, stepMs, values }: Series): number {
  return startMs + stepMs * (values.findLastIndex((value) => !Number.isNaN(value)) + 1);
}
