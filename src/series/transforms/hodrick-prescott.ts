import { solvePentadiagonal } from "../banded.ts";

/**
 * Smooth trend of a series: argmin Σ w_t(y_t − τ_t)² + λ·Σ(τ_{t−1} − 2τ_t + τ_{t+1})², w_t = 0 where y is missing, so that the trend interpolates gaps.
 *
 * A sine of period T keeps 1/(1 + λ(2π/T)⁴) of its amplitude in the trend.
 *
 * @param values samples, NaN where missing, length n
 * @param lambda λ, above 0; in the form without the ½ (Hodrick and Prescott 1997)
 * @returns the trend, n finite values; all 0 where fewer than two samples are present
 * @throws RangeError when λ is not above 0
 */
export function hodrickPrescott(values: Float64Array, lambda: number): Float64Array {
  if (!(lambda > 0)) throw new RangeError(`lambda ${lambda} is not above 0`);
  const n = values.length;
  const main = new Float64Array(n);
  const first = new Float64Array(n);
  const second = new Float64Array(n);
  const trend = new Float64Array(n);
  let present = 0;
  let sum = 0;
  for (let t = 0; t < n; t++) {
    if (!Number.isFinite(values[t])) continue;
    present++;
    sum += values[t];
    main[t] = 1;
  }
  if (present < 2) return trend.fill(present === 1 ? sum : 0);
  const mean = sum / present; // solved around the mean: a large offset would lose digits at large λ
  for (let t = 0; t < n; t++) if (main[t] === 1) trend[t] = values[t] - mean;
  addCurvature(main, first, second, lambda);
  solvePentadiagonal(main, first, second, trend);
  for (let t = 0; t < n; t++) trend[t] += mean;
  return trend;
}

/** The λ that keeps at least ten elevenths of a sine of `longestPeriod` samples out of the trend: 10·(T/2π)⁴. */
export function lambdaFor(longestPeriod: number): number {
  return 10 * (longestPeriod / (2 * Math.PI)) ** 4;
}

/** Adds λ·D₂ᵀD₂ to the three upper diagonals of a pentadiagonal matrix, in place. */
export function addCurvature(main: Float64Array, first: Float64Array, second: Float64Array, lambda: number): void {
  for (let t = 0; t + 2 < main.length; t++) {
    main[t] += lambda;
    main[t + 1] += 4 * lambda;
    main[t + 2] += lambda;
    first[t] -= 2 * lambda;
    first[t + 1] -= 2 * lambda;
    second[t] += lambda;
  }
}

/** Adds λ·D₁ᵀD₁ to the two upper diagonals of a pentadiagonal matrix, in place. */
export function addSlope(main: Float64Array, first: Float64Array, lambda: number): void {
  for (let t = 0; t + 1 < main.length; t++) {
    main[t] += lambda;
    main[t + 1] += lambda;
    first[t] -= lambda;
  }
}
