import { median, quantileOfSorted } from "../series/statistics/robust-statistics.ts";
import { fitNonNegative } from "./robust-regression.ts";

/** Usage of a pod as a function of its share of the loads. */
export interface UsageModel {
  readonly name: "LinearWithBase" | "Residual";
  /** Of an idle pod, at least 0. */
  readonly base: number;
  /** Usage that one unit of each load adds, by the linear fit. */
  readonly slopes: readonly number[];
  /** @param perPod load of one pod, one value a load @returns usage of that pod, never falling with any load */
  usage(perPod: ArrayLike<number>): number;
}

/**
 * usage = Σ slope·load + base, per pod. Robust against single outliers; no coefficient is below 0.
 *
 * @param perPod n values of each load, per pod @param usage n values, per pod
 * @see AHPA's linear model with base load; Kapacity's first stage
 */
export function fitLinearUsage(perPod: readonly Float64Array[], usage: Float64Array, hasBase: boolean): UsageModel {
  const { slopes, base } = fitNonNegative(perPod, usage, hasBase);
  return {
    name: "LinearWithBase",
    base,
    slopes,
    usage: (loads) => {
      let sum = base;
      for (let j = 0; j < slopes.length; j++) sum += slopes[j] * loads[j];
      return sum;
    },
  };
}

/** Most bins of a curve, and fewest samples in a bin. */
const mostBins = 12;
const leastInBin = 20;
const passes = 4;

/**
 * The linear model with a correction along each load: usage = Σ curve(load), each curve piecewise linear and never falling.
 *
 * **Source**: Kapacity's linear-residual estimator (a linear fit, then trees on its residuals).
 * **Differs**: the residuals are fitted by an additive isotonic model (pool adjacent violators on medians of bins, backfitted) instead
 * of boosted trees. It cannot overshoot and never falls with the load, so that a number of pods is always found. Beyond the history
 * it continues with its last slope, or the linear fit's if that is steeper, where trees stay flat. Hour and weekday are no inputs.
 * **Cost**: O(passes · loads · n log n).
 */
export function fitResidualUsage(
  perPod: readonly Float64Array[],
  usage: Float64Array,
  linear: UsageModel,
): UsageModel | undefined {
  const n = usage.length;
  const bins = Math.min(mostBins, Math.floor(n / leastInBin));
  if (bins < 3) return undefined;
  let curves: Curve[] = linear.slopes.map((slope) => ({
    xs: [0],
    ys: [linear.base / linear.slopes.length],
    beyond: slope,
  }));
  for (let pass = 0; pass < (perPod.length > 1 ? passes : 1); pass++)
    for (let j = 0; j < perPod.length; j++) {
      const left = usage.slice();
      for (let l = 0; l < perPod.length; l++)
        if (l !== j) for (let i = 0; i < n; i++) left[i] -= valueAt(curves[l], perPod[l][i]);
      curves = curves.with(j, risingCurve(perPod[j], left, bins, linear.slopes[j]));
    }
  return {
    name: "Residual",
    base: curves.reduce((sum, { ys }) => sum + ys[0], 0),
    slopes: linear.slopes,
    usage: (loads) => {
      let sum = 0;
      for (let j = 0; j < curves.length; j++) sum += valueAt(curves[j], loads[j]);
      return sum;
    },
  };
}

/** Linear between its points, the first of which is at 0; `beyond` is the slope after the last. */
interface Curve {
  readonly xs: readonly number[];
  readonly ys: readonly number[];
  readonly beyond: number;
}

function valueAt({ xs, ys, beyond }: Curve, x: number): number {
  const last = xs.length - 1;
  if (x >= xs[last]) return ys[last] + beyond * (x - xs[last]);
  let k = 1;
  while (xs[k] < x) k++;
  return ys[k - 1] + ((ys[k] - ys[k - 1]) * (x - xs[k - 1])) / (xs[k] - xs[k - 1]);
}

