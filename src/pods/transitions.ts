import type { ReplicaProfileSpec } from "../api/kinds/replica-profile.ts";
import { type DeletionCost, planDeletionCosts } from "./deletion-costs.ts";
import { type ExternalPodStates, externalTransitions } from "./external-pod-states.ts";
import { isFrozen, isServing, type PodInState } from "./pod-in-state.ts";
import { isNumbered, leaveOrder, type PodSorter, type WorkloadKind } from "./pod-order.ts";

/** How many pods are wanted in each state; `online` includes those that are still to start. */
export interface DesiredPods {
  readonly online: number;
  readonly cutoff: number;
  readonly standby: number;
}

export interface TransitionInput {
  /** The workload's pods, without those that are being deleted or have ended. */
  readonly pods: readonly PodInState[];
  readonly wish: DesiredPods;
  /** The target's spec.replicas. */
  readonly specReplicas: number;
  readonly kind: WorkloadKind;
  /** Whether the workload's pods are being replaced by those of another spec. */
  readonly rolloutRunning: boolean;
  readonly paused: boolean;
  /** Whether somebody else has kept spec.replicas above the wish for long, as another metric of an HPA does: pods beyond it then serve. */
  readonly isKept?: boolean;
  readonly allowedScalingDirection: ReplicaProfileSpec["allowedScalingDirection"];
  /** How many pods may be not ready on purpose; undefined where nothing limits it. */
  readonly notReadyRoom?: number;
  /** Why the room is not larger. */
  readonly notReadyReason?: string;
  readonly sorter: PodSorter;
  /** What a program outside says, where it says which pods are in which state. */
  readonly told?: ExternalPodStates;
  readonly nowMs: number;
}

export const transitionReasons = [
  "OnlineWanted",
  "SurplusOnline",
  "StandbyWanted",
  "CutoffWanted",
  "StandbyRefused",
  "NotGated",
  "OutOfOrder",
  "RoomShrank",
  "WouldBlockStatefulSet",
  "ProgramWanted",
] as const;
export type TransitionReason = (typeof transitionReasons)[number];

/** One pod's change of state. */
export interface Transition {
  readonly pod: string;
  readonly from: PodInState["state"];
  readonly to: PodInState["state"];
  readonly reason: TransitionReason;
}

/** What is kept from happening, as a word and a sentence. */
export interface HeldTransition {
  readonly reason:
    | "Paused"
    | "RolloutUnderWay"
    | "PodsNotGated"
    | "NoRoomForNotReady"
    | "OrderedReady"
    | "StandbyNotPossible";
  readonly message: string;
}

export interface TransitionPlan {
  /** Changes of state, those that bring pods back first. */
  readonly transitions: readonly Transition[];
  readonly deletionCosts: readonly DeletionCost[];
  /** Readiness gates that are to change. */
  readonly gates: readonly { readonly pod: string; readonly online: boolean }[];
  /** spec.replicas that the workload may have now: the wish's sum, unless fewer would take the wrong pods. */
  readonly replicas: number;
  readonly held?: HeldTransition;
}

/**
 * What to change so that a workload's pods come nearer to what is wanted: a function of what is there alone, so that carried out
 * in part, twice or not at all, the next plan goes on from there. Missing pods in service come back by the shortest way: from
 * Cutoff, then from Standby, then as new pods, which are not ours to make. Too many leave by Cutoff, and only into
 * states that are wanted; the rest is left to whoever lowers the replicas. Pods that are starting are left alone.
 */
export function planTransitions(input: TransitionInput): TransitionPlan {
  const order = leaveOrder(input.pods, input.kind, input.sorter, input.nowMs);
  const { transitions: own, held } = statesWanted(input, order);
  const transitions = input.told ? externalTransitions(input, order, own, input.told) : own;
  const changed = new Map(transitions.map(({ pod, to }) => [pod, to]));
  const after = order.map((pod) => ({ ...pod, state: changed.get(pod.name) ?? pod.state }));
  const { cutoff, standby } = input.wish;
  const replicas = replicasAllowed(input, transitions);
  return {
    transitions,
    deletionCosts: planDeletionCosts({
      kind: input.kind,
      sorter: input.sorter.type,
      order: after,
      wish: { cutoff, standby },
      surplus: Math.max(0, input.pods.length - replicas),
    }),
    gates: after.flatMap((pod) => {
      const wanted = gateWanted(pod);
      return pod.gated && wanted !== undefined && wanted !== pod.gate ? [{ pod: pod.name, online: wanted }] : [];
    }),
    replicas,
    ...(held && { held }),
  };
}

