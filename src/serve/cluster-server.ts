import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import type { KubeClient } from "../kube/client/client.ts";
import { isKubeError } from "../kube/client/kube-error.ts";
import { type Log, silent } from "../kube/log.ts";
import { type Clock, systemClock } from "../kube/loop/clock.ts";
import type { KubeMetrics } from "../kube/metrics.ts";
import { quieted } from "../kube/quiet-log.ts";
import { injectPod } from "../pods/inject/inject-pod-states.ts";
import type { SidecarOptions } from "../pods/inject/sidecar-plan.ts";
import type { AuditLog } from "./access/audit.ts";
import { watchAuthentication } from "./access/cluster-authentication.ts";
import { type PostReview, reviewAccess, reviewTokens } from "./access/reviews.ts";
import { watchGateSetter } from "./admission/gate-setter.ts";
import { createIhpaValidator } from "./admission/ihpa-validation.ts";
import { watchLimitRanges } from "./admission/limit-ranges.ts";
import type { PodInjector } from "./admission/pod-injection.ts";
import type { Limits } from "./http/limits.ts";
import { createServeMetrics } from "./metrics.ts";
import { watchAggregation } from "./metrics-api/aggregation.ts";
import { feedSnapshot } from "./metrics-api/cluster-snapshot.ts";
import { type ReadSchedule, servedReplicas } from "./metrics-api/served-number.ts";
import { MemorySnapshot } from "./metrics-api/snapshot.ts";
import { secretName } from "./names.ts";
import { createServer, type Server } from "./server.ts";
import { startGateway } from "./sidecar-gateway/cluster-gateway.ts";
import { createGatewayMetrics } from "./sidecar-gateway/gateway-metrics.ts";
import { CertificateKeeper } from "./tls/certificate-keeper.ts";
import type { Lifetimes } from "./tls/certificate-rotation.ts";

export interface ClusterServerOptions {
  readonly client: KubeClient;
  /** All addresses unless given. */
  readonly host?: string;
  readonly port: number;
  /** Where our programs, and the Secret of the certificates, are. */
  readonly namespace: string;
  readonly serviceName: string;
  /** Names beside the Service's that the certificate stands for. */
  readonly extraNames?: readonly string[];
  readonly registry: Registry;
  readonly kubeMetrics?: KubeMetrics;
  readonly readSchedule?: ReadSchedule;
  readonly audit?: AuditLog;
  readonly log?: Log;
  readonly clock?: Clock;
  readonly version?: string;
  readonly limits?: Partial<Limits>;
  readonly lifetimes?: Lifetimes;
  readonly checkEveryMs?: number;
  /** The sidecar that pods get on demand; absent, none do. The server is the Service's unless given. */
  readonly sidecar?: Omit<SidecarOptions, "authorities" | "server"> & { readonly server?: string };
}

export interface ClusterServer {
  readonly address: AddressInfo;
  readonly snapshot: MemorySnapshot;
  readonly server: Server;
  /** Whether everything that `/readyz` waits for is there. */
  readonly isReady: boolean;
  /** Leaves as `Server.close` says, then ends what runs in the background. */
  close(options?: { readonly delayMs?: number; readonly drainMs?: number }): Promise<void>;
}

/**
 * Serves a cluster: certificates from the shared Secret, identities and access by the API server's word, numbers from
 * a snapshot that watches feed.
 *
 * @throws KubeError when the certificates can't be issued or read; Error with `code` EADDRINUSE when the port is taken
 */
