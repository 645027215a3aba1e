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
import type { Proposal } from "../../decide/providers/select-proposal.ts";
import type { Applier } from "../../kube/client/apply.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { isKubeError } from "../../kube/client/kube-error.ts";
import {
  formatKey,
  type KubeObject,
  keyOf,
  parseKey,
  type Resource,
  resourceOf,
  resources,
} from "../../kube/client/resource.ts";
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
import { IhpaEvents } from "./ihpa-events.ts";
import type { IhpaInput } from "./ihpa-input.ts";
import type { HorizontalPodAutoscaler } from "./managed-hpa.ts";
import { type Plan, planIhpa } from "./plan-ihpa.ts";
import { publishedLoadForecast } from "./published-load-forecast.ts";

export interface IhpaControllerOptions {
  readonly client: KubeClient;
  readonly applier: Applier;
  readonly scales: Scales;
  readonly events: EventRecorder;
  readonly metricReader: MetricReader;
  /** Where pods' records outlive a restart. */
  readonly store: HistoryStore | undefined;
  readonly caches: {
    readonly ihpas: Cache<IntelligentHorizontalPodAutoscaler>;
    readonly portraits: Cache<HorizontalPortrait>;
    readonly profiles: Cache<ReplicaProfile>;
    readonly hpas: Cache<HorizontalPodAutoscaler>;
    readonly pods: Cache<Pod>;
  };
  /** Whether this cluster's HPA takes a tolerance of its own (Kubernetes 1.35 and later). */
  readonly exactHpa: boolean;
  /** How often the cluster's HPA looks. */
  readonly syncSeconds: number;
  /** Time between two decisions for a workload. */
  readonly tickMs: number;
  readonly metrics: ControllerMetrics;
  readonly log: Log;
  readonly now: () => number;
  /** What steps towards a decision depend on, by the IHPA's key; where absent nothing holds them. */
  readonly constraints?: (key: string) => Omit<ScalingConstraints, "stability"> | undefined;
  /** Whom stability checkers are asked by. */
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

/** Decides for each IHPA and brings about what should be there. */
export class IhpaController {
  readonly #options: IhpaControllerOptions;
  readonly #writtenMs = new Map<string, number>();
  readonly #written = new StatusOverlay<IntelligentHorizontalPodAutoscalerStatus>();
  readonly #learner: HistoryLoader;
  readonly #events: IhpaEvents;
  readonly #capacities: CapacityFits;

  constructor(options: IhpaControllerOptions) {
    this.#options = options;
    this.#capacities = new CapacityFits(options);
    this.#learner = new HistoryLoader(options);
    this.#events = new IhpaEvents(options.events, options.tickMs);
  }

  /** Brings one IHPA about. A throw means again, with backoff. */
  async reconcile(key: string): Promise<Next> {
    const cached = this.#options.caches.ihpas.get(parseKey(key));
    if (cached === undefined || cached.metadata.deletionTimestamp !== undefined) {
      this.#forget(key); // owner references clean up; the target keeps its replicas
      return {};
    }
    const input = await this.#observe(key, { ...cached, status: this.#written.of(cached) });
    if (input === undefined) return {}; // its first values, its past or its checkers are being asked; what has them comes back
    const plan = planIhpa(input);
    await this.#carryOut(input, plan);
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

  /** @returns undefined where a decision is due and what it rests on has not been asked for yet */
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
    const decision = this.#decide(key, ihpa, workload, scale, input.portraits);
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

  /** The memory of an IHPA's workload; at first sight with what outlived us. */
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
    ihpa: IntelligentHorizontalPodAutoscaler,
    workload: Workload,
    scale: Scale,
    portraits: readonly HorizontalPortrait[],
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
        // What is asked for and not there yet is starting, whether its pods exist or not.
        replicas: {
          ...counts,
          starting: Math.max(counts.starting, scale.replicas - counts.online - counts.cutoff - counts.standby),
        },
        specReplicas: scale.replicas,
        proposals: foreignProposals(ihpa, portraits, nowMs),
      },
      // Without an HPA the pods are asked for at once.
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

  async #carryOut({ ihpa, hpas, profile, portraits }: IhpaInput, plan: Plan): Promise<void> {
    const own = <T extends KubeObject>(objects: readonly T[]) =>
      objects.filter((object) => isOwnedBy(object.metadata, ihpa));
    const wanted = (object: KubeObject | undefined) => (object ? [object] : []);
    if (plan.hpa !== "Keep") await this.#ensure(resources.horizontalPodAutoscalers, wanted(plan.hpa), own(hpas));
    if (plan.profile !== "Keep")
      await this.#ensure(resourceOf("ReplicaProfile"), wanted(plan.profile), own(profile ? [profile] : []));
    if (plan.portraits !== "Keep") await this.#ensure(resourceOf("HorizontalPortrait"), plan.portraits, own(portraits));
  }

