import type { IntelligentHorizontalPodAutoscalerSpec } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { createHotPool } from "../../portrait/hot-pool.ts";
import { createSchedule } from "../../portrait/schedule.ts";
import type { StabilityDecision } from "../../stability/stability.ts";
import type { Decision, DecisionTick } from "../decision.ts";
import type { Recommender } from "../recommender.ts";
import type { GrayStep } from "./gray.ts";
import { inService, type PodNumbers, type StagedState, stageReplicas } from "./staged-replicas.ts";

/** What the decision alone does not see. */
export interface ScalingConstraints {
  /** Whether the workload's pods are being replaced by those of another spec. */
  readonly rolloutRunning?: boolean;
  /** How many pods may be not ready on purpose; undefined where nothing limits it. */
  readonly notReadyRoom?: number;
  /** Frozen pods that can't wake, as their nodes have no room: others must serve in their stead. */
  readonly stuck?: number;
  /** What the checkers let changes do; where absent there are none. */
  readonly stability?: StabilityDecision;
}

/** A decision with the steps towards it. */
export interface StagedDecision extends Decision {
  /** The change under way; undefined at rest. */
  readonly change?: GrayStep["change"];
  readonly stability?: StabilityDecision;
}

export interface StagedPath {
  /** Decides one tick. @throws RangeError for a tick that is not after the one before */
  decide(tick: DecisionTick, circumstances?: ScalingConstraints): StagedDecision;
  /** What goes on where the path is made anew. */
  staged(): StagedState | undefined;
}

/**
 * A decision path whose decisions are carried out in steps, with a hot pool beside. The path itself decides on pods in service alone:
 * to hold the present size is to hold those, and pods out of service are added afterwards. In Preview nothing follows, so the
 * number is the one at the end.
 *
 * @param before what an earlier path gave; where absent, pods found out of service are watched anew
 * @throws RangeError for a window of the pool that can't be read
 */
export function createStagedPath(
  spec: IntelligentHorizontalPodAutoscalerSpec,
  path: Pick<Recommender, "decide">,
  before?: StagedState,
): StagedPath {
  const pool = createHotPool(spec.standby);
  const schedule = createSchedule(spec);
  const hasSteps = spec.behavior?.scaleDown?.grayStrategy !== undefined;
  let state = before;
  return {
    decide(tick, circumstances = {}) {
      const { timeMs, replicas } = tick;
      const all = replicas.online + replicas.starting + replicas.cutoff + replicas.standby;
      const online = inService(state, replicas, tick.specReplicas ?? all);
      const starting = Math.max(0, online - replicas.online);
      const decision = path.decide({
        ...tick,
        replicas: { online: replicas.online, starting, cutoff: 0, standby: 0 },
        specReplicas: online,
      });
      if (decision.total === null || spec.scaleMode === "Preview") return decision;
      const { cutoff, standby } = state?.wanted ?? replicas;
      if (decision.reason === "Paused") return { ...decision, ...sized({ online: decision.total, cutoff, standby }) };
      const { rolloutRunning = false, notReadyRoom, stuck = 0, stability } = circumstances;
      const { maxReplicas } = schedule(timeMs);
      const staged = stageReplicas(state, {
        nowMs: timeMs,
        target: decision.total,
        observed: decision.observed,
        present: { online, cutoff: replicas.cutoff, standby: replicas.standby },
        pool: pool(timeMs),
        maxReplicas,
        behavior: spec.behavior,
        // Without steps there are no pods out of service that a rollout would spend.
        isHeld: (rolloutRunning && hasSteps) || decision.rung === "Held",
        stability: stability?.action,
        room: notReadyRoom,
      });
      state = staged.state;
      const { change } = staged;
      return {
        ...decision,
        ...sized(besidesStuck(staged.desired, stuck, maxReplicas)),
        message: [decision.message, ...notes(decision.total, staged.desired.online, change, stability)].join("; "),
        ...(change && { change }),
        ...(stability && { stability }),
      };
    },
    staged: () => state,
  };
}

/** Pods that can't wake stay wanted on standby, so that new ones are made for what they should serve. */
function besidesStuck(
  { online, cutoff, standby }: PodNumbers,
  stuck: number,
  maxReplicas: number,
): NonNullable<Decision["desired"]> {
  return { online, cutoff, standby: Math.max(standby, Math.min(stuck, maxReplicas - online - cutoff)) };
}

function sized(desired: NonNullable<Decision["desired"]>): Pick<Decision, "desired" | "total"> {
  return { desired, total: desired.online + desired.cutoff + desired.standby };
}

/** What happens on the way, for people. */
function notes(
  target: number,
  online: number,
  change: GrayStep["change"],
  stability: StabilityDecision | undefined,
): string[] {
  const said: string[] = [];
  const step = change && `${online} for now (${change.percent} % of the change)`;
  if (change?.direction === "Up") said.push(`in steps, from ${change.from} in service to ${target}: ${step}`);
  if (change?.direction === "Down") {
    const out = change.isWatched ? `, ${change.from - change.online} out of service and watched` : "";
    said.push(`in steps, from ${change.from} in service to ${change.to}: ${step}${out}`);
  }
  if (stability?.action === "Rollback") said.push(`taken back to ${online}: ${stability.message}`);
  if (stability?.action === "Pause") said.push(`changes wait: ${stability.message}`);
  return said;
}