/** Never True before the thaw, but where nobody tells of it: then the gate alone wakes the pod. */
function gateWanted(pod: PodInState): boolean | undefined {
  if (pod.state !== "Online") return false;
  return isFrozen(pod) && !pod.wakeOverdue ? undefined : true;
}

/**
 * Fewer would take the wrong pods while some are on their way back, as those go before the ones that serve, and while Pending ones
 * of a rollout would go first. OrderedReady loses one ordinal at a time, and none while others are not ready.
 */
function replicasAllowed(input: TransitionInput, transitions: readonly Transition[]): number {
  const { pods, wish, specReplicas, kind, paused, rolloutRunning, allowedScalingDirection: allowed } = input;
  const total = sum(wish);
  if (paused || total === specReplicas) return specReplicas;
  if (allowed !== "Both" && allowed !== (total > specReplicas ? "Up" : "Down")) return specReplicas;
  if (total > specReplicas) return total;
  if (transitions.some(({ to }) => to === "Online")) return specReplicas;
  if (rolloutRunning && pods.some(({ phase }) => phase === "Pending")) return specReplicas;
  if (kind !== "StatefulSetOrderedReady") return total;
  const top = Math.max(-1, ...pods.map(({ ordinal = -1 }) => ordinal));
  const isBlocked = pods.some(({ ready, ordinal = -1 }) => !ready && ordinal < top);
  return isBlocked ? specReplicas : specReplicas - 1;
}

interface States {
  readonly transitions: Transition[];
  readonly held: HeldTransition | undefined;
}

function statesWanted(input: TransitionInput, order: readonly PodInState[]): States {
  const { kind, wish, rolloutRunning, paused } = input;
  const isOrderedReady = kind === "StatefulSetOrderedReady";
  if (paused) return { transitions: [], held: { reason: "Paused", message: "paused: no pod changes state" } };
  if (rolloutRunning) {
    // One unready pod stops an OrderedReady StatefulSet's update for ever.
    const transitions = isOrderedReady ? takenBack(order, "WouldBlockStatefulSet") : [];
    const message = "a rollout is under way: no pod changes state until all pods are updated";
    return { transitions, held: isAsWished(order, wish) ? undefined : { reason: "RolloutUnderWay", message } };
  }
  return new StateChanges(input, order).plan();
}

function isAsWished(pods: readonly PodInState[], wish: DesiredPods): boolean {
  const count = (wanted: PodInState["state"]) => pods.filter(({ state }) => state === wanted).length;
  return count("Cutoff") === wish.cutoff && count("Standby") === wish.standby;
}

function takenBack(pods: readonly PodInState[], reason: TransitionReason): Transition[] {
  return pods
    .filter(({ state }) => state !== "Online")
    .map((pod) => ({ pod: pod.name, from: pod.state, to: "Online", reason }));
}

/** The changes of state of one pass, each pod at most once. */
class StateChanges {
  readonly #input: TransitionInput;
  readonly #transitions: Transition[] = [];
  readonly #changed = new Set<string>();
  readonly #serving: readonly PodInState[];
  /** Out of service, the last to leave first. */
  #cutoff: PodInState[];
  #standby: PodInState[];
  #held: HeldTransition | undefined;
  readonly #wish: DesiredPods;

  /** @param order all pods, first to leave first */
  constructor(input: TransitionInput, order: readonly PodInState[]) {
    this.#input = input;
    this.#serving = order.filter(isServing);
    // A label on a pod without the gate does nothing: it serves on.
    for (const pod of order) if (!pod.gated && pod.state !== "Online") this.#move(pod, "Online", "NotGated");
    const gated = order.filter(({ gated }) => gated).toReversed();
    this.#cutoff = gated.filter(({ state }) => state === "Cutoff");
    this.#standby = gated.filter(({ state }) => state === "Standby");
    this.#wish = this.#wishThatFits();
  }

