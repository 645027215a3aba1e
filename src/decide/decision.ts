import type { Rung } from "../api/conditions.ts";
import type { StabilityDecision } from "../stability/stability.ts";
import type { GateVerdict } from "./gate/accuracy-gate.ts";
import type { Lead } from "./lead/lead.ts";
import type { Proposal } from "./providers/select-proposal.ts";
import type { GrayStep } from "./steps/gray.ts";
import type { PodNumbers } from "./steps/staged-replicas.ts";

/** How long the present size is served once nothing else is known. */
export const longestHoldMs = 30 * 60_000;

/** What bound the number of a decision, as one word. */
export const decisionReasons = [
  "Predicted",
  "Observed",
  "Burst",
  "NotAccurate",
  "BacktestFailed",
  "Scheduled",
  "Fixed",
  "Proposed",
  "ScaleDownStabilized",
  "ScaleUpStabilized",
  "MinReplicas",
  "MaxReplicas",
  "ScaleUpDisabled",
  "ScaleDownDisabled",
  "ForecastCut",
  "SourceSilent",
  "SourceRecovering",
  "MetricMissing",
  "NothingKnown",
  "Paused",
] as const;
export type DecisionReason = (typeof decisionReasons)[number];

/** The rules of a decision, by name, in the order in which they apply. */
export const ruleNames = [
  "Paused",
  "NothingKnown",
  "Proposal",
  "MetricMissing",
  "SourceSilent",
  "SourceRecovering",
  "Limits",
  "ScaleDownStabilization",
  "ScaleUpStabilization",
  "LimitsOfStabilized",
  "ScaleUpDisabled",
  "ScaleDownDisabled",
  "Steps",
  "OutOfService",
] as const;
export type RuleName = (typeof ruleNames)[number];

/** What one rule saw, and what it made of the number; `before` equals `after` where it let the number pass. */
export interface RuleOutcome {
  readonly rule: RuleName;
  readonly saw: string;
  /** Pods; null where no number may be served. */
  readonly before: number | null;
  readonly after: number | null;
  /** Where the rule bound the number. */
  readonly reason?: DecisionReason;
}

/** One tick of the closed loop, as it was observed. */
export interface DecisionTick {
  /** Milliseconds since the Unix epoch; the only clock there is. */
  readonly timeMs: number;
  /** Live value of each metric: the workload's total; null where there is none. */
  readonly loads: ReadonlyMap<string, number | null>;
  /** How old live values are; 30 s where absent. */
  readonly lagMs?: number;
  /** Pods by state: `online` serve now, `starting` do not yet. */
  readonly replicas: {
    readonly online: number;
    readonly cutoff: number;
    readonly standby: number;
    readonly starting: number;
  };
  /** The target's spec.replicas, which "hold" means; where absent, the sum of the states. */
  readonly specReplicas?: number;
  /** Seconds from created to Ready of the pods that became ready since the last tick. */
  readonly startupSeconds?: readonly number[];
  /** Proposals of portraits that are made elsewhere. */
  readonly proposals?: readonly Proposal[];
}

/** What limits a change, and is not seen in the loads. */
export interface ScalingConstraints {
  /** Whether the workload's pods are being replaced by those of another spec. */
  readonly rolloutRunning?: boolean;
  /** How many pods may be not ready on purpose; undefined where nothing limits it. */
  readonly notReadyRoom?: number;
  /** Frozen pods that can't wake, as their nodes have no room: others must serve in their stead. */
  readonly stuck?: number;
  /** What the stability checkers allow; where absent there are none. */
  readonly stability?: StabilityDecision;
}

/** What to have, and why. */
export interface Decision {
  readonly timeMs: number;
  /** `online` includes pods that are still to start. Undefined when nothing may be asked for: the rung is Expired. */
  readonly desired: PodNumbers | undefined;
  /** The sum of the three, and what the HPA reads; null when the rung is Expired. */
  readonly total: number | null;
  /** Pods that the observed load needs now, without any forecast: no step may keep a rise below. */
  readonly observed: number;
  readonly rung: Rung;
  readonly reason: DecisionReason;
  /** One sentence for people, with the numbers. */
  readonly message: string;
  /** The chain of rules that led to the number: what each saw and changed. */
  readonly rules: readonly RuleOutcome[];
  /** Whose proposal won. */
  readonly provider: string | undefined;
  readonly lead: Lead;
  readonly proposals: readonly Proposal[];
  /** Load that the decision is sized for, per metric, in the metric's unit. */
  readonly loads: readonly { readonly name: string; readonly value: number }[];
  /** How good the forecast has been; absent where no Predictive provider has one. Of several metrics, the one that is trusted least. */
  readonly accuracy?: ForecastAccuracy;
  /** The change in steps that is under way; undefined at rest. */
  readonly change?: GrayStep["change"];
  readonly stability?: StabilityDecision;
}

/** The accuracy gate's verdict on the forecast of a metric. */
export interface ForecastAccuracy extends GateVerdict {
  readonly metric: string;
  /** Quantile that sizes pods, which `coverage` is of. */
  readonly level: number;
}
