import type { Random } from "../../series/statistics/seeded-random.ts";

/** A grown tree; nodes are numbers, 0 the root. */
export interface Tree {
  /** Feature that a node splits on; −1 at a leaf. */
  readonly feature: Int32Array;
  /** Rows with at most this value go to `left`, others to `left + 1`. */
  readonly threshold: Float64Array;
  readonly left: Int32Array;
  /** A node's rows are `rows[start … end − 1]`. */
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly rows: Int32Array;
}

export interface TreeRequest {
  /** `[row · width + feature]` */
  readonly features: Float64Array;
  readonly width: number;
  readonly responses: Float64Array;
  /** All rows in the order of each feature, `[feature · n + place]`. */
  readonly sorted: Int32Array;
  /** 1 for rows in the bag; at least one. */
  readonly inBag: Uint8Array;
  readonly leastLeaf: number;
  /** Random features that each split is chosen from, at most `width`. */
  readonly tried: number;
  readonly random: Random;
}

/**
 * Grows a regression tree: each split is the one, of the features tried, that leaves the least squared deviation from the
 * means of its two sides (Breiman et al., Classification and regression trees, 1984, section 8.4). Exact: every threshold is tried.
 */
export function growTree(request: TreeRequest): Tree {
  const { width, responses, inBag, leastLeaf, tried, random } = request;
  const n = responses.length;
  let many = 0;
  for (let row = 0; row < n; row++) many += inBag[row];
  const orders = keepInBag(request, many);
  const most = 2 * Math.max(1, Math.floor(many / leastLeaf)) + 1;
  const feature = new Int32Array(most).fill(-1);
  const threshold = new Float64Array(most);
  const left = new Int32Array(most);
  const start = new Int32Array(most);
  const end = new Int32Array(most);
  end[0] = many;
  let nodes = 1;
  const goesLeft = new Uint8Array(n);
  const scratch = new Int32Array(many);
  const candidates = Int32Array.from({ length: width }, (_, f) => f);

  for (let node = 0; node < nodes; node++) {
    const from = start[node];
    const to = end[node];
    if (to - from < 2 * leastLeaf) continue;
    let best = { gain: 0, feature: -1, size: 0, threshold: 0 };
    for (let tries = 0; tries < tried; tries++) {
      const pick = tries + Math.floor(random() * (width - tries));
      const f = candidates[pick];
      candidates[pick] = candidates[tries];
      candidates[tries] = f;
      const split = bestSplit(request, f, orders.subarray(f * many + from, f * many + to));
      if (split.gain > best.gain) best = { ...split, feature: f };
    }
    if (best.feature < 0) continue;
    const order = orders.subarray(best.feature * many, (best.feature + 1) * many);
    for (let i = from; i < to; i++) goesLeft[order[i]] = i < from + best.size ? 1 : 0;
    for (let f = 0; f < width; f++) partition(orders.subarray(f * many + from, f * many + to), goesLeft, scratch);
    feature[node] = best.feature;
    threshold[node] = best.threshold;
    left[node] = nodes;
    start[nodes] = from;
    end[nodes] = from + best.size;
    start[nodes + 1] = from + best.size;
    end[nodes + 1] = to;
    nodes += 2;
  }
  return { feature, threshold, left, start, end, rows: orders.slice(0, many) };
}

/** The leaf that these features, from `offset` on, fall into. */
export function leafOf({ feature, threshold, left }: Tree, features: ArrayLike<number>, offset: number): number {
  let node = 0;
  while (feature[node] >= 0) node = left[node] + (features[offset + feature[node]] <= threshold[node] ? 0 : 1);
  return node;
}

function keepInBag({ sorted, inBag, width, responses }: TreeRequest, many: number): Int32Array {
  if (many === responses.length) return sorted.slice();
  const orders = new Int32Array(width * many);
  for (let i = 0, kept = 0; i < sorted.length; i++) if (inBag[sorted[i]] === 1) orders[kept++] = sorted[i];
  return orders;
}

/** Of rows in the order of a feature: the split with the greatest drop of squared deviations; gain 0 where there is none. */
function bestSplit(
  { features, width, responses, leastLeaf }: TreeRequest,
  f: number,
  order: Int32Array,
): { gain: number; size: number; threshold: number } {
  const n = order.length;
  if (features[order[0] * width + f] === features[order[n - 1] * width + f]) return { gain: 0, size: 0, threshold: 0 };
  let total = 0;
  for (let i = 0; i < n; i++) total += responses[order[i]];
  const mean = total / n; // sums of deviations from it: sums of large numbers would lose digits
  let sum = 0;
  let squares = 0;
  let gain = 0;
  let size = 0;
  for (let i = 0; i < n - 1; i++) {
    const deviation = responses[order[i]] - mean;
    sum += deviation;
    squares += deviation * deviation;
    const taken = i + 1;
    if (taken < leastLeaf || n - taken < leastLeaf) continue;
    if (features[order[i] * width + f] === features[order[i + 1] * width + f]) continue;
    const drop = (sum * sum) / taken + (sum * sum) / (n - taken); // the right side's deviations sum to −sum
    if (drop > gain) {
      gain = drop;
      size = taken;
    }
  }
  const last = responses[order[n - 1]] - mean;
  squares += last * last;
  if (!(gain > 1e-12 * squares)) return { gain: 0, size: 0, threshold: 0 };
  const below = features[order[size - 1] * width + f];
  const above = features[order[size] * width + f];
  const middle = below + (above - below) / 2;
  return { gain, size, threshold: middle < above ? middle : below };
}

/** Stable partition: rows that go left come first, both sides keep their order. */
function partition(order: Int32Array, goesLeft: Uint8Array, scratch: Int32Array): void {
  let kept = 0;
  let moved = 0;
  for (let i = 0; i < order.length; i++) {
    const row = order[i];
    if (goesLeft[row] === 1) order[kept++] = row;
    else scratch[moved++] = row;
  }
  order.set(scratch.subarray(0, moved), kept);
}
