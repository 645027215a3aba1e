import type { Rung } from "../api/conditions.ts";
import type { Judgement } from "./gate/accuracy-gate.ts";
import type { Lead } from "./lead/lead.ts";
import type { Proposal } from "./select-proposal.ts";

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

/** What to have, and why. */
export interface Decision {
  readonly timeMs: number;
  /** `online` includes pods that are still to start. Undefined when nothing may be asked for: the rung is Expired. */
  readonly desired: { readonly online: number; readonly cutoff: number; readonly standby: number } | undefined;
  /** The sum of the three, and what the HPA reads; null when the rung is Expired. */
  readonly total: number | null;
  /** Pods that what is observed asks for now, without any forecast: no step or rail may hold a rise below. */
  readonly observed: number;
  readonly rung: Rung;
  readonly reason: DecisionReason;
  /** One sentence for people, with the numbers. */
  readonly message: string;
  /** Whose proposal won. */
  readonly provider: string | undefined;
  readonly lead: Lead;
  readonly proposals: readonly Proposal[];
  /** Load that the decision is sized for, per metric, in the metric's unit. */
  readonly loads: readonly { readonly name: string; readonly value: number }[];
  /** How good the forecast has been; absent where no Predictive provider has one. Of several metrics, the one that is trusted least. */
  readonly accuracy?: ForecastAccuracy;
}

/** A forecast's standing before the accuracy gate. */
export interface ForecastAccuracy extends Judgement {
  readonly metric: string;
  /** Quantile that sizes pods, which `coverage` is of. */
  readonly level: number;
}
