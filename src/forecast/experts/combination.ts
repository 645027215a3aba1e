import { type Bucket, logCenters } from "../quantiles/lead-buckets.ts";
import { gridLevels, medianIndex } from "../quantiles/quantile-grid.ts";
import type { Expert } from "./expert.ts";

/** The experts' quantiles for the same leads: one `[level · leads + lead]` array each, `undefined` where an expert has no forecast. */
export type ExpertQuantiles = readonly (Float64Array | undefined)[];

/** One origin of the backtest: the quantiles of the experts, and the actual values. */
export interface BacktestOrigin {
  readonly leads: Int32Array;
  /** The actual value at each lead, NaN where missing. */
  readonly actual: Float64Array;
  readonly quantiles: ExpertQuantiles;
}

/** A loss that is a tenth smaller gives half as much weight again: 0.9^−4. */
const sharpness = 4;

/**
 * Weights of the experts in each bucket, from their mean pinball loss over the levels 0.1 … 0.9 in the backtest:
 * prior weight · (loss / least loss)^−4, summing to 1. A bucket with fewer than four values uses the losses of all leads.
 *
 * @returns `[bucket][expert]`, or undefined where the backtest has no values
 */
export function weighExperts(
  backtest: readonly BacktestOrigin[],
  experts: readonly Expert[],
  buckets: readonly Bucket[],
): number[][] | undefined {
  const losses = buckets.map(() => new Float64Array(experts.length));
  const counts = new Float64Array(buckets.length);
  for (const origin of backtest) {
    for (let l = 0; l < origin.leads.length; l++) {
      if (Number.isNaN(origin.actual[l])) continue;
      const b = buckets.findIndex(({ from, to }) => origin.leads[l] >= from && origin.leads[l] < to);
      if (b < 0) continue;
      counts[b]++;
      for (let x = 0; x < experts.length; x++) losses[b][x] += pinball(origin, x, l);
    }
  }
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return undefined;
  const overall = losses.reduce((sums, loss) => sums.map((sum, x) => sum + loss[x]), new Float64Array(experts.length));
  return buckets.map((_, b) =>
    weightsOf(experts, b, counts[b] >= 4 ? losses[b].map((v) => v / counts[b]) : overall.map((v) => v / all)),
  );
}

