import type { Cause } from "../../api/cause.ts";
import { metricName } from "../../api/fields/metrics.ts";
import type { HorizontalPortrait } from "../../api/kinds/horizontal-portrait.ts";
import type {
  IntelligentHorizontalPodAutoscaler,
  IntelligentHorizontalPodAutoscalerStatus,
} from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { ReplicaProfile } from "../../api/kinds/replica-profile.ts";
import { ihpaLabel } from "../../api/labels.ts";
import { isOwnedBy } from "../../api/owner-reference.ts";
import { rivalOf, validate } from "../../api/validation/validate.ts";
import type { HistoryStore } from "../../collect/metrics-api/history-store.ts";
import type { PodRecord } from "../../collect/pods/pod-windows.ts";
import type { Decision, ScalingConstraints } from "../../decide/decision.ts";
import type { Applier } from "../../kube/client/apply.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { isKubeError } from "../../kube/client/kube-error.ts";
import { formatKey, keyOf, parseKey, resourceOf } from "../../kube/client/resource.ts";
import type { Scale, Scales } from "../../kube/client/scale.ts";
import type { Log } from "../../kube/log.ts";
import type { EventRecorder } from "../../kube/loop/events.ts";
import type { Next } from "../../kube/loop/work-queue.ts";
import type { Cache } from "../../kube/watch/cache.ts";
import type { ControllerMetrics } from "../metrics.ts";
import { countPods, type Pod, requestsOf, selectPods } from "../pods/workload-pods.ts";
import type { BurstPortraits } from "../portrait/burst-portraits.ts";
import type { StabilityChecks } from "../stability/stability-checks.ts";
import { transitions } from "../status/set-condition.ts";
import { StatusOverlay } from "../status/status-overlay.ts";
import { CapacityFits } from "../workload/capacity-fits.ts";
import { HistoryLoader } from "../workload/history-loader.ts";
import type { MetricReader } from "../workload/metric-reader.ts";
import { workloadKey } from "../workload/metric-subject.ts";
import type { Workload } from "../workload/workload.ts";
import type { Workloads } from "../workload/workload-memory.ts";
import { blockingCauseOf } from "./blocking-cause.ts";
import { externalProposals } from "./external-proposals.ts";
import { IhpaEvents } from "./ihpa-events.ts";
import type { IhpaInput } from "./ihpa-input.ts";
import { type HorizontalPodAutoscaler, widestLimits } from "./managed-hpa.ts";
import { OwnedObjects } from "./owned-objects.ts";
import { type Plan, planIhpa } from "./plan-ihpa.ts";
import { restoreForecasts } from "./published-load-forecast.ts";

export interface IhpaControllerOptions {
  readonly client: Pick<KubeClient, "remove">;
  readonly applier: Pick<Applier, "apply" | "applyStatus" | "forget">;
  readonly scales: Pick<Scales, "read">;
  readonly events: Pick<EventRecorder, "record">;
  readonly metricReader: Pick<MetricReader, "follow" | "forget" | "hasAsked" | "now" | "past" | "pods">;
  /** Where pods' records outlive a restart. */
  readonly store: Pick<HistoryStore, "pods" | "putPods"> | undefined;
  readonly caches: {
    readonly ihpas: Cache<IntelligentHorizontalPodAutoscaler>;
    readonly portraits: Cache<HorizontalPortrait>;
    readonly profiles: Cache<ReplicaProfile>;
    readonly hpas: Cache<HorizontalPodAutoscaler>;
    readonly pods: Cache<Pod>;
  };
  /** Whether this cluster's HPA takes a tolerance of its own (Kubernetes 1.35 and later). */
  readonly exactHpa: boolean;
  /** Sync period of the cluster's HPA. */
  readonly syncSeconds: number;
  /** Time between two decisions for a workload. */
  readonly tickMs: number;
  readonly metrics: ControllerMetrics;
  readonly log: Log;
  readonly now: () => number;
  /** What steps towards a decision depend on, by the IHPA's key; where absent nothing holds them back. */
  readonly constraints?: (key: string) => Omit<ScalingConstraints, "stability"> | undefined;
  /** Asks the stability checkers. */
  readonly checks: Pick<StabilityChecks, "decision" | "forget">;
  /** The memory of all workloads. */
  readonly workloads: Workloads;
  /** Where decisions about bursts are shown. */
  readonly burstPortraits: Pick<BurstPortraits, "show">;
  /** Called when a workload's past has been read: its first decision waits for that. */
  readonly onLearnt?: (key: string) => void;
}

/** Status that says nothing new is written at most this often; a decision's `time` must not grow older than 90 s. */
const renewMs = 30_000;

