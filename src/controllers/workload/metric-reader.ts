import { hash } from "node:crypto";
import type { Cause } from "../../api/cause.ts";
import type { ScaleTargetRef } from "../../api/fields/fields.ts";
import { type MetricSpec, metricName } from "../../api/fields/metrics.ts";
import { parseDuration } from "../../api/values/duration.ts";
import { CollectError } from "../../collect/collect-error.ts";
import type { Histories } from "../../collect/history.ts";
import { AfterOutage } from "../../collect/http/after-outage.ts";
import type { LiveQuery, LiveValue, LiveValues } from "../../collect/live-values.ts";
import type { CollectMetrics } from "../../collect/metrics.ts";
import type { HistoryStore } from "../../collect/metrics-api/history-store.ts";
import { type SampleRequest, type Sampler, totalOfPods } from "../../collect/metrics-api/sampler.ts";
import { podRecordsFromSeries } from "../../collect/pods/pod-series.ts";
import type { PodRecord } from "../../collect/pods/pod-windows.ts";
import type { Log } from "../../kube/log.ts";
import type { Series } from "../../series/series.ts";
import type { OpenSource, Sources } from "../metric-source/sources.ts";
import { totalling } from "../pods/pod-totals.ts";
import { type LoadQuery, loadQuery, podPattern } from "./metric-query.ts";

/** A workload whose metrics are read. */
export interface MetricSubject {
  /** `namespace/name` of its IHPA. */
  readonly key: string;
  readonly namespace: string;
  readonly target: ScaleTargetRef;
  readonly metrics: readonly MetricSpec[];
  /** The pods' label selector, for the metrics APIs. */
  readonly selector: string;
  readonly pods: readonly PodRecord[];
}

/** What is known of one metric's past. */
export type PastLoad =
  /** `fault` says why its newest part is missing. */
  | { readonly kind: "Known"; readonly series: Series; readonly fault?: Cause }
  | { readonly kind: "Unknown"; readonly fault: Cause };

/** One metric of one subject now. */
export interface LiveLoad {
  /** Null where there is none: missing is never zero. */
  readonly value: number | null;
  /** How long after the instant asked for a sample can be trusted to be there. */
  readonly lagMs: number;
  readonly fault?: Cause;
}

export interface MetricReaderOptions {
  readonly sources: Sources;
  readonly histories: Histories;
  readonly live: LiveValues;
  /** For metrics without a store; absent where the controller was given no history file. */
  readonly sampler: Sampler;
  readonly store: HistoryStore | undefined;
  readonly metrics?: CollectMetrics;
  readonly log: Log;
  readonly now: () => number;
  /** Called when a workload is followed for the first time: it has no live value before the next round. */
  readonly onNew?: () => void;
}

/** Step of the embedded history. */
const embeddedStepMs = 60_000;
const defaultLagMs = 30_000;
/** A history whose newest value is older than this says that the source is silent. */
const silentMs = 900_000;
/** Pods' own history reaches this far back, at this step: thousands of pods a month would be too much to ask for. */
const podsSpanMs = 2 * 86_400_000;
const podsStepMs = 60_000;

type ReadPath =
  | { readonly kind: "Store"; readonly source: OpenSource; readonly load: LoadQuery }
  | { readonly kind: "Api" }
  | { readonly kind: "Fault"; readonly fault: Cause };

/** Reads the loads of all workloads: live ones in one round for all, past ones as they are asked for. */
export class MetricReader {
  readonly #options: MetricReaderOptions;
  readonly #subjects = new Map<string, MetricSubject>();
  readonly #afterOutage = new AfterOutage();
  /** Keys of subjects that a round has asked for. */
  readonly #asked = new Set<string>();
  #live: ReadonlyMap<string, LiveLoad> = new Map();

  constructor(options: MetricReaderOptions) {
    this.#options = options;
  }

  /** Has a workload's metrics read from now on, as they are given. */
  follow(subject: MetricSubject): void {
    const isNew = !this.#subjects.has(subject.key);
    this.#subjects.set(subject.key, subject);
    if (isNew) this.#options.onNew?.();
  }