  plan(): States {
    for (const pod of this.#standby.filter(({ refusesStandby }) => refusesStandby)) {
      this.#cutoff.push(pod);
      this.#standby = this.#standby.filter((each) => each !== pod);
      this.#move(pod, "Cutoff", "StandbyRefused");
    }
    const isRising = this.#allows("Up") && this.#bringBack();
    // Who needs pods in service sends none away.
    if (!isRising) {
      if (this.#allows("Down")) this.#sendAway();
      this.#context();
    }
    return { transitions: this.#transitions, held: this.#held };
  }

  /** The wish within the room of pods that are not ready, and within what the workload's controller can stand. */
  #wishThatFits(): DesiredPods {
    const { wish, kind, notReadyRoom: room, notReadyReason } = this.#input;
    if (kind === "StatefulSetOrderedReady") {
      if (wish.standby > 0 || wish.cutoff > 1)
        this.#hold(
          "OrderedReady",
          "podManagementPolicy OrderedReady waits for every pod that is not ready: one pod at most is cut off, and none is put on standby; recreate the StatefulSet with podManagementPolicy: Parallel for more",
        );
      const most = Math.min(1, room ?? 1);
      return { ...wish, cutoff: Math.min(most, wish.cutoff + wish.standby), standby: 0 };
    }
    if (room === undefined || wish.cutoff + wish.standby <= room) return wish;
    const why = notReadyReason === undefined ? "" : `: ${notReadyReason}`;
    this.#hold(
      "NoRoomForNotReady",
      `${wish.cutoff + wish.standby} pods are wanted out of service, and at most ${room} may be not ready${why}`,
    );
    const cutoff = Math.min(wish.cutoff, room);
    return { ...wish, cutoff, standby: Math.min(wish.standby, room - cutoff) };
  }

  /** @returns whether pods in service are missing or on their way back */
  #bringBack(): boolean {
    const { pods, wish, kind, specReplicas, isKept, notReadyRoom = Number.POSITIVE_INFINITY } = this.#input;
    const out = () => [
      // A pod whose application is not well gives least.
      ...this.#cutoff.toSorted((a, b) => Number(b.containersReady) - Number(a.containersReady)),
      ...this.#standby.filter(({ wakeRefused }) => !wakeRefused),
    ];
    const kept = isKept ? specReplicas - wish.cutoff - wish.standby : 0;
    const missing = Math.max(wish.online, kept) - this.#serving.length;
    const back = (count: number, reason: TransitionReason) => {
      for (const pod of out().slice(0, Math.max(0, count))) this.#return(pod, reason);
    };
    back(missing, "OnlineWanted");
    if (missing > 0) return true;
    // A budget that became smaller.
    const before = this.#transitions.length;
    back(this.#cutoff.length + this.#standby.length - notReadyRoom, "RoomShrank");
    if (kind === "StatefulSetOrderedReady" && Math.max(specReplicas, sum(wish)) > pods.length)
      back(pods.length, "WouldBlockStatefulSet");
    if (isNumbered(kind)) for (const pod of this.#outOfOrder()) this.#return(pod, "OutOfOrder");
    return this.#transitions.slice(before).some(({ to }) => to === "Online");
  }

  /** Pods out of service below others that serve: a StatefulSet would delete those that serve. */
  #outOfOrder(): PodInState[] {
    const out = [...this.#cutoff, ...this.#standby];
    const movable = [...out, ...this.#serving.filter(({ gated }) => gated)];
    const ordinals = movable.map(({ ordinal = -1 }) => ordinal).toSorted((a, b) => b - a);
    return out.filter(({ ordinal = -1, wakeRefused }) => ordinal < ordinals[out.length - 1] && !wakeRefused);
  }

  /** Pods in service beyond the wish go to Cutoff, as far as pods out of service are wanted. */
  #sendAway(): void {
    const { kind, pods } = this.#input;
    const wish = this.#wish;
    const surplus = this.#serving.length - this.#input.wish.online;
    const slots = wish.cutoff + wish.standby - this.#cutoff.length - this.#standby.length;
    const count = Math.min(surplus, slots);
    if (count <= 0) return;
    const gated = this.#serving.filter((pod) => pod.gated && pod.ready && !this.#changed.has(pod.name));
    let chosen = gated.slice(0, count);
    if (kind === "StatefulSetOrderedReady") {
      // Only the top one, and only while all others are ready: anything else stops the StatefulSet.
      const top = Math.max(...pods.map(({ ordinal = -1 }) => ordinal));
      chosen = pods.every(({ ready }) => ready) ? chosen.filter(({ ordinal }) => ordinal === top) : [];
    } else if (!isNumbered(kind)) {
      const freezable = Math.max(0, wish.standby - this.#standby.length - this.#cutoff.filter(mayStandBy).length);
      const first = gated.filter(mayStandBy).slice(0, Math.min(freezable, count));
      chosen = [...first, ...gated.filter((pod) => !first.includes(pod)).slice(0, count - first.length)];
    }
    if (gated.length < count) this.#holdUngated();
    for (const pod of chosen) {
      this.#cutoff.push(pod);
      this.#move(pod, "Cutoff", "SurplusOnline");
    }
  }

  /** Between Cutoff and Standby. */
  #context(): void {
    const { wish, pods, specReplicas } = this.#input;
    const fits = this.#wish;
    const lacking = fits.standby - this.#standby.length;
    const surplus = this.#cutoff.length - fits.cutoff;
    const toFreeze = this.#toFreeze();
    if (lacking > 0 && surplus > 0) {
      const waiting = this.#cutoff.filter(mayStandBy).length;
      if (waiting < Math.min(lacking, surplus)) this.#holdStandby();
      for (const pod of toFreeze.slice(0, Math.min(lacking, surplus))) this.#move(pod, "Standby", "StandbyWanted");
    }
    // Those that are too many are let go by whoever lowers the replicas; they are not thawed for that.
    if (sum(wish) < Math.min(pods.length, specReplicas)) return;
    const thawed = Math.min(-lacking, -surplus);
    for (const pod of this.#standby.filter(({ wakeRefused }) => !wakeRefused).slice(0, Math.max(0, thawed)))
      this.#move(pod, "Cutoff", "CutoffWanted");
  }

  /** Cut-off pods that can be frozen now, first to leave first. */
  #toFreeze(): PodInState[] {
    const isOut = (pod: PodInState) => pod.state === "Cutoff" && pod.gate === false && !pod.ready;
    return this.#cutoff.filter((pod) => mayStandBy(pod) && isOut(pod) && !this.#changed.has(pod.name)).toReversed();
  }

  #holdUngated(): void {
    const ungated = this.#serving.filter((pod) => !pod.gated);
    if (ungated.length === 0) return;
    const missed = ungated.filter(({ asksForGate }) => asksForGate).length;
    const unlabelled = "label the pod template forescale.io/inject: gate (or standby), which new pods then have";
    const unreached = `${missed} have the label and were made while the webhook could give none (see the server's log and metrics): restart the rollout`;
    const why =
      webhookSaid(ungated) ??
      [...(missed < ungated.length ? [unlabelled] : []), ...(missed > 0 ? [unreached] : [])].join("; ");
    this.#hold(
      "PodsNotGated",
      `${ungated.length} of ${this.#input.pods.length} pods have no readiness gate and can't be cut off; ${why}`,
    );
  }

  #holdStandby(): void {
    const refusing = this.#cutoff.filter(({ refusesStandby }) => refusesStandby);
    const without = this.#cutoff.filter(({ sidecar }) => !sidecar);
    const lacking = webhookSaid(without) ?? "label the pod template forescale.io/inject: standby";
    const [first] = refusing;
    const why = [
      ...(without.length > 0 ? [`${without.length} without the sidecar (${lacking})`] : []),
      ...(first
        ? [
            `${refusing.length} that refused it (${first.name}: ${first.standby?.message || "see its condition forescale.io/standby"}), asked again after five minutes`,
          ]
        : []),
    ];
    this.#hold("StandbyNotPossible", `pods that were to be put on standby stay cut off: ${why.join(", ")}`);
  }

  #return(pod: PodInState, reason: TransitionReason): void {
    this.#cutoff = this.#cutoff.filter((each) => each !== pod);
    this.#standby = this.#standby.filter((each) => each !== pod);
    this.#move(pod, "Online", reason);
  }

  #move(pod: PodInState, to: PodInState["state"], reason: TransitionReason): void {
    if (this.#changed.has(pod.name)) {
      // Changed before in this pass: where it ends is all that is to be done.
      const at = this.#transitions.findIndex((each) => each.pod === pod.name);
      this.#transitions[at] = { ...this.#transitions[at], to, reason };
      return;
    }
    this.#changed.add(pod.name);
    this.#transitions.push({ pod: pod.name, from: pod.state, to, reason });
  }

  #allows(direction: "Up" | "Down"): boolean {
    const { allowedScalingDirection: allowed } = this.#input;
    return allowed === "Both" || allowed === direction;
  }

  /** The first thing that holds is the one that is told. */
  #hold(reason: HeldTransition["reason"], message: string): void {
    this.#held ??= { reason, message };
  }
}

/** What the webhook told the first of some pods that it told anything. */
function webhookSaid(pods: readonly PodInState[]): string | undefined {
  const told = pods.find(({ notInjected }) => notInjected !== undefined);
  return told && `of ${told.name} the webhook said: ${told.notInjected}`;
}

function mayStandBy({ gated, sidecar, refusesStandby }: PodInState): boolean {
  return gated && sidecar && !refusesStandby;
}

function sum({ online, cutoff, standby }: DesiredPods): number {
  return online + cutoff + standby;
}
