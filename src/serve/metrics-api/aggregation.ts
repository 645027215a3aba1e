import type { Gauge } from "prom-client";
import { Transport } from "../../kube/client/http.ts";
import type { Connection } from "../../kube/client/kubeconfig.ts";
import type { Log } from "../../kube/log.ts";
import { type Clock, sleep } from "../../kube/loop/clock.ts";
import { externalMetricsPath, instanceHeader } from "../names.ts";

/** Whether a request through the API server reaches a server of ours. */
export type Aggregation =
  | { readonly kind: "Reached"; readonly instance: string }
  | { readonly kind: "NotReached"; readonly why: string };

const patienceMs = 5000;

/**
 * Asks ourselves through the API server. `Available` of the APIService does not tell: its probe verifies no certificate,
 * so that a wrong caBundle leaves it True while every request fails.
 */
export async function probeAggregation(connection: Connection): Promise<Aggregation> {
  try {
    const response = await new Transport(connection).send({
      method: "GET",
      path: externalMetricsPath,
      headers: { accept: "application/json", "user-agent": "forescale" },
      body: undefined,
      signal: AbortSignal.timeout(patienceMs),
    });
    const instance = response.headers[instanceHeader.toLowerCase()];
    response.resume();
    if (response.statusCode !== 200)
      return { kind: "NotReached", why: `the API server answered ${response.statusCode} for ${externalMetricsPath}` };
    if (typeof instance !== "string")
      return { kind: "NotReached", why: `another program answers ${externalMetricsPath}; look at its APIService` };
    return { kind: "Reached", instance };
  } catch (error) {
    return { kind: "NotReached", why: `the API server did not answer: ${(error as Error).message}` };
  }
}

export interface AggregationWatchOptions {
  readonly connection: Connection;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** 1 while requests reach us, else 0. */
  readonly isAggregated: Pick<Gauge, "set">;
  readonly beforeEach: () => void;
  readonly onUnreached: () => Promise<void>;
  readonly signal: AbortSignal;
}

/** Our health as callers see it: asks through the API server again and again, and says in the log when that changes. */
export async function watchAggregation(options: AggregationWatchOptions): Promise<void> {
  const { connection, everyMs, clock, log, isAggregated, beforeEach, onUnreached, signal } = options;
  let lastWhy: string | undefined;
  while (!signal.aborted) {
    await sleep(clock, everyMs, signal).catch(() => {});
    if (signal.aborted) return;
    beforeEach();
    const aggregation = await probeAggregation(connection);
    isAggregated.set(aggregation.kind === "Reached" ? 1 : 0);
    const why = aggregation.kind === "Reached" ? undefined : aggregation.why;
    if (why !== lastWhy)
      if (why === undefined) log.info("requests through the API server reach us");
      else log.warn("requests through the API server do not reach us", { why });
    lastWhy = why;
    if (why !== undefined) await onUnreached();
  }
}
