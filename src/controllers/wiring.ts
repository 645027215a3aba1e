import { controllerManager, prefix } from "../api/labels.ts";
import { Histories } from "../collect/history.ts";
import { LiveValues } from "../collect/live-values.ts";
import { collectMetrics } from "../collect/metrics.ts";
import { HistoryStore } from "../collect/metrics-api/history-store.ts";
import { Sampler } from "../collect/metrics-api/sampler.ts";
import { createForecastPool } from "../forecast/workers/worker-pool.ts";
import { Applier } from "../kube/client/apply.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { Scales } from "../kube/client/scale.ts";
import { EventRecorder } from "../kube/loop/events.ts";
import type { Leadership } from "../kube/loop/leader-election.ts";
import { type Next, WorkQueue } from "../kube/loop/work-queue.ts";
import type { kubeMetrics } from "../kube/metrics.ts";
import { ExternalPrograms } from "./external-programs/external-programs.ts";
import { IhpaController } from "./ihpa/ihpa-controller.ts";
import { MetricSourceController } from "./metric-source/metric-source-controller.ts";
import { readSecret, withoutApiServer } from "./metric-source/source-access.ts";
import { Sources } from "./metric-source/sources.ts";
import { controllerMetrics } from "./metrics.ts";
import { Newcomers } from "./newcomers.ts";
import type { ControllerOptions } from "./options.ts";
import { ExternalPods } from "./pods/external-pods.ts";
import { ExternalTraffic } from "./pods/external-traffic.ts";
import { PodStates } from "./pods/pod-states.ts";
import { BurstPortraits } from "./portrait/burst-portraits.ts";
import { PortraitController } from "./portrait/portrait-controller.ts";
import { PortraitWriter } from "./portrait/portrait-writer.ts";
import { ReplicaProfileController } from "./replica-profile/replica-profile-controller.ts";
import { RegressionWatch } from "./stability/regression-watch.ts";
import { StabilityChecks } from "./stability/stability-checks.ts";
import type { TickOptions } from "./tick.ts";
import { connectWakeups, podReleaser } from "./wakeups.ts";
import type { WatchedObjects } from "./watched-objects.ts";
import { MetricReader } from "./workload/metric-reader.ts";
import { Workloads } from "./workload/workload-memory.ts";

interface WiringOptions extends ControllerOptions {
  readonly leadership: Leadership;
  readonly metrics: ReturnType<typeof kubeMetrics>;
  readonly watched: WatchedObjects;
}

/** All controllers, wired together: what the tick needs of them. */
export interface Wired
  extends Pick<TickOptions, "metricReader" | "store" | "ihpas" | "reconcileIhpa" | "newcomers" | "measured"> {
  /** Waits for work in progress, then closes everything. */
  close(): Promise<void>;
}

