/** Leads that are weighed or calibrated together: `from` ≤ lead < `to`, in steps. */
export interface Bucket {
  readonly from: number;
  readonly to: number;
}

/** Hours at which what predicts best changes: the present level, the course of the morning, the shape of the day, other days. */
const edgesHours = [0, 1, 3, 8, 24, 72, Number.POSITIVE_INFINITY];

export function bucketsOf(horizon: number, stepsPerHour: number): Bucket[] {
  const edges = edgesHours.map((hours, e) =>
    e === 0 ? 0 : Math.min(horizon, Math.max(1, Math.round(hours * stepsPerHour))),
  );
  return edges.slice(1).flatMap((to, e) => (to > edges[e] ? [{ from: edges[e], to }] : []));
}

/** The middle of each bucket, as the logarithm of its lead: where its values stand when leads between buckets are interpolated. */
export function logCenters(buckets: readonly Bucket[]): number[] {
  return buckets.map(({ from, to }) => Math.log((from + to) / 2));
}

/**
 * Linear interpolation of rows, value by value; the first or last row beyond the ends.
 *
 * @param x where the rows stand, ascending
 * @param rows one for each x, all of the same length
 */
export function interpolateRows(x: readonly number[], at: number, rows: readonly Float64Array[]): Float64Array {
  let i = 0;
  while (i + 1 < x.length && x[i + 1] <= at) i++;
  if (i + 1 >= x.length || at <= x[0]) return rows[at <= x[0] ? 0 : x.length - 1];
  const part = (at - x[i]) / (x[i + 1] - x[i]);
  return rows[i].map((v, k) => v + part * (rows[i + 1][k] - v));
}

/** Leads for a backtest: the first six, then `count` minus six at equal distances. */
export function spreadLeads(horizon: number, count: number): Int32Array {
  const leads = new Set<number>();
  for (let k = 0; k < count; k++) {
    const even = (k * (horizon - 1)) / (count - 1);
    leads.add(Math.min(horizon - 1, k < 6 ? k : Math.round(even)));
  }
  return Int32Array.from([...leads].sort((a, b) => a - b));
}
