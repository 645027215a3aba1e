import type { MetricSpec } from "../../api/fields/metrics.ts";
import { AfterOutage } from "../../collect/http/after-outage.ts";
import type { LiveQuery, LiveValue, LiveValues } from "../../collect/live-values.ts";
import { type SampleRequest, type Sampler, totalOfPods } from "../../collect/metrics-api/sampler.ts";
import type { PodRecord } from "../../collect/pods/pod-windows.ts";
import type { OpenSource } from "../metric-source/sources.ts";
import type { LoadQuery } from "./metric-query.ts";
import { faultOf, routeOf } from "./metric-route.ts";
import { type LiveLoad, loadKey, type MetricSubject, type PastLoad } from "./metric-subject.ts";
import { embeddedStepMs, PastReader, type PastReaderOptions } from "./past-reader.ts";

export interface MetricReaderOptions extends PastReaderOptions {
  readonly live: LiveValues;
  /** Reads metrics without a store from the cluster's metrics APIs. */
  readonly sampler: Sampler;
  /** Called when a workload is followed for the first time: it has no live value before the next round. */
  readonly onNew?: () => void;
}

const defaultLagMs = 30_000;
/** Reads the loads of all workloads: live values in one round for all, history on request. */
export class MetricReader {
  readonly #options: MetricReaderOptions;
  readonly #subjects = new Map<string, MetricSubject>();
  readonly #afterOutage = new AfterOutage();
  /** Keys of subjects that a round has read. */
  readonly #asked = new Set<string>();
  readonly #past: PastReader;
  #live: ReadonlyMap<string, LiveLoad> = new Map();

  constructor(options: MetricReaderOptions) {
    this.#options = options;
    this.#past = new PastReader(options);
  }

  /** Reads a workload's metrics from now on; called again, with the metrics and pods as they are then. */
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

  /** Whether a round has read a workload's metrics yet. */
  hasAsked(key: string): boolean {
    return this.#asked.has(key);
  }

  /** A metric's value of the last round; undefined where it was not read. */
  now(subject: MetricSubject, spec: MetricSpec): LiveLoad | undefined {
    return this.#live.get(loadKey(subject, spec));
  }

  /** Reads every live value once, in one batch per source, whatever the number of workloads. */
  async round(): Promise<void> {
    const { sources, now, live: liveValues } = this.#options;
    const subjects = [...this.#subjects.values()];
    const live = new Map<string, LiveLoad>();
    const batches = new Map<OpenSource, LiveQuery[]>();
    const windows = new Map<string, number>();
    const samples = new Map<string, SampleRequest>();
    for (const subject of subjects)
      for (const spec of subject.metrics) {
        const key = loadKey(subject, spec);
        const route = await routeOf(sources, subject, spec);
        if (route.kind === "Fault") live.set(key, { value: null, lagMs: defaultLagMs, fault: route.fault });
        else if (route.kind === "Api") samples.set(key, this.#sampleRequest(subject, spec, key));
        else {
          const batch = batches.get(route.source) ?? [];
          batches.set(route.source, batch);
          batch.push(liveQuery(key, route.load, subject));
          windows.set(key, Math.max(route.load.lookbackMs, route.source.stepMs));
        }
      }
    const take = (values: ReadonlyMap<string, LiveValue>, lagMs: number) => {
      for (const [key, value] of values)
        live.set(
          key,
          loadOf(this.#afterOutage.plausible(key, value, now(), windows.get(key) ?? embeddedStepMs), lagMs),
        );
    };
    this.#live = live; // set before it is filled: a round that fails leaves values missing, never old ones
    await Promise.all([
      ...[...batches].map(async ([source, queries]) =>
        take(await liveValues.read(source.client, queries, { atMs: now() - source.lagMs }), source.lagMs),
      ),
      this.#sample([...samples.values()]).then((values) => take(values, defaultLagMs)),
    ]);
    for (const { key } of subjects) if (this.#subjects.has(key)) this.#asked.add(key);
  }

  /** As much of a load's history as could be read. Failures are return values. */
  past(subject: MetricSubject, spec: MetricSpec, span: string): Promise<PastLoad> {
    return this.#past.past(subject, spec, span);
  }

  /** The workload's past pods, from the series of kube-state-metrics; none where its sources do not have them. */
  pods(subject: MetricSubject): Promise<PodRecord[]> {
    return this.#past.pods(subject);
  }

  async #sample(requests: readonly SampleRequest[]): Promise<ReadonlyMap<string, LiveValue>> {
    if (requests.length === 0) return new Map();
    const { values, storeFault } = await this.#options.sampler.sample(requests);
    if (storeFault) this.#options.log.error("samples could not be stored", { error: storeFault.message });
    return values;
  }

  #sampleRequest(subject: MetricSubject, spec: MetricSpec, key: string): SampleRequest {
    const { namespace, selector, pods } = subject;
    return { key, spec, stepMs: embeddedStepMs, namespace, selector, pods };
  }
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
