import type { Random } from "../../series/statistics/seeded-random.ts";

/**
 * The gated network of Kapacity's SNTSF forecaster (its class Fcnet), forward and backward by hand.
 *
 * From a context x of L samples, a series and K calendar features at the first and the last step ahead, with embeddings e of
 * width L: v = [e_s, e_a, e_b, x, d, e_s⊙x, e_b⊙x, e_a⊙x, m], d_t = x_t − 0.8·x_{t−1} (before the first stands the mean),
 * m the mask of what is present. Then some gates v ← v ⊙ σ(W₂·ReLU(W₁·v)) and a linear head to H values.
 *
 * **Differs**: the mask m is appended, as a missing sample is not a zero: it stands at the context's mean and says that it does.
 *
 * **Cost**: 6·gates·D²/bottleneck multiplications a window for a step of training, a third of it for an answer;
 * D = L·(5 + 4K).
 */
export interface Shape {
  /** L */
  readonly context: number;
  /** H */
  readonly ahead: number;
  readonly series: number;
  /** Values that each of the K calendar features can take. */
  readonly cardinalities: readonly number[];
  readonly gates: number;
  /** A gate's hidden layer is D divided by this. */
  readonly bottleneck: number;
}

/** Where each part of the parameters begins, and how wide the layers are. */
export interface Layout {
  readonly shape: Shape;
  /** D */
  readonly width: number;
  readonly hidden: number;
  /** Embedding tables of the calendar features; that of the series is at 0. */
  readonly tables: readonly number[];
  /** W₁ (hidden × width) of each gate. */
  readonly narrow: readonly number[];
  /** W₂ (width × hidden) of each gate. */
  readonly widen: readonly number[];
  /** Head, H × width, then H biases. */
  readonly head: number;
  readonly count: number;
}

export function layoutOf(shape: Shape): Layout {
  const { context, ahead, series, cardinalities, gates, bottleneck } = shape;
  const width = context * (5 + 4 * cardinalities.length);
  const hidden = Math.max(1, Math.floor(width / bottleneck));
  let at = series * context;
  const take = (size: number) => {
    at += size;
    return at - size;
  };
  const tables = cardinalities.map((many) => take(many * context));
  const narrow: number[] = [];
  const widen: number[] = [];
  for (let g = 0; g < gates; g++) {
    narrow.push(take(hidden * width));
    widen.push(take(width * hidden));
  }
  const head = take(ahead * width + ahead);
  return { shape, width, hidden, tables, narrow, widen, head, count: at };
}

/** Small embeddings, layers uniform within ±1/√inputs, biases 0. */
export function initialParameters(layout: Layout, random: Random): Float64Array {
  const { shape, width, hidden, narrow, widen, head, count } = layout;
  const parameters = new Float64Array(count);
  const fill = (from: number, size: number, limit: number) => {
    for (let i = from; i < from + size; i++) parameters[i] = limit * (2 * random() - 1);
  };
  fill(0, narrow.length > 0 ? narrow[0] : head, embeddingLimit);
  for (const from of narrow) fill(from, hidden * width, 1 / Math.sqrt(width));
  for (const from of widen) fill(from, width * hidden, 1 / Math.sqrt(hidden));
  fill(head, shape.ahead * width, 1 / Math.sqrt(width));
  return parameters;
}
const embeddingLimit = 0.5;

/** Windows side by side. All arrays are row by row. */
export interface Batch {
  readonly many: number;
  /** `[window · L + t]`, scaled; a missing sample stands at the mean of the others. */
  readonly x: Float64Array;
  /** 1 where a sample is present, else 0. */
  readonly mask: Float64Array;
  readonly series: Int32Array;
  /** Calendar at the first and at the last step ahead, `[window · K + feature]`. */
  readonly first: Int32Array;
  readonly last: Int32Array;
}

/** Room for the numbers between the layers, for batches up to a size. */
export interface Workspace {
  /** v before each gate, and after the last. */
  readonly v: readonly Float64Array[];
  readonly hidden: readonly Float64Array[];
  readonly gate: readonly Float64Array[];
  readonly out: Float64Array;
  readonly dv: Float64Array;
  readonly dvNext: Float64Array;
  readonly dGate: Float64Array;
  readonly dHidden: Float64Array;
}

export function createWorkspace({ shape, width, hidden }: Layout, many: number): Workspace {
  const of = (size: number) => new Float64Array(many * size);
  const each = (count: number, size: number) => Array.from({ length: count }, () => of(size));
  return {
    v: each(shape.gates + 1, width),
    hidden: each(shape.gates, hidden),
    gate: each(shape.gates, width),
    out: of(shape.ahead),
    dv: of(width),
    dvNext: of(width),
    dGate: of(width),
    dHidden: of(hidden),
  };
}

/** @returns the network's answers, `[window · H + step]`: a view of `room.out` */
export function forward(layout: Layout, parameters: Float64Array, batch: Batch, room: Workspace): Float64Array {
  const { shape, width, hidden, narrow, widen, head } = layout;
  const { many } = batch;
  assemble(layout, parameters, batch, room.v[0]);
  for (let g = 0; g < shape.gates; g++) {
    const v = room.v[g];
    const h = room.hidden[g];
    const s = room.gate[g];
    const next = room.v[g + 1];
    multiply(v, parameters, narrow[g], h, many, width, hidden);
    for (let i = 0; i < many * hidden; i++) if (h[i] < 0) h[i] = 0;
    multiply(h, parameters, widen[g], s, many, hidden, width);
    for (let i = 0; i < many * width; i++) {
      s[i] = 1 / (1 + Math.exp(-s[i]));
      next[i] = v[i] * s[i];
    }
  }
  multiply(room.v[shape.gates], parameters, head, room.out, many, width, shape.ahead);
  const bias = head + shape.ahead * width;
  for (let w = 0; w < many; w++)
    for (let j = 0; j < shape.ahead; j++) room.out[w * shape.ahead + j] += parameters[bias + j];
  return room.out.subarray(0, many * shape.ahead);
}

