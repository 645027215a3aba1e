import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Counter, Histogram } from "prom-client";
import type { Clock } from "../../kube/loop/clock.ts";
import type { AuditLog } from "../access/audit.ts";
import type { ServeMetrics } from "../metrics.ts";
import { instanceHeader } from "../names.ts";
import { type Answer, type RequestContext, statusAnswer, writeAnswer } from "./request-context.ts";
import { isRefusal, type Refusal } from "./status.ts";

export interface ResponderOptions {
  readonly metrics: ServeMetrics;
  readonly audit: AuditLog;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Names this replica in a response header; empty where it has no name. */
  readonly instance: string;
  /** Whether a connection ends with its next answer. */
  readonly isRetired: (socket: Socket) => boolean;
}

/** The client closed the connection before there was an answer, as nginx counts it. */
const clientClosedRequest = 499;

/** Gives each request its one answer, and accounts for it: metrics, audit log, requests in flight. */
export class Responder {
  readonly #options: ResponderOptions;
  readonly #waiting = new WeakMap<IncomingMessage, RequestContext>();
  readonly #counters = new Map<string, { requests: Counter.Internal; seconds: Histogram.Internal<"resource"> }>();
  #inFlight = 0;

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** Requests that wait for something. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The context of a request that is tracked. */
  contextOf(request: IncomingMessage): RequestContext {
    return this.#waiting.get(request)!;
  }

  /** Counts a request that waits for something as in flight, until its connection is done with it. */
  track(context: RequestContext): void {
    if (this.#waiting.has(context.request)) return;
    this.#waiting.set(context.request, context);
    this.#setInFlight(this.#inFlight + 1);
    context.response.once("close", () => {
      this.#setInFlight(this.#inFlight - 1);
      if (context.isAnswered) return;
      context.isAnswered = true;
      this.#account(context, clientClosedRequest);
    });
  }

  /** Writes the answer, unless the request has one. */
  send(context: RequestContext, what: Answer | Refusal): void {
    const { instance, isRetired } = this.#options;
    let answer = isRefusal(what) ? statusAnswer(what) : what;
    if (instance !== "") answer = { ...answer, headers: [...(answer.headers ?? []), instanceHeader, instance] };
    if (writeAnswer(context, answer, isRetired(context.request.socket))) this.#account(context, answer.code);
  }

  #account(context: RequestContext, code: number): void {
    const { audit, clock } = this.#options;
    const ms = clock.monotonicMs() - context.startedMs;
    const attributes = context.line?.attributes;
    const isResource = attributes?.kind === "Resource";
    this.#count(isResource ? "metric" : "path", code, ms / 1000);
    audit.write({
      id: context.auditId,
      user: context.identity?.user ?? "",
      method: context.request.method ?? "",
      ...(isResource
        ? { namespace: attributes.namespace, metric: attributes.resource }
        : { path: attributes?.path ?? "" }),
      code,
      ms,
      rung: context.rung,
    });
  }

  #count(resource: "metric" | "path", code: number, seconds: number): void {
    const { metrics } = this.#options;
    const key = `${resource} ${code}`;
    let child = this.#counters.get(key);
    // Looked up once: prom-client hashes the labels each time.
    if (!child) {
      child = {
        requests: metrics.requests.labels({ resource, code }),
        seconds: metrics.requestSeconds.labels({ resource }),
      };
      this.#counters.set(key, child);
    }
    child.requests.inc();
    child.seconds.observe(seconds);
  }

  #setInFlight(count: number): void {
    this.#inFlight = count;
    this.#options.metrics.inFlight.set(count);
  }
}
