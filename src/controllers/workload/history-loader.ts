import { metricName } from "../../api/fields/metrics.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Log } from "../../kube/log.ts";
import type { MetricReader } from "./metric-reader.ts";
import type { MetricSubject } from "./metric-subject.ts";
import type { Workload } from "./workload.ts";

export interface HistoryLoaderOptions {
  readonly metricReader: Pick<MetricReader, "past" | "pods">;
  readonly log: Log;
  readonly now: () => number;
  /** Called when a workload's history has been read, or could not be. */
  readonly onLearnt?: (key: string) => void;
}

/** The first decision waits at most this long for the history, without which the desired count could jump. */
const patienceMs = 30_000;

/** Reads the history of workloads in the background. */
export class HistoryLoader {
  readonly #options: HistoryLoaderOptions;
  /** Workloads whose history is being read, and those whose past pods have been read. */
  readonly #learning = new WeakSet<Workload>();
  readonly #recalled = new WeakSet<Workload>();
  /** When the history of a workload was first requested, until the first reading has ended. */
  readonly #sinceMs = new WeakMap<Workload, number>();

  constructor(options: HistoryLoaderOptions) {
    this.#options = options;
  }

  /**
   * Reads the history of metrics that have none yet, and once that of the pods, while ticks go on.
   *
   * @returns whether decisions should wait, as the first reading is in progress
   */
  learn(ihpa: IntelligentHorizontalPodAutoscaler, workload: Workload, subject: MetricSubject): boolean {
    const nowMs = this.#options.now();
    if (!this.#sinceMs.has(workload)) this.#sinceMs.set(workload, nowMs);
    if (workload.unlearned(subject.metrics).length === 0) this.#sinceMs.set(workload, Number.NEGATIVE_INFINITY);
    else if (!this.#learning.has(workload)) void this.#read(ihpa, workload, subject);
    return nowMs - this.#sinceMs.get(workload)! < patienceMs;
  }

  async #read(ihpa: IntelligentHorizontalPodAutoscaler, workload: Workload, subject: MetricSubject): Promise<void> {
    const { metricReader, log, now, onLearnt } = this.#options;
    this.#learning.add(workload);
    try {
      if (!this.#recalled.has(workload)) workload.pods.recall(await metricReader.pods(subject), now());
      this.#recalled.add(workload);
      for (const spec of workload.unlearned(subject.metrics)) {
        const past = await metricReader.past(workload.subject(ihpa, subject.key), spec, ihpa.spec.prediction.history);
        if (past.kind !== "Known") continue;
        workload.learn(spec, past.series);
        const fields = { ihpa: subject.key, metric: metricName(spec), steps: past.series.values.length };
        log.info("history learnt", fields);
      }
    } catch (error) {
      log.error("history could not be read", { ihpa: subject.key, error: (error as Error).message });
    } finally {
      this.#learning.delete(workload);
      const isFirst = this.#sinceMs.get(workload) !== Number.NEGATIVE_INFINITY;
      this.#sinceMs.set(workload, Number.NEGATIVE_INFINITY);
      if (isFirst) onLearnt?.(subject.key);
    }
  }
}
