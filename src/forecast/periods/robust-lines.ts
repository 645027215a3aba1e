import { finiteOf, huberThreshold, huberWeight, robustScale } from "../../series/statistics/robust-statistics.ts";

/** A spectral line: cos·cos(2πft) + sin·sin(2πft). */
export interface Line {
  /** Cycles a sample, 0 … ½. */
  readonly frequency: number;
  readonly cos: number;
  readonly sin: number;
}

/** Lines fitted together, and their residual. */
export interface LineFit {
  readonly lines: readonly Line[];
  /** Series minus the lines; NaN where a sample is missing. */
  readonly residual: Float64Array;
  /** Robust standard deviation of the residual. */
  readonly scale: number;
}

/** Half of the squared amplitude: the line's part of the variance. */
export function powerOfLine(line: Line): number {
  return (line.cos * line.cos + line.sin * line.sin) / 2;
}

/**
 * Fits amplitudes, phases and frequencies of several lines at once under Huber's loss: Gauss–Newton steps of the frequency inside
 * reweighted least squares. Missing samples are ignored. A frequency moves at most one bin (1/n) from its initial value.
 *
 * @param values samples around 0, NaN where missing, length n
 * @param frequencies initial values, at least half a bin apart
 * @param passes reweightings; the frequency moves in all but the last
 */
export function fitLines(values: Float64Array, frequencies: readonly number[], passes = 6): LineFit {
  const n = values.length;
  const count = frequencies.length;
  const middle = (n - 1) / 2;
  const moved = Float64Array.from(frequencies);
  let beta = new Float64Array(2 * count);
  const residual = values.slice();
  let scale = spreadOf(residual);
  if (count === 0 || scale === 0) return { lines: [], residual, scale };

  for (let pass = 0; pass < passes; pass++) {
    const free = pass > 0 && pass < passes - 1; // the first pass has no amplitudes to derive slopes from
    const each = free ? 3 : 2;
    const columns: Float64Array[] = [];
    for (let i = 0; i < count; i++)
      columns.push(...columnsOf(n, middle, moved[i], free ? [beta[2 * i], beta[2 * i + 1]] : undefined));
    const solution = weightedLeastSquares(columns, weightsOf(residual, scale), values);
    if (!solution) break;
    const next = new Float64Array(2 * count);
    for (let i = 0; i < count; i++) {
      next[2 * i] = solution[each * i];
      next[2 * i + 1] = solution[each * i + 1];
      if (!free) continue;
      const step = Math.max(-0.5 / n, Math.min(0.5 / n, solution[each * i + 2] / (2 * Math.PI)));
      moved[i] = Math.max(frequencies[i] - 1 / n, Math.min(frequencies[i] + 1 / n, moved[i] + step));
    }
    beta = next;
    residual.set(values);
    for (let i = 0; i < count; i++) {
      const cos = columns[each * i];
      const sin = columns[each * i + 1];
      for (let t = 0; t < n; t++) residual[t] -= beta[2 * i] * cos[t] + beta[2 * i + 1] * sin[t];
    }
    scale = spreadOf(residual);
    if (scale === 0) break;
  }
  const lines = Array.from({ length: count }, (_, i) => atOrigin(moved[i], beta[2 * i], beta[2 * i + 1], middle));
  subtract(values, lines, residual);
  return { lines, residual, scale: spreadOf(residual) };
}

/**
 * cos and sin columns at one frequency, and, where its amplitudes are given, the derivative of the fit by 2πf. Time runs from the middle of the series, where amplitude and frequency are nearly independent.
 */
function columnsOf(n: number, middle: number, frequency: number, sizes?: readonly [number, number]): Float64Array[] {
  const cos = new Float64Array(n);
  const sin = new Float64Array(n);
  const turnCos = Math.cos(2 * Math.PI * frequency);
  const turnSin = Math.sin(2 * Math.PI * frequency);
  let x = Math.cos(2 * Math.PI * frequency * middle);
  let y = -Math.sin(2 * Math.PI * frequency * middle);
  for (let t = 0; t < n; t++) {
    cos[t] = x;
    sin[t] = y;
    const turned = x * turnCos - y * turnSin;
    y = x * turnSin + y * turnCos;
    x = turned;
  }
  if (!sizes) return [cos, sin];
  const slope = new Float64Array(n);
  for (let t = 0; t < n; t++) slope[t] = (t - middle) * (sizes[1] * cos[t] - sizes[0] * sin[t]);
  return [cos, sin, slope];
}

