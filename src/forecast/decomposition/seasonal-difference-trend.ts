import { addOuter, type BandFactor, bandMatrix, factor, solve } from "../../series/banded.ts";
import { softThreshold } from "../../series/statistics/robust-statistics.ts";

/**
 * Trend of a seasonal series from its seasonal differences (RobustSTL, section 3.2):
 * min Σ |y_t − y_{t−T} − (τ_t − τ_{t−T})| + λ₁Σ|∇τ| + λ₂Σ|∇²τ|, τ₀ = 0.
 *
 * Solved by ADMM with z = Pτ − q. The matrix PᵀP has bandwidth T and does not depend on the data: one factorization serves all
 * series of one length and period. A missing difference leaves its z free and does not change P.
 *
 * **Cost**: O(n·T²) once for a length and period, then O(n·T) a pass.
 */
export interface DifferenceTrendOptions {
  /** T, whole samples, 1 … n − 2. */
  readonly period: number;
  readonly levelPenalty: number;
  readonly slopePenalty: number;
  readonly passes: number;
}

const rho = 2;
const tolerance = 1e-4;
const keptFactors = 6;
const factors = new Map<string, BandFactor>();

/**
 * @param values samples divided by their spread, NaN where missing, length n
 * @returns n finite values, the first 0
 */
export function differenceTrend(values: Float64Array, options: DifferenceTrendOptions): Float64Array {
  const n = values.length;
  const { period, passes } = options;
  const factored = factorFor(n, options);
  const seasons = n - period;
  const rows = seasons + (n - 1) + (n - 2);
  const target = new Float64Array(rows);
  const free = new Uint8Array(rows);
  for (let t = 0; t < seasons; t++) {
    const difference = values[t + period] - values[t];
    if (Number.isFinite(difference)) target[t] = difference;
    else free[t] = 1;
  }
  const z = new Float64Array(rows);
  const u = new Float64Array(rows);
  const applied = new Float64Array(rows);
  const tau = new Float64Array(n);
  for (let pass = 0; pass < passes; pass++) {
    const right = new Float64Array(n);
    for (let r = 0; r < rows; r++) applied[r] = target[r] + z[r] - u[r];
    applyTransposed(applied, right, options);
    const next = solve(factored, right.subarray(1));
    let moved = 0;
    for (let t = 1; t < n; t++) {
      moved = Math.max(moved, Math.abs(next[t - 1] - tau[t]));
      tau[t] = next[t - 1];
    }
    apply(tau, applied, options);
    for (let r = 0; r < rows; r++) {
      const residual = applied[r] - target[r];
      if (free[r] === 1) {
        z[r] = residual;
        continue;
      }
      const sum = 1.6 * residual - 0.6 * z[r] + u[r]; // over-relaxed by 1.6
      const shrunk = softThreshold(sum, 1 / rho);
      u[r] = sum - shrunk;
      z[r] = shrunk;
    }
    if (pass > 2 && moved < tolerance) break;
  }
  return tau;
}

function factorFor(n: number, { period, levelPenalty, slopePenalty }: DifferenceTrendOptions): BandFactor {
  const key = `${n}/${period}/${levelPenalty}/${slopePenalty}`;
  const known = factors.get(key);
  if (known) return known;
  const matrix = bandMatrix(n - 1, Math.min(n - 2, Math.max(2, period))); // without the first column: τ₀ = 0
  const row = (columns: readonly number[], values: readonly number[]) => {
    const kept = columns.flatMap((column, i) => (column > 0 ? [[column - 1, values[i]] as const] : []));
    addOuter(
      matrix,
      kept.map(([column]) => column),
      kept.map(([, value]) => value),
      1,
    );
  };
  for (let t = 0; t + period < n; t++) row([t, t + period], [-1, 1]);
  for (let t = 0; t + 1 < n; t++) row([t, t + 1], [-levelPenalty, levelPenalty]);
  for (let t = 0; t + 2 < n; t++) row([t, t + 1, t + 2], [slopePenalty, -2 * slopePenalty, slopePenalty]);
  if (factors.size >= keptFactors) factors.delete(factors.keys().next().value!);
  const made = factor(matrix);
  factors.set(key, made);
  return made;
}

/** out ← P·tau */
function apply(
  tau: Float64Array,
  out: Float64Array,
  { period, levelPenalty: a, slopePenalty: b }: DifferenceTrendOptions,
): void {
  const n = tau.length;
  let r = 0;
  for (let t = 0; t + period < n; t++) out[r++] = tau[t + period] - tau[t];
  for (let t = 0; t + 1 < n; t++) out[r++] = a * (tau[t + 1] - tau[t]);
  for (let t = 0; t + 2 < n; t++) out[r++] = b * (tau[t] - 2 * tau[t + 1] + tau[t + 2]);
}

/** out ← Pᵀ·rows */
function applyTransposed(
  rows: Float64Array,
  out: Float64Array,
  { period, levelPenalty: a, slopePenalty: b }: DifferenceTrendOptions,
): void {
  const n = out.length;
  let r = 0;
  for (let t = 0; t + period < n; t++, r++) {
    out[t] -= rows[r];
    out[t + period] += rows[r];
  }
  for (let t = 0; t + 1 < n; t++, r++) {
    out[t] -= a * rows[r];
    out[t + 1] += a * rows[r];
  }
  for (let t = 0; t + 2 < n; t++, r++) {
    out[t] += b * rows[r];
    out[t + 1] -= 2 * b * rows[r];
    out[t + 2] += b * rows[r];
  }
}
