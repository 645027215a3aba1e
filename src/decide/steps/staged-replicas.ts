import type { Behavior } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { StabilityDecision } from "../../stability/stability.ts";
import { type GrayState, type GrayStep, stepGray } from "./gray.ts";

/** Pods by state: there are, or wanted. */
export interface PodNumbers {
  readonly online: number;
  readonly cutoff: number;
  readonly standby: number;
}

/** What is remembered between ticks, as plain JSON. */
export interface StagedState {
  readonly gray: GrayState;
  /** What was wanted last. */
  readonly wanted: PodNumbers;
  /** Pods in service since a check took the change back; until checks pass there are never fewer. */
  readonly rolledBackTo?: number;
}

export interface StagedInput {
  readonly nowMs: number;
  /** Pods wanted in service at the end, within all limits. */
  readonly target: number;
  /** Pods that what is observed now asks for. */
  readonly observed: number;
  /** Pods there are; `online` with those that are still to start or to be made. */
  readonly present: PodNumbers;
  /** Frozen pods to be kept at hand. */
  readonly pool: number;
  /** Most pods in all. */
  readonly maxReplicas: number;
  readonly behavior: Pick<Behavior, "scaleUp" | "scaleDown"> | undefined;
  /** Whether a rollout is under way, or it is not known what is needed: then no step is made and no pod removed. */
  readonly isHeld: boolean;
  /** What the checkers let changes do; where absent there are none. */
  readonly stability?: StabilityDecision["action"];
  /** How many pods may be out of service at once; undefined where nothing limits it. */
  readonly room?: number;
}

export interface StagedReplicas {
  readonly desired: PodNumbers;
  readonly state: StagedState;
  /** The change under way; undefined at rest. */
  readonly change?: GrayStep["change"];
}

/**
 * Pods that are in service or on their way there, of all that the target's spec.replicas asks for. What was wanted out of service may not
 * be so yet, and pods that are to be removed may still be there: both count as out, as far as what was wanted in service leaves them.
 *
 * @param specReplicas of the target
 */
export function inService(state: StagedState | undefined, there: PodNumbers, specReplicas: number): number {
  const out = there.cutoff + there.standby;
  if (state === undefined) return Math.max(0, specReplicas - out);
  const { online, cutoff, standby } = state.wanted;
  return Math.max(0, specReplicas - Math.max(out, cutoff + standby), Math.min(online, specReplicas));
}

/**
 * Pods wanted in each state now, on the way to what is wanted at the end: changes in steps, a hot pool beside the pods in service, and
 * what checkers hold or take back. The pool never takes the sum above maxReplicas, as its pods could not serve then.
 */
export function stageReplicas(state: StagedState | undefined, input: StagedInput): StagedReplicas {
  const { nowMs, target, observed, present, pool, maxReplicas, behavior, stability, room } = input;
  if (stability === "Rollback") return rolledBack(state, input);
  const isHeld = input.isHeld || stability === "Pause";
  const down = behavior?.scaleDown?.grayStrategy;
  const inPool = isHeld && state !== undefined ? Math.min(pool, state.wanted.standby) : pool;
  const step = stepGray(state?.gray, {
    nowMs,
    target,
    present: present.online,
    out: present.cutoff + Math.max(0, present.standby - pool),
    observed,
    up: behavior?.scaleUp?.grayStrategy,
    down,
    isHeld,
    room: room === undefined ? undefined : Math.max(0, room - inPool),
  });
  const { change } = step;
  // A limit that fell is kept at once, as the number served is: its steps go on below.
  const online = Math.min(step.online, maxReplicas);
  const out = Math.min(step.out, maxReplicas - online);
  const isFrozen = down?.grayState === "Standby";
  const spare = Math.max(0, Math.min(inPool, maxReplicas - online - out));
  const desired = { online, cutoff: isFrozen ? 0 : out, standby: spare + (isFrozen ? out : 0) };
  return { desired, state: { gray: step.state, wanted: desired }, ...(change && { change }) };
}

/** All pods in service, cut-off and frozen ones too, and never fewer until the checks pass. */
function rolledBack(state: StagedState | undefined, { target, present, maxReplicas }: StagedInput): StagedReplicas {
  const all = state?.rolledBackTo ?? present.online + present.cutoff + present.standby;
  const online = Math.min(maxReplicas, Math.max(target, all));
  const desired = { online, cutoff: 0, standby: 0 };
  return { desired, state: { gray: { falls: [], online }, wanted: desired, rolledBackTo: online } };
}
