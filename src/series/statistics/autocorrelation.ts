import { lagProducts } from "../transforms/fft.ts";

/**
 * Autocorrelation of a series with gaps: each lag uses only pairs of present samples. Missing samples pull it neither to zero, as
 * filling with zeros does, nor to one, as interpolation does.
 *
 * r_k = Σ x_t·x_{t+k} / √(Σ x_t²·Σ x_{t+k}²) over those pairs, x the series minus its mean.
 *
 * @param values samples, NaN where missing, length n
 * @param maxLag the longest lag wanted, 0 … n − 1
 * @param minPairs lags with fewer pairs give NaN
 * @returns maxLag + 1 values in [−1, 1]; all 0 from lag 1 on where the series is constant, all NaN where nothing is present
 * @throws RangeError when maxLag is outside its range
 */
export function autocorrelation(values: Float64Array, maxLag: number, minPairs = 3): Float64Array {
  const n = values.length;
  if (!(maxLag >= 0 && maxLag < n)) throw new RangeError(`lag ${maxLag} is outside 0 … ${n - 1}`);
  const x = new Float64Array(n);
  const present = new Float64Array(n);
  let count = 0;
  let sum = 0;
  for (let t = 0; t < n; t++) {
    if (!Number.isFinite(values[t])) continue;
    present[t] = 1;
    count++;
    sum += values[t];
  }
  if (count === 0) return new Float64Array(maxLag + 1).fill(Number.NaN);
  const mean = sum / count;
  const squares = new Float64Array(n);
  let energy = 0;
  for (let t = 0; t < n; t++) {
    if (present[t] === 0) continue;
    x[t] = values[t] - mean;
    squares[t] = x[t] * x[t];
    energy += squares[t];
  }
  const r = lagProducts(x, x, maxLag);
  r[0] = 1;
  // Rounding errors of a constant series are no signal.
  if (energy <= count * (Math.abs(mean) * 1e-12) ** 2) return r.fill(0, 1);
  if (count === n) return normalizeWhole(r, squares, energy, minPairs);
  const pairs = lagProducts(present, present, maxLag);
  const before = lagProducts(squares, present, maxLag);
  const after = lagProducts(present, squares, maxLag);
  for (let k = 1; k <= maxLag; k++)
    r[k] = Math.round(pairs[k]) < minPairs ? Number.NaN : ratio(r[k], before[k], after[k], energy);
  return r;
}

/** No gaps: both energies are running sums. */
function normalizeWhole(r: Float64Array, squares: Float64Array, energy: number, minPairs: number): Float64Array {
  const n = squares.length;
  let before = energy;
  let after = energy;
  for (let k = 1; k < r.length; k++) {
    before -= squares[n - k];
    after -= squares[k - 1];
    r[k] = n - k < minPairs ? Number.NaN : ratio(r[k], before, after, energy);
  }
  return r;
}

function ratio(product: number, before: number, after: number, energy: number): number {
  const scale = Math.sqrt(Math.max(0, before) * Math.max(0, after));
  if (scale <= energy * 1e-12) return 0;
  return Math.max(-1, Math.min(1, product / scale));
}
