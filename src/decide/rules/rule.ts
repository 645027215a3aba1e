import type { Rung } from "../../api/conditions.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Schedule } from "../../portrait/schedule.ts";
import type { DecisionReason, RuleName } from "../decision.ts";
import type { MetricDemand } from "../metric/metric-demand.ts";
import type { Proposal } from "../providers/select-proposal.ts";
import type { StabilizedReplicas } from "../stabilization.ts";

/** All that the rules of one decision look at. Nothing of it changes along the chain. */
export interface Situation {
  readonly timeMs: number;
  /** Pods in service that the workload has now: what "keep" means. */
  readonly present: number;
  readonly isPaused: boolean;
  readonly behavior:
    | Pick<NonNullable<IntelligentHorizontalPodAutoscalerSpec["behavior"]>, "scaleUp" | "scaleDown">
    | undefined;
  readonly schedule: Schedule;
  readonly proposals: readonly Proposal[];
  /** The proposal that counts; undefined where there is none. */
  readonly selected: Proposal | undefined;
  /** What the selected proposal rests on. */
  readonly selectedReason: DecisionReason;
  /** Whether the selected proposal is made from metrics. */
  readonly isDynamic: boolean;
  readonly demands: ReadonlyMap<string, MetricDemand>;
  /** Metrics whose source came back a moment ago. */
  readonly recovering: readonly string[];
  /** What was remembered after the decision before. */
  readonly before: RuleMemory;
}

/** What a chain of rules remembers until the next decision. */
export interface RuleMemory {
  readonly stabilized?: StabilizedReplicas;
  /** Since when there has been no proposal. */
  readonly unknownSinceMs?: number;
}

/** What the rules so far have come to. */
export interface RuleState {
  /** Pods in service to have; null where no number may be served. */
  readonly replicas: number | null;
  /** What is requested before limits and stabilization; undefined where nothing is known. */
  readonly requested: number | undefined;
  /** What bound the number. */
  readonly reason: DecisionReason;
  /** Where a rule has set the rung; else the demands tell it. */
  readonly rung: Rung | undefined;
  readonly memory: RuleMemory;
}

/** A rule's answer. */
export interface Verdict {
  /** What the rule looked at, for people: also where it changes nothing. */
  readonly saw: string;
  /** What it changes; absent where it lets the number pass. */
  readonly change?: Partial<RuleState>;
  /** Whether the chain ends here. */
  readonly isFinal?: boolean;
}

/** One reason why a number may not be what was proposed. Pure: the same situation and state give the same verdict. */
export interface Rule {
  readonly name: RuleName;
  apply(situation: Situation, state: RuleState): Verdict;
}

/** `replicas` within the limits that hold now. */
export function within(replicas: number, { minReplicas, maxReplicas }: Schedule): number {
  return Math.min(Math.max(replicas, minReplicas), maxReplicas);
}

export function podsText(count: number): string {
  return count === 1 ? "1 pod" : `${count} pods`;
}
