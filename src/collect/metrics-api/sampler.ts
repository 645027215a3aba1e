import type { MetricSpec } from "../../api/fields/metrics.ts";
import { CollectError } from "../collect-error.ts";
import { Limit } from "../http/limit.ts";
import type { LiveValue } from "../live-values.ts";
import { type PodRecord, servedShare, totalOfServing } from "../pods/pod-windows.ts";
import type { HistoryStore, Sample } from "./history-store.ts";
import { type ApiValue, type Get, type MetricScope, MetricsApi } from "./metrics-api.ts";

/** One metric of one workload, to be sampled. */
export interface SampleRequest extends MetricScope {
  /** The series' name in the store, and the key of the outcome. */
  readonly key: string;
  readonly spec: MetricSpec;
  readonly stepMs: number;
  /** What is known of the workload's pods, as `podSeen` gives it. */
  readonly pods: readonly PodRecord[];
}

export interface SamplerOptions {
  readonly get: Get;
  /** Where the samples are kept; without it they are only given back. */
  readonly store?: HistoryStore;
  readonly now?: () => number;
  /** Requests at once. */
  readonly concurrency?: number;
}

/** A value older than this is a leftover of a source that stopped. */
const oldestValueMs = 300_000;
/** Clocks differ a little. */
const clockToleranceMs = 60_000;

/** Samples the metrics APIs for workloads that have no metric store, and keeps what it finds. */
export class Sampler {
  readonly #api: MetricsApi;
  readonly #store: HistoryStore | undefined;
  readonly #now: () => number;
  readonly #concurrency: number;

  constructor(options: SamplerOptions) {
    this.#now = options.now ?? Date.now;
    this.#api = new MetricsApi(options.get, this.#now);
    this.#store = options.store;
    this.#concurrency = options.concurrency ?? 8;
  }

  /**
   * One round: each workload's total now, by key. A failure belongs to its key; nothing found is `Missing`, never zero.
   * `storeFault` says why the samples were not kept; they are lost for the history, not for the present.
   */
  async sample(
    requests: readonly SampleRequest[],
  ): Promise<{ values: Map<string, LiveValue>; storeFault: CollectError | undefined }> {
    const limit = new Limit(this.#concurrency);
    const values = new Map<string, LiveValue>();
    await Promise.all(
      requests.map((request) => limit.run(async () => void values.set(request.key, await this.#one(request)))),
    );
    return { values, storeFault: this.#keep(requests, values) };
  }

  async #one(request: SampleRequest): Promise<LiveValue> {
    try {
      const found = (await this.#api.read(request.spec, request)).filter((each) => this.#isTimely(each));
      const perPod = request.spec.type !== "Object" && request.spec.type !== "External";
      return perPod ? totalOfPods(found, request.pods) : totalOfAll(found);
    } catch (error) {
      if (error instanceof CollectError) return { kind: "Failed", error };
      throw error;
    }
  }

  #isTimely({ timeMs }: ApiValue): boolean {
    const ageMs = this.#now() - timeMs;
    return ageMs <= oldestValueMs && ageMs >= -clockToleranceMs; // false for NaN
  }

  #keep(requests: readonly SampleRequest[], values: ReadonlyMap<string, LiveValue>): CollectError | undefined {
    const samples = requests.flatMap(({ key, stepMs }): Sample[] => {
      const value = values.get(key);
      return value?.kind === "Value" ? [{ series: key, stepMs, timeMs: value.timeMs, value: value.value }] : [];
    });
    try {
      this.#store?.add(samples);
      return undefined;
    } catch (error) {
      if (error instanceof CollectError) return error;
      throw error;
    }
  }
}

/**
 * The total over a workload's pods, as `totalOfServing` counts it, so that a pod's own start-up work is left out. A pod without
 * a value is held against the span of the newest one; values of unknown pods are left out.
 */
export function totalOfPods(found: readonly ApiValue[], pods: readonly PodRecord[]): LiveValue {
  const known = new Map(found.filter(({ value }) => !Number.isNaN(value)).map((each) => [each.about, each]));
  const latest = [...known.values()].reduce<ApiValue | undefined>(
    (best, each) => (best === undefined || each.timeMs > best.timeMs ? each : best),
    undefined,
  );
  if (latest === undefined) return { kind: "Missing" };
  const value = totalOfServing(
    pods.map(({ name, ready }) => {
      const own = known.get(name);
      const { timeMs, windowMs } = own ?? latest;
      return { value: own?.value ?? NaN, share: servedShare(ready, timeMs - windowMs, timeMs) };
    }),
  );
  return Number.isNaN(value) ? { kind: "Missing" } : { kind: "Value", value, timeMs: latest.timeMs };
}

/** The sum of what was found, as the HPA sums the items of an external metric; one missing item makes it missing. */
function totalOfAll(found: readonly ApiValue[]): LiveValue {
  const value = found.reduce((sum, each) => sum + each.value, 0);
  return found.length === 0 || Number.isNaN(value)
    ? { kind: "Missing" }
    : { kind: "Value", value, timeMs: newest(found) };
}

function newest(values: readonly ApiValue[]): number {
  return values.reduce((latest, { timeMs }) => Math.max(latest, timeMs), -Infinity);
}