/** Creates everything that the leader works with, and wires it together. */
export async function wireControllers(options: WiringOptions): Promise<Wired> {
  const { client, identity, leadership, metrics, registry, log, tickMs, watched } = options;
  const now = Date.now;
  const caches = {
    ihpas: watched.ihpas.cache,
    portraits: watched.portraits.cache,
    profiles: watched.profiles.cache,
    hpas: watched.hpas.cache,
    pods: watched.pods.cache,
  };
  const applier = new Applier({ client, fieldManager: controllerManager, fence: leadership, metrics });
  const events = new EventRecorder({ client, controller: `${prefix}/controller`, instance: identity, metrics, log });
  const scales = new Scales(client);
  const measured = controllerMetrics(registry);
  const newcomers = new Newcomers();
  const { sources, metricReader, store, programs } = await openSources(options, newcomers);
  const pool = createForecastPool(options.workers);
  const workloads = new Workloads();
  const writer = new PortraitWriter({ applier, events, now });

  const checks = new StabilityChecks({
    metricReader,
    regressions: new RegressionWatch({ sources, now }),
    programs,
    onResult: (result) => measured.checks.inc({ result }),
    onAnswered: (key) => queues.ihpas.add(key),
    tickMs,
    log,
    now,
  });
  const externals = new ExternalPods({ programs, onAnswered: (key) => queues.profiles.add(key), now });
  const podStates = new PodStates({
    client,
    fence: leadership,
    caches: { nodes: watched.nodes.cache, budgets: watched.budgets.cache, pods: watched.pods.cache },
    externals,
    traffic: new ExternalTraffic({ programs, now }),
    log,
    now,
  });
  const profiles = new ReplicaProfileController({
    applier,
    scales,
    fence: leadership,
    caches,
    podStates,
    events,
    now,
  });
  const ihpas = new IhpaController({
    // A profile has the name of its IHPA.
    constraints: (key) => profiles.constraints(key),
    client,
    applier,
    scales,
    events,
    metricReader,
    store,
    caches,
    exactHpa: await hasExactHpa(client),
    tickMs,
    syncSeconds: options.syncSeconds,
    metrics: measured,
    log,
    now,
    checks,
    workloads,
    burstPortraits: new BurstPortraits({ writer, now }),
    onLearnt: (key) => queues.ihpas.add(key),
  });
  const portraits = new PortraitController({ writer, caches, metricReader, pool, workloads, metrics: measured, now });
  const sourceController = new MetricSourceController({ applier, events, sources, cache: watched.sources.cache, now });

  const queue = (name: string, handle: (key: string) => Promise<Next>) => new WorkQueue({ name, handle, metrics, log });
  const queues = {
    ihpas: queue("ihpas", (key) => ihpas.reconcile(key)),
    portraits: queue("portraits", (key) => portraits.reconcile(key)),
    profiles: queue("profiles", (key) => profiles.reconcile(key)),
    sources: queue("sources", (key) => sourceController.reconcile(key)),
    pods: queue("pods", podReleaser(caches.pods, profiles, podStates)),
  };
  connectWakeups({ watched, queues, profiles, podStates, externals });

  return {
    metricReader,
    store,
    ihpas: caches.ihpas,
    reconcileIhpa: (key) => queues.ihpas.add(key),
    newcomers,
    measured,
    async close() {
      await Promise.all(Object.values(queues).map((each) => each.shutdown()));
      await events.flush();
      await pool.close();
      sources.close();
      programs.close();
      store?.close();
    },
  };
}

/** Opens the metric sources, the history and the external programs. */
async function openSources(options: WiringOptions, newcomers: Newcomers) {
  const { client, namespace, registry, log, watched } = options;
  const now = Date.now;
  const collected = collectMetrics(registry);
  const store =
    options.historyFile === undefined
      ? undefined
      : new HistoryStore({ file: options.historyFile, onWarning: (message) => log.warn(message) });
  const histories = new Histories({ now });
  const addresses = await withoutApiServer(options.addresses, client.connection.server);
  const programs = new ExternalPrograms({ urls: options.externalPrograms, addresses });
  const sources = new Sources({
    cache: watched.sources.cache,
    readSecret: (ref) => readSecret(client, namespace, ref),
    addresses,
    onRequest: collected.request,
    onMoved: (name) => histories.forget(name),
    now,
  });
  const metricReader = new MetricReader({
    sources,
    histories,
    live: new LiveValues(),
    sampler: new Sampler({ get: (path) => client.call({ path, resource: "metrics" }), store, now }),
    store,
    metrics: collected,
    log,
    now,
    onNew: () => newcomers.add(),
  });
  return { sources, metricReader, store, programs };
}

/** Whether an HPA of this cluster can set its own tolerance: Kubernetes 1.35 and later. */
async function hasExactHpa(client: KubeClient): Promise<boolean> {
  const version = await client.call<{ major?: string; minor?: string }>({ path: "/version", resource: "version" });
  return Number(version.major) > 1 || Number.parseInt(version.minor ?? "0", 10) >= 35;
}
