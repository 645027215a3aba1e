import type { Backtest } from "../demand/backtest.ts";
import type { LeadShape } from "../demand/lead-shape.ts";
import { type ResidualTail, residualAt, residualTailOf } from "../demand/residual-tail.ts";
import { baseFeatures, Feature, featureCount, readFeatures, scaleFeatures } from "./lead-features.ts";
import { tableOfStatistics } from "./load-statistics.ts";

/** The conditional distribution of the largest demand over the lead, learnt from the past: `base + scale · e`, e of known tail. */
export interface LeadFit {
  readonly base: Float64Array; // a weight for each of `baseFeatures`
  readonly scale: Float64Array; // a weight for each of `scaleFeatures`, none negative
  /** Added to the scale, pods: a load without residuals so far may still have some. */
  readonly scaleFloor: number;
  readonly tail: ResidualTail;
  /** Mean demand, and mean of the pods that a clairvoyant would have run: what a pod more costs is measured by it. */
  readonly meanLoad: number;
  readonly meanPods: number;
  /** Rows learnt from. */
  readonly rows: number;
  /** How the middle of the distribution did on those rows. */
  readonly backtest: Backtest;
}

/** The part of a distribution that one tick's features give. */
export interface DemandOutlook {
  readonly base: number;
  readonly scale: number;
}

const ridge = 1e-4;
const scaleRounds = 4;
const scaleRidge = 1e-3;
/** Learning from every point would only repeat itself: neighbours share most of their lead. */
const rowEveryMs = 45_000;
const learnDays = 7;

export interface KnownLoad {
  readonly values: Float32Array;
  /** Points below are known. */
  readonly length: number;
  readonly start: number;
  readonly stepMs: number;
  /** `fine[b] − fine[a]` counts the points of `[a, b)` that show what happened within minutes. */
  readonly fine: Int32Array;
  /** The values as they would look had they come live; absent where they look the same. */
  readonly seen?: Float32Array;
}

/**
 * Fits base, scale and tail on the last seven days that are known.
 *
 * **Source**: our own recipe. Base: ridge least squares of the rise M − x without intercept.
 * Scale: non-negative least squares of |M − b|, reweighted by its own fit. ResidualTail: the empirical one of (M − b)/s.
 * **Cost**: O(rows · features²), some ten milliseconds for seven days of 15-second points.
 *
 * @returns undefined where less than a day of rows is left to learn from
 */
export function fitLead(load: KnownLoad, shape: LeadShape): LeadFit | undefined {
  const { values, length, start, stepMs, fine } = load;
  const { lead, lag, day } = shape;
  const from = Math.max(start + day, length - learnDays * day);
  const every = Math.max(1, Math.round(rowEveryMs / stepMs));
  const week = Math.max(start, length - learnDays * day);
  const meanLoad = meanOf(values, week, length);
  const truth = tableOfStatistics(values, length, start, shape, meanLoad);
  const table = load.seen === undefined ? truth : tableOfStatistics(load.seen, length, start, shape, meanLoad);

  const capacity = Math.max(0, Math.ceil((length - lead - from) / every));
  const rows = new Float64Array(capacity * featureCount);
  const largest = new Float64Array(capacity);
  const dayBefore = new Float64Array(capacity); // what repeating the last day would have said
  let count = 0;
  const row = new Float64Array(featureCount);
  for (let i = from; i + lead < length; i += every) {
    const first = Math.max(start, i - lag - 1);
    if (fine[i + lead + 1] - fine[first] < i + lead + 1 - first) continue; // a gap or coarse history: nothing was seen there
    readFeatures(table, shape, i, row);
    rows.set(row, count * featureCount);
    dayBefore[count] = i - day >= start ? truth.largest[i + lead - day] : Number.NaN;
    largest[count++] = truth.largest[i + lead];
  }
  if (count * every < day * 0.75 || !(meanLoad >= 0)) return undefined;

  const base = fitBase(rows, largest, count);
  const residual = new Float64Array(count); // M − b
  for (let k = 0; k < count; k++) {
    const at = rows.subarray(k * featureCount, (k + 1) * featureCount);
    residual[k] = largest[k] - baseOf(at, base, shape);
  }
  let meanResidual = 0;
  for (let k = 0; k < count; k++) meanResidual += Math.abs(residual[k]) / count;
  const scale = fitScale(rows, residual, count, meanResidual);
  const scaleFloor = Math.max(0.2 * meanResidual + 1e-3 * meanLoad, 1e-9);
  const scales = Float64Array.from(
    { length: count },
    (_, k) => dot(rows, k * featureCount, scaleFeatures, scale) + scaleFloor,
  );
  for (let k = 0; k < count; k++) residual[k] /= scales[k];
  const tail = residualTailOf(residual);

  let pods = 0;
  for (let i = week; i < length; i++) {
    const ahead = Math.min(length - 1, i + lead);
    pods += Math.max(1, Math.ceil(truth.largest[ahead]));
  }
  const meanPods = pods / Math.max(1, length - week);
  const backtest = backtestOf(largest, dayBefore, residual, scales, residualAt(tail, 0.5));
  return { base, scale, scaleFloor, tail, meanLoad, meanPods, rows: count, backtest };
}

