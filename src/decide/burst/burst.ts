import type { Points } from "../demand/grid.ts";
import type { LeadShape } from "../demand/lead-shape.ts";
import { explain } from "./burst-threshold.ts";

/** A burst that is under way, as plain JSON. */
export interface Burst {
  readonly sinceMs: number;
  /** The level before it, pods. */
  readonly before: number;
  /** Below this it is over: what was explained when it began. */
  readonly explained: number;
  /** The highest value so far. */
  readonly peak: number;
}

/** What a burst asks for at a tick. */
export interface BurstDemand {
  readonly burst: Burst;
  /** Demand to be ready for: the newest value and its growth until pods asked for now serve. Never below the newest value. */
  readonly demand: number;
  /** How much of it is growth, pods. */
  readonly growth: number;
}

/** A burst that fell to a third of its rise is over, and so is one that has lasted for half an hour: it is the level now. */
const overShare = 1 / 3;
const longestMs = 30 * 60_000;
/** A rise of less than this share of the load, or than three deviations of what noise makes of a difference, is no growth. */
const steadyShare = 0.05;
const noiseDeviations = 3 * Math.SQRT2;

/** What is known at a tick. */
export interface BurstObservation {
  readonly points: Points;
  /** The newest point. */
  readonly n: number;
  readonly timeMs: number;
  readonly shape: LeadShape;
  /** Severity from which a rise is a burst, from 1: see `rareSeverity`. */
  readonly rareSeverity: number;
  /** The upper end of the forecast for now, pods; NaN or absent where there is none. */
  readonly forecast?: number;
  /** Deviation of the metric's noise, as a share of the value; 0 where absent. */
  readonly noise?: number;
}

/**
 * Whether a burst begins, continues or ends, and what it asks for.
 *
 * It begins at the first value that lies beyond all that is explained, so within one collection step; ends at the first value that
 * is back; and asks for the newest value continued at its slope over lead and lag, at most the rise so far once more.
 *
 * @returns undefined while there is none
 */
export function followBurst(before: Burst | undefined, observation: BurstObservation): BurstDemand | undefined {
  const { points, n, timeMs } = observation;
  const x = points.values[n];
  const burst = continued(before, x, timeMs) ?? begun(observation);
  if (burst === undefined) return undefined;
  const growth = growthOf(burst, observation);
  return { burst, demand: x + growth, growth };
}

function continued(before: Burst | undefined, x: number, timeMs: number): Burst | undefined {
  if (before === undefined || timeMs - before.sinceMs > longestMs || timeMs < before.sinceMs) return undefined;
  const peak = Math.max(before.peak, x);
  const over = Math.max(before.explained, before.before + overShare * (peak - before.before));
  return x > over ? { ...before, peak } : undefined;
}

function begun({ points, n, timeMs, shape, rareSeverity, forecast }: BurstObservation): Burst | undefined {
  const explained = explain(points, n, shape, forecast);
  if (explained === undefined || !(explained.severity >= rareSeverity)) return undefined;
  return { sinceMs: timeMs, before: explained.before, explained: explained.highest, peak: points.values[n] };
}

/**
 * Growth over lead and lag at the lower of two slopes, of the last two points and of the last minute. Once a burst is under way only
 * points since its first one count: a step that stands does not grow, and noise on it is no growth. Nor is what only makes up for a
 * fall: it grows where it rises above all that it was until a minute ago.
 */
function growthOf({ before, sinceMs }: Burst, { points, n, timeMs, shape, noise = 0 }: BurstObservation): number {
  const { values, start } = points;
  const { lead, lag, minute, day } = shape;
  const x = values[n];
  const age = Math.round(((timeMs - sinceMs) * day) / 86_400_000); // points since its first
  const span = Math.min(n - start, Math.max(2, minute), age > 0 ? age : Number.POSITIVE_INFINITY);
  const blur = age > 0 ? Math.max(steadyShare, noiseDeviations * noise) * x : 0;
  let highest = values[n - span];
  for (let i = n - age; i < n - span; i++) if (values[i] > highest) highest = values[i];
  const rise = x - highest;
  if (!(rise > blur)) return 0;
  const slope = Math.min(x - values[n - 1] + (blur > steadyShare * x ? blur : 0), rise / span);
  return Math.min(Math.max(0, slope * (lead + lag)), Math.max(0, x - before));
}
