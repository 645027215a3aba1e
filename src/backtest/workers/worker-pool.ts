import { Worker } from "node:worker_threads";
import type { BacktestResult } from "../backtest.ts";
import { HistoryError, type ReplayRules, type Workload } from "../workload.ts";
import type { Job, Reply } from "./worker.ts";

/** One workload's outcome: its result, or why there is none. */
export type Outcome =
  | { readonly kind: "Result"; readonly result: BacktestResult }
  | { readonly kind: "Failed"; readonly name: string; readonly error: Error };

export interface BacktestRun {
  readonly rules: ReplayRules;
  /** Threads: one a core. */
  readonly threads: number;
  readonly signal?: AbortSignal;
  /** Called as workloads get on: those done, and the share of all that is done, 0 … 1. */
  readonly onProgress?: (done: number, share: number) => void;
}

/**
 * Backtests workloads on worker threads, the next one on whichever is free.
 *
 * @returns outcomes in the order of the workloads
 * @throws the signal's reason where it is aborted; Error when a thread dies
 */
export async function backtestAll(
  workloads: readonly Workload[],
  { rules, threads, signal, onProgress = () => {} }: BacktestRun,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = new Array(workloads.length);
  const shares = new Float64Array(workloads.length);
  let next = 0;
  let done = 0;
  const workers: Worker[] = [];

  const work = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL("./worker.ts", import.meta.url));
      workers.push(worker);
      const give = () => {
        if (next >= workloads.length) return resolve();
        const id = next++;
        worker.postMessage({ id, workload: workloads[id], rules } satisfies Job);
      };
      worker.on("message", (reply: Reply) => {
        shares[reply.id] = "share" in reply ? reply.share : 1;
        if (!("share" in reply)) {
          done++;
          outcomes[reply.id] =
            "result" in reply
              ? { kind: "Result", result: reply.result }
              : { kind: "Failed", name: workloads[reply.id].name, error: revive(reply.error) };
        }
        onProgress(done, shares.reduce((sum, share) => sum + share, 0) / workloads.length);
        if (!("share" in reply)) give();
      });
      worker.on("error", (cause) => reject(new Error(`a backtest's worker thread ended: ${cause}`, { cause })));
      worker.on("exit", () => reject(new Error("a backtest's worker thread ended before its work was done")));
      give();
    });

  const aborted = new Promise<never>((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  try {
    const size = Math.max(1, Math.min(threads, workloads.length));
    await Promise.race([Promise.all(Array.from({ length: size }, work)), aborted]);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return outcomes;
}

/** An error as the worker threw it: a workload that cannot be replayed is told from a fault by its class. */
function revive({ name, message }: { name: string; message: string }): Error {
  if (name === "HistoryError") return new HistoryError(message);
  return name === "RangeError" ? new RangeError(message) : new Error(message);
}
