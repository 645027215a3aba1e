import type { IncomingMessage } from "node:http";
import { type Log, silent } from "../log.ts";
import { type Clock, sleep, systemClock } from "../loop/clock.ts";
import type { KubeMetrics } from "../metrics.ts";
import { onReusedConnection, Transport } from "./http.ts";
import { errorOfConnection, errorOfStatus, KubeError, type StatusBody } from "./kube-error.ts";
import type { Connection } from "./kubeconfig.ts";
import { TokenBucket } from "./token-bucket.ts";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** What any call may ask for. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** From the moment it is sent to the last byte; default 30 s. */
  readonly timeoutMs?: number;
  /** Not counted by the rate limit: for a Lease, which must not wait behind other work. */
  readonly exempt?: boolean;
}

/** A call by path, for what the verbs below do not cover (discovery, `/readyz`, aggregated APIs). */
export interface Call extends CallOptions {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  /** The verb and the object as messages and metrics name them; by default the method and the path. */
  readonly verb?: string;
  readonly object?: string;
  /** The `resource` label in metrics. */
  readonly resource?: string;
}

export interface ClientOptions {
  /** Requests per second in the long run, and at once. Defaults 20 and 30, as kube-controller-manager has. */
  readonly qps?: number;
  readonly burst?: number;
  readonly userAgent?: string;
  readonly clock?: Clock;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
  readonly metrics?: KubeMetrics;
  readonly log?: Log;
}

const defaultTimeoutMs = 30_000;
const longestAnswer = 256 * 2 ** 20;
const mostTries = 5;
const longestRetryWaitMs = 10_000;

/** Sends calls to one API server: rate-limited, retried where that is safe, each failure a `KubeError`. */
export class Caller {
  readonly connection: Connection;
  readonly #transport: Transport;
  readonly #bucket: TokenBucket;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #userAgent: string;
  readonly #metrics: KubeMetrics | undefined;
  readonly #log: Log;

  constructor(connection: Connection, options: ClientOptions = {}) {
    this.connection = connection;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#transport = new Transport(connection);
    this.#bucket = new TokenBucket(options.qps ?? 20, options.burst ?? 30, this.#clock);
    this.#userAgent = options.userAgent ?? "forescale";
    this.#metrics = options.metrics;
    this.#log = options.log ?? silent;
  }

