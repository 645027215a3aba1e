/** How long windows are, in points of the grid. */
export interface LeadShape {
  /** Points that pods asked for now take to serve, from 1. */
  readonly lead: number;
  /** Points by which metric values are late, from 0. */
  readonly lag: number;
  /** Points in a day. */
  readonly day: number;
  /** A minute, five minutes, twenty minutes, an hour and four hours, each at least one point. */
  readonly minute: number;
  readonly five: number;
  readonly twenty: number;
  readonly hour: number;
  readonly fourHours: number;
}

/** Points by which a metric's values are late. */
export function lagPoints(stepMs: number, lagMs: number): number {
  return Math.max(0, Math.round(lagMs / stepMs));
}

export function leadShape(stepMs: number, leadMs: number, lagMs: number): LeadShape {
  const points = (seconds: number) => Math.max(1, Math.round((seconds * 1000) / stepMs));
  return {
    lead: Math.max(1, Math.ceil(leadMs / stepMs - 1e-9)),
    lag: lagPoints(stepMs, lagMs),
    day: Math.round(86_400_000 / stepMs),
    minute: points(60),
    five: points(300),
    twenty: points(1200),
    hour: points(3600),
    fourHours: points(14_400),
  };
}
