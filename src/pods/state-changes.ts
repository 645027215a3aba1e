import { isServing, type PodInState } from "./pod-in-state.ts";
import { isNumbered } from "./pod-order.ts";
import {
  type DesiredPods,
  type HeldTransition,
  sum,
  type Transition,
  type TransitionInput,
  type TransitionReason,
} from "./transition.ts";

/** Changes of state, and what keeps others from happening. */
export interface PlannedStates {
  readonly transitions: Transition[];
  readonly held: HeldTransition | undefined;
}

/** The changes of state of one pass, each pod at most once. */
export class StateChanges {
  readonly #input: TransitionInput;
  readonly #transitions: Transition[] = [];
  readonly #changed = new Set<string>();
  readonly #serving: readonly PodInState[];
  /** Out of service, the last to leave first. */
  #cutoff: PodInState[];
  #standby: PodInState[];
  #held: HeldTransition | undefined;
  readonly #desired: DesiredPods;

  /** @param order all pods, first to leave first */
  constructor(input: TransitionInput, order: readonly PodInState[]) {
    this.#input = input;
    this.#serving = order.filter(isServing);
    // A label on a pod without the gate does nothing: it serves on.
    for (const pod of order) if (!pod.gated && pod.state !== "Online") this.#move(pod, "Online", "NotGated");
    const gated = order.filter(({ gated }) => gated).toReversed();
    this.#cutoff = gated.filter(({ state }) => state === "Cutoff");
    this.#standby = gated.filter(({ state }) => state === "Standby");
    this.#desired = this.#desiredThatFits();
  }

  plan(): PlannedStates {
    for (const pod of this.#standby.filter(({ refusesStandby }) => refusesStandby)) {
      this.#cutoff.push(pod);
      this.#standby = this.#standby.filter((each) => each !== pod);
      this.#move(pod, "Cutoff", "StandbyRefused");
    }
    const isRising = this.#allows("Up") && this.#bringBack();
    // While pods in service are missing, none leaves service.
    if (!isRising) {
      if (this.#allows("Down")) this.#sendAway();
      this.#balance();
    }
    return { transitions: this.#transitions, held: this.#held };
  }

  /** The desired states, cut to the number of pods that may be not ready and to what the workload's controller supports. */
  #desiredThatFits(): DesiredPods {
    const { desired, kind, notReadyRoom: room, notReadyReason } = this.#input;
    if (kind === "StatefulSetOrderedReady") {
      if (desired.standby > 0 || desired.cutoff > 1)
        this.#hold(
          "OrderedReady",
          "podManagementPolicy OrderedReady waits for every pod that is not ready: one pod at most is cut off, and none is put on standby; recreate the StatefulSet with podManagementPolicy: Parallel for more",
        );
      const most = Math.min(1, room ?? 1);
      return { ...desired, cutoff: Math.min(most, desired.cutoff + desired.standby), standby: 0 };
    }
    if (room === undefined || desired.cutoff + desired.standby <= room) return desired;
    const why = notReadyReason === undefined ? "" : `: ${notReadyReason}`;
    this.#hold(
      "NoRoomForNotReady",
      `${desired.cutoff + desired.standby} pods are wanted out of service, and at most ${room} may be not ready${why}`,
    );
    const cutoff = Math.min(desired.cutoff, room);
    return { ...desired, cutoff, standby: Math.min(desired.standby, room - cutoff) };
  }

  /** @returns whether pods in service are missing or on their way back */
  #bringBack(): boolean {
    const { pods, desired, kind, specReplicas, isKept, notReadyRoom = Number.POSITIVE_INFINITY } = this.#input;
    const out = () => [
      // A pod whose application is not well gives least.
      ...this.#cutoff.toSorted((a, b) => Number(b.containersReady) - Number(a.containersReady)),
      ...this.#standby.filter(({ wakeRefused }) => !wakeRefused),
    ];
    const kept = isKept ? specReplicas - desired.cutoff - desired.standby : 0;
    const missing = Math.max(desired.online, kept) - this.#serving.length;
    const back = (count: number, reason: TransitionReason) => {
      for (const pod of out().slice(0, Math.max(0, count))) this.#return(pod, reason);
    };
    back(missing, "OnlineWanted");
    if (missing > 0) return true;
    // A budget that became smaller.
    const before = this.#transitions.length;
    back(this.#cutoff.length + this.#standby.length - notReadyRoom, "RoomShrank");
    if (kind === "StatefulSetOrderedReady" && Math.max(specReplicas, sum(desired)) > pods.length)
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

  /** Surplus pods in service go to Cutoff, as far as pods out of service are desired. */
  #sendAway(): void {
    const { kind, pods } = this.#input;
    const desired = this.#desired;
    const surplus = this.#serving.length - this.#input.desired.online;
    const slots = desired.cutoff + desired.standby - this.#cutoff.length - this.#standby.length;
    const count = Math.min(surplus, slots);
    if (count <= 0) return;
    const gated = this.#serving.filter((pod) => pod.gated && pod.ready && !this.#changed.has(pod.name));
    let chosen = gated.slice(0, count);
    if (kind === "StatefulSetOrderedReady") {
      // Only the top one, and only while all others are ready: anything else stops the StatefulSet.
      const top = Math.max(...pods.map(({ ordinal = -1 }) => ordinal));
      chosen = pods.every(({ ready }) => ready) ? chosen.filter(({ ordinal }) => ordinal === top) : [];
    } else if (!isNumbered(kind)) {
      const freezable = Math.max(0, desired.standby - this.#standby.length - this.#cutoff.filter(mayStandBy).length);
      const first = gated.filter(mayStandBy).slice(0, Math.min(freezable, count));
      chosen = [...first, ...gated.filter((pod) => !first.includes(pod)).slice(0, count - first.length)];
    }
    if (gated.length < count) this.#holdUngated();
    for (const pod of chosen) {
      this.#cutoff.push(pod);
      this.#move(pod, "Cutoff", "SurplusOnline");
    }
  }

  /** Moves pods between Cutoff and Standby. */
  #balance(): void {
    const { desired, pods, specReplicas } = this.#input;
    const fits = this.#desired;
    const lacking = fits.standby - this.#standby.length;
    const surplus = this.#cutoff.length - fits.cutoff;
    const toFreeze = this.#toFreeze();
    if (lacking > 0 && surplus > 0) {
      const waiting = this.#cutoff.filter(mayStandBy).length;
      if (waiting < Math.min(lacking, surplus)) this.#holdStandby();
      for (const pod of toFreeze.slice(0, Math.min(lacking, surplus))) this.#move(pod, "Standby", "StandbyWanted");
    }
    // Surplus pods are deleted when the replicas are lowered; they are not thawed for that.
    if (sum(desired) < Math.min(pods.length, specReplicas)) return;
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
    this.#hold("StandbyNotPossible", `pods that should go on standby stay cut off: ${why.join(", ")}`);
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

  /** Of several reasons that keep pods from changing, the first is reported. */
  #hold(reason: HeldTransition["reason"], message: string): void {
    this.#held ??= { reason, message };
  }
}

/** Why the webhook gave less than was asked for, as it noted on the first of some pods. */
function webhookSaid(pods: readonly PodInState[]): string | undefined {
  const refused = pods.find(({ notInjected }) => notInjected !== undefined);
  return refused && `the webhook noted on ${refused.name}: ${refused.notInjected}`;
}

function mayStandBy({ gated, sidecar, refusesStandby }: PodInState): boolean {
  return gated && sidecar && !refusesStandby;
}