  /** Applies what is wanted, and deletes those of `own` that are not. */
  async #ensure(resource: Resource, wanted: readonly KubeObject[], own: readonly KubeObject[]): Promise<void> {
    const byName = new Map(own.map((object) => [object.metadata.name, object]));
    for (const object of wanted) {
      await this.#apply(resource, object, byName.get(object.metadata.name));
      byName.delete(object.metadata.name);
    }
    for (const object of byName.values()) await this.#remove(resource, object);
  }

  #apply(resource: Resource, wanted: KubeObject, cached: KubeObject | undefined) {
    // All of it is ours: an object that we own.
    return this.#options.applier.apply(resource, wanted, { cached, force: true });
  }

  async #remove(resource: Resource, object: KubeObject): Promise<void> {
    const { uid } = object.metadata;
    await this.#options.client.remove(resource, keyOf(object), { preconditions: { uid } });
    this.#options.applier.forget(resource, keyOf(object));
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
    this.#events.tell(input, plan);
  }
}

/** The IHPA's own portraits that go on being there. */
function shownPortraits({ portraits }: IhpaInput, { portraits: wanted }: Plan): HorizontalPortrait[] {
  if (wanted === "Keep") return [...portraits];
  const names = new Set(wanted.map(({ metadata }) => metadata.name));
  return portraits.filter(({ metadata }) => names.has(metadata.name));
}

/** What must not wait: the number, its rung and its reason. */
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

/** After a restart, the forecasts that were published go on until new ones are made. */
function restoreForecasts(workload: Workload, portraits: readonly HorizontalPortrait[]): void {
  for (const { metadata, status } of portraits) {
    if (status?.observedGeneration !== metadata.generation) continue; // of another spec
    for (const { name } of status?.forecast?.metrics ?? []) {
      const outlook = publishedLoadForecast(status!, name);
      if (outlook) workload.useForecast(name, outlook);
    }
  }
}

/** The name under which the store has the pods of an IHPA's target. */
function podsKey({ metadata, spec }: IntelligentHorizontalPodAutoscaler): string {
  return workloadKey({ namespace: metadata.namespace!, target: spec.scaleTargetRef });
}

/** The widest limits that spec and bounds ever allow: an HPA's own, as the number itself keeps to what holds now. */
function widestLimits({ spec }: IntelligentHorizontalPodAutoscaler): { minReplicas: number; maxReplicas: number } {
  const floors = (spec.bounds ?? []).flatMap(({ minReplicas }) => minReplicas ?? []);
  const caps = (spec.bounds ?? []).flatMap(({ maxReplicas }) => maxReplicas ?? []);
  return { minReplicas: Math.min(spec.minReplicas, ...floors), maxReplicas: Math.max(spec.maxReplicas, ...caps) };
}

/** What portraits that others write propose now. */
function foreignProposals(
  { spec }: IntelligentHorizontalPodAutoscaler,
  portraits: readonly HorizontalPortrait[],
  nowMs: number,
): Proposal[] {
  return spec.portraitProviders.flatMap(({ dynamic, priority }) => {
    if (dynamic?.externalGeneratorName === undefined && dynamic?.algorithm?.type !== "External") return [];
    const portrait = portraits.find((each) => each.spec.portraitType === dynamic.portraitType);
    const data = portrait?.status?.portraitData;
    if (!data) return [];
    const points = data.timeSeries?.timeSeries ?? [];
    const at = points.findLastIndex(({ timestamp }) => timestamp * 1000 <= nowMs);
    const replicas = data.type === "Static" ? data.static?.replicas : points[at]?.replicas;
    const ends = [
      ...(data.expireTime ? [Date.parse(data.expireTime)] : []),
      ...(data.type === "TimeSeries" && points[at + 1] ? [points[at + 1].timestamp * 1000] : []),
    ];
    if (replicas === undefined) return [];
    return [
      {
        provider: dynamic.externalGeneratorName ?? "External",
        priority,
        replicas,
        ...(ends.length > 0 && { expireMs: Math.min(...ends) }),
      },
    ];
  });
}

/** The keys of all IHPAs, for a tick. */
export function allKeys(ihpas: Cache<IntelligentHorizontalPodAutoscaler>): string[] {
  return ihpas.list().map((ihpa) => formatKey(keyOf(ihpa)));
}
