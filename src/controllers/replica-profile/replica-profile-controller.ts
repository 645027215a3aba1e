import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { ReplicaProfile, ReplicaProfileStatus } from "../../api/kinds/replica-profile.ts";
import { ihpaLabel, standbyCondition } from "../../api/labels.ts";
import { rivalProfileOf } from "../../api/validation/validate.ts";
import { matches, parseSelector, type Selector } from "../../api/values/label-selector.ts";
import type { ScalingConstraints } from "../../decide/decision.ts";
import type { Applier } from "../../kube/client/apply.ts";
import { isKubeError } from "../../kube/client/kube-error.ts";
import { formatKey, keyOf, parseKey, resourceOf } from "../../kube/client/resource.ts";
import type { Scale, Scales } from "../../kube/client/scale.ts";
import type { EventRecorder } from "../../kube/loop/events.ts";
import type { Fence } from "../../kube/loop/leader-election.ts";
import type { Next } from "../../kube/loop/work-queue.ts";
import { stamp } from "../../kube/times.ts";
import type { Cache } from "../../kube/watch/cache.ts";
import type { Transition } from "../../pods/transition.ts";
import type { HorizontalPodAutoscaler } from "../ihpa/managed-hpa.ts";
import type { PodStates } from "../pods/pod-states.ts";
import { countPods, type Pod, type PodCounts, selectPods } from "../pods/workload-pods.ts";
import { type Claim, transitions, withClaims } from "../status/set-condition.ts";
import { inactiveClaims, profileClaims } from "./profile-claims.ts";

export interface ReplicaProfileControllerOptions {
  readonly applier: Applier;
  readonly scales: Scales;
  readonly fence: Fence;
  readonly caches: {
    readonly profiles: Cache<ReplicaProfile>;
    readonly ihpas: Cache<IntelligentHorizontalPodAutoscaler>;
    readonly hpas: Cache<HorizontalPodAutoscaler>;
    readonly pods: Cache<Pod>;
  };
  readonly podStates: PodStates;
  readonly events: Pick<EventRecorder, "record">;
  readonly now: () => number;
}

/** Unchanged status is written at most this often. */
const renewMs = 30_000;
/** When more pods than this change at once, only the profile gets Events. */
const mostReportedPods = 10;
/** An HPA follows a lower desired count within a few syncs; after this another scaler keeps the replicas up. */
const keptMs = 180_000;

/** Gives pods the states that profiles want, reports how many are in each, and sets replicas where no HPA does. */
export class ReplicaProfileController {
  readonly #options: ReplicaProfileControllerOptions;
  readonly #writtenMs = new Map<string, number>();
  /** Since when replicas have been above the profile's sum. */
  readonly #aboveSinceMs = new Map<string, number>();
  /** What steps towards a decision depend on, as last observed. */
  readonly #constraints = new Map<string, ScalingConstraints>();
  /** Selectors of the profiles' targets; null where the target does not exist or selects nothing. */
  readonly #selectors = new Map<string, Selector | null>();

  constructor(options: ReplicaProfileControllerOptions) {
    this.#options = options;
  }

