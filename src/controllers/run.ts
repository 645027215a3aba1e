import type { Registry } from "prom-client";
import type { HorizontalPortrait } from "../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { MetricSource } from "../api/kinds/metric-source.ts";
import type { ReplicaProfile } from "../api/kinds/replica-profile.ts";
import { apiVersion } from "../api/kinds.ts";
import { controllerLease, controllerManager, ihpaLabel, prefix } from "../api/labels.ts";
import { Histories } from "../collect/history.ts";
import type { AddressPolicy } from "../collect/http/address.ts";
import { LiveValues } from "../collect/live-values.ts";
import { collectMetrics } from "../collect/metrics.ts";
import { HistoryStore } from "../collect/metrics-api/history-store.ts";
import { Sampler } from "../collect/metrics-api/sampler.ts";
import { createForecastPool } from "../forecast/workers/worker-pool.ts";
import { Applier } from "../kube/client/apply.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { isKubeError, type KubeError } from "../kube/client/kube-error.ts";
import { preflight } from "../kube/client/preflight.ts";
import {
  formatKey,
  type KubeObject,
  keyOf,
  parseKey,
  type Resource,
  resourceOf,
  resources,
} from "../kube/client/resource.ts";
import { Scales } from "../kube/client/scale.ts";
import type { Log } from "../kube/log.ts";
import { EventRecorder } from "../kube/loop/events.ts";
import { acquireLeadership, type Leadership } from "../kube/loop/leader-election.ts";
import { type Next, WorkQueue } from "../kube/loop/work-queue.ts";
import { kubeMetrics } from "../kube/metrics.ts";
import { quieted } from "../kube/quiet-log.ts";
import { Reflector } from "../kube/watch/reflector.ts";
import { ExternalPrograms } from "./external-programs/external-programs.ts";
import { allKeys, IhpaController } from "./ihpa/ihpa-controller.ts";
import type { HorizontalPodAutoscaler } from "./ihpa/managed-hpa.ts";
import { MetricSourceController } from "./metric-source/metric-source-controller.ts";
import { readSecret, withoutApiServer } from "./metric-source/source-access.ts";
import { Sources } from "./metric-source/sources.ts";
import { controllerMetrics } from "./metrics.ts";
import type { Budget } from "./pods/disruption-budgets.ts";
import { ExternalPods } from "./pods/external-pods.ts";
import { type Node, slimNode } from "./pods/node.ts";
import { hasPodState, PodStates } from "./pods/pod-states.ts";
import { type Pod, slimPod } from "./pods/workload-pods.ts";
import { PortraitController } from "./portrait/portrait-controller.ts";
import { ReplicaProfileController } from "./replica-profile/replica-profile-controller.ts";
import { RegressionWatch } from "./stability/regression-watch.ts";
import { StabilityChecks } from "./stability/stability-checks.ts";
import { MetricReader } from "./workload/metric-reader.ts";

export interface ControllerOptions {
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
  /** Where metric sources and programs outside may stand. */
  readonly addresses: AddressPolicy;
  /** Programs outside that objects may name: URL by name. */
  readonly externalPrograms: ReadonlyMap<string, string>;
  readonly registry: Registry;
  readonly log: Log;
  /** Called once the Lease is held and the caches are filled. */
  readonly onReady?: () => void;
}

/**
 * Runs all controllers until the signal is aborted, as the holder of the Lease.
 *
 * @throws KubeError `NotLeader` when the Lease is lost: the process then ends, so that no late write can happen; another one when
 * the API server cannot be worked with from the start
 */
