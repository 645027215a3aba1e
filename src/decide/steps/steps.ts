import type { IntelligentHorizontalPodAutoscalerSpec } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { createHotPool } from "../../portrait/hot-pool.ts";
import type { StabilityDecision } from "../../stability/stability.ts";
import type { Decision, DecisionTick, RuleOutcome, ScalingConstraints } from "../decision.ts";
import type { GrayStep } from "./gray.ts";
import { inService, type PodNumbers, type StagedReplicas, type StagedState, stageReplicas } from "./staged-replicas.ts";

/** Pods as the rules see them: to keep the present size is to keep those in service. */
export interface PodsInService {
  /** Pods in service or on their way there. */
  readonly present: number;
  /** Of these, pods that do not serve yet. */
  readonly starting: number;
}

/** The way from a decided size to what is asked for now. */
export interface Steps {
  inService(tick: DecisionTick): PodsInService;
  /**
   * A decision with its steps: gray batches, a hot pool beside, and what checkers keep or roll back.
   *
   * @param maxReplicas most pods in all, now
   */
  towards(decision: Decision, tick: DecisionTick, constraints: ScalingConstraints, maxReplicas: number): Decision;
  /** What goes on where a recommender is made anew. */
  state(): StagedState | undefined;
}

/**
 * Changes in steps, with a hot pool beside. The rules decide on pods in service alone; pods out of service are added afterwards. In
 * Preview nothing follows the number, so it is the one at the end of all steps.
 *
 * @param before what an earlier recommender had; where absent, pods found out of service are watched anew
 * @throws RangeError for a window of the pool that can't be read
 */
export function createSteps(spec: IntelligentHorizontalPodAutoscalerSpec, before?: StagedState): Steps {
  const pool = createHotPool(spec.standby);
  const hasSteps = spec.behavior?.scaleDown?.grayStrategy !== undefined;
  let state = before;
  return {
    inService({ replicas, specReplicas }) {
      const all = replicas.online + replicas.starting + replicas.cutoff + replicas.standby;
      const present = inService(state, replicas, specReplicas ?? all);
      return { present, starting: Math.max(0, present - replicas.online) };
    },
    towards(decision, tick, { rolloutRunning = false, notReadyRoom, stuck = 0, stability }, maxReplicas) {
      const { timeMs, replicas } = tick;
      const { total } = decision;
      if (total === null || spec.scaleMode === "Preview") return decision;
      const { cutoff, standby } = state?.wanted ?? replicas;
      if (decision.reason === "Paused") return { ...decision, ...sized({ online: total, cutoff, standby }) };
      const poolSize = pool(timeMs);
      const staged = stageReplicas(state, {
        nowMs: timeMs,
        target: total,
        observed: decision.observed,
        present: { online: this.inService(tick).present, cutoff: replicas.cutoff, standby: replicas.standby },
        pool: poolSize,
        maxReplicas,
        behavior: spec.behavior,
        // Without steps there are no pods out of service that a rollout would spend.
        isHeld: (rolloutRunning && hasSteps) || decision.rung === "Held",
        stability: stability?.action,
        room: notReadyRoom,
      });
      state = staged.state;
      const { change, desired } = staged;
      const whole = sized(besidesStuck(desired, stuck, maxReplicas));
      return {
        ...decision,
        ...whole,
        message: [decision.message, ...notes(total, desired.online, change, stability)].join("; "),
        rules: [...decision.rules, ...outcomes(total, staged, whole.total, poolSize, stability)],
        ...(change && { change }),
        ...(stability && { stability }),
      };
    },
    state: () => state,
  };
}

/** Pods that can't wake stay wanted on standby, so that new ones are made for what they should serve. */
function besidesStuck({ online, cutoff, standby }: PodNumbers, stuck: number, maxReplicas: number): PodNumbers {
  return { online, cutoff, standby: Math.max(standby, Math.min(stuck, maxReplicas - online - cutoff)) };
}

function sized(desired: PodNumbers): { readonly desired: PodNumbers; readonly total: number } {
  return { desired, total: desired.online + desired.cutoff + desired.standby };
}

/** The last links of the chain: how far the steps went, and what stands beside the pods in service. */
function outcomes(
  target: number,
  { desired: { online, cutoff, standby }, change }: StagedReplicas,
  total: number,
  pool: number,
  stability: StabilityDecision | undefined,
): RuleOutcome[] {
  const held = stability === undefined ? "" : `; stability checks: ${stability.action}`;
  const underWay =
    change === undefined ? "no change in steps is under way" : `${change.percent} % of the change from ${change.from}`;
  return [
    { rule: "Steps", saw: `${underWay}${held}`, before: target, after: online },
    {
      rule: "OutOfService",
      saw: `${cutoff} cut off and ${standby} on standby beside them; the hot pool asks for ${pool}`,
      before: online,
      after: total,
    },
  ];
}

/** What happens on the way, for people. */
function notes(
  target: number,
  online: number,
  change: GrayStep["change"],
  stability: StabilityDecision | undefined,
): string[] {
  const notes: string[] = [];
  const step = change && `${online} for now (${change.percent} % of the change)`;
  if (change?.direction === "Up") notes.push(`in steps, from ${change.from} in service to ${target}: ${step}`);
  if (change?.direction === "Down") {
    const out = change.isWatched ? `, ${change.from - change.online} out of service and watched` : "";
    notes.push(`in steps, from ${change.from} in service to ${change.to}: ${step}${out}`);
  }
  if (stability?.action === "Rollback") notes.push(`rolled back to ${online}: ${stability.message}`);
  if (stability?.action === "Pause") notes.push(`changes are paused: ${stability.message}`);
  return notes;
}
