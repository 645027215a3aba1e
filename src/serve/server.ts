import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import { type Counter, type Histogram, Registry } from "prom-client";
import { type Log, silent } from "../kube/log.ts";
import { type Clock, systemClock } from "../kube/loop/clock.ts";
import { type AuditLog, noAudit } from "./access/audit.ts";
import {
  type AuthenticationSource,
  createAuthenticator,
  type Recognition,
  type TokenReviewer,
  type TokenVerdict,
} from "./access/authenticator.ts";
import {
  type AccessReviewer,
  type AccessVerdict,
  createAuthorizer,
  isOpen,
  mastersGroup,
} from "./access/authorizer.ts";
import { isIdentityHeader } from "./access/front-proxy.ts";
import type { Identity } from "./access/identity.ts";
import { ReviewCache } from "./access/review-cache.ts";
import type { AdmissionValidator } from "./admission/admission.ts";
import type { PodInjector } from "./admission/pod-injection.ts";
import { negotiate } from "./http/accept.ts";
import { createApp } from "./http/app.ts";
import { defaultLimits, type Limits } from "./http/limits.ts";
import { createListener } from "./http/listener.ts";
import { type RequestLine, readRequestLine } from "./http/request-attributes.ts";
import {
  type Answer,
  beginRequest,
  hasBody,
  jsonAnswer,
  type RequestContext,
  statusAnswer,
  writeAnswer,
} from "./http/request-context.ts";
import { isRefusal, type Refusal, refuse } from "./http/status.ts";
import { createServeMetrics, type ServeMetrics } from "./metrics.ts";
import { answerMetrics, type MetricQuery, readMetricQuery } from "./metrics-api/external-metrics.ts";
import type { Snapshot } from "./metrics-api/snapshot.ts";
import { externalMetricsPath, instanceHeader } from "./names.ts";
import type { Gateway } from "./sidecar-gateway/gateway.ts";
import type { Issued } from "./tls/certificates.ts";

export interface ServerOptions {
  readonly certificate: Issued;
  readonly snapshot: Snapshot;
  readonly authentication: AuthenticationSource;
  /** Absent: bearer tokens are refused. */
  readonly reviewToken?: TokenReviewer;
  /** By the API server's word, or a rule of one's own. */
  readonly reviewAccess: AccessReviewer;
  /** What is wrong with an object of ours; absent, all are admitted. */
  readonly judge?: AdmissionValidator;
  /** What pods get when they are made; absent, nothing. */
  readonly inject?: PodInjector;
  /** Holds the sidecars' streams; absent, nobody may upgrade. */
  readonly gateway?: Pick<Gateway, "handleUpgrade" | "close">;
  /** Names of what `/readyz` still waits for. */
  readonly unready?: () => readonly string[];
  readonly registry?: Registry;
  /** Made on the same registry, where the caller measures as well. */
  readonly metrics?: ServeMetrics;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly audit?: AuditLog;
  readonly version?: string;
  /** Names this replica in a response header. */
  readonly instance?: string;
  readonly limits?: Partial<Limits>;
}

/** A server that answers as soon as it listens. */
export interface Server {
  /** @throws Error with `code` EADDRINUSE or EACCES when the port can't be had */
  listen(port: number, host?: string): Promise<AddressInfo>;
  /** Where it listens; undefined when it does not. */
  readonly address: AddressInfo | undefined;
  /** Presents this certificate from the next handshake on; connections that stand go on. */
  useCertificate(certificate: Issued): void;
  /** Ends connections as they fall idle, so that clients come back with a new handshake. */
  retireConnections(): void;
  /** How many verdicts are kept, for the caches' bounds. */
  readonly cached: { readonly tokens: number; readonly access: number };
  /**
   * Leaves: `/readyz` fails at once, requests are served for `delayMs` more while endpoints forget this replica, then
   * those under way have `drainMs` to end.
   */
  close(options?: { readonly delayMs?: number; readonly drainMs?: number }): Promise<void>;
}

const metricPrefix = `${externalMetricsPath}/namespaces/`;
const hpaUser = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
const aggregatorUser = "system:kube-aggregator";

/** A request line with what its answer needs, kept because HPAs ask the same again and again. */
interface ReadLine {
  readonly line: RequestLine;
  readonly query: MetricQuery | Refusal;
}

/**
 * The HTTPS server that the API server calls: the external metrics API, its discovery, and validation. All it needs is
 * given to it, so that the demo runs the same one without a cluster.
 */