/** Decides for each IHPA, and keeps its HPA, ReplicaProfile, portraits and status as they should be. */
export class IhpaController {
  readonly #options: IhpaControllerOptions;
  readonly #writtenMs = new Map<string, number>();
  readonly #written = new StatusOverlay<IntelligentHorizontalPodAutoscalerStatus>();
  readonly #learner: HistoryLoader;
  readonly #events: IhpaEvents;
  readonly #owned: OwnedObjects;
  readonly #capacities: CapacityFits;

  constructor(options: IhpaControllerOptions) {
    this.#options = options;
    this.#owned = new OwnedObjects(options);
    this.#capacities = new CapacityFits(options);
    this.#learner = new HistoryLoader(options);
    this.#events = new IhpaEvents(options.events, options.tickMs);
  }

  /** Reconciles one IHPA. A throw means again, with backoff. */
  async reconcile(key: string): Promise<Next> {
    const cached = this.#options.caches.ihpas.get(parseKey(key));
    if (cached === undefined || cached.metadata.deletionTimestamp !== undefined) {
      this.#forget(key); // owner references clean up; the target keeps its replicas
      return {};
    }
    const input = await this.#observe(key, { ...cached, status: this.#written.of(cached) });
    if (input === undefined) return {}; // its first values, its history or its checkers are being read; an answer wakes it again
    const plan = planIhpa(input);
    await this.#owned.carryOut(input, plan);
    await this.#report(key, input, plan, cached);
    if (input.decision) await this.#options.burstPortraits.show(shownPortraits(input, plan), input.decision);
    return {};
  }

  #forget(key: string): void {
    const { checks, metricReader, applier, metrics, workloads } = this.#options;
    checks.forget(key);
    workloads.forget(key);
    this.#writtenMs.delete(key);
    this.#written.forget(key);
    this.#events.forget(key);
    metricReader.forget(key);
    metrics.forget(parseKey(key));
    applier.forget(resourceOf("IntelligentHorizontalPodAutoscaler"), parseKey(key));
  }

  /** @returns undefined where a decision is due and its inputs have not been read yet */
  async #observe(key: string, ihpa: IntelligentHorizontalPodAutoscaler): Promise<IhpaInput | undefined> {
    const { caches, checks, metricReader, scales, exactHpa, now } = this.#options;
    const namespace = ihpa.metadata.namespace!;
    const { apiVersion = "apps/v1", kind, name } = ihpa.spec.scaleTargetRef;
    const scale = await scales.read({ apiVersion, kind, namespace, name }).catch((error): Cause => {
      if (isKubeError(error, "NotFound")) return { reason: "TargetNotFound", message: error.message };
      if (isKubeError(error, "NotScalable") || isKubeError(error, "Forbidden"))
        return { reason: "TargetNotScalable", message: error.message };
      throw error;
    });
    const isTarget = ({ spec: { scaleTargetRef } }: HorizontalPodAutoscaler) =>
      scaleTargetRef.kind === kind && scaleTargetRef.name === name;
    const input = {
      ihpa,
      nowMs: now(),
      scale,
      problems: validate(ihpa),
      rival: rivalOf(ihpa, caches.ihpas.list(namespace))?.metadata.name,
      hpas: caches.hpas.list(namespace).filter((hpa) => isTarget(hpa) || isOwnedBy(hpa.metadata, ihpa)),
      profile: caches.profiles.get(keyOf(ihpa)),
      portraits: caches.portraits
        .list(namespace)
        .filter((each) => each.metadata.labels?.[ihpaLabel] === ihpa.metadata.name),
      loadFaults: [],
      limits: widestLimits(ihpa),
      exactHpa,
    };
    if ("reason" in scale || blockingCauseOf(input)) {
      metricReader.forget(key);
      checks.forget(key);
      return { ...input, decision: undefined };
    }
    const workload = this.#remembered(key, ihpa, input.portraits);
    const decision = this.#decide(key, workload, { ...input, scale });
    if (decision === undefined) return undefined;
    if (!("timeMs" in decision))
      return { ...input, problems: [{ field: "spec.metrics", message: decision.message }], decision: undefined };
    const subject = workload.subject(ihpa, key);
    const capacity = this.#capacities.statusOf(ihpa, workload, subject);
    return {
      ...input,
      decision,
      ...(capacity && { capacity }),
      loadFaults: subject.metrics.flatMap((spec) => {
        const fault = metricReader.now(subject, spec)?.fault;
        return fault ? [{ ...fault, message: `${metricName(spec)}: ${fault.message}` }] : [];
      }),
    };
  }

  /** The memory of an IHPA's workload; a new one is restored from portraits and the store. */
  #remembered(
    key: string,
    ihpa: IntelligentHorizontalPodAutoscaler,
    portraits: readonly HorizontalPortrait[],
  ): Workload {
    const { store, log, now, workloads } = this.#options;
    return workloads.of(key, ihpa, (workload) => {
      restoreForecasts(workload, portraits);
      try {
        workload.pods.recall(store?.pods(podsKey(ihpa)) ?? [], now());
      } catch (error) {
        log.error("pod records could not be read", { ihpa: key, error: (error as Error).message });
      }
    });
  }

  #decide(
    key: string,
    workload: Workload,
    { ihpa, scale, portraits }: Pick<IhpaInput, "ihpa" | "portraits"> & { readonly scale: Scale },
  ): Decision | Cause | undefined {
    const { caches, checks, constraints, metricReader, now, syncSeconds, tickMs } = this.#options;
    const nowMs = now();
    const pods = selectPods(caches.pods.list(ihpa.metadata.namespace!), scale.selector);
    this.#keep(key, ihpa, workload.pods.observe(pods, scale.selector, nowMs));
    const subject = workload.subject(ihpa, key);
    metricReader.follow(subject);
    const isLearning = this.#learner.learn(ihpa, workload, subject);
    if (isLearning || (subject.metrics.length > 0 && !metricReader.hasAsked(key))) return undefined;
    void this.#capacities.refresh(ihpa, workload, subject);
    const stability = checks.decision({ key, ihpa, pods, metrics: subject, change: workload.lastDecision?.change });
    if (stability === "Asking") return undefined;
    const live = subject.metrics.map((spec) => [metricName(spec), metricReader.now(subject, spec)] as const);
    const counts = countPods(pods);
    return workload.decide(
      ihpa,
      requestsOf(pods),
      {
        timeMs: nowMs,
        loads: new Map(live.map(([name, load]) => [name, load?.value ?? null])),
        lagMs: Math.max(0, ...live.map(([, load]) => load?.lagMs ?? 0)) || undefined,
        // Replicas that are requested and not there yet are starting, whether their pods exist or not.
        replicas: {
          ...counts,
          starting: Math.max(counts.starting, scale.replicas - counts.online - counts.cutoff - counts.standby),
        },
        specReplicas: scale.replicas,
        proposals: externalProposals(ihpa, portraits, nowMs),
      },
      // Without an HPA replicas are set at once.
      { tickMs, syncSeconds: ihpa.spec.hpa === "None" ? 0 : syncSeconds },
      { ...constraints?.(key), ...(stability && { stability }) },
    );
  }

  #keep(key: string, ihpa: IntelligentHorizontalPodAutoscaler, records: readonly PodRecord[]): void {
    if (records.length === 0) return;
    try {
      this.#options.store?.putPods(podsKey(ihpa), records);
    } catch (error) {
      this.#options.log.error("pod records could not be stored", { ihpa: key, error: (error as Error).message });
    }
  }

  /** Writes status: at once when it says something new, else at most every 30 s. */
  async #report(key: string, input: IhpaInput, plan: Plan, cached: IntelligentHorizontalPodAutoscaler): Promise<void> {
    const { applier, metrics } = this.#options;
    const { ihpa, nowMs, decision } = input;
    metrics.observe(keyOf(ihpa), decision);
    const isNew = transitions(ihpa.status?.conditions, plan.claims).length > 0 || saysMore(ihpa.status, plan.status);
    if (isNew || nowMs - (this.#writtenMs.get(key) ?? 0) >= renewMs) {
      const wanted = { ...ihpa, status: plan.status };
      await applier.applyStatus(resourceOf(ihpa.kind), wanted, { cached, force: true });
      this.#writtenMs.set(key, nowMs);
      this.#written.note(ihpa, plan.status);
    }
    this.#events.record(input, plan);
  }
}

