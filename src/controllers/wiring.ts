import type { Registry } from "prom-client";
import { controllerManager, prefix } from "../api/labels.ts";
import { Histories } from "../collect/history.ts";
import type { AddressPolicy } from "../collect/http/address.ts";
import { LiveValues } from "../collect/live-values.ts";
import { collectMetrics } from "../collect/metrics.ts";
import { HistoryStore } from "../collect/metrics-api/history-store.ts";
import { Sampler } from "../collect/metrics-api/sampler.ts";
import { createForecastPool } from "../forecast/workers/worker-pool.ts";
import { Applier } from "../kube/client/apply.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { parseKey } from "../kube/client/resource.ts";
import { Scales } from "../kube/client/scale.ts";
import type { Log } from "../kube/log.ts";
import { EventRecorder } from "../kube/loop/events.ts";
import type { Leadership } from "../kube/loop/leader-election.ts";
import { type Next, WorkQueue } from "../kube/loop/work-queue.ts";
import type { KubeMetrics } from "../kube/metrics.ts";
import { ExternalPrograms } from "./external-programs/external-programs.ts";
import { IhpaController } from "./ihpa/ihpa-controller.ts";
import { MetricSourceController } from "./metric-source/metric-source-controller.ts";
import { readSecret, withoutApiServer } from "./metric-source/source-access.ts";
import { Sources } from "./metric-source/sources.ts";
import { controllerMetrics } from "./metrics.ts";
import { ExternalPods } from "./pods/external-pods.ts";
import { PodStates } from "./pods/pod-states.ts";
import { PortraitController } from "./portrait/portrait-controller.ts";
import { ReplicaProfileController } from "./replica-profile/replica-profile-controller.ts";
import { RegressionWatch } from "./stability/regression-watch.ts";
import { StabilityChecks } from "./stability/stability-checks.ts";
import type { WatchedKinds } from "./watched-kinds.ts";
import { MetricReader } from "./workload/metric-reader.ts";

export interface WiringOptions {
  readonly client: KubeClient;
  /** Where the Lease and the Secrets of metric sources are. */
  readonly namespace: string;
  /** Of this process alone. */
  readonly identity: string;
  /** File of the embedded history; without it, metrics without a store have no past. */
  readonly historyFile: string | undefined;
  /** Time between two decisions for a workload. */
  readonly tickMs: number;
  /** How often the cluster's HPA looks. */
  readonly syncSeconds: number;
  /** Threads that forecast. */
  readonly workers: number;
  /** Which addresses metric sources and external programs may have. */
  readonly addresses: AddressPolicy;
  /** External programs that objects may name: URL by name. */
  readonly externalPrograms: ReadonlyMap<string, string>;
  readonly registry: Registry;
  readonly log: Log;
  readonly watched: WatchedKinds;
  readonly leadership: Leadership;
  readonly kubeMetrics: KubeMetrics;
}

/** A pod is looked at again after this while its ReplicaProfile can't be known. */
const profileUnknownMs = 250;

/** The controllers' queues, and what else the rest of the program works with. */
export type Wired = Awaited<ReturnType<typeof wireControllers>>;