  /** Reconciles one profile. A throw means again, with backoff. */
  async reconcile(key: string): Promise<Next> {
    const { caches, scales, fence } = this.#options;
    const profile = caches.profiles.get(parseKey(key));
    if (profile === undefined || profile.metadata.deletionTimestamp !== undefined) {
      this.#writtenMs.delete(key);
      this.#selectors.delete(key);
      this.#constraints.delete(key);
      this.#aboveSinceMs.delete(key);
      return {};
    }
    const namespace = profile.metadata.namespace!;
    const { apiVersion = "apps/v1", kind, name } = profile.spec.scaleTargetRef;
    const target = { apiVersion, kind, namespace, name };
    const rival = rivalProfileOf(profile, caches.profiles.list(namespace));
    if (rival !== undefined) {
      this.#selectors.set(key, null);
      const message = `${kind} ${name} is already managed by ReplicaProfile ${rival.metadata.name}; edit that one, or delete it first`;
      await this.#report(key, profile, undefined, inactiveClaims("TargetOwnedByAnother", message));
      return { recheckAfterMs: renewMs };
    }
    let scale: Scale;
    try {
      scale = await scales.read(target);
    } catch (error) {
      if (!isKubeError(error, "NotFound") && !isKubeError(error, "NotScalable")) throw error;
      this.#selectors.set(key, null);
      await this.#report(key, profile, undefined, inactiveClaims("TargetNotFound", error.message));
      return { recheckAfterMs: renewMs };
    }
    this.#selectors.set(key, scale.selector === "" ? null : parseSelector(scale.selector));
    const pods = selectPods(caches.pods.list(namespace), scale.selector);
    const isKept = this.#isKept(key, profile.spec, scale.replicas);
    const outcome = await this.#options.podStates.reconcilePods({ profile, target, scale, pods, isKept });
    this.#constraints.set(key, outcome?.constraints ?? {});
    const replicas = outcome ? outcome.plan.replicas : replicasWanted(profile.spec, scale.replicas);
    if (replicas !== scale.replicas && !this.#hpaActs(profile)) {
      fence.check();
      // Only if it has not changed since it was read.
      scale = await scales.write(target, replicas, { resourceVersion: scale.resourceVersion });
    }
    if (outcome) {
      this.#record(profile, outcome.plan.transitions);
      this.#recordOnPods(profile, outcome.plan.transitions, pods);
    }
    const counts = countPods(pods);
    await this.#report(key, profile, counts, profileClaims(profile, scale, counts, outcome));
    return { recheckAfterMs: Math.min(renewMs, outcome?.recheckAfterMs ?? renewMs) };
  }

  /** What steps towards a decision depend on, as last observed; undefined before the first reconcile. */
  constraints(key: string): ScalingConstraints | undefined {
    return this.#constraints.get(key);
  }

  /** Whether an external program may control the traffic of a pod, whatever the pod itself says. */
  mayHaveExternalTraffic({ metadata }: Pod): boolean {
    const profiles = this.#options.caches.profiles.list(metadata.namespace ?? "");
    return profiles.some(({ spec }) => spec.behavior.podTrafficController.type === "External");
  }

  /** Key of the profile that controls a pod; `Unknown` while some profile's target has not been read. */
  profileOf(pod: Pod): string | undefined {
    const { namespace = "", labels = {} } = pod.metadata;
    const found = new Map(Object.entries(labels));
    let isKnown = true;
    for (const profile of this.#options.caches.profiles.list(namespace)) {
      const key = formatKey(keyOf(profile));
      const selector = this.#selectors.get(key);
      if (selector === undefined) isKnown = false;
      else if (selector !== null && matches(selector, found)) return key;
    }
    return isKnown ? undefined : "Unknown";
  }