export function createServer(options: ServerOptions): Server {
  const limits = { ...defaultLimits, ...options.limits };
  const { clock = systemClock, log = silent, audit = noAudit, registry = new Registry() } = options;
  const { snapshot, instance = "" } = options;
  const metrics = options.metrics ?? createServeMetrics(registry);
  const cacheOptions = { max: limits.reviews, ttlMs: limits.reviewTtlMs, monotonicMs: clock.monotonicMs };
  const tokens = new ReviewCache<TokenVerdict>(cacheOptions);
  const access = new ReviewCache<AccessVerdict>(cacheOptions);
  const authenticator = createAuthenticator({
    config: options.authentication,
    reviewToken: options.reviewToken && counted("token", options.reviewToken),
    tokens,
    nowMs: clock.wallMs,
  });
  const authorize = createAuthorizer({ review: counted("access", options.reviewAccess), verdicts: access });
  const lines = new LRUCache<string, ReadLine>({ max: 5000 });
  const representations = new LRUCache<string, { readonly isServed: boolean }>({ max: 200 });
  const exchanges = new WeakMap<IncomingMessage, RequestContext>();
  const counters = new Map<string, { requests: Counter.Internal; seconds: Histogram.Internal<"resource"> }>();
  let inFlight = 0;
  let isLeaving = false;

  const app = createApp({
    registry,
    version: options.version ?? "",
    unready: () => [...(isLeaving ? ["shutdown"] : []), ...(options.unready?.() ?? [])],
    judge: options.judge ?? (() => []),
    inject: (request) => {
      const injection = options.inject?.(request);
      if (injection) metrics.injections.inc({ outcome: injection.outcome });
      return injection ?? { outcome: "NotAsked", patch: [], warnings: [] };
    },
    bodyLimitBytes: limits.bodyBytes,
    reviewLimitBytes: limits.reviewBytes,
    deadlineMs: limits.deadlineMs,
    exchangeOf: (request) => exchanges.get(request)!,
    send,
    answerOther: (context) => answerLine(context, context.line!),
    onError: (error) => log.error("a request failed", { error: String((error as Error)?.stack ?? error) }),
  });

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const startedMs = clock.monotonicMs();
    const { method = "", url = "" } = request;
    // The HPA's own requests: everything known, so answered here and now.
    const isMetric = url.startsWith(metricPrefix) && method === "GET" && !hasBody(request);
    const read = isMetric ? readMetricLine(url) : undefined;
    const line = read ? read.line : readRequestLine(method, url);
    const context = beginRequest(request, response, line, startedMs);
    try {
      const admitted = line ? admit(context, line) : refuse(400, "the request's path can't be read");
      if (admitted instanceof Promise) {
        track(context);
        admitted.then((refusal) => settle(context, read, refusal)).catch((error) => fail(context, error));
      } else settle(context, read, admitted);
    } catch (error) {
      fail(context, error);
    }
  }

  function readMetricLine(url: string): ReadLine | undefined {
    const known = lines.get(url);
    if (known) return known;
    const line = readRequestLine("GET", url);
    if (!line) return undefined;
    const read = { line, query: readMetricQuery("GET", line) };
    if (url.length <= 2048) lines.set(url, read);
    return read;
  }

  /** Who is it, and may they. Undefined is a yes. */
  function admit(context: RequestContext, line: RequestLine): Refusal | undefined | Promise<Refusal | undefined> {
    const recognition = authenticator.recognise(context.request);
    if (inFlight >= limits.inFlight && !isExempt(recognition, line))
      return refuse(429, "too many requests are under way; try again later");
    switch (recognition.kind) {
      case "Known":
        return permit(context, line, recognition.identity);
      case "Refused":
        // A kubelet's probe must not depend on what the API server says.
        return isOpen(line.attributes) && recognition.refusal.code === 503 ? undefined : recognition.refusal;
      case "Unreviewed":
        return recognition
          .review()
          .then((reviewed) => (isRefusal(reviewed) ? reviewed : permit(context, line, reviewed)));
    }
  }

  function permit(context: RequestContext, line: RequestLine, identity: Identity) {
    context.identity = identity;
    if (impersonates(context.request))
      return refuse(403, "impersonation is not supported here; impersonate through the API server");
    return authorize(identity, line.attributes);
  }

  function settle(context: RequestContext, read: ReadLine | undefined, refusal: Refusal | undefined): void {
    const { request, response, line } = context;
    if (refusal) send(context, refusal);
    else if (line?.attributes.kind === "Resource" && !hasBody(request))
      send(context, answerLine(context, line, read?.query));
    else {
      track(context);
      stripIdentity(request);
      app(request, response);
    }
  }

  function answerLine(
    context: RequestContext,
    line: RequestLine,
    query: MetricQuery | Refusal = readMetricQuery(context.request.method ?? "", line),
  ): Answer | Refusal {
    if (isRefusal(query)) return query;
    const { accept = "" } = context.request.headers;
    let representation = representations.get(accept);
    if (!representation) {
      representation = { isServed: negotiate(accept).kind === "Json" };
      if (accept.length <= 512) representations.set(accept, representation);
    }
    if (!representation.isServed)
      return refuse(406, "only application/json is served: no Table, no metadata alone, no other encoding");
    const result = answerMetrics(query, snapshot, clock.wallMs());
    if (isRefusal(result)) return result;
    context.rung = result.rungs;
    return jsonAnswer(result.body);
  }

  function fail(context: RequestContext, error: unknown): void {
    log.error("a request failed", { error: String((error as Error)?.stack ?? error) });
    send(context, refuse(500, "an error of this server's own; see its log"));
  }

  function send(context: RequestContext, what: Answer | Refusal): void {
    let written = isRefusal(what) ? statusAnswer(what) : what;
    if (instance !== "") written = { ...written, headers: [...(written.headers ?? []), instanceHeader, instance] };
    const isClosing = listener.isRetired(context.request.socket);
    if (writeAnswer(context, written, isClosing)) finish(context, written.code);
  }

  function finish(context: RequestContext, code: number): void {
    const ms = clock.monotonicMs() - context.startedMs;
    const attributes = context.line?.attributes;
    const isResource = attributes?.kind === "Resource";
    const resource = isResource ? "metric" : "path";
    count(resource, code, ms / 1000);
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

  function count(resource: "metric" | "path", code: number, seconds: number): void {
    const key = `${resource} ${code}`;
    let child = counters.get(key);
    // Looked up once: prom-client hashes the labels each time.
    if (!child) {
      child = {
        requests: metrics.requests.labels({ resource, code }),
        seconds: metrics.requestSeconds.labels({ resource }),
      };
      counters.set(key, child);
    }
    child.requests.inc();
    child.seconds.observe(seconds);
  }

  /** Counts an context that waits for something as under way. */
  function track(context: RequestContext): void {
    if (exchanges.has(context.request)) return;
    exchanges.set(context.request, context);
    inFlight++;
    metrics.inFlight.set(inFlight);
    context.response.once("close", () => {
      inFlight--;
      metrics.inFlight.set(inFlight);
      if (context.isAnswered) return;
      context.isAnswered = true; // Whoever asked has left.
      finish(context, 499);
    });
  }

  function stripIdentity(request: IncomingMessage): void {
    const proxy = options.authentication()?.frontProxy;
    delete request.headers.authorization;
    if (!proxy) return;
    for (const name of Object.keys(request.headers)) if (isIdentityHeader(name, proxy)) delete request.headers[name];
  }

  function counted<Arguments extends unknown[], Verdict>(
    review: string,
    ask: (...given: Arguments) => Promise<Verdict>,
  ) {
    return async (...given: Arguments): Promise<Verdict> => {
      try {
        const verdict = await ask(...given);
        metrics.reviews.inc({ review, result: "answered" });
        return verdict;
      } catch (error) {
        metrics.reviews.inc({ review, result: "failed" });
        log.warn("the API server could not be asked for a review", { review, error: (error as Error).message });
        throw error;
      }
    };
  }

  const listener = createListener({
    certificate: options.certificate,
    limits,
    handle,
    onTlsError,
    onUpgrade: options.gateway?.handleUpgrade,
  });

  function onTlsError(): void {
    metrics.tlsErrors.inc();
  }

  return {
    listen(port, host) {
      return listener.listen(port, host, (error) => log.error("the server's socket failed", { error: error.message }));
    },
    get address() {
      return listener.address;
    },
    get cached() {
      return { tokens: tokens.size, access: access.size };
    },
    useCertificate: listener.useCertificate,
    retireConnections: listener.retireConnections,
    async close({ delayMs = 0, drainMs = 15_000 } = {}) {
      isLeaving = true;
      // Each connection ends with its next answer, so that few are left to close when the time is over.
      listener.retireConnections();
      await sleep(delayMs);
      options.gateway?.close();
      await listener.close(drainMs);
      audit.flush();
    },
  };
}

/** The HPA controller and the API server's own probes are never shed: losing them freezes every workload. */
function isExempt(recognition: Recognition, line: RequestLine): boolean {
  if (isOpen(line.attributes) && line.attributes.verb !== "post") return true;
  if (recognition.kind !== "Known") return false;
  const { user, groups } = recognition.identity;
  return user === hpaUser || user === aggregatorUser || groups.includes(mastersGroup);
}

/** The API server resolves impersonation itself; on a direct call it would be taken for the caller's own name. */
function impersonates(request: IncomingMessage): boolean {
  const { headers } = request;
  if (headers["impersonate-user"] !== undefined || headers["impersonate-uid"] !== undefined) return true;
  return headers["impersonate-group"] !== undefined;
}
