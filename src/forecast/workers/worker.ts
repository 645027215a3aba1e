import { parentPort } from "node:worker_threads";
import type { ForecastOutcome, ForecastRequest } from "../forecast.ts";
import { forecastByName } from "../forecast-by-name.ts";

/** What the pool sends to a worker. The request's series is a copy that the worker may keep. */
export interface Job {
  readonly id: number;
  readonly request: ForecastRequest;
}

/** What comes back: the outcome, or the error that the request caused. */
export type Reply =
  | { readonly id: number; readonly outcome: ForecastOutcome }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };

const port = parentPort;
if (port === null) throw new Error("worker.ts must be started by the forecast pool");

port.on("message", ({ id, request }: Job) => {
  let reply: Reply;
  try {
    reply = { id, outcome: forecastByName(request) };
  } catch (error) {
    const { name, message } = error as Error;
    reply = { id, error: { name, message } };
  }
  port.postMessage(reply, buffersOf(reply));
});

/** The large arrays are transferred, not copied; a buffer that two arrays share is listed once. */
function buffersOf(reply: Reply): ArrayBuffer[] {
  if (!("outcome" in reply) || reply.outcome.kind !== "Forecast") return [];
  const { quantiles, mean } = reply.outcome.forecast;
  return [...new Set([...quantiles, mean].map((values) => values.buffer as ArrayBuffer))];
}
