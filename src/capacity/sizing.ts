import type { FitScore } from "./holdout.ts";
import { mostExtrapolation } from "./usage-model.ts";

/** The model that a capacity is fitted with; Auto chooses. */
export type CapacityModelName = "Auto" | "LinearWithBase" | "Residual" | "Queueing";

/** How many pods the loads need by one criterion: a usage target or a response time. */
export interface Sizing {
  readonly model: "LinearWithBase" | "Residual" | "Queueing";
  readonly score: FitScore;
  readonly samples: number;
  pods(loads: ArrayLike<number>): number;
  carried(pods: number): number;
  /** Part of a sentence for people: what a pod does, and what it carries for that. */
  readonly description: string;
}

/** A more complex model must have less than this share of a simpler one's error on the held-out days. */
export const worthIt = 0.95;
/** Appended where a target asks for more load per pod than may be extrapolated to. */
export const cutNote = ` (limited to ${mostExtrapolation} times the highest load per pod in the history)`;

export function largestOf(values: Float64Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, value);
  return largest;
}

/** Three significant digits. */
export function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