/** Errors of the middle, and of repeating the day before, on the rows learnt from. */
function backtestOf(
  largest: Float64Array,
  dayBefore: Float64Array,
  residual: Float64Array,
  scales: Float64Array,
  middle: number,
): Backtest {
  let [error, load, compared, naive] = [0, 0, 0, 0];
  for (let k = 0; k < residual.length; k++) {
    const miss = Math.abs(residual[k] - middle) * scales[k];
    error += miss;
    load += largest[k];
    if (Number.isNaN(dayBefore[k])) continue;
    compared += miss;
    naive += Math.abs(largest[k] - dayBefore[k]);
  }
  const n = Math.max(1, residual.length);
  return {
    error: error / n,
    load: load / n,
    relativeError: naive > 0 ? compared / naive : compared > 0 ? Number.POSITIVE_INFINITY : 0,
    samples: residual.length,
  };
}

/** Base and scale at a tick. The base never falls faster below the newest value than the load itself fell: noise looks like a slope. */
export function demandOutlookAt(fit: LeadFit, shape: LeadShape, features: Float64Array): DemandOutlook {
  return {
    base: baseOf(features, fit.base, shape),
    scale: dot(features, 0, scaleFeatures, fit.scale) + fit.scaleFloor,
  };
}

function baseOf(features: Float64Array, weights: Float64Array, shape: LeadShape): number {
  const x = features[Feature.x];
  const base = x + dot(features, 0, baseFeatures, weights);
  const fall = Math.max(features[Feature.downPoint], features[Feature.downMinute]); // over lead and lag, at the recent pace
  const late = Math.min(2, Math.max(1, shape.lag)); // points by which x is old
  return Math.max(base, x - (fall * late) / (shape.lead + shape.lag));
}

function fitBase(rows: Float64Array, largest: Float64Array, count: number): Float64Array {
  const n = baseFeatures.length;
  const target = (k: number) => largest[k] - rows[k * featureCount + Feature.x];
  const { gram, right } = normalEquations({ rows, count, features: baseFeatures }, target);
  const size = Float64Array.from({ length: n }, (_, j) => Math.sqrt(gram[j * n + j] / count) + 1e-9);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) gram[i * n + j] /= count * size[i] * size[j];
    gram[i * n + i] += ridge;
    right[i] /= count * size[i];
  }
  const weights = solvePositive(gram, right);
  for (let j = 0; j < n; j++) weights[j] /= size[j];
  return weights;
}

