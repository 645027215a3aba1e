/** A matrix of `outer` rows and `inner` columns that begins at `at` within an array, row by row. */
export interface Matrix {
  readonly values: Float64Array;
  readonly at: number;
  readonly outer: number;
  readonly inner: number;
}

/** out[w, j] = Σ_i a[w, i] · matrix[j, i] for `many` rows w. Four rows at a time share each read of the matrix. */
export function multiply(
  a: Float64Array,
  { values: matrix, at, inner, outer }: Matrix,
  out: Float64Array,
  many: number,
): void {
  let w = 0;
  for (; w + 4 <= many; w += 4) {
    const a0 = w * inner;
    const a1 = a0 + inner;
    const a2 = a1 + inner;
    const a3 = a2 + inner;
    for (let j = 0; j < outer; j++) {
      const row = at + j * inner;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let i = 0; i < inner; i++) {
        const m = matrix[row + i];
        s0 += a[a0 + i] * m;
        s1 += a[a1 + i] * m;
        s2 += a[a2 + i] * m;
        s3 += a[a3 + i] * m;
      }
      out[w * outer + j] = s0;
      out[(w + 1) * outer + j] = s1;
      out[(w + 2) * outer + j] = s2;
      out[(w + 3) * outer + j] = s3;
    }
  }
  for (; w < many; w++)
    for (let j = 0; j < outer; j++) {
      let sum = 0;
      for (let i = 0; i < inner; i++) sum += a[w * inner + i] * matrix[at + j * inner + i];
      out[w * outer + j] = sum;
    }
}

/** out[w, i] = Σ_j d[w, j] · matrix[j, i] for `many` rows w. */
export function multiplyTransposed(
  d: Float64Array,
  { values: matrix, at, inner, outer }: Matrix,
  out: Float64Array,
  many: number,
): void {
  out.fill(0, 0, many * inner);
  for (let w = 0; w < many; w++) {
    const to = w * inner;
    let j = 0;
    for (; j + 4 <= outer; j += 4) {
      const from = w * outer + j;
      const d0 = d[from];
      const d1 = d[from + 1];
      const d2 = d[from + 2];
      const d3 = d[from + 3];
      if (d0 === 0 && d1 === 0 && d2 === 0 && d3 === 0) continue;
      const r0 = at + j * inner;
      const r1 = r0 + inner;
      const r2 = r1 + inner;
      const r3 = r2 + inner;
      for (let i = 0; i < inner; i++)
        out[to + i] += d0 * matrix[r0 + i] + d1 * matrix[r1 + i] + d2 * matrix[r2 + i] + d3 * matrix[r3 + i];
    }
    for (; j < outer; j++) for (let i = 0; i < inner; i++) out[to + i] += d[w * outer + j] * matrix[at + j * inner + i];
  }
}

/** matrix[j, i] += Σ_w d[w, j] · a[w, i] over `many` rows w. */
export function addOuterProducts(
  d: Float64Array,
  a: Float64Array,
  { values: gradient, at, inner, outer }: Matrix,
  many: number,
): void {
  for (let j = 0; j < outer; j++) {
    const row = at + j * inner;
    let w = 0;
    for (; w + 4 <= many; w += 4) {
      const d0 = d[w * outer + j];
      const d1 = d[(w + 1) * outer + j];
      const d2 = d[(w + 2) * outer + j];
      const d3 = d[(w + 3) * outer + j];
      if (d0 === 0 && d1 === 0 && d2 === 0 && d3 === 0) continue;
      const a0 = w * inner;
      const a1 = a0 + inner;
      const a2 = a1 + inner;
      const a3 = a2 + inner;
      for (let i = 0; i < inner; i++)
        gradient[row + i] += d0 * a[a0 + i] + d1 * a[a1 + i] + d2 * a[a2 + i] + d3 * a[a3 + i];
    }
    for (; w < many; w++) for (let i = 0; i < inner; i++) gradient[row + i] += d[w * outer + j] * a[w * inner + i];
  }
}
