import type { IntelligentHorizontalPodAutoscaler } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { HistoryStore } from "../collect/metrics-api/history-store.ts";
import type { Log } from "../kube/log.ts";
import type { WorkQueue } from "../kube/loop/work-queue.ts";
import type { Cache } from "../kube/watch/cache.ts";
import { allKeys } from "./ihpa/ihpa-controller.ts";
import type { ControllerMetrics } from "./metrics.ts";
import type { MetricReader } from "./workload/metric-reader.ts";

export interface TickOptions {
  readonly queue: WorkQueue;
  readonly loads: Pick<MetricReader, "round">;
  /** Has the listener called whenever a load is asked for that has not been read yet. */
  readonly onNewLoad: (listener: () => void) => void;
  readonly ihpas: Cache<IntelligentHorizontalPodAutoscaler>;
  readonly store: HistoryStore | undefined;
  readonly rounds: ControllerMetrics["rounds"];
  readonly tickMs: number;
  readonly log: Log;
}

/** Old samples leave the store this often; a day more or less does not matter. */
const pruneEveryMs = 86_400_000;
/** Time for more new workloads to come, before the live values of all are read. */
const newcomersMs = 250;

/** Reads all live values and has every IHPA decided for, once a tick and soon after new loads, until the signal is aborted. */
export async function tick(options: TickOptions, stopped: AbortSignal): Promise<void> {
  const { queue, loads, onNewLoad, ihpas, store, rounds, tickMs, log } = options;
  let hasNewcomers = false;
  let wake = () => {};
  onNewLoad(() => {
    hasNewcomers = true;
    wake();
  });
  let prunedMs = Number.NEGATIVE_INFINITY;
  while (!stopped.aborted) {
    const startedMs = performance.now();
    if (startedMs - prunedMs > pruneEveryMs) {
      prune(store, log);
      prunedMs = startedMs;
    }
    hasNewcomers = false;
    await loads.round().then(
      () => rounds.inc({ outcome: "Done" }),
      (error: Error) => {
        rounds.inc({ outcome: "Failed" });
        log.error("live values could not be read", { error: error.message });
      },
    );
    for (const key of allKeys(ihpas)) queue.add(key);
    await Promise.race([
      pause(Math.max(0, tickMs - (performance.now() - startedMs)), stopped),
      // New workloads come in bunches; none has to wait for the next tick.
      new Promise<void>((resolve) => {
        wake = resolve;
        if (hasNewcomers) resolve();
      }).then(() => pause(newcomersMs, stopped)),
    ]);
  }
}

function prune(store: HistoryStore | undefined, log: Log): void {
  try {
    store?.prune(Date.now());
  } catch (error) {
    log.error("the embedded history could not be pruned", { error: (error as Error).message });
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
