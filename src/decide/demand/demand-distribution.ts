import type { ResidualTail } from "./residual-tail.ts";

/** What is known of the largest demand over the lead, in pods: `base + scale · e`, with e's tail. */
export interface DemandDistribution {
  readonly base: number;
  readonly scale: number;
  readonly tail: ResidualTail;
}
