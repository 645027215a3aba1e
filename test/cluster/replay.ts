/** One sample of a series. */
export interface Point {
  readonly timeMs: number;
  readonly value: number;
}

/**
 * Moves a recorded series in time, so that what stood at `anchorMs` happens at `atMs`: a steep ramp of a trace begins
 * two minutes after the test does, say.
 */
export function shift(points: readonly Point[], anchorMs: number, atMs: number): Point[] {
  return points.map(({ timeMs, value }) => ({ timeMs: timeMs - anchorMs + atMs, value }));
}

/** Splits a series into what is over at `nowMs`, to be backfilled, and what is still to come, to be played live. */
export function splitAt(points: readonly Point[], nowMs: number): { past: Point[]; future: Point[] } {
  return {
    past: points.filter((point) => point.timeMs <= nowMs),
    future: points.filter((point) => point.timeMs > nowMs),
  };
}

/**
 * The value of a series at a moment, on the straight line between its neighbours.
 *
 * @param points ordered by time, at least one
 * @returns the first value before the series, the last one after it
 */
export function valueAt(points: readonly Point[], timeMs: number): number {
  const next = points.findIndex((point) => point.timeMs > timeMs);
  if (next === 0) return points[0].value;
  if (next === -1) return points.at(-1)!.value;
  const [before, after] = [points[next - 1], points[next]];
  const share = (timeMs - before.timeMs) / (after.timeMs - before.timeMs);
  return before.value + share * (after.value - before.value);
}