/** Makes what the leader works with, and joins it: one controller and one queue for each kind. */
export async function wireControllers(options: WiringOptions) {
  const { client, watched, leadership: fence, kubeMetrics: metrics, registry, log, tickMs } = options;
  const now = Date.now;
  const caches = {
    ihpas: watched.ihpas.cache,
    portraits: watched.portraits.cache,
    profiles: watched.profiles.cache,
    hpas: watched.hpas.cache,
    pods: watched.pods.cache,
    nodes: watched.nodes.cache,
    budgets: watched.budgets.cache,
  };
  const applier = new Applier({ client, fieldManager: controllerManager, fence, metrics });
  const instance = options.identity;
  const events = new EventRecorder({ client, controller: `${prefix}/controller`, instance, metrics, log });
  const scales = new Scales(client);
  const measured = controllerMetrics(registry);
  const { store, programs, sources, loads, onNewLoad } = await wireSources(options);
  const pool = createForecastPool(options.workers);
  const exactHpa = await hasExactHpa(client);

  const checks = new StabilityChecks({
    loads,
    regressions: new RegressionWatch({ sources, now }),
    programs,
    onResult: (result) => measured.checks.inc({ result }),
    onAnswered: (key) => queues.ihpas.add(key),
    tickMs,
    log,
    now,
  });
  const ihpaController = new IhpaController({
    // An IHPA's profile has its name.
    constraints: (key) => profileController.constraints(key),
    client,
    applier,
    scales,
    events,
    loads,
    store,
    caches,
    exactHpa,
    tickMs,
    syncSeconds: options.syncSeconds,
    metrics: measured,
    log,
    now,
    checks,
    onLearnt: (key) => queues.ihpas.add(key),
  });
  const workloads = ihpaController;
  const portraitController = new PortraitController({
    applier,
    events,
    caches,
    loads,
    pool,
    workloads,
    metrics: measured,
    now,
  });
  const externals = new ExternalPods({ programs, onAnswered: (key) => queues.profiles.add(key), now });
  const podStates = new PodStates({ client, fence, caches, externals, log, now });
  const profileController = new ReplicaProfileController({ applier, scales, fence, caches, podStates, events, now });
  const sourceController = new MetricSourceController({ applier, events, sources, cache: watched.sources.cache, now });

  /** Puts a pod back into service whose gate no ReplicaProfile controls any more. */
  async function releasePod(key: string): Promise<Next> {
    const pod = caches.pods.get(parseKey(key));
    const profile = pod && profileController.profileOf(pod);
    if (profile === "Unknown") return { recheckAfterMs: profileUnknownMs };
    if (pod && profile === undefined) await podStates.release(pod);
    return {};
  }
  const queue = (name: string, handle: (key: string) => Promise<Next>) => new WorkQueue({ name, handle, metrics, log });
  const queues = {
    ihpas: queue("ihpas", (key) => ihpaController.reconcile(key)),
    portraits: queue("portraits", (key) => portraitController.reconcile(key)),
    profiles: queue("profiles", (key) => profileController.reconcile(key)),
    sources: queue("sources", (key) => sourceController.reconcile(key)),
    pods: queue("pods", releasePod),
  };
  return {
    queues,
    profileController,
    podStates,
    externals,
    loads,
    onNewLoad,
    store,
    rounds: measured.rounds,
    /** Waits for work that is under way, then ends everything that was made here. */
    async close(): Promise<void> {
      await Promise.all(Object.values(queues).map((each) => each.shutdown()));
      await events.flush();
      await pool.close();
      sources.close();
      programs.close();
      store?.close();
    },
  };
}

/** Makes what reads from outside the cluster's API: metric sources with their history, and external programs. */
async function wireSources({ client, namespace, historyFile, registry, log, watched, ...options }: WiringOptions) {
  const now = Date.now;
  const metrics = collectMetrics(registry);
  const store =
    historyFile === undefined
      ? undefined
      : new HistoryStore({ file: historyFile, onWarning: (message) => log.warn(message) });
  const histories = new Histories({ now });
  const addresses = await withoutApiServer(options.addresses, client.connection.server);
  const programs = new ExternalPrograms({ urls: options.externalPrograms, addresses });
  const sources = new Sources({
    cache: watched.sources.cache,
    readSecret: (ref) => readSecret(client, namespace, ref),
    addresses,
    onRequest: metrics.request,
    onMoved: (name) => histories.forget(name),
    now,
  });
  const listeners: (() => void)[] = [];
  const loads = new MetricReader({
    sources,
    histories,
    live: new LiveValues(),
    sampler: new Sampler({ get: (path) => client.call({ path, resource: "metrics" }), store, now }),
    store,
    metrics,
    log,
    now,
    onNew: () => {
      for (const listener of listeners) listener();
    },
  });
  /** Calls the listener whenever a load is asked for that has not been read yet. */
  const onNewLoad = (listener: () => void) => void listeners.push(listener);
  return { store, programs, sources, loads, onNewLoad };
}

/** Whether the cluster's HPA takes a tolerance of its own: Kubernetes 1.35 and later. */
async function hasExactHpa(client: KubeClient): Promise<boolean> {
  const version = await client.call<{ major?: string; minor?: string }>({ path: "/version", resource: "version" });
  return Number(version.major) > 1 || Number.parseInt(version.minor ?? "0", 10) >= 35;
}