function weightsOf(experts: readonly Expert[], bucket: number, losses: Float64Array): number[] {
  const least = Math.max(Math.min(...losses), 1e-12);
  const weights = experts.map(({ trust }, x) => {
    const before = trust?.[Math.min(bucket, trust.length - 1)] ?? 1;
    return before * (Math.max(losses[x], least) / least) ** -sharpness;
  });
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

const scoredFrom = gridLevels.indexOf(0.1);
const scoredTo = gridLevels.indexOf(0.9);

/** Mean pinball loss over 0.1 … 0.9; infinite for an expert without a forecast. */
function pinball({ actual, leads, quantiles }: BacktestOrigin, expert: number, l: number): number {
  const own = quantiles[expert];
  if (own === undefined) return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (let q = scoredFrom; q <= scoredTo; q++) {
    const error = actual[l] - own[q * leads.length + l];
    sum += error >= 0 ? gridLevels[q] * error : (gridLevels[q] - 1) * error;
  }
  return sum / (scoredTo - scoredFrom + 1);
}

/**
 * The experts' weighted median for each level and lead, which a single wrong expert cannot move far. Weights are interpolated
 * between the middles of the buckets, linear in log lead.
 *
 * @param weights `[bucket][expert]`
 * @returns `[level · leads + lead]`, ascending over the levels
 */
export function combine(
  quantiles: ExpertQuantiles,
  leads: Int32Array,
  buckets: readonly Bucket[],
  weights: readonly (readonly number[])[],
): Float64Array {
  const many = leads.length;
  const present = quantiles.flatMap((own, x) => (own === undefined ? [] : [x]));
  const centers = logCenters(buckets);
  const at = new Float64Array(present.length);
  const values = new Float64Array(present.length);
  const shares = new Float64Array(present.length);
  const out = new Float64Array(gridLevels.length * many);
  for (let l = 0, b = 0; l < many; l++) {
    const lead = Math.log(leads[l] + 0.5);
    while (b + 1 < buckets.length && centers[b + 1] <= lead) b++;
    const next = Math.min(b + 1, buckets.length - 1);
    const part = next > b ? Math.max(0, (lead - centers[b]) / (centers[next] - centers[b])) : 0;
    let total = 0;
    for (let p = 0; p < present.length; p++) {
      at[p] = (1 - part) * weights[b][present[p]] + part * weights[next][present[p]];
      total += at[p];
    }
    if (!(total > 0)) {
      at.fill(1);
      total = present.length;
    }
    for (let q = 0; q < gridLevels.length; q++) {
      for (let p = 0; p < present.length; p++) {
        values[p] = quantiles[present[p]]![q * many + l];
        shares[p] = at[p];
      }
      out[q * many + l] = weightedMedian(values, shares, total);
    }
    sortLevels(out, l, many);
  }
  return out;
}

/** Weighted median of a few values, sorted in place by insertion; the rule of `weightedQuantiles` at level 0.5. */
function weightedMedian(values: Float64Array, weights: Float64Array, total: number): number {
  const n = values.length;
  for (let i = 1; i < n; i++) {
    const value = values[i];
    const weight = weights[i];
    let j = i - 1;
    for (; j >= 0 && values[j] > value; j--) {
      values[j + 1] = values[j];
      weights[j + 1] = weights[j];
    }
    values[j + 1] = value;
    weights[j + 1] = weight;
  }
  let before = 0;
  let lastShare = -1;
  let lastValue = values[n - 1];
  for (let k = 0; k < n; k++) {
    const weight = weights[k] / total;
    if (!(weight > 0)) continue;
    const share = before + weight / 2;
    before += weight;
    if (share >= 0.5)
      return lastShare < 0
        ? values[k]
        : lastValue + ((values[k] - lastValue) * (0.5 - lastShare)) / (share - lastShare);
    lastShare = share;
    lastValue = values[k];
  }
  return lastValue;
}

/** Puts the levels of one lead in ascending order. */
function sortLevels(quantiles: Float64Array, l: number, many: number): void {
  for (let q = 1; q < gridLevels.length; q++) {
    const value = quantiles[q * many + l];
    let p = q - 1;
    for (; p >= 0 && quantiles[p * many + l] > value; p--) quantiles[(p + 1) * many + l] = quantiles[p * many + l];
    quantiles[(p + 1) * many + l] = value;
  }
}

const upperIndex = gridLevels.indexOf(0.9);

/**
 * Calibration of the upper quantiles: the 0.9 quantile of (value − median) / (q.9 − median) in the backtest, its fourth root (a full
 * recalibration overfits: measured). 1 below 40 values.
 *
 * @param combined the combined quantiles at each origin
 */
export function upperStretch(backtest: readonly BacktestOrigin[], combined: readonly Float64Array[]): number {
  const ratios: number[] = [];
  backtest.forEach(({ leads, actual }, r) => {
    const many = leads.length;
    const median = combined[r].subarray(medianIndex * many, (medianIndex + 1) * many);
    const upper = combined[r].subarray(upperIndex * many, (upperIndex + 1) * many);
    let mean = 0;
    for (let l = 0; l < many; l++) mean += (upper[l] - median[l]) / many;
    for (let l = 0; l < many; l++) {
      const spread = Math.max(upper[l] - median[l], 0.05 * mean + 1e-12);
      if (!Number.isNaN(actual[l])) ratios.push((actual[l] - median[l]) / spread);
    }
  });
  if (ratios.length < 40) return 1;
  const sorted = Float64Array.from(ratios).sort();
  const at = 0.9 * (sorted.length - 1);
  const below = sorted[Math.floor(at)];
  const quantile = below + (sorted[Math.ceil(at)] - below) * (at - Math.floor(at));
  return Math.min(3, Math.max(0.3, quantile)) ** 0.25;
}

/** Factor on the upper levels at 8 hours and beyond: future days differ more than those of the backtest. */
const widening: Readonly<Record<number, number>> = { 0.9: 1.125, 0.95: 1.375, 0.99: 2 };

/** Moves the upper levels away from the median, in place: by `stretch`, and by more at longer leads (from one hour on). */
export function widenUpper(
  quantiles: Float64Array,
  leads: Int32Array,
  stepsPerHour: number,
  stretch: number,
): Float64Array {
  const many = leads.length;
  for (let l = 0; l < many; l++) {
    const median = quantiles[medianIndex * many + l];
    const far = Math.min(1, Math.max(0, Math.log((leads[l] + 0.5) / stepsPerHour) / Math.log(8)));
    for (let q = upperIndex; q < gridLevels.length; q++) {
      const factor = stretch * (1 + (widening[gridLevels[q]] - 1) * far);
      quantiles[q * many + l] = median + (quantiles[q * many + l] - median) * factor;
    }
    sortLevels(quantiles, l, many);
  }
  return quantiles;
}
