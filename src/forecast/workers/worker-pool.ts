import { Worker } from "node:worker_threads";
import type { ForecastOutcome, ForecastRequest } from "../forecast.ts";
import type { Job, Reply } from "./worker.ts";

/** Runs forecasts on worker threads, so that the main thread can answer requests. */
export interface ForecastPool {
  /**
   * Forecasts on the next free thread, in the order of the calls.
   *
   * @param signal aborting it removes a waiting request from the queue; the result of one that already runs is dropped
   * @throws RangeError as `forecast` does; ForecastError when the thread dies or the pool is closed; the signal's reason
   */
  forecast(request: ForecastRequest, signal?: AbortSignal): Promise<ForecastOutcome>;
  /** Ends the threads; waiting and running requests fail with `Closed`. */
  close(): Promise<void>;
}

/** The pool could not run a forecast; the request itself may be fine. */
export class ForecastError extends Error {
  readonly code: "WorkerDied" | "Closed";
  constructor(code: ForecastError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ForecastError";
    this.code = code;
  }
}

interface Task {
  readonly id: number;
  readonly request: ForecastRequest;
  readonly resolve: (outcome: ForecastOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  task?: Task;
}

/**
 * @param size threads, a whole number from 1; they start with the first requests that need them
 * @param workerFile the module that a thread runs; tests replace it by one that fails
 * @throws RangeError for a size that is no whole number from 1
 */
export function createForecastPool(size: number, workerFile = new URL("./worker.ts", import.meta.url)): ForecastPool {
  if (!(Number.isInteger(size) && size >= 1))
    throw new RangeError(`a pool of ${size} threads is not possible; the size is a whole number from 1`);
  const threads = new Set<Thread>();
  const waiting: Task[] = [];
  let closed = false;
  let nextId = 1;

  function start(): Thread {
    const thread: Thread = { worker: new Worker(workerFile) };
    threads.add(thread);
    thread.worker.unref(); // an idle thread keeps no process alive
    thread.worker.on("message", (reply: Reply) => {
      const { task } = thread;
      if (task === undefined || task.id !== reply.id) return;
      thread.task = undefined;
      thread.worker.unref();
      if ("outcome" in reply) task.resolve(reply.outcome);
      else task.reject(revive(reply.error));
      next();
    });
    let cause: unknown;
    thread.worker.on("error", (error) => {
      cause = error;
    });
    thread.worker.on("exit", (code) => {
      threads.delete(thread);
      const { task } = thread;
      thread.task = undefined;
      const why = cause instanceof Error ? cause.message : `exit code ${code}`;
      task?.reject(
        closed
          ? new ForecastError("Closed", "the forecast pool was closed before this forecast was done")
          : new ForecastError("WorkerDied", `the worker thread of the forecast ended (${why}); try again`, { cause }),
      );
      next(); // a thread that died is replaced by the next request that needs one
    });
    return thread;
  }

  function next(): void {
    while (waiting.length > 0 && !closed) {
      const idle = [...threads].find(({ task }) => task === undefined) ?? (threads.size < size ? start() : undefined);
      if (idle === undefined) return;
      const task = waiting.shift()!;
      idle.task = task;
      idle.worker.ref();
      // The caller keeps its series: a copy is transferred.
      const { series } = task.request;
      const request = { ...task.request, series: { ...series, values: series.values.slice() } };
      idle.worker.postMessage({ id: task.id, request } satisfies Job, [request.series.values.buffer]);
    }
  }

  return {
    forecast(request, signal) {
      return new Promise((resolve, reject) => {
        if (closed) return reject(new ForecastError("Closed", "the forecast pool is closed"));
        if (signal?.aborted) return reject(signal.reason);
        const abort = () => {
          const at = waiting.indexOf(task);
          if (at >= 0) waiting.splice(at, 1);
          reject(signal?.reason);
        };
        const settle =
          <T>(done: (value: T) => void) =>
          (value: T) => {
            signal?.removeEventListener("abort", abort);
            done(value);
          };
        const task: Task = { id: nextId++, request, resolve: settle(resolve), reject: settle(reject) };
        signal?.addEventListener("abort", abort, { once: true });
        waiting.push(task);
        next();
      });
    },
    async close() {
      closed = true;
      for (const task of waiting.splice(0))
        task.reject(new ForecastError("Closed", "the forecast pool was closed before this forecast began"));
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

/** The error that the worker threw, with its class: callers need it to tell their mistakes from faults. */
function revive({ name, message }: { name: string; message: string }): Error {
  if (name === "RangeError") return new RangeError(message);
  if (name === "TypeError") return new TypeError(message);
  return new Error(message);
}