export async function runControllers(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const { client, namespace, identity, log, registry } = options;
  const metrics = kubeMetrics(registry);
  const quiet = quieted(log);
  const lease = { namespace, name: controllerLease };
  try {
    await preflight({ client, lease, log: quiet }, signal);
    await missKinds(client, signal, log);
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  const stopped = new AbortController();
  const stop = () => stopped.abort(signal.reason);
  if (signal.aborted) return;
  signal.addEventListener("abort", stop, { once: true });

  // Caches fill while the Lease is waited for, so that a hand-over is quick.
  const reflect = <T extends KubeObject>(resource: Resource, transform?: (object: T) => T) => {
    const reflector = new Reflector<T>({ client, resource, transform, metrics, log: quiet });
    void reflector.start(stopped.signal);
    return reflector;
  };
  const ihpas = reflect<IntelligentHorizontalPodAutoscaler>(resourceOf("IntelligentHorizontalPodAutoscaler"));
  const portraits = reflect<HorizontalPortrait>(resourceOf("HorizontalPortrait"));
  const profiles = reflect<ReplicaProfile>(resourceOf("ReplicaProfile"));
  const sourceObjects = reflect<MetricSource>(resourceOf("MetricSource"));
  const hpas = reflect<HorizontalPodAutoscaler>(resources.horizontalPodAutoscalers);
  const pods = reflect<Pod>(resources.pods, slimPod);
  const nodes = reflect<Node>(resources.nodes, slimNode);
  const budgets = reflect<Budget>(resources.podDisruptionBudgets);

  let leadership: Leadership | undefined;
  let lost: KubeError | undefined;
  try {
    leadership = await acquireLeadership({ client, lease, identity, metrics, log: quiet }, stopped.signal, (error) => {
      lost = error;
      stopped.abort(error);
    });
    log.info("leading", { term: leadership.term });
    await Promise.all(
      [ihpas, portraits, profiles, sourceObjects, hpas, pods, nodes, budgets].map((each) =>
        each.waitForSync(stopped.signal),
      ),
    );
    await lead({
      ...options,
      leadership,
      metrics,
      stopped: stopped.signal,
      ihpas,
      portraits,
      profiles,
      sourceObjects,
      hpas,
      pods,
      nodes,
      budgets,
    });
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
  } finally {
    stopped.abort();
    await leadership?.release();
    signal.removeEventListener("abort", stop);
  }
  if (lost) throw lost;
}

/** Says where our kinds are not there yet; the caches wait for them. */
async function missKinds(client: KubeClient, signal: AbortSignal, log: Log): Promise<void> {
  try {
    await client.call({ path: `/apis/${apiVersion}`, resource: "discovery", signal });
  } catch (error) {
    if (!isKubeError(error, "NotFound")) throw error;
    const remedy = "apply them with `kubectl apply --server-side -k manifests`; they are waited for";
    log.warn("the kinds are not installed", { apiVersion, remedy });
  }
}

interface Leading extends ControllerOptions {
  readonly leadership: Leadership;
  readonly metrics: ReturnType<typeof kubeMetrics>;
  readonly stopped: AbortSignal;
  readonly ihpas: Reflector<IntelligentHorizontalPodAutoscaler>;
  readonly portraits: Reflector<HorizontalPortrait>;
  readonly profiles: Reflector<ReplicaProfile>;
  readonly sourceObjects: Reflector<MetricSource>;
  readonly hpas: Reflector<HorizontalPodAutoscaler>;
  readonly pods: Reflector<Pod>;
  readonly nodes: Reflector<Node>;
  readonly budgets: Reflector<Budget>;
}

/** The work of the leader; resolves when it is to stop. */
async function lead(leading: Leading): Promise<void> {
  const { client, namespace, identity, leadership, metrics, registry, log, stopped, tickMs } = leading;
  const now = Date.now;
  const caches = {
    ihpas: leading.ihpas.cache,
    portraits: leading.portraits.cache,
    profiles: leading.profiles.cache,
    hpas: leading.hpas.cache,
    pods: leading.pods.cache,
  };
  const applier = new Applier({ client, fieldManager: controllerManager, fence: leadership, metrics });
  const events = new EventRecorder({ client, controller: `${prefix}/controller`, instance: identity, metrics, log });
  const scales = new Scales(client);
  const collected = collectMetrics(registry);
  const measured = controllerMetrics(registry);
  const store =
    leading.historyFile === undefined
      ? undefined
      : new HistoryStore({ file: leading.historyFile, onWarning: (message) => log.warn(message) });
  const histories = new Histories({ now });
  const addresses = await withoutApiServer(leading.addresses, client.connection.server);
  const programs = new ExternalPrograms({ urls: leading.externalPrograms, addresses });
  const sources = new Sources({
    cache: leading.sourceObjects.cache,
    readSecret: (ref) => readSecret(client, namespace, ref),
    addresses,
    onRequest: collected.request,
    onMoved: (name) => histories.forget(name),
    now,
  });
  let hasNewcomers = false;
  let wake = () => {};
  const loads = new MetricReader({
    sources,
    histories,
    live: new LiveValues(),
    sampler: new Sampler({ get: (path) => client.call({ path, resource: "metrics" }), store, now }),
    store,
    metrics: collected,
    log,
    now,
    onNew: () => {
      hasNewcomers = true;
      wake();
    },
  });
  const pool = createForecastPool(leading.workers);
  const version = await client.call<{ major?: string; minor?: string }>({ path: "/version", resource: "version" });
  const exactHpa = Number(version.major) > 1 || Number.parseInt(version.minor ?? "0", 10) >= 35;

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
    syncSeconds: leading.syncSeconds,
    metrics: measured,
    log,
    now,
    checks,
    onLearnt: (key) => queues.ihpas.add(key),
  });
  const portraitController = new PortraitController({
    applier,
    events,
    caches,
    loads,
    pool,
    workloads: ihpaController,
    metrics: measured,
    now,
  });
  const externals = new ExternalPods({ programs, onAnswered: (key) => queues.profiles.add(key), now });
  const podStates = new PodStates({
    client,
    fence: leadership,
    caches: { nodes: leading.nodes.cache, budgets: leading.budgets.cache, pods: leading.pods.cache },
    externals,
    log,
    now,
  });
  const profileController = new ReplicaProfileController({
    applier,
    scales,
    fence: leadership,
    caches,
    podStates,
    events,
    now,
  });
  const sourceController = new MetricSourceController({
    applier,
    events,
    sources,
    cache: leading.sourceObjects.cache,
    now,
  });

  const queue = (name: string, handle: (key: string) => Promise<Next>) => new WorkQueue({ name, handle, metrics, log });
  const queues = {
    ihpas: queue("ihpas", (key) => ihpaController.reconcile(key)),
    portraits: queue("portraits", (key) => portraitController.reconcile(key)),
    profiles: queue("profiles", (key) => profileController.reconcile(key)),
    sources: queue("sources", (key) => sourceController.reconcile(key)),
    pods: queue("pods", releasePod),
  };
  /** A pod with a gate that nobody speaks for. */
  async function releasePod(key: string): Promise<Next> {
    const pod = caches.pods.get(parseKey(key));
    const profile = pod && profileController.profileOf(pod);
    if (profile === "Unknown") return { recheckAfterMs: newcomersMs };
    if (pod && profile === undefined) await podStates.release(pod);
    return {};
  }
  const feed = <T extends KubeObject>(reflector: Reflector<T>, to: WorkQueue) =>
    reflector.onChange(({ object }) => to.add(formatKey(keyOf(object))));
  feed(leading.ihpas, queues.ihpas);
  feed(leading.portraits, queues.portraits);
  feed(leading.profiles, queues.profiles);
  feed(leading.sourceObjects, queues.sources);
  leading.profiles.onChange(({ type, object }) => {
    if (type !== "Deleted") return;
    externals.forget(formatKey(keyOf(object)));
    // Another profile of the same workload may have waited for this.
    const { name } = object.spec.scaleTargetRef;
    for (const other of caches.profiles.list(object.metadata.namespace ?? ""))
      if (other.spec.scaleTargetRef.name === name) queues.profiles.add(formatKey(keyOf(other)));
    for (const pod of caches.pods.list(object.metadata.namespace ?? ""))
      if (hasPodState(pod)) queues.pods.add(formatKey(keyOf(pod)));
  });
  leading.pods.onChange(({ type, object }) => {
    if (type === "Deleted") podStates.forget(object);
    if (!hasPodState(object) && !profileController.isReported(object)) return;
    const profile = profileController.profileOf(object);
    if (profile === undefined || profile === "Unknown") queues.pods.add(formatKey(keyOf(object)));
    else queues.profiles.add(profile);
  });
  // What an IHPA rests on wakes it too.
  leading.portraits.onChange(({ object }) => wakeOwner(object, queues.ihpas));
  leading.hpas.onChange(({ object }) => {
    wakeOwner(object, queues.ihpas);
    wakeOwner(object, queues.profiles);
  });

  let prunedMs = Number.NEGATIVE_INFINITY;
  leading.onReady?.();
  try {
    while (!stopped.aborted) {
      const startedMs = performance.now();
      if (startedMs - prunedMs > pruneEveryMs) {
        prune(store, now(), log);
        prunedMs = startedMs;
      }
      hasNewcomers = false;
      await loads.round().then(
        () => measured.rounds.inc({ outcome: "Done" }),
        (error: Error) => {
          measured.rounds.inc({ outcome: "Failed" });
          log.error("live values could not be read", { error: error.message });
        },
      );
      for (const key of allKeys(caches.ihpas)) queues.ihpas.add(key);
      await Promise.race([
        pause(Math.max(0, tickMs - (performance.now() - startedMs)), stopped),
        // New workloads come in bunches; none has to wait for the next tick.
        new Promise<void>((resolve) => {
          wake = resolve;
          if (hasNewcomers) resolve();
        }).then(() => pause(newcomersMs, stopped)),
      ]);
    }
  } finally {
    await Promise.all(Object.values(queues).map((each) => each.shutdown()));
    await events.flush();
    await pool.close();
    sources.close();
    programs.close();
    store?.close();
  }
}

/** The store keeps what it is told to; a day more or less does not matter. */
const pruneEveryMs = 86_400_000;
/** Time for more new workloads to come, before the live values of all are read. */
const newcomersMs = 250;

function prune(store: HistoryStore | undefined, nowMs: number, log: Log): void {
  try {
    store?.prune(nowMs);
  } catch (error) {
    log.error("the embedded history could not be pruned", { error: (error as Error).message });
  }
}

function wakeOwner({ metadata }: KubeObject, queue: WorkQueue): void {
  const name = metadata.labels?.[ihpaLabel];
  // A profile has its IHPA's name.
  if (name !== undefined) queue.add(formatKey({ namespace: metadata.namespace ?? "", name }));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
