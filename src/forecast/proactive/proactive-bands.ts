import type { Bucket } from "../experts/combination.ts";
import type { Forecast } from "../forecast.ts";
import { type Examples, type QuantileForest, quantileForest } from "./quantile-forest.ts";

/** Examples of what was missed at past leads, in spreads. */
export interface ErrorExamples extends Examples {
  readonly groups: Int32Array;
  /** Lead of each example, in steps. */
  readonly leads: Int32Array;
}

/** What is asked: features of each lead ahead. */
export interface AheadFeatures {
  /** `[lead · width + feature]` */
  readonly features: Float64Array;
  readonly leads: Int32Array;
}

const fewestExamples = 60;
const fewestInBucket = 30;

/**
 * Quantiles of what will be missed: the forest's, shifted bucket by bucket so that held-back examples come at or below each
 * level as often as it says.
 *
 * @returns `quantiles[level][lead]` in spreads, ascending over the levels; two normal deviations' worth below 60 examples
 */
export function errorQuantiles(
  missed: ErrorExamples,
  { features, leads }: AheadFeatures,
  buckets: readonly Bucket[],
  levels: readonly number[],
): { quantiles: Float64Array[]; coverage: Forecast["coverage"] } {
  const many = missed.responses.length;
  if (many < fewestExamples || new Set(missed.groups).size < 2)
    return { quantiles: levels.map((level) => new Float64Array(leads.length).fill(wide(level))), coverage: [] };
  const forest = quantileForest().fit(missed);
  const errors = errorsOutOfBag(missed, forest, levels);
  const shifts = buckets.map((bucket) => shiftsOf(within(missed, errors, bucket), levels));
  const centers = buckets.map(({ from, to }) => Math.log((from + to) / 2));
  const quantiles = levels.map(() => new Float64Array(leads.length));
  for (let l = 0; l < leads.length; l++) {
    const from = l * missed.width;
    const shift = between(centers, Math.log(leads[l] + 0.5), shifts);
    const row = forest.quantiles(features.subarray(from, from + missed.width), levels).map((v, k) => v + shift[k]);
    row.sort().forEach((v, k) => {
      quantiles[k][l] = v;
    });
  }
  return { quantiles, coverage: coverageOf(missed, errors, buckets, levels) };
}

/** Twice a normal's quantile, by the logistic approximation: a few examples do not tell how far values stray. */
function wide(level: number): number {
  return (2 / 1.702) * Math.log(level / (1 - level));
}

interface OutOfBag {
  readonly row: number;
  /** Response less the quantile that trees without its group give, for each level. */
  readonly errors: Float64Array;
}

function errorsOutOfBag(missed: ErrorExamples, forest: QuantileForest, levels: readonly number[]): OutOfBag[] {
  const all: OutOfBag[] = [];
  for (let row = 0; row < missed.responses.length; row++) {
    const quantiles = forest.outOfBag(row, levels);
    if (quantiles) all.push({ row, errors: quantiles.map((v) => missed.responses[row] - v) });
  }
  return all;
}

/** Those of the bucket's leads; all, where they are too few to tell. */
function within({ leads }: ErrorExamples, errors: readonly OutOfBag[], { from, to }: Bucket): readonly OutOfBag[] {
  const near = errors.filter(({ row }) => leads[row] >= from && leads[row] < to);
  return near.length >= fewestInBucket ? near : errors;
}

/** For each level its own quantile of the errors, with the n + 1 of conformal prediction. */
function shiftsOf(errors: readonly OutOfBag[], levels: readonly number[]): Float64Array {
  return Float64Array.from(levels, (level, k) => {
    const sorted = Float64Array.from(errors, (one) => one.errors[k]).sort();
    const place = Math.ceil(level * (sorted.length + 1)) - 1;
    return sorted[Math.max(0, Math.min(sorted.length - 1, place))];
  });
}

/** Each group by the shifts of the others: no forecast may be measured by what it was made from. */
function coverageOf(
  missed: ErrorExamples,
  errors: readonly OutOfBag[],
  buckets: readonly Bucket[],
  levels: readonly number[],
): Forecast["coverage"] {
  const atOrBelow = levels.map(() => 0);
  let samples = 0;
  for (const group of new Set(missed.groups)) {
    const others = errors.filter(({ row }) => missed.groups[row] !== group);
    const own = errors.filter(({ row }) => missed.groups[row] === group);
    if (others.length === 0) continue;
    for (const bucket of buckets) {
      const shifts = shiftsOf(within(missed, others, bucket), levels);
      for (const one of own) {
        if (missed.leads[one.row] < bucket.from || missed.leads[one.row] >= bucket.to) continue;
        samples++;
        one.errors.forEach((error, k) => {
          if (error <= shifts[k]) atOrBelow[k]++;
        });
      }
    }
  }
  if (samples === 0) return [];
  return levels.map((level, k) => ({ level, observed: atOrBelow[k] / samples, samples }));
}

/** Rows between the x that they stand at, ascending; those at the ends beyond. */
export function between(x: readonly number[], at: number, rows: readonly Float64Array[]): Float64Array {
  let i = 0;
  while (i + 1 < x.length && x[i + 1] <= at) i++;
  if (i + 1 >= x.length || at <= x[0]) return rows[at <= x[0] ? 0 : x.length - 1];
  const part = (at - x[i]) / (x[i + 1] - x[i]);
  return rows[i].map((v, k) => v + part * (rows[i + 1][k] - v));
}