function fitScale(rows: Float64Array, residual: Float64Array, count: number, meanResidual: number): Float64Array {
  const n = scaleFeatures.length;
  const size = new Float64Array(n);
  for (let k = 0; k < count; k++)
    for (let j = 0; j < n; j++) size[j] += rows[k * featureCount + scaleFeatures[j]] / count;
  for (let j = 0; j < n; j++) size[j] += 1e-9;

  let weights = new Float64Array(n);
  const trust = new Float64Array(count).fill(1);
  for (let round = 0; round < scaleRounds; round++) {
    const { gram, right } = normalEquations(
      { rows, count, features: scaleFeatures },
      (k) => Math.abs(residual[k]),
      trust,
    );
    let trace = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) gram[i * n + j] /= count * size[i] * size[j];
      right[i] /= count * size[i];
      trace += gram[i * n + i];
    }
    weights = solveNonNegative(gram, right, (scaleRidge * trace) / n);
    for (let j = 0; j < n; j++) weights[j] /= size[j];
    let mean = 0;
    for (let k = 0; k < count; k++) {
      const fitted = dot(rows, k * featureCount, scaleFeatures, weights);
      trust[k] = 1 / Math.max(fitted + 0.02 * meanResidual, 0.05 * meanResidual, 1e-12);
      mean += trust[k] / count;
    }
    for (let k = 0; k < count; k++) trust[k] /= mean;
  }
  return weights;
}

/** Rows of features, and which of them a fit uses. */
interface Design {
  /** `[row · featureCount + feature]` */
  readonly rows: Float64Array;
  readonly count: number;
  readonly features: readonly number[];
}

/** AᵀWA as `gram` (n × n) and AᵀWy as `right` (n), over the rows, for n chosen features; W is 1 where absent. */
function normalEquations(
  { rows, count, features }: Design,
  y: (k: number) => number,
  weights?: Float64Array,
): { gram: Float64Array; right: Float64Array } {
  const n = features.length;
  const gram = new Float64Array(n * n);
  const right = new Float64Array(n);
  const a = new Float64Array(n);
  for (let k = 0; k < count; k++) {
    const w = weights === undefined ? 1 : weights[k];
    const at = k * featureCount;
    for (let i = 0; i < n; i++) a[i] = rows[at + features[i]];
    const wy = w * y(k);
    for (let i = 0; i < n; i++) {
      const wa = w * a[i];
      right[i] += wy * a[i];
      for (let j = i; j < n; j++) gram[i * n + j] += wa * a[j];
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) gram[i * n + j] = gram[j * n + i];
  return { gram, right };
}

/** Solves Gw = r for a symmetric positive definite G (n × n, overwritten) by Cholesky's method. */
function solvePositive(gram: Float64Array, right: Float64Array): Float64Array {
  const n = right.length;
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = gram[i * n + j];
      for (let k = 0; k < j; k++) sum -= gram[i * n + k] * gram[j * n + k];
      gram[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / gram[j * n + j];
    }
  }
  const w = Float64Array.from(right);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) w[i] -= gram[i * n + k] * w[k];
    w[i] /= gram[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) w[i] -= gram[k * n + i] * w[k];
    w[i] /= gram[i * n + i];
  }
  return w;
}

/** Least squares with no weight below 0, by coordinate descent on the normal equations, `ridge` on their diagonal. */
function solveNonNegative(gram: Float64Array, right: Float64Array, ridge: number): Float64Array<ArrayBuffer> {
  const n = right.length;
  const w = new Float64Array(n);
  for (let sweep = 0; sweep < 200; sweep++) {
    for (let j = 0; j < n; j++) {
      const diagonal = gram[j * n + j];
      let rest = right[j] + diagonal * w[j];
      for (let k = 0; k < n; k++) rest -= gram[j * n + k] * w[k];
      w[j] = Math.max(0, rest / (diagonal + ridge || 1));
    }
  }
  return w;
}

function dot(rows: Float64Array, at: number, features: readonly number[], weights: Float64Array): number {
  let sum = 0;
  for (let j = 0; j < features.length; j++) sum += rows[at + features[j]] * weights[j];
  return sum;
}

function meanOf(values: Float32Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += values[i];
  return to > from ? sum / (to - from) : 0;
}