/**
 * Adds the gradient of Σ dOut·out to `gradient`; call it right after `forward` with the same batch and room.
 *
 * @param dOut slope of the loss by each answer, `[window · H + step]`
 */
export function backward(
  layout: Layout,
  parameters: Float64Array,
  batch: Batch,
  room: Workspace,
  dOut: Float64Array,
  gradient: Float64Array,
): void {
  const { shape, width, hidden, narrow, widen, head } = layout;
  const { many } = batch;
  const { dv, dvNext, dGate, dHidden } = room;
  const bias = head + shape.ahead * width;
  for (let w = 0; w < many; w++) for (let j = 0; j < shape.ahead; j++) gradient[bias + j] += dOut[w * shape.ahead + j];
  addOuter(dOut, room.v[shape.gates], gradient, head, many, shape.ahead, width);
  multiplyBack(dOut, parameters, head, dv, many, shape.ahead, width);
  for (let g = shape.gates - 1; g >= 0; g--) {
    const v = room.v[g];
    const s = room.gate[g];
    const h = room.hidden[g];
    for (let i = 0; i < many * width; i++) dGate[i] = dv[i] * v[i] * s[i] * (1 - s[i]);
    addOuter(dGate, h, gradient, widen[g], many, width, hidden);
    multiplyBack(dGate, parameters, widen[g], dHidden, many, width, hidden);
    for (let i = 0; i < many * hidden; i++) if (h[i] <= 0) dHidden[i] = 0;
    addOuter(dHidden, v, gradient, narrow[g], many, hidden, width);
    multiplyBack(dHidden, parameters, narrow[g], dvNext, many, hidden, width);
    for (let i = 0; i < many * width; i++) dv[i] = dv[i] * s[i] + dvNext[i];
  }
  assembleBack(layout, batch, dv, gradient);
}

const quasi = 0.8;

/** Embeddings of a window in the order e_s, e_a (K), e_b (K): where each begins among the parameters. */
function embeddingsOf({ shape, tables }: Layout, { series, first, last }: Batch, w: number): number[] {
  const { context, cardinalities } = shape;
  const many = cardinalities.length;
  return [
    series[w] * context,
    ...tables.map((from, k) => from + first[w * many + k] * context),
    ...tables.map((from, k) => from + last[w * many + k] * context),
  ];
}

/** Where the product of embedding `e` (of 1 + 2K, in the order above) with x stands: e_s⊙x, then those of the last step, then of the first. */
function productAt(e: number, many: number): number {
  if (e === 0) return 0;
  return e <= many ? e + many : e - many;
}

function assemble(layout: Layout, parameters: Float64Array, batch: Batch, v: Float64Array): void {
  const { context, cardinalities } = layout.shape;
  const many = cardinalities.length;
  const embeddings = 1 + 2 * many;
  for (let w = 0; w < batch.many; w++) {
    const x = batch.x.subarray(w * context, (w + 1) * context);
    const from = w * layout.width;
    const afterD = from + (embeddings + 2) * context;
    embeddingsOf(layout, batch, w).forEach((table, e) => {
      const product = afterD + productAt(e, many) * context;
      for (let t = 0; t < context; t++) {
        v[from + e * context + t] = parameters[table + t];
        v[product + t] = parameters[table + t] * x[t];
      }
    });
    const mean = x.reduce((sum, value) => sum + value, 0) / context;
    const mask = afterD + embeddings * context;
    for (let t = 0; t < context; t++) {
      v[from + embeddings * context + t] = x[t];
      v[from + (embeddings + 1) * context + t] = x[t] - quasi * (t === 0 ? mean : x[t - 1]);
      v[mask + t] = batch.mask[w * context + t];
    }
  }
}

function assembleBack(layout: Layout, batch: Batch, dv: Float64Array, gradient: Float64Array): void {
  const { context, cardinalities } = layout.shape;
  const many = cardinalities.length;
  for (let w = 0; w < batch.many; w++) {
    const from = w * layout.width;
    const afterD = from + (3 + 2 * many) * context;
    embeddingsOf(layout, batch, w).forEach((table, e) => {
      const product = afterD + productAt(e, many) * context;
      for (let t = 0; t < context; t++)
        gradient[table + t] += dv[from + e * context + t] + dv[product + t] * batch.x[w * context + t];
    });
  }
}

/** out[w, j] = Σ_i a[w, i] · matrix[j, i]. Four rows at a time share what is read of the matrix. */
function multiply(
  a: Float64Array,
  matrix: Float64Array,
  at: number,
  out: Float64Array,
  many: number,
  inner: number,
  outer: number,
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

/** out[w, i] = Σ_j d[w, j] · matrix[j, i]. */
function multiplyBack(
  d: Float64Array,
  matrix: Float64Array,
  at: number,
  out: Float64Array,
  many: number,
  outer: number,
  inner: number,
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

/** gradient[j, i] += Σ_w d[w, j] · a[w, i]. */
function addOuter(
  d: Float64Array,
  a: Float64Array,
  gradient: Float64Array,
  at: number,
  many: number,
  outer: number,
  inner: number,
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