  /**
   * One call, rate-limited. Tried again when the server asks for it (429, or 5xx with Retry-After), once when an
   * idle connection turned out closed (not for POST), and once with fresh credentials after a 401.
   *
   * @returns the parsed JSON; the text where the answer is not JSON; `undefined` for an empty one
   */
  async call<T>(call: Call): Promise<T> {
    if (!call.exempt) {
      const waitedMs = await this.#bucket.take(call.signal);
      this.#metrics?.throttledSeconds.inc(waitedMs / 1000);
    }
    let refreshed = false;
    let reconnected = false;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#once(call, call.signal, async (response) => {
          if ((response.statusCode ?? 0) >= 300) throw await this.#errorOf(response, call);
          return parseBody<T>(response, await readAll(response, call), call);
        });
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        const stale = (error.cause as { [onReusedConnection]?: boolean } | undefined)?.[onReusedConnection];
        if (stale && !reconnected && call.method !== "POST") reconnected = true;
        else if (error.code === "Unauthorized" && !refreshed) {
          refreshed = true;
          this.connection.credentials.distrust();
        } else if (error.retryAfterMs !== undefined && tries < mostTries) {
          const waitMs = Math.min(error.retryAfterMs, longestRetryWaitMs) * (1 + 0.2 * this.#random());
          this.#log.debug("the API server asked to wait", { object: call.object ?? call.path, waitMs });
          await sleep(this.#clock, waitMs, call.signal);
        } else throw error;
      }
    }
  }

  /** Closes connections that carry no request. */
  dropIdleConnections(): void {
    this.#transport.dropIdle();
  }

  /**
   * Sends once, uncounted, and has `read` take an answer of status 200, whatever its kind; for streams.
   * Only the answer's head must come in time.
   */
  stream<T>(call: Call, signal: AbortSignal, read: (response: IncomingMessage) => Promise<T>): Promise<T> {
    return this.#once(call, signal, async (response, stopTimer) => {
      if (response.statusCode !== 200) throw await this.#errorOf(response, call);
      stopTimer();
      return read(response);
    });
  }

  /** Sends once and has `read` take the answer, all within the call's time; failures become `KubeError`. */
  async #once<T>(
    call: Call,
    outer: AbortSignal | undefined,
    read: (response: IncomingMessage, stopTimer: () => void) => Promise<T>,
  ): Promise<T> {
    const verb = call.verb ?? (call.method ?? "GET").toLowerCase();
    const object = call.object ?? call.path;
    const host = this.connection.server.host;
    outer?.throwIfAborted();
    const inner = new AbortController();
    const onAbort = () => inner.abort(outer?.reason);
    outer?.addEventListener("abort", onAbort, { once: true });
    const timeoutMs = call.timeoutMs ?? defaultTimeoutMs;
    const timer = this.#clock.setTimer(() => {
      const message = `${verb} ${object}: no whole answer from the API server at ${host} within ${timeoutMs / 1000} s; check its load and the network`;
      inner.abort(new KubeError("Timeout", message, { object }));
      this.#transport.dropIdle(); // What swallowed this one may have taken the other connections as well.
    }, timeoutMs);
    const startMs = this.#clock.monotonicMs();
    let code = "none";
    let response: IncomingMessage | undefined;
    try {
      const body = call.body === undefined ? undefined : JSON.stringify(call.body);
      response = await this.#transport.send({
        method: call.method ?? "GET",
        path: call.path + queryText(call.query),
        headers: {
          accept: call.accept ?? "application/json",
          "user-agent": this.#userAgent,
          ...(body !== undefined && {
            "content-type": call.contentType ?? "application/json",
            "content-length": Buffer.byteLength(body),
          }),
        },
        body,
        signal: inner.signal,
      });
      code = String(response.statusCode);
      return await read(response, () => timer.cancel());
    } catch (error) {
      response?.destroy();
      if (inner.signal.aborted) throw inner.signal.reason;
      if (error instanceof KubeError) throw error;
      throw errorOfConnection(error, verb, object, host);
    } finally {
      timer.cancel();
      outer?.removeEventListener("abort", onAbort);
      const resource = call.resource ?? "other";
      this.#metrics?.requests.inc({ verb, resource, code });
      if (verb !== "watch")
        this.#metrics?.requestSeconds.observe({ verb }, (this.#clock.monotonicMs() - startMs) / 1000);
    }
  }

  async #errorOf(response: IncomingMessage, call: Call): Promise<KubeError> {
    let status: StatusBody | undefined;
    try {
      const body = JSON.parse((await readAll(response, call)).toString("utf8"));
      if (body?.kind === "Status") status = body;
    } catch {
      // A proxy's page, or an answer cut short: the HTTP status says enough.
    }
    const verb = call.verb ?? (call.method ?? "GET").toLowerCase();
    const retryAfter = response.headers["retry-after"];
    return errorOfStatus(response.statusCode ?? 0, status, verb, call.object ?? call.path, retryAfter);
  }
}

function queryText(query: Query | undefined): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) params.set(name, String(value));
  return params.size > 0 ? `?${params}` : "";
}

async function readAll(response: IncomingMessage, call: Call): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > longestAnswer)
      throw new KubeError("BadAnswer", `${call.object ?? call.path}: an answer above 256 MiB; select less`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseBody<T>(response: IncomingMessage, body: Buffer, call: Call): T {
  if (body.length === 0) return undefined as T;
  const text = body.toString("utf8");
  if (!/\bjson\b/.test(response.headers["content-type"] ?? "")) return text as T;
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which may be a Secret's.
    throw new KubeError("BadAnswer", `${call.object ?? call.path}: the answer is not JSON, or was cut short`);
  }
}
