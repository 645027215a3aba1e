import { huberThreshold, huberWeight, robustScale } from "../series/statistics/robust-statistics.ts";

/** y = base + Σ slopes[j]·x[j] with no coefficient below 0, so that it never falls with any x. */
export interface NonNegativeFit {
  readonly slopes: readonly number[];
  readonly base: number;
}

const rounds = 30;

/**
 * Huber regression with coefficients of at least 0. Outliers get smaller weights; each round solves the constrained least squares
 * exactly, by trying all subsets of coefficients that are not 0, which is cheap for the few columns here.
 *
 * @param columns 1 to 4 arrays of n finite values; columns that are all zero get the slope 0
 * @param y n finite values
 * @param hasBase whether y may be above 0 where all x are 0
 */
export function fitNonNegative(columns: readonly Float64Array[], y: Float64Array, hasBase: boolean): NonNegativeFit {
  const n = y.length;
  // Scaled to a mean of 1: the solver must work at any scale.
  const scales = columns.map((column) => meanSize(column));
  const ySize = meanSize(y);
  const design = columns.map((column, j) => column.map((value) => value / scales[j]));
  if (hasBase) design.push(new Float64Array(n).fill(1));
  const goal = y.map((value) => value / ySize);
  const weights = new Float64Array(n).fill(1);
  const residuals = new Float64Array(n);
  let answer: Float64Array = new Float64Array(design.length);
  for (let round = 0; round < rounds; round++) {
    const before = answer;
    answer = leastSquares(design, goal, weights);
    for (let i = 0; i < n; i++) {
      let fitted = 0;
      for (let j = 0; j < design.length; j++) fitted += answer[j] * design[j][i];
      residuals[i] = goal[i] - fitted;
    }
    const scale = robustScale(residuals, 0);
    if (!(scale > 1e-12) || before.every((value, j) => Math.abs(value - answer[j]) < 1e-9)) break;
    for (let i = 0; i < n; i++) weights[i] = huberWeight(residuals[i], huberThreshold * scale);
  }
  return {
    slopes: columns.map((_, j) => (answer[j] * ySize) / scales[j]),
    base: hasBase ? answer[columns.length] * ySize : 0,
  };
}

/** Weighted least squares with coefficients of at least 0. */
function leastSquares(design: readonly Float64Array[], y: Float64Array, weights: Float64Array): Float64Array {
  const k = design.length;
  const gram = Array.from({ length: k }, () => new Float64Array(k));
  const right = new Float64Array(k);
  for (let a = 0; a < k; a++) {
    for (let i = 0; i < y.length; i++) right[a] += weights[i] * design[a][i] * y[i];
    for (let b = 0; b <= a; b++) {
      for (let i = 0; i < y.length; i++) gram[a][b] += weights[i] * design[a][i] * design[b][i];
      gram[b][a] = gram[a][b];
    }
  }
  let best = new Float64Array(k);
  let gain = 0; // the part of Σ w·y² that the coefficients explain
  for (let subset = 1; subset < 1 << k; subset++) {
    const free = Array.from({ length: k }, (_, j) => j).filter((j) => subset & (1 << j));
    const solved = solve(
      free.map((a) => free.map((b) => gram[a][b])),
      free.map((a) => right[a]),
    );
    if (solved === undefined || solved.some((value) => !(value >= 0))) continue;
    const explained = free.reduce((sum, a, at) => sum + solved[at] * right[a], 0);
    if (explained <= gain) continue;
    gain = explained;
    best = new Float64Array(k);
    free.forEach((a, at) => {
      best[a] = solved[at];
    });
  }
  return best;
}

/** Gaussian elimination with diagonal pivots, as the matrix is symmetric; undefined where columns are linearly dependent. */
function solve(matrix: number[][], right: number[]): number[] | undefined {
  const k = right.length;
  for (let p = 0; p < k; p++) {
    for (let row = p + 1; row < k; row++) {
      const factor = matrix[row][p] / matrix[p][p];
      for (let column = p; column < k; column++) matrix[row][column] -= factor * matrix[p][column];
      right[row] -= factor * right[p];
    }
  }
  const answer = new Array<number>(k);
  for (let p = k - 1; p >= 0; p--) {
    if (!(matrix[p][p] > 1e-9)) return undefined;
    let sum = right[p];
    for (let column = p + 1; column < k; column++) sum -= matrix[p][column] * answer[column];
    answer[p] = sum / matrix[p][p];
  }
  return answer;
}

function meanSize(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += Math.abs(value);
  return sum > 0 ? sum / values.length : 1;
}