/** Huber's weights; 0 where a sample is missing. */
function weightsOf(residual: Float64Array, scale: number): Float64Array {
  const weights = new Float64Array(residual.length);
  for (let t = 0; t < weights.length; t++)
    weights[t] = Number.isFinite(residual[t]) ? huberWeight(residual[t], huberThreshold * scale) : 0;
  return weights;
}

/** Dense normal equations by Cholesky; undefined where the columns are linearly dependent. */
function weightedLeastSquares(
  columns: readonly Float64Array[],
  weights: Float64Array,
  values: Float64Array,
): Float64Array | undefined {
  const m = columns.length;
  const n = weights.length;
  const a = new Float64Array(m * m);
  const b = new Float64Array(m);
  const weighted = new Float64Array(n);
  for (let i = 0; i < m; i++) {
    const own = columns[i];
    let right = 0;
    for (let t = 0; t < n; t++) {
      weighted[t] = weights[t] * own[t];
      if (weights[t] > 0) right += weighted[t] * values[t];
    }
    b[i] = right;
    for (let j = 0; j <= i; j++) {
      const other = columns[j];
      let sum = 0;
      for (let t = 0; t < n; t++) sum += weighted[t] * other[t];
      a[i * m + j] = sum;
    }
  }
  for (let i = 0; i < m; i++) {
    const own = a[i * m + i];
    for (let j = 0; j <= i; j++) {
      let sum = a[i * m + j];
      for (let k = 0; k < j; k++) sum -= a[i * m + k] * a[j * m + k];
      if (i !== j) a[i * m + j] = sum / a[j * m + j];
      else if (sum > 1e-10 * own) a[i * m + i] = Math.sqrt(sum);
      else return undefined;
    }
    for (let k = 0; k < i; k++) b[i] -= a[i * m + k] * b[k];
    b[i] /= a[i * m + i];
  }
  for (let i = m - 1; i >= 0; i--) {
    for (let k = i + 1; k < m; k++) b[i] -= a[k * m + i] * b[k];
    b[i] /= a[i * m + i];
  }
  return b;
}

/** Rotates a line's phase from the middle of the series to its first sample. */
function atOrigin(frequency: number, a: number, b: number, middle: number): Line {
  const turn = 2 * Math.PI * frequency * middle;
  const c = Math.cos(turn);
  const s = Math.sin(turn);
  return { frequency, cos: a * c - b * s, sin: a * s + b * c };
}

/** residual ← values − lines, by a rotating phasor. */
export function subtract(values: Float64Array, lines: readonly Line[], residual: Float64Array): void {
  residual.set(values);
  for (const { frequency, cos, sin } of lines) {
    const c = Math.cos(2 * Math.PI * frequency);
    const s = Math.sin(2 * Math.PI * frequency);
    let x = 1;
    let y = 0;
    for (let t = 0; t < values.length; t++) {
      residual[t] -= cos * x + sin * y;
      const turned = x * c - y * s;
      y = x * s + y * c;
      x = turned;
    }
  }
}

/** Around 0, the center of a residual. */
function spreadOf(residual: Float64Array): number {
  return robustScale(finiteOf(residual), 0);
}

/** Power of a finite series at one frequency, in the units of `powerOfLine` (Goertzel 1958). */
export function powerAt(values: Float64Array, frequency: number): number {
  const n = values.length;
  const twice = 2 * Math.cos(2 * Math.PI * frequency);
  let a = 0;
  let b = 0;
  for (let t = 0; t < n; t++) {
    const next = values[t] + twice * a - b;
    b = a;
    a = next;
  }
  return (2 * (a * a + b * b - twice * a * b)) / (n * n);
}
