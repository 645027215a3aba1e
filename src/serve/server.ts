import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Registry } from "prom-client";
import { type Log, silent } from "../kube/log.ts";
import { type Clock, systemClock } from "../kube/loop/clock.ts";
import { type AuditLog, noAudit } from "./access/audit.ts";
import type { AuthenticationSource, TokenReviewer } from "./access/authenticator.ts";
import type { AccessReviewer } from "./access/authorizer.ts";
import { Gatekeeper } from "./access/gatekeeper.ts";
import type { AdmissionValidator } from "./admission/admission.ts";
import type { PodInjector } from "./admission/pod-injection.ts";
import { defaultLimits, type Limits } from "./http/limits.ts";
import { createListener } from "./http/listener.ts";
import { readRequestLine } from "./http/request-attributes.ts";
import { beginRequest, hasBody, type RequestContext } from "./http/request-context.ts";
import { Responder } from "./http/responder.ts";
import { type Refusal, refuse } from "./http/status.ts";
import { createServeMetrics, type ServeMetrics } from "./metrics.ts";
import { type MetricRequest, MetricRequests } from "./metrics-api/metric-requests.ts";
import type { Snapshot } from "./metrics-api/snapshot.ts";
import { createRouter, internalError } from "./router.ts";
import { type Route, routesOf } from "./routes.ts";
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
  readonly validate?: AdmissionValidator;
  /** What pods get when they are made; absent, nothing. */
  readonly inject?: PodInjector;
  /** Holds the sidecars' streams; absent, upgrades are refused. */
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
  /** @throws Error with `code` EADDRINUSE or EACCES when the port is taken or not permitted */
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

/**
 * The HTTPS server that the API server calls: the external metrics API, its discovery, and admission. All it needs is
 * given to it, so that the demo runs the same one without a cluster.
 *
 * A request is read, its caller is recognised and allowed, and then it is a metric's, answered here and now, or the router's.
 */
export function createServer(options: ServerOptions): Server {
  const limits = { ...defaultLimits, ...options.limits };
  const { clock = systemClock, log = silent, audit = noAudit, registry = new Registry() } = options;
  const metrics = options.metrics ?? createServeMetrics(registry);
  let isLeaving = false;

  const gatekeeper = new Gatekeeper({ ...options, ...limits, clock, metrics, log });
  const metricRequests = new MetricRequests(options.snapshot, clock.wallMs);
  const responder = new Responder({
    metrics,
    audit,
    clock,
    instance: options.instance ?? "",
    isRetired: (socket) => listener.isRetired(socket),
  });
  const logFailure = (error: unknown) =>
    log.error("a request failed", { error: String((error as Error)?.stack ?? error) });
  const route = createRouter({
    routes: routes(options, limits, registry, metrics, () => isLeaving),
    responder,
    answerOther: (context) => metricRequests.answer(context, context.line!),
    bodyLimitBytes: limits.bodyBytes,
    deadlineMs: limits.deadlineMs,
    onError: logFailure,
  });

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const startedMs = clock.monotonicMs();
    const { method = "", url = "" } = request;
    // The HPA's own requests: everything known, so answered here and now.
    const isMetric = method === "GET" && MetricRequests.isMetric(url) && !hasBody(request);
    const metric = isMetric ? metricRequests.read(url) : undefined;
    const line = metric ? metric.line : readRequestLine(method, url);
    const context = beginRequest(request, response, line, startedMs);
    try {
      const admitted = line
        ? gatekeeper.admit(context, line, responder.inFlight >= limits.inFlight)
        : refuse(400, "the request's path can't be read");
      if (admitted instanceof Promise) {
        responder.track(context);
        admitted.then((refusal) => answer(context, metric, refusal)).catch((error) => fail(context, error));
      } else answer(context, metric, admitted);
    } catch (error) {
      fail(context, error);
    }
  }

  function answer(context: RequestContext, metric: MetricRequest | undefined, refusal: Refusal | undefined): void {
    const { request, response, line } = context;
    if (refusal) responder.send(context, refusal);
    else if (line?.attributes.kind === "Resource" && !hasBody(request))
      responder.send(context, metricRequests.answer(context, line, metric?.query));
    else {
      responder.track(context);
      gatekeeper.stripIdentity(request);
      route(request, response);
    }
  }

  function fail(context: RequestContext, error: unknown): void {
    logFailure(error);
    responder.send(context, refuse(500, internalError));
  }

  const listener = createListener({
    certificate: options.certificate,
    limits,
    handle,
    onTlsError: () => metrics.tlsErrors.inc(),
    onUpgrade: options.gateway?.handleUpgrade,
  });

  return {
    listen(port, host) {
      return listener.listen(port, host, (error) => log.error("the server's socket failed", { error: error.message }));
    },
    get address() {
      return listener.address;
    },
    get cached() {
      return gatekeeper.cached;
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

function routes(
  { version = "", unready, validate, inject }: ServerOptions,
  { bodyBytes, reviewBytes }: Limits,
  registry: Registry,
  metrics: ServeMetrics,
  isLeaving: () => boolean,
): readonly Route[] {
  return routesOf({
    registry,
    version,
    unready: () => [...(isLeaving() ? ["shutdown"] : []), ...(unready?.() ?? [])],
    validate: validate ?? (() => []),
    inject: (request) => {
      const injection = inject?.(request);
      if (injection) metrics.injections.inc({ outcome: injection.outcome });
      return injection ?? { outcome: "NotAsked", patch: [], warnings: [] };
    },
    bodyLimitBytes: bodyBytes,
    reviewLimitBytes: reviewBytes,
  });
}
