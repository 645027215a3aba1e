import type { DemandDistribution } from "./demand-distribution.ts";
import type { LeadShape } from "./lead-shape.ts";

/** How the largest demand over the lead was forecast. */
export interface LeadForecast {
  /** Learned: from slopes, recent rises and earlier days. Margin: the newest value and how far demand rose above it so far. */
  readonly method: "Learned" | "Margin";
  /** The newest value known, pods. */
  readonly newest: number;
  readonly demand: DemandDistribution;
  /** Mean pods of the days learnt from; what a pod costs is measured by it. Above 0. */
  readonly meanPods: number;
  readonly shape: LeadShape;
  /** Whether enough of the past is known to learn from, but not what happened within minutes: its steps are too long, or gaps too many. */
  readonly isCoarse?: boolean;
}
