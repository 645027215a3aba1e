import type { LeadShape } from "./lead-shape.ts";

/** Demand in pods on a regular grid; points `[start, length)` are known. */
export interface Points {
  readonly values: ArrayLike<number>;
  readonly start: number;
  readonly length: number;
}

/** A regular grid of demand. */
export interface Grid extends Points {
  readonly originMs: number;
  readonly stepMs: number;
}

/** What is known at a tick, without a copy: good until the next value comes. */
export interface KnownDemand {
  readonly grid: Grid;
  /** The newest point. */
  readonly newest: number;
  readonly shape: LeadShape;
}