  /** One Event for all pods with the same transition. */
  #record(profile: ReplicaProfile, changes: readonly Transition[]): void {
    const groups = Map.groupBy(changes, ({ from, to, reason }) => `${from} → ${to} (${reason})`);
    for (const [transition, each] of groups) {
      const names = each.slice(0, 10).map(({ pod }) => pod);
      const more = each.length > names.length ? ` and ${each.length - names.length} more` : "";
      this.#options.events.record({
        regarding: profile,
        type: "Normal",
        reason: "PodStateChanged",
        action: "ChangePodState",
        note: `${transition}: ${names.join(", ")}${more}`,
      });
    }
  }

  /** An Event on each of a few pods, for users who look at a pod that is not Ready. */
  #recordOnPods(profile: ReplicaProfile, changes: readonly Transition[], pods: readonly Pod[]): void {
    if (changes.length > mostReportedPods) return;
    for (const { pod: name, from, to, reason } of changes) {
      const pod = pods.find(({ metadata }) => metadata.name === name);
      if (pod === undefined) continue;
      const isRefused = reason === "StandbyRefused";
      const reported = pod.status?.conditions?.find(({ type }) => type === standbyCondition)?.message;
      this.#options.events.record({
        regarding: { ...pod, apiVersion: "v1", kind: "Pod" },
        type: isRefused ? "Warning" : "Normal",
        reason: "PodStateChanged",
        action: "ChangePodState",
        note: `${from} → ${to} (${reason}), requested by ReplicaProfile ${profile.metadata.name}${isRefused && reported ? `; the sidecar reports: ${reported}` : ""}`,
      });
    }
  }

  /** Whether another scaler, such as another metric of the user's HPA, has long kept the replicas above the profile's sum. */
  #isKept(key: string, spec: ReplicaProfile["spec"], replicas: number): boolean {
    if (replicas <= spec.onlineReplicas + spec.cutoffReplicas + spec.standbyReplicas) {
      this.#aboveSinceMs.delete(key);
      return false;
    }
    const nowMs = this.#options.now();
    const sinceMs = this.#aboveSinceMs.get(key) ?? nowMs;
    this.#aboveSinceMs.set(key, sinceMs);
    return nowMs - sinceMs > keptMs;
  }

  /** Whether an HPA sets the replicas, or will: always, unless the IHPA says that there is none. */
  #hpaActs({ metadata: { namespace = "", labels }, spec: { scaleTargetRef } }: ReplicaProfile): boolean {
    const { ihpas, hpas } = this.#options.caches;
    const { kind, name } = scaleTargetRef;
    const isTarget = ({ spec }: HorizontalPodAutoscaler) =>
      spec.scaleTargetRef.kind === kind && spec.scaleTargetRef.name === name;
    if (hpas.list(namespace).some(isTarget)) return true;
    const owner = labels?.[ihpaLabel];
    // A profile written by hand acts by itself; one whose IHPA is gone does not act any more.
    return owner !== undefined && ihpas.get({ namespace, name: owner })?.spec.hpa !== "None";
  }

  async #report(
    key: string,
    profile: ReplicaProfile,
    counts: PodCounts | undefined,
    claims: readonly Claim[],
  ): Promise<void> {
    const { applier, now } = this.#options;
    const before = profile.status;
    const status: ReplicaProfileStatus = {
      observedGeneration: profile.metadata.generation,
      ...(counts && {
        onlineReplicas: counts.online,
        cutoffReplicas: counts.cutoff,
        standbyReplicas: counts.standby,
      }),
      conditions: withClaims(before?.conditions, claims, profile.metadata.generation, stamp(now())),
    };
    const changed = transitions(before?.conditions, claims);
    for (const { type, status: is, reason, message } of changed)
      if (type === "ExternalReached" && is === "False")
        this.#options.events.record({
          regarding: profile,
          type: "Warning",
          reason,
          action: "AskProgram",
          note: message,
        });
    const isNew = changed.length > 0 || before?.observedGeneration !== status.observedGeneration;
    if (!isNew && now() - (this.#writtenMs.get(key) ?? 0) < renewMs) return;
    const wanted = { ...profile, status };
    await applier.applyStatus(resourceOf("ReplicaProfile"), wanted, {
      cached: profile,
      force: true,
    });
    this.#writtenMs.set(key, now());
  }
}

/** The replicas that a profile wants where no pod has states, as far as it allows a change. */
export function replicasWanted(
  { paused, allowedScalingDirection, ...wanted }: ReplicaProfile["spec"],
  present: number,
): number {
  const total = wanted.onlineReplicas + wanted.cutoffReplicas + wanted.standbyReplicas;
  const isAllowed = allowedScalingDirection === "Both" || allowedScalingDirection === (total > present ? "Up" : "Down");
  return paused || !isAllowed ? present : total;
}
