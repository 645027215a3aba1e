import type { Layout } from "./sntsf-layout.ts";
import { addOuterProducts, type Matrix, multiply, multiplyTransposed } from "./sntsf-matrix.ts";

/**
 * The gated network of Kapacity's SNTSF forecaster (its class Fcnet), with forward and backward pass written out.
 *
 * **Source**: kapacity-algorithm v0.3.0. From a context x of L samples, a series and K calendar features at the first and the last
 * step ahead, with embeddings e of width L: v = [e_s, e_a, e_b, x, d, e_s⊙x, e_b⊙x, e_a⊙x, m], d_t = x_t − 0.8·x_{t−1} (the mean
 * stands before the first), m the mask of present samples. Then gates v ← v ⊙ σ(W₂·ReLU(W₁·v)) and a linear head to H values.
 *
 * **Differs**: the mask m is appended. A missing sample is not a zero: it stands at the mean of the context, and the mask says so.
 *
 * **Cost**: 6·gates·D²/bottleneck multiplications per window for a training step, a third of it for a forecast; D = L·(5 + 4K).
 */

/** A batch of windows, row by row. */
export interface Batch {
  readonly many: number;
  /** `[window · L + t]`, scaled; a missing sample has the mean of the others. */
  readonly x: Float64Array;
  /** 1 where a sample is present, else 0. */
  readonly mask: Float64Array;
  readonly series: Int32Array;
  /** Calendar at the first and at the last step ahead, `[window · K + feature]`. */
  readonly first: Int32Array;
  readonly last: Int32Array;
}

/** Memory for the values between the layers, for batches up to a size. */
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

/** A network: its layout and its parameters. */
export interface Network {
  readonly layout: Layout;
  readonly parameters: Float64Array;
}

/** The weight matrices within an array of the network's length: its parameters, or their gradient. */
function matricesOf({ shape, width, hidden, narrow, widen, head }: Layout, values: Float64Array) {
  return {
    narrow: narrow.map((at): Matrix => ({ values, at, outer: hidden, inner: width })),
    widen: widen.map((at): Matrix => ({ values, at, outer: width, inner: hidden })),
    head: { values, at: head, outer: shape.ahead, inner: width } satisfies Matrix,
  };
}

/** @returns the network's outputs, `[window · H + step]`: a view of `workspace.out` */
export function forward({ layout, parameters }: Network, batch: Batch, workspace: Workspace): Float64Array {
  const { shape, width, hidden, head } = layout;
  const { many } = batch;
  const matrices = matricesOf(layout, parameters);
  assemble(layout, parameters, batch, workspace.v[0]);
  for (let g = 0; g < shape.gates; g++) {
    const v = workspace.v[g];
    const h = workspace.hidden[g];
    const s = workspace.gate[g];
    const next = workspace.v[g + 1];
    multiply(v, matrices.narrow[g], h, many);
    for (let i = 0; i < many * hidden; i++) if (h[i] < 0) h[i] = 0;
    multiply(h, matrices.widen[g], s, many);
    for (let i = 0; i < many * width; i++) {
      s[i] = 1 / (1 + Math.exp(-s[i]));
      next[i] = v[i] * s[i];
    }
  }
  multiply(workspace.v[shape.gates], matrices.head, workspace.out, many);
  const bias = head + shape.ahead * width;
  for (let w = 0; w < many; w++)
    for (let j = 0; j < shape.ahead; j++) workspace.out[w * shape.ahead + j] += parameters[bias + j];
  return workspace.out.subarray(0, many * shape.ahead);
}

/**
 * Adds the gradient of Σ dOut·out to `gradient`; call it right after `forward` with the same batch and workspace.
 *
 * @param dOut slope of the loss with respect to each output, `[window · H + step]`
 */
export function backward(
  { layout, parameters }: Network,
  batch: Batch,
  workspace: Workspace,
  dOut: Float64Array,
  gradient: Float64Array,
): void {
  const { shape, width, hidden, head } = layout;
  const { many } = batch;
  const matrices = matricesOf(layout, parameters);
  const slopes = matricesOf(layout, gradient);
  const { dv, dvNext, dGate, dHidden } = workspace;
  const bias = head + shape.ahead * width;
  for (let w = 0; w < many; w++) for (let j = 0; j < shape.ahead; j++) gradient[bias + j] += dOut[w * shape.ahead + j];
  addOuterProducts(dOut, workspace.v[shape.gates], slopes.head, many);
  multiplyTransposed(dOut, matrices.head, dv, many);
  for (let g = shape.gates - 1; g >= 0; g--) {
    const v = workspace.v[g];
    const s = workspace.gate[g];
    const h = workspace.hidden[g];
    for (let i = 0; i < many * width; i++) dGate[i] = dv[i] * v[i] * s[i] * (1 - s[i]);
    addOuterProducts(dGate, h, slopes.widen[g], many);
    multiplyTransposed(dGate, matrices.widen[g], dHidden, many);
    for (let i = 0; i < many * hidden; i++) if (h[i] <= 0) dHidden[i] = 0;
    addOuterProducts(dHidden, v, slopes.narrow[g], many);
    multiplyTransposed(dHidden, matrices.narrow[g], dvNext, many);
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