/** The IHPA's own portraits that go on being there. */
function shownPortraits({ portraits }: IhpaInput, { portraits: wanted }: Plan): HorizontalPortrait[] {
  if (wanted === "Keep") return [...portraits];
  const names = new Set(wanted.map(({ metadata }) => metadata.name));
  return portraits.filter(({ metadata }) => names.has(metadata.name));
}

/** Whether the status has news that must not wait: the desired count, its rung or its basis. */
function saysMore(
  before: IntelligentHorizontalPodAutoscalerStatus | undefined,
  after: IntelligentHorizontalPodAutoscalerStatus,
): boolean {
  const [old, now] = [before?.decision, after.decision];
  return (
    before?.observedGeneration !== after.observedGeneration ||
    before?.currentReplicas !== after.currentReplicas ||
    before?.hpa?.name !== after.hpa?.name ||
    old?.total !== now?.total ||
    old?.rung !== now?.rung ||
    old?.online !== now?.online
  );
}

/** The name under which the store has the pods of an IHPA's target. */
function podsKey({ metadata, spec }: IntelligentHorizontalPodAutoscaler): string {
  return workloadKey({ namespace: metadata.namespace!, target: spec.scaleTargetRef });
}

/** The keys of all IHPAs, for a tick. */
export function allKeys(ihpas: Cache<IntelligentHorizontalPodAutoscaler>): string[] {
  return ihpas.list().map((ihpa) => formatKey(keyOf(ihpa)));
}
