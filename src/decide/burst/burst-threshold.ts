import type { Points } from "../demand/grid.ts";
import type { LeadShape } from "../demand/lead-shape.ts";

/** What a rise is compared with, in pods. */
export interface Explained {
  /** The level that the load stood at before: the mean of the twenty minutes that ended a minute ago. */
  readonly before: number;
  /** The highest that the last minutes, earlier days at this hour and the forecast explain. */
  readonly highest: number;
  /** How far the newest value lies beyond what is explained; 1 and above is a burst where bursts are rare. */
  readonly severity: number;
}

/** Within a minute, a quarter of the level is sudden; within five, half of it. */
const suddenMinute = 0.25;
const suddenFive = 0.5;
/** Earlier days are raised to today's level at most this far. */
const mostLevelRise = 1.5;
/** Below half a pod a rise starts no pod, however steep. */
const leastLevel = 0.5;
/** What happens more often a day than this is usual for the workload: the forecast covers it, and it is no burst. */
const mostPerDay = 1;
const learnDays = 7;

/**
 * What explains the value of point `n`: the twenty minutes before the last one (and before the last five, for slower rises), the same
 * time of earlier days with twenty minutes to either side, raised to today's level, and `forecast`, the upper end of the
 * forecast for now. Of three days the highest counts only where another comes near: one burst yesterday does not explain one today;
 * the same day a week ago counts as it is.
 *
 * @returns undefined where less than five minutes are known before
 */
export function explain(points: Points, n: number, shape: LeadShape, forecast = Number.NaN): Explained | undefined {
  const { values, start } = points;
  const { minute, five, twenty } = shape;
  const to = n - minute;
  if (to - five < start) return undefined;
  const from = Math.max(start, to - twenty + 1);
  const before = mean(values, from, to);
  const level = Math.max(before, leastLevel);
  const beyond = Math.max(ofDays(points, n, shape, before), forecast > 0 ? forecast : 0);
  const sinceMinute = Math.max(peak(values, from, to), beyond);
  const sinceFive = Math.max(peak(values, Math.max(start, n - five - twenty), n - five), beyond);
  const severity = Math.max(
    (values[n] - sinceMinute) / (suddenMinute * level),
    (values[n] - sinceFive) / (suddenFive * level),
  );
  return { before, highest: Math.min(sinceMinute, sinceFive), severity };
}

/** The highest that earlier days had around this time; 0 where none is known. */
function ofDays({ values, start }: Points, n: number, { day, minute, twenty }: LeadShape, before: number): number {
  const highest = (days: number): number => {
    const then = n - days * day;
    if (then - minute - twenty < start) return Number.NaN;
    const levelThen = mean(values, then - minute - twenty + 1, then - minute);
    const raised = levelThen > 0 ? Math.min(mostLevelRise, Math.max(1, before / levelThen)) : 1;
    return raised * peak(values, then - twenty, Math.min(then + twenty, n - minute));
  };
  const near = [1, 2, 3].map(highest).filter((value) => !Number.isNaN(value));
  near.sort((a, b) => b - a);
  const week = highest(7);
  if (Number.isNaN(week)) return near[0] ?? 0;
  return Math.max(week, near[Math.min(1, near.length - 1)] ?? 0);
}

/**
 * The severity above which a rise is rare for this workload: at most one a day of the last seven lay above it; never below 1.
 *
 * **Cost**: some hundred sums a row, a row every 45 seconds.
 *
 * @param isFine whether points `[from, to)` show what happened within minutes; others teach nothing
 */
export function rareSeverity(
  points: Points,
  shape: LeadShape,
  every: number,
  isFine: (from: number, to: number) => boolean,
): number {
  const { start, length } = points;
  const first = Math.max(start + shape.day, length - learnDays * shape.day);
  if (length <= first) return 1;
  const episodes: number[] = []; // the worst of each
  let lastRow = Number.NEGATIVE_INFINITY;
  for (let n = first; n < length; n += every) {
    if (!isFine(n - shape.five, n + 1)) continue;
    const severity = explain(points, n, shape)?.severity ?? 0;
    if (severity < 1) continue;
    if (n - lastRow <= shape.twenty) episodes[episodes.length - 1] = Math.max(episodes[episodes.length - 1], severity);
    else episodes.push(severity);
    lastRow = n;
  }
  episodes.sort((a, b) => b - a);
  const allowed = Math.ceil((mostPerDay * (length - first)) / shape.day);
  return Math.max(1, episodes[allowed] ?? 1);
}

function peak(values: ArrayLike<number>, from: number, to: number): number {
  let highest = 0;
  for (let i = from; i <= to; i++) if (values[i] > highest) highest = values[i];
  return highest;
}

function mean(values: ArrayLike<number>, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i <= to; i++) sum += values[i];
  return to >= from ? sum / (to - from + 1) : 0;
}
