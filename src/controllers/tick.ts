import type { IntelligentHorizontalPodAutoscaler } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { HistoryStore } from "../collect/metrics-api/history-store.ts";
import type { Log } from "../kube/log.ts";
import type { Cache } from "../kube/watch/cache.ts";
import { allKeys } from "./ihpa/ihpa-controller.ts";
import type { ControllerMetrics } from "./metrics.ts";
import type { Newcomers } from "./newcomers.ts";

export interface TickOptions {
  readonly metricReader: { round(): Promise<void> };
  readonly store: Pick<HistoryStore, "prune"> | undefined;
  readonly ihpas: Cache<IntelligentHorizontalPodAutoscaler>;
  /** Queues an IHPA for a reconcile. */
  readonly reconcileIhpa: (key: string) => void;
  readonly newcomers: Newcomers;
  readonly measured: Pick<ControllerMetrics, "rounds">;
  readonly tickMs: number;
  readonly log: Log;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** Old samples are deleted this often; a day more or less does not matter. */
const pruneEveryMs = 86_400_000;
/** Wait for more new workloads before the live values of all are read. */
export const newcomersMs = 250;

/** At every tick: the live values of all workloads in one round, then a decision for each of them. */
export async function runTicks(options: TickOptions): Promise<void> {
  const { metricReader, store, ihpas, reconcileIhpa, newcomers, measured, tickMs, log, now, signal } = options;
  let prunedMs = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    const startedMs = performance.now();
    if (startedMs - prunedMs > pruneEveryMs) {
      prune(store, now(), log);
      prunedMs = startedMs;
    }
    newcomers.clear();
    await metricReader.round().then(
      () => measured.rounds.inc({ outcome: "Done" }),
      (error: Error) => {
        measured.rounds.inc({ outcome: "Failed" });
        log.error("live values could not be read", { error: error.message });
      },
    );
    for (const key of allKeys(ihpas)) reconcileIhpa(key);
    await Promise.race([
      pause(Math.max(0, tickMs - (performance.now() - startedMs)), signal),
      // New workloads often come together; none has to wait for the next tick.
      newcomers.wait().then(() => pause(newcomersMs, signal)),
    ]);
  }
}

function prune(store: Pick<HistoryStore, "prune"> | undefined, nowMs: number, log: Log): void {
  try {
    store?.prune(nowMs);
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
