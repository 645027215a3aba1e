/** Instants `startMs, startMs + stepMs, … ≤ endMs`: both ends belong to it, as in a range query. */
export interface Range {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
}

/** Stores refuse a range query of more than 11,000 points a series; below it there is room for their rounding. */
export const maxPointsPerQuery = 10_000;

/** Number of instants of a range; 0 where it ends before it starts. */
export function pointsOf(range: Range): number {
  return range.endMs < range.startMs ? 0 : Math.floor((range.endMs - range.startMs) / range.stepMs) + 1;
}

/**
 * A range cut into ranges of at most `maxPoints` instants, oldest first: together they hold each instant exactly once.
 * @throws RangeError when the step or `maxPoints` is out of its range
 */
export function chunksOf(range: Range, maxPoints = maxPointsPerQuery): Range[] {
  if (!(range.stepMs > 0)) throw new RangeError(`a range needs a step above 0, not ${range.stepMs} ms`);
  if (!(maxPoints >= 1)) throw new RangeError(`a chunk holds at least 1 point, not ${maxPoints}`);
  const points = pointsOf(range);
  const chunks: Range[] = [];
  for (let first = 0; first < points; first += maxPoints) {
    const last = Math.min(first + maxPoints, points) - 1;
    chunks.push({
      startMs: range.startMs + first * range.stepMs,
      endMs: range.startMs + last * range.stepMs,
      stepMs: range.stepMs,
    });
  }
  return chunks;
}
