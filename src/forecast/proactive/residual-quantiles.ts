import { coverageFrom } from "../coverage.ts";
import type { Forecast } from "../forecast.ts";
import { wideNormalQuantile } from "../quantiles/conformal-quantile.ts";
import { type Bucket, interpolateRows, logCenters } from "../quantiles/lead-buckets.ts";
import { type Examples, type QuantileForest, quantileForest } from "./quantile-forest.ts";

/** Residuals of past forecasts, in spreads, with their features. */
export interface ResidualExamples extends Examples {
  readonly groups: Int32Array;
  /** Lead of each example, in steps. */
  readonly leads: Int32Array;
}

/** The features of each lead to forecast. */
export interface LeadFeatures {
  /** `[lead · width + feature]` */
  readonly features: Float64Array;
  readonly leads: Int32Array;
}

const fewestExamples = 60;
const fewestInBucket = 30;

/**
 * Quantiles of future residuals: the forest's, shifted in each bucket of leads so that each level has its coverage on out-of-bag
 * examples (conformalized quantile regression).
 *
 * @returns `quantiles[level][lead]` in spreads, ascending over the levels; twice a normal's below 60 examples
 */
export function residualQuantiles(
  examples: ResidualExamples,
  { features, leads }: LeadFeatures,
  buckets: readonly Bucket[],
  levels: readonly number[],
): { quantiles: Float64Array[]; coverage: Forecast["coverage"] } {
  const many = examples.responses.length;
  if (many < fewestExamples || new Set(examples.groups).size < 2)
    return {
      quantiles: levels.map((level) => new Float64Array(leads.length).fill(wideNormalQuantile(level))),
      coverage: [],
    };
  const forest = quantileForest().fit(examples);
  const errors = errorsOutOfBag(examples, forest, levels);
  const shifts = buckets.map((bucket) => shiftsOf(within(examples, errors, bucket), levels));
  const centers = logCenters(buckets);
  const quantiles = levels.map(() => new Float64Array(leads.length));
  for (let l = 0; l < leads.length; l++) {
    const from = l * examples.width;
    const shift = interpolateRows(centers, Math.log(leads[l] + 0.5), shifts);
    const row = forest.quantiles(features.subarray(from, from + examples.width), levels).map((v, k) => v + shift[k]);
    row.sort().forEach((v, k) => {
      quantiles[k][l] = v;
    });
  }
  return { quantiles, coverage: coverageOf(examples, errors, buckets, levels) };
}

interface OutOfBag {
  readonly row: number;
  /** Response less the quantile that trees without its group give, for each level. */
  readonly errors: Float64Array;
}

function errorsOutOfBag(examples: ResidualExamples, forest: QuantileForest, levels: readonly number[]): OutOfBag[] {
  const all: OutOfBag[] = [];
  for (let row = 0; row < examples.responses.length; row++) {
    const quantiles = forest.outOfBag(row, levels);
    if (quantiles) all.push({ row, errors: quantiles.map((v) => examples.responses[row] - v) });
  }
  return all;
}

/** Those of the bucket's leads; all where these are too few. */
function within({ leads }: ResidualExamples, errors: readonly OutOfBag[], { from, to }: Bucket): readonly OutOfBag[] {
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

/** Each group is scored with the shifts of the others: no forecast may be scored on its own training data. */
function coverageOf(
  examples: ResidualExamples,
  errors: readonly OutOfBag[],
  buckets: readonly Bucket[],
  levels: readonly number[],
): Forecast["coverage"] {
  const atOrBelow = levels.map(() => 0);
  let samples = 0;
  for (const group of new Set(examples.groups)) {
    const others = errors.filter(({ row }) => examples.groups[row] !== group);
    const own = errors.filter(({ row }) => examples.groups[row] === group);
    if (others.length === 0) continue;
    for (const bucket of buckets) {
      const shifts = shiftsOf(within(examples, others, bucket), levels);
      for (const one of own) {
        if (examples.leads[one.row] < bucket.from || examples.leads[one.row] >= bucket.to) continue;
        samples++;
        one.errors.forEach((error, k) => {
          if (error <= shifts[k]) atOrBelow[k]++;
        });
      }
    }
  }
  return coverageFrom(levels, atOrBelow, samples);
}
