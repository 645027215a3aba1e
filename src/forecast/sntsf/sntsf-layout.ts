import type { Random } from "../../series/statistics/seeded-random.ts";

/** Sizes of the network. */
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