  forget(key: string): void {
    const subject = this.#subjects.get(key);
    for (const spec of subject?.metrics ?? []) this.#afterOutage.forget(loadKey(subject!, spec));
    this.#subjects.delete(key);
    this.#asked.delete(key);
  }

  /** Whether a round has asked for a workload's metrics yet. */
  hasAsked(key: string): boolean {
    return this.#asked.has(key);
  }

  /** What the last round found of a metric; undefined where it did not ask. */
  now(subject: MetricSubject, spec: MetricSpec): LiveLoad | undefined {
    return this.#live.get(loadKey(subject, spec));
  }

  /** Reads every live value once: one batch a source, whatever the number of workloads. */
  async round(): Promise<void> {
    const { now, live: liveValues } = this.#options;
    const subjects = [...this.#subjects.values()];
    const live = new Map<string, LiveLoad>();
    const batches = new Map<OpenSource, LiveQuery[]>();
    const windows = new Map<string, number>();
    const samples = new Map<string, SampleRequest>();
    for (const subject of subjects)
      for (const spec of subject.metrics) {
        const key = loadKey(subject, spec);
        const way = await this.#wayTo(subject, spec);
        if (way.kind === "Fault") live.set(key, { value: null, lagMs: defaultLagMs, fault: way.fault });
        else if (way.kind === "Api") samples.set(key, this.#sampleRequest(subject, spec, key));
        else {
          const batch = batches.get(way.source) ?? [];
          batches.set(way.source, batch);
          batch.push(liveQuery(key, way.load, subject));
          windows.set(key, Math.max(way.load.lookbackMs, way.source.stepMs));
        }
      }
    const take = (values: ReadonlyMap<string, LiveValue>, lagMs: number) => {
      for (const [key, value] of values)
        live.set(
          key,
          loadOf(this.#afterOutage.plausible(key, value, now(), windows.get(key) ?? embeddedStepMs), lagMs),
        );
    };
    this.#live = live; // before it is full: a round that fails leaves values missing, never old
    await Promise.all([
      ...[...batches].map(async ([source, queries]) =>
        take(await liveValues.read(source.client, queries, { atMs: now() - source.lagMs }), source.lagMs),
      ),
      this.#sample([...samples.values()]).then((values) => take(values, defaultLagMs)),
    ]);
    for (const { key } of subjects) if (this.#subjects.has(key)) this.#asked.add(key);
  }

  /** All of a load's history that could be read. Failures are outcomes. */
  async past(subject: MetricSubject, spec: MetricSpec, span: string): Promise<PastLoad> {
    const { histories, metrics, now } = this.#options;
    const way = await this.#wayTo(subject, spec);
    if (way.kind === "Fault") return { kind: "Unknown", fault: way.fault };
    if (way.kind === "Api") return this.#embedded(loadKey(subject, spec), parseDuration(span));
    const { client, stepMs, lagMs, name } = way.source;
    const { series, freshAtMs, fault } = await histories.refresh({
      source: way.load.isPerPod ? totalling(client, subject.pods, way.load.lookbackMs) : client,
      query: way.load.query,
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
              message: `metric source ${name} has no value of ${metricName(spec)} in the last ${span}: ${way.load.query}`,
            },
      };
    // Old parts that fail make a history shorter, not stale.
    if (fault && (freshAtMs === undefined || now() - freshAtMs > stepMs))
      return { kind: "Known", series, fault: faultOf(fault) };
    return { kind: "Known", series, ...this.#silence(series, metricName(spec)) };
  }

  /** What the workload's sources know of its pods' past; nothing where they have none of kube-state-metrics' series. */
  async pods(subject: MetricSubject): Promise<PodRecord[]> {
    const { log, now } = this.#options;
    for (const spec of subject.metrics) {
      const way = await this.#wayTo(subject, spec);
      if (way.kind !== "Store") continue;
      const { client, tenantQuery, lagMs } = way.source;
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
        return records.filter(({ uid }) => uid !== ""); // old exporters tell no uid, and names come again
      } catch (error) {
        if (!(error instanceof CollectError)) throw error;
        log.warn("the pods' past could not be read", { ihpa: subject.key, error: error.message });
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
            "there is no metric source and no embedded history; make a MetricSource, or start the controller with --history FILE",
        },
      };
    const toMs = Math.floor(now() / embeddedStepMs) * embeddedStepMs;
    const series = store.read(key, embeddedStepMs, toMs - spanMs, toMs);
    if (series.values.length === 0)
      return {
        kind: "Unknown",
        fault: { reason: "HistoryTooShort", message: "the embedded history begins with the next sample" },
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

  async #sample(requests: readonly SampleRequest[]): Promise<ReadonlyMap<string, LiveValue>> {
    if (requests.length === 0) return new Map();
    const { values, storeFault } = await this.#options.sampler.sample(requests);
    if (storeFault) this.#options.log.error("samples were not kept", { error: storeFault.message });
    return values;
  }

  #sampleRequest(subject: MetricSubject, spec: MetricSpec, key: string): SampleRequest {
    const { namespace, selector, pods } = subject;
    return { key, spec, stepMs: embeddedStepMs, namespace, selector, pods };
  }

  async #wayTo(subject: MetricSubject, spec: MetricSpec): Promise<ReadPath> {
    const outcome = await this.#options.sources.get(spec.source, subject.namespace);
    if (outcome.kind === "Fault") return outcome;
    if (outcome.kind === "MetricsApi") return { kind: "Api" };
    const { source } = outcome;
    const load = loadQuery(spec, subject.target, subject.namespace);
    if (load === undefined)
      return {
        kind: "Fault",
        fault: {
          reason: "NoMetrics",
          message: `metric source ${source.name} needs a query for ${metricName(spec)}; give spec.metrics[].query`,
        },
      };
    try {
      return { kind: "Store", source, load: { ...load, query: source.tenantQuery(load.query, subject.namespace) } };
    } catch (error) {
      if (!(error instanceof CollectError)) throw error;
      return { kind: "Fault", fault: { reason: "SourceRefused", message: error.message } };
    }
  }
}

/** What a metric measures, whatever its target and its name: another one has another history. */
export function metricIdentity(spec: MetricSpec): string {
  const { name: _, ...rest } = spec;
  return JSON.stringify(rest, (field, value) => (field === "target" ? undefined : value));
}

/**
 * The name of a load in the embedded history: by what it measures of which workload, so that an IHPA that is made again finds it
 * and one that asks for something else does not.
 */
export function loadKey({ namespace, target }: Pick<MetricSubject, "namespace" | "target">, spec: MetricSpec): string {
  return `${workloadKey({ namespace, target })}/${hash("sha256", metricIdentity(spec), "base64url").slice(0, 16)}`;
}

/** The name of a workload in the embedded history. */
export function workloadKey({ namespace, target }: Pick<MetricSubject, "namespace" | "target">): string {
  return `${namespace}/${target.kind}/${target.name}`;
}

function knownUntilMs({ startMs, stepMs, values }: Series): number {
  return startMs + stepMs * (values.findLastIndex((value) => !Number.isNaN(value)) + 1);
}

function liveQuery(key: string, { query, isPerPod, lookbackMs }: LoadQuery, { pods }: MetricSubject): LiveQuery {
  if (!isPerPod) return { key, query };
  return {
    key,
    query,
    total: (found) =>
      totalOfPods(
        found.map(({ labels, timeMs, value }) => ({
          about: labels.get("pod") ?? "",
          value,
          timeMs,
          windowMs: lookbackMs,
        })),
        pods,
      ),
  };
}

function loadOf(value: LiveValue, lagMs: number): LiveLoad {
  switch (value.kind) {
    case "Value":
      return { value: value.value, lagMs };
    case "Missing":
      return {
        value: null,
        lagMs,
        fault: {
          reason: "NoMetrics",
          message: "the source has no value now; check the metric's name, its selector and its query",
        },
      };
    case "Failed":
      return { value: null, lagMs, fault: faultOf(value.error) };
  }
}

function faultOf({ code, message }: CollectError): Cause {
  const isRefused = code === "Unauthorized" || code === "BadAddress" || code === "BadQuery";
  return { reason: isRefused ? "SourceRefused" : "SourceUnreachable", message };
}
