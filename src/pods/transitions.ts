import { planDeletionCosts } from "./deletion-costs.ts";
import { externalTransitions } from "./external-pod-states.ts";
import { isFrozen, type PodInState } from "./pod-in-state.ts";
import { leaveOrder } from "./pod-order.ts";
import { type PlannedStates, StateChanges } from "./state-changes.ts";
import {
  type DesiredPods,
  sum,
  type Transition,
  type TransitionInput,
  type TransitionPlan,
  type TransitionReason,
} from "./transition.ts";

/**
 * What to change so that a workload's pods come nearer to what is wanted: a function of what is there alone, so that carried out
 * in part, twice or not at all, the next plan goes on from there. Missing pods in service come back by the shortest way: from
 * Cutoff, then from Standby, then as new pods, which are not ours to make. Too many leave by Cutoff, and only into
 * states that are wanted; the rest is left to the scale-down of the replicas. Pods that are starting are left alone.
 */
export function planTransitions(input: TransitionInput): TransitionPlan {
  const order = leaveOrder(input.pods, input.kind, input.sorter, input.nowMs);
  const { transitions: own, held } = statesWanted(input, order);
  const transitions = input.external ? externalTransitions(input, order, own, input.external) : own;
  const changed = new Map(transitions.map(({ pod, to }) => [pod, to]));
  const after = order.map((pod) => ({ ...pod, state: changed.get(pod.name) ?? pod.state }));
  const { cutoff, standby } = input.desired;
  const replicas = replicasAllowed(input, transitions);
  return {
    transitions,
    deletionCosts: planDeletionCosts({
      kind: input.kind,
      sorter: input.sorter.type,
      order: after,
      desired: { cutoff, standby },
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

/** Never True before the thaw, except where no sidecar reports: then the gate alone wakes the pod. */
function gateWanted(pod: PodInState): boolean | undefined {
  if (pod.state !== "Online") return false;
  return isFrozen(pod) && !pod.wakeOverdue ? undefined : true;
}

/**
 * Fewer would take the wrong pods while some are on their way back, as those go before the ones that serve, and while Pending ones
 * of a rollout would go first. OrderedReady loses one ordinal at a time, and none while others are not ready.
 */
function replicasAllowed(input: TransitionInput, transitions: readonly Transition[]): number {
  const { pods, desired, specReplicas, kind, paused, rolloutRunning, allowedScalingDirection: allowed } = input;
  const total = sum(desired);
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

function statesWanted(input: TransitionInput, order: readonly PodInState[]): PlannedStates {
  const { kind, desired, rolloutRunning, paused } = input;
  const isOrderedReady = kind === "StatefulSetOrderedReady";
  if (paused) return { transitions: [], held: { reason: "Paused", message: "paused: no pod changes state" } };
  if (rolloutRunning) {
    // One unready pod stops an OrderedReady StatefulSet's update forever.
    const transitions = isOrderedReady ? takenBack(order, "WouldBlockStatefulSet") : [];
    const message = "a rollout is under way: no pod changes state until all pods are updated";
    return { transitions, held: isAsDesired(order, desired) ? undefined : { reason: "RolloutUnderWay", message } };
  }
  return new StateChanges(input, order).plan();
}

function isAsDesired(pods: readonly PodInState[], desired: DesiredPods): boolean {
  const count = (wanted: PodInState["state"]) => pods.filter(({ state }) => state === wanted).length;
  return count("Cutoff") === desired.cutoff && count("Standby") === desired.standby;
}

function takenBack(pods: readonly PodInState[], reason: TransitionReason): Transition[] {
  return pods
    .filter(({ state }) => state !== "Online")
    .map((pod) => ({ pod: pod.name, from: pod.state, to: "Online", reason }));
}
