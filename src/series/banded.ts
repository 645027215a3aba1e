/**
 * Symmetric positive definite systems whose non-zeros stay within a band of the diagonal.
 *
 * **Source**: Golub and Van Loan, Matrix Computations, section 4.3 (band Cholesky, LDLᵀ).
 * **Cost**: factor O(n·width²), solve O(n·width).
 */

/** A factored band matrix L·D·Lᵀ, to be used for many right-hand sides. */
export interface BandFactor {
  readonly size: number;
  readonly width: number;
  /** Row i holds L[i, i−width … i−1]. */
  readonly lower: Float64Array;
  readonly diagonal: Float64Array;
}

/**
 * A band matrix under construction: `bands[d·size + i]` is A[i, i−d], for d = 0 … width. By symmetry that is all of it.
 */
export interface BandMatrix {
  readonly size: number;
  readonly width: number;
  readonly bands: Float64Array;
}

/** An all-zero band matrix of `size` rows with `width` diagonals below the main one. */
export function bandMatrix(size: number, width: number): BandMatrix {
  return { size, width, bands: new Float64Array(size * (width + 1)) };
}

/** Adds `weight · row·rowᵀ`, for a sparse row with `values` at `columns`; changes `matrix`, which is its purpose. */
export function addOuter(
  matrix: BandMatrix,
  columns: readonly number[],
  values: readonly number[],
  weight: number,
): void {
  for (let a = 0; a < columns.length; a++)
    for (let b = 0; b < columns.length; b++) {
      const d = columns[a] - columns[b];
      if (d >= 0) matrix.bands[d * matrix.size + columns[a]] += weight * values[a] * values[b];
    }
}

/**
 * Factors a band matrix.
 *
 * @throws RangeError when it is not positive definite
 */
export function factor(matrix: BandMatrix): BandFactor {
  const { size, width, bands } = matrix;
  const lower = new Float64Array(size * width);
  const diagonal = new Float64Array(size);
  // Row i of `lower` holds, while it is being made, L[i, j]·D[j].
  for (let i = 0; i < size; i++) {
    const first = Math.max(0, i - width);
    const row = i * width - i + width; // L[i, j] stands at row + j
    let pivot = bands[i];
    for (let j = first; j < i; j++) {
      let sum = bands[(i - j) * size + i];
      const rowJ = j * width - j + width;
      const from = Math.max(first, j - width);
      for (let k = from; k < j; k++) sum -= lower[row + k] * lower[rowJ + k];
      lower[row + j] = sum;
    }
    for (let j = first; j < i; j++) {
      const scaled = lower[row + j];
      const l = scaled / diagonal[j];
      pivot -= l * scaled;
      lower[row + j] = l;
    }
    if (!(pivot > 0)) throw new RangeError(`the matrix is not positive definite: pivot ${pivot} in row ${i}`);
    diagonal[i] = pivot;
  }
  return { size, width, lower, diagonal };
}

/** Solves A·x = b for a factored A; gives a new array. */
export function solve({ size, width, lower, diagonal }: BandFactor, b: Float64Array): Float64Array {
  const x = b.slice();
  for (let i = 0; i < size; i++) {
    const row = i * width - i + width;
    let sum = x[i];
    for (let j = Math.max(0, i - width); j < i; j++) sum -= lower[row + j] * x[j];
    x[i] = sum;
  }
  for (let i = 0; i < size; i++) x[i] /= diagonal[i];
  for (let i = size - 1; i >= 0; i--) {
    const row = i * width - i + width;
    const value = x[i];
    for (let j = Math.max(0, i - width); j < i; j++) x[j] -= lower[row + j] * value;
  }
  return x;
}

/**
 * Solves a symmetric pentadiagonal system in place: factored and solved in one go, without a general band's index work.
 *
 * @param main A[i, i], n values; overwritten
 * @param first A[i, i+1], n − 1 values used; overwritten
 * @param second A[i, i+2], n − 2 values used; overwritten
 * @param b right-hand side; holds the solution afterwards
 * @throws RangeError when the matrix is not positive definite
 */
export function solvePentadiagonal(
  main: Float64Array,
  first: Float64Array,
  second: Float64Array,
  b: Float64Array,
): void {
  const n = b.length;
  for (let i = 0; i < n; i++) {
    const pivot = main[i];
    if (!(pivot > 0)) throw new RangeError(`the matrix is not positive definite: pivot ${pivot} in row ${i}`);
    if (i + 1 < n) {
      const e = first[i];
      const l = e / pivot;
      main[i + 1] -= l * e;
      b[i + 1] -= l * b[i];
      if (i + 2 < n) {
        const f = second[i];
        const m = f / pivot;
        main[i + 2] -= m * f;
        first[i + 1] -= m * e;
        b[i + 2] -= m * b[i];
        second[i] = m;
      }
      first[i] = l;
    }
  }
  for (let i = 0; i < n; i++) b[i] /= main[i];
  for (let i = n - 2; i >= 0; i--) {
    b[i] -= first[i] * b[i + 1];
    if (i + 2 < n) b[i] -= second[i] * b[i + 2];
  }
}