export async function serveCluster(options: ClusterServerOptions): Promise<ClusterServer> {
  const { client, namespace, serviceName, registry, clock = systemClock, log = silent } = options;
  const quiet = quieted(log, clock);
  const snapshot = new MemorySnapshot(clock, options.readSchedule);
  const metrics = createServeMetrics(registry, () => rungCounts(snapshot, clock.wallMs()));
  const background = new AbortController();
  const { signal } = background;
  let server: Server | undefined;

  const keeper = new CertificateKeeper({
    client,
    secret: { namespace, name: secretName },
    service: { namespace, name: serviceName },
    names: [...serviceNames(serviceName, namespace), ...(options.extraNames ?? [])],
    onCertificate: (certificate) => server?.useCertificate(certificate),
    lifetimes: options.lifetimes,
    checkEveryMs: options.checkEveryMs,
    clock,
    log,
    metrics,
  });
  await keeper.look();

  const authentication = watchAuthentication({
    client,
    clock,
    log: quiet,
    signal,
    onChange: () => server?.retireConnections(),
  });
  const feed = feedSnapshot({ client, snapshot, clock, log: quiet, metrics: options.kubeMetrics, signal });
  const post: PostReview = (path, body, abort) =>
    client.call({ method: "POST", path, body, signal: abort, exempt: true, timeoutMs: 10_000 });
  const standby = startGateway({
    client,
    post,
    authorities: () => keeper.authorities,
    clock,
    log: quiet,
    metrics: createGatewayMetrics(registry),
    kubeMetrics: options.kubeMetrics,
    signal,
  });
  const setter = watchGateSetter({ client, namespace, clock, log: quiet, signal });
  const limitRanges = watchLimitRanges({ client, clock, log: quiet, signal });
  const inject: PodInjector = ({ object, namespace: ofPod }) =>
    injectPod(object, {
      namespace: ofPod,
      isGateSet: setter.isThere,
      limits: limitRanges.of(ofPod),
      sidecar: options.sidecar && {
        server: `${serviceName}.${namespace}.svc:443`,
        ...options.sidecar,
        authorities: keeper.authorities,
      },
    });
  const unready = () => [...(authentication.config ? [] : ["authentication"]), ...(feed.hasSynced ? [] : ["snapshot"])];

  try {
    server = createServer({
      certificate: keeper.certificate!,
      snapshot,
      authentication: () => authentication.config,
      reviewToken: reviewTokens(post),
      reviewAccess: reviewAccess(post),
      validate: createIhpaValidator(snapshot),
      inject,
      gateway: standby.gateway,
      unready,
      registry,
      metrics,
      clock,
      log,
      audit: options.audit,
      version: options.version,
      instance: randomUUID(),
      limits: options.limits,
    });
    const address = await server.listen(options.port, options.host);
    const runs = [
      authentication.done,
      feed.done,
      standby.done,
      setter.done,
      limitRanges.done,
      keeper.run(signal),
      watchAggregation({
        connection: client.connection,
        everyMs: options.checkEveryMs ?? 10_000,
        clock,
        log,
        isAggregated: metrics.isAggregated,
        beforeEach: () => standby.gateway.refreshAuthorities(),
        // When requests do not reach us, the certificates are looked at without delay; the keeper's own loop reports.
        onUnreached: () => keeper.look().catch(() => {}),
        signal,
      }),
    ];
    return {
      address,
      snapshot,
      server,
      get isReady() {
        return unready().length === 0;
      },
      async close(closing) {
        await server!.close(closing);
        background.abort();
        await Promise.all(runs);
      },
    };
  } catch (error) {
    background.abort();
    throw error;
  }
}

/** How a Service is called within a cluster; the API server uses the first. */
function serviceNames(name: string, namespace: string): string[] {
  return [`${name}.${namespace}.svc`, `${name}.${namespace}`, `${name}.${namespace}.svc.cluster.local`];
}

function rungCounts(snapshot: MemorySnapshot, nowMs: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const inputs of snapshot.all()) {
    const { rung = "None" } = servedReplicas(inputs, nowMs);
    counts.set(rung, (counts.get(rung) ?? 0) + 1);
  }
  return counts;
}

/** One sentence for a person who started the server in vain; undefined for a failure that is none of these. */
export function explainStart(
  error: unknown,
  options: { readonly port: number; readonly host?: string },
): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  const where = options.host === undefined ? `port ${options.port}` : `${options.host}:${options.port}`;
  if (code === "EADDRINUSE")
    return `${where} is taken; choose another port with --port or end the program that listens there`;
  if (code === "EACCES") return `this user may not listen on ${where}; choose a --port above 1023`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return `${options.host} is no address of this machine; choose another --bind-address`;
  if (isKubeError(error, "NotFound", "Forbidden"))
    return `${error.message}; where Forescale is not installed yet, apply its manifests first: \`kubectl apply --server-side -k manifests\``;
  if (isKubeError(error)) return error.message;
  return undefined;
}
