import { parentPort } from "node:worker_threads";
import { type BacktestResult, backtest } from "../backtest.ts";
import type { ReplayRules, Workload } from "../workload.ts";

/** What the pool sends to a worker. */
export interface Job {
  readonly id: number;
  readonly workload: Workload;
  readonly rules: ReplayRules;
}

/** What comes back: how far it is, then the result or the message of what the workload broke. */
export type Reply =
  | { readonly id: number; readonly share: number }
  | { readonly id: number; readonly result: BacktestResult }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };

const port = parentPort;
if (port === null) throw new Error("worker.ts is started by the backtest pool, not by hand");

port.on("message", ({ id, workload, rules }: Job) => {
  let reply: Reply;
  try {
    reply = { id, result: backtest(workload, rules, (share) => port.postMessage({ id, share } satisfies Reply)) };
  } catch (error) {
    const { name, message } = error as Error;
    reply = { id, error: { name, message } };
  }
  port.postMessage(reply);
});
