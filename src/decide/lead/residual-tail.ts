/** How often a surprise, in units of its scale, was larger than `e`: the empirical tail, continued exponentially beyond the largest seen. */
export interface ResidualTail {
  /** Surprises seen, ascending; never empty. */
  readonly surprises: Float64Array;
}

/** @param surprises in units of their scale, in any order; at least one, none NaN */
export function residualTailOf(surprises: Float64Array): ResidualTail {
  if (surprises.length === 0) throw new RangeError("a tail needs at least one surprise");
  return { surprises: surprises.toSorted() };
}

/** The probability, in (0, 1], of a surprise above `e`: falls as `e` rises. n surprises leave 1/(n + 1) for what was never seen. */
export function exceedance(tail: ResidualTail, e: number): number {
  const { surprises } = tail;
  const n = surprises.length;
  const largest = surprises[n - 1];
  if (e >= largest) return Math.exp((largest - e) / Math.max(1e-9, 0.3 * largest)) / (n + 1);
  let [low, high] = [0, n]; // how many surprises are ≤ e
  while (low < high) {
    const middle = (low + high) >> 1;
    if (surprises[middle] <= e) low = middle + 1;
    else high = middle;
  }
  return 1 - low / (n + 1);
}

/** The surprise that a share `level` of those seen did not exceed. */
export function residualAt({ surprises }: ResidualTail, level: number): number {
  return surprises[Math.min(surprises.length - 1, Math.max(0, Math.ceil(level * surprises.length) - 1))];
}

/** The tail of a load whose surprises are not known yet: exponential, its mean the unit. */
export const exponentialTail: ResidualTail = {
  surprises: Float64Array.from({ length: 200 }, (_, k) => -Math.log(1 - (k + 0.5) / 200)),
};