function risingCurve(x: Float64Array, y: Float64Array, bins: number, slope: number): Curve {
  const order = Uint32Array.from(x, (_, i) => i).sort((a, b) => x[a] - x[b]);
  const blocks: { x: number; y: number; weight: number }[] = [];
  const points: { x: number; y: number }[] = [];
  for (let b = 0; b < bins; b++) {
    const members = order.subarray(Math.floor((b * x.length) / bins), Math.floor(((b + 1) * x.length) / bins));
    const at = median(Float64Array.from(members, (i) => x[i]));
    const value = Math.max(0, median(Float64Array.from(members, (i) => y[i])));
    const before = points.at(-1);
    if (before !== undefined && !(at > before.x * (1 + 1e-9))) continue; // the same value again
    points.push({ x: at, y: value });
  }
  for (const point of points) {
    blocks.push({ ...point, weight: 1 });
    while (blocks.length > 1 && blocks[blocks.length - 2].y > blocks[blocks.length - 1].y) {
      const after = blocks.pop()!;
      const before = blocks.pop()!;
      const weight = before.weight + after.weight;
      blocks.push({ x: 0, y: (before.y * before.weight + after.y * after.weight) / weight, weight });
    }
  }
  const ys = blocks.flatMap(({ y: level, weight }) => new Array<number>(weight).fill(level));
  const xs = points.map((point) => point.x);
  const last = xs.length - 1;
  const lastSlope = last > 0 ? (ys[last] - ys[last - 1]) / (xs[last] - xs[last - 1]) : 0;
  const beyond = Math.max(slope, lastSlope);
  if (xs[0] <= 0) return { xs, ys, beyond };
  return { xs: [0, ...xs], ys: [Math.max(0, ys[0] - slope * xs[0]), ...ys], beyond };
}

/** How far above the highest load per pod in the history a size may go; what happens there is learned before it goes further. */
export const mostExtrapolation = 1.5;

/** Pods for a load. */
export interface UsageSize {
  pods(loads: ArrayLike<number>): number;
  /** Whether `target` was limited because it lies too far above the history. */
  readonly isCut: boolean;
}

/**
 * The fewest pods, fractions included, with which no pod uses more than `target`.
 *
 * @param perPod the loads of the history, per pod @param target above 0
 * @returns undefined where no number of pods meets the target, as an idle pod already exceeds it
 */
export function sizeByUsage(model: UsageModel, perPod: readonly Float64Array[], target: number): UsageSize | undefined {
  const count = perPod.length;
  if (!(target > model.base)) return undefined;
  const at = new Float64Array(count);
  const used = Float64Array.from(perPod[0], (_, i) => {
    for (let j = 0; j < count; j++) at[j] = perPod[j][i];
    return model.usage(at);
  }).sort();
  const highest = quantileOfSorted(used, 0.995);
  const limit = model.base + mostExtrapolation * Math.max(0, highest - model.base);
  const goal = limit > model.base ? Math.min(target, limit) : target;

  if (model.name === "LinearWithBase")
    return {
      isCut: goal < target,
      pods: (loads) => {
        let sum = 0;
        for (let j = 0; j < count; j++) sum += model.slopes[j] * loads[j];
        return sum / (goal - model.base);
      },
    };
  const share = new Float64Array(count);
  const search = (loads: ArrayLike<number>): number => {
    let busy = 0;
    for (let j = 0; j < count; j++) busy += loads[j];
    if (!(busy > 0)) return 0;
    const usedBy = (pods: number) => {
      for (let j = 0; j < count; j++) share[j] = loads[j] / pods;
      return model.usage(share);
    };
    let [low, high] = [1, 1];
    while (usedBy(high) > goal && high < mostPods) high *= 2;
    while (usedBy(low) <= goal && low > 1 / mostPods) low /= 2;
    for (let k = 0; k < 50; k++) {
      const middle = Math.sqrt(low * high);
      if (usedBy(middle) > goal) low = middle;
      else high = middle;
    }
    return high;
  };
  if (count > 1) return { isCut: goal < target, pods: search };
  // With one load, twice the load takes twice the pods: one search is enough.
  const each = 1 / search([highestOf(perPod[0])]);
  const unit = each * highestOf(perPod[0]);
  return { isCut: goal < target, pods: (loads) => loads[0] / unit };
}

/** Upper limit of the search. */
const mostPods = 2 ** 40;

function highestOf(values: Float64Array): number {
  let highest = 0;
  for (const value of values) highest = Math.max(highest, value);
  return highest;
}
