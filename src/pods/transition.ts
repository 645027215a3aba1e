import type { ReplicaProfileSpec } from "../api/kinds/replica-profile.ts";
import type { DeletionCost } from "./deletion-costs.ts";
import type { PodInState } from "./pod-in-state.ts";
import type { PodSorter, WorkloadKind } from "./pod-order.ts";

/** How many pods are wanted in each state; `online` includes those that are still to start. */
export interface DesiredPods {
  readonly online: number;
  readonly cutoff: number;
  readonly standby: number;
}

/** States that an external program wants pods in, by name; pods that it doesn't name stay as they are. */
export type ExternalPodStates = ReadonlyMap<string, PodInState["state"]>;

export interface TransitionInput {
  /** The workload's pods, without those that are being deleted or have ended. */
  readonly pods: readonly PodInState[];
  readonly desired: DesiredPods;
  /** The target's spec.replicas. */
  readonly specReplicas: number;
  readonly kind: WorkloadKind;
  /** Whether the workload's pods are being replaced by those of another spec. */
  readonly rolloutRunning: boolean;
  readonly paused: boolean;
  /** Whether another scaler has kept spec.replicas above the desired sum for long, as another metric of an HPA does: pods beyond it then serve. */
  readonly isKept?: boolean;
  readonly allowedScalingDirection: ReplicaProfileSpec["allowedScalingDirection"];
  /** How many pods may be not ready on purpose; undefined where nothing limits it. */
  readonly notReadyRoom?: number;
  /** Why the room is not larger. */
  readonly notReadyReason?: string;
  readonly sorter: PodSorter;
  /** What an external program says, where it says which pods are in which state. */
  readonly external?: ExternalPodStates;
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
  /** spec.replicas that the workload may have now: the sum of the desired states, unless fewer would take the wrong pods. */
  readonly replicas: number;
  readonly held?: HeldTransition;
}

/** All pods that are desired, in whatever state. */
export function sum({ online, cutoff, standby }: DesiredPods): number {
  return online + cutoff + standby;
}
