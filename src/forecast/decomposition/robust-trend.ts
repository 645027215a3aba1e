import { solvePentadiagonal } from "../../series/banded.ts";
import {
  finiteOf,
  huberThreshold,
  huberWeight,
  median,
  robustScale,
  softThreshold,
} from "../../series/statistics/robust-statistics.ts";
import { addCurvature, addSlope, hodrickPrescott } from "../../series/transforms/hodrick-prescott.ts";

/**
 * Trend of a series without a period.
 *
 * **Source**: Wen, Gao, Song, Sun and Tan, RobustTrend: a Huber loss with a combined first and second order difference
 * regularization for time series trend filtering (IJCAI 2019): min Σ g_γ(y − τ) + λ₁‖D₁τ‖₁ + λ₂‖D₂τ‖₁.
 *
 * **Differs**: the series is first divided by the spread of its steps, so that the weights mean the same at every scale;
 * missing samples have no loss, and the trend is interpolated over them.
 *
 * **Cost**: O(n) per pass, a pentadiagonal solve; at most `passes` of them.
 */
export interface RobustTrendOptions {
  /** λ₁, on changes of level. */
  readonly levelPenalty?: number;
  /** λ₂, on changes of slope. */
  readonly slopePenalty?: number;
  /** Most alternating passes. */
  readonly passes?: number;
}

/** A fitted trend. */
export interface FittedTrend {
  /** n finite values. */
  readonly trend: Float64Array;
  /** Series minus trend; NaN where missing. */
  readonly remainder: Float64Array;
  /** The trend extrapolated with a slope that is damped by `damping` per step; `horizon` values. */
  predict(horizon: number, damping?: number): Float64Array;
}

const rho = 1;
const tolerance = 1e-4;

/**
 * An estimator of trends; `fit` takes samples (NaN where missing) and never changes them.
 *
 * @throws RangeError in `fit` when nothing is present
 */
export function robustTrend(options: RobustTrendOptions = {}) {
  return { fit: (values: Float64Array): FittedTrend => fitTrend(values, options) };
}

function fitTrend(values: Float64Array, options: RobustTrendOptions): FittedTrend {
  const present = finiteOf(values);
  if (present.length === 0) throw new RangeError("a trend needs at least one sample that is present");
  const center = median(present);
  const scale = stepSpread(present) || robustScale(present, center);
  const trend = new Float64Array(values.length).fill(center);
  if (scale > 0) {
    const y = values.map((v) => (v - center) / scale);
    solveTrend(y, options).forEach((v, t) => {
      trend[t] = center + scale * v;
    });
  }
  return {
    trend,
    remainder: values.map((v, t) => v - trend[t]),
    predict: (horizon, damping = 0.98) => extrapolateTrend(trend, horizon, damping),
  };
}

/** Noise beside a trend: the spread of steps from sample to sample, over √2. */
function stepSpread(present: Float64Array): number {
  const steps = new Float64Array(Math.max(0, present.length - 1));
  for (let i = 0; i < steps.length; i++) steps[i] = present[i + 1] - present[i];
  return robustScale(steps, 0) / Math.SQRT2;
}

/** ADMM on z = [λ₁D₁τ; λ₂D₂τ], with one majorising step of the Huber loss a pass. */
function solveTrend(
  y: Float64Array,
  { levelPenalty = 1, slopePenalty = 10, passes = 100 }: RobustTrendOptions,
): Float64Array {
  const n = y.length;
  const slopes = Math.max(0, n - 1);
  const curves = Math.max(0, n - 2);
  let tau = hodrickPrescott(y, 100);
  const z1 = new Float64Array(slopes);
  const z2 = new Float64Array(curves);
  const u1 = new Float64Array(slopes);
  const u2 = new Float64Array(curves);
  const main = new Float64Array(n);
  const first = new Float64Array(n);
  const second = new Float64Array(n);
  for (let pass = 0; pass < passes; pass++) {
    const right = new Float64Array(n);
    main.fill(1e-9); // keeps the matrix definite within long gaps, where samples have no loss
    first.fill(0);
    second.fill(0);
    for (let t = 0; t < n; t++) {
      if (!Number.isFinite(y[t])) continue;
      const weight = huberWeight(y[t] - tau[t], huberThreshold);
      main[t] += weight;
      right[t] = weight * y[t];
    }
    addSlope(main, first, rho * levelPenalty ** 2);
    addCurvature(main, first, second, rho * slopePenalty ** 2);
    for (let t = 0; t < slopes; t++) {
      const v = rho * levelPenalty * (z1[t] - u1[t]);
      right[t] -= v;
      right[t + 1] += v;
    }
    for (let t = 0; t < curves; t++) {
      const v = rho * slopePenalty * (z2[t] - u2[t]);
      right[t] += v;
      right[t + 1] -= 2 * v;
      right[t + 2] += v;
    }
    solvePentadiagonal(main, first, second, right);
    let moved = 0;
    for (let t = 0; t < n; t++) moved = Math.max(moved, Math.abs(right[t] - tau[t]));
    tau = right;
    let split = 0;
    for (let t = 0; t < slopes; t++) {
      const d = levelPenalty * (tau[t + 1] - tau[t]);
      z1[t] = softThreshold(d + u1[t], 1 / rho);
      u1[t] += d - z1[t];
      split = Math.max(split, Math.abs(d - z1[t]));
    }
    for (let t = 0; t < curves; t++) {
      const d = slopePenalty * (tau[t] - 2 * tau[t + 1] + tau[t + 2]);
      z2[t] = softThreshold(d + u2[t], 1 / rho);
      u2[t] += d - z2[t];
      split = Math.max(split, Math.abs(d - z2[t]));
    }
    if (moved < tolerance && split < 10 * tolerance) break;
  }
  return tau;
}

/**
 * Holt's damped trend: the slope smoothed over the end of the trend, then extrapolated with damping (Gardner and McKenzie 1985).
 *
 * @param trend finite values, from 1
 * @param damping φ in (0, 1): the share of the slope that is left a step later
 * @param memory steps that the slope looks back over
 */
export function extrapolateTrend(trend: Float64Array, horizon: number, damping = 0.98, memory = 24): Float64Array {
  const n = trend.length;
  const back = Math.min(memory, n - 1);
  let slope = back > 0 ? (trend[n - 1] - trend[n - 1 - back]) / back : 0;
  const beta = 2 / (back + 1);
  for (let t = n - back; t < n; t++) slope += beta * (trend[t] - trend[t - 1] - slope);
  const ahead = new Float64Array(horizon);
  let value = trend[n - 1];
  let step = slope;
  for (let j = 0; j < horizon; j++) {
    step *= damping;
    value += step;
    ahead[j] = value;
  }
  return ahead;
}
