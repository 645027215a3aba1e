import { type Random, seededRandom, shuffle } from "../../series/statistics/seeded-random.ts";
import { growTree, leafOf, type Tree } from "./quantile-forest-tree.ts";

/**
 * Quantile regression forest: every quantile of a response given features, from the responses that share its leaves.
 *
 * **Source**: Meinshausen, Quantile regression forests (JMLR 7, 2006), section 3, on the trees of Breiman, Random forests (2001).
 *
 * **Differs**: a tree is grown from a share of the groups drawn without replacement instead of a bootstrap of rows, and its
 * leaves hold just those rows. Rows of one day are correlated, so that days are the natural groups: the trees without any row of its day give an unbiased estimate for a row (`outOfBag`).
 *
 * **Cost**: growing O(trees · n · features · depth), about 25 ms for 1,500 rows of 8 features; a prediction O(trees · leaf + n).
 */
export interface QuantileForestOptions {
  /** Trees, from 1. */
  readonly trees?: number;
  /** Rows that a leaf holds at least, from 1. */
  readonly leastLeaf?: number;
  /** Features tried at a split; a third of them, rounded up, where absent. */
  readonly tried?: number;
  /** Share of the groups that a tree grows from, above 0; 1 takes all for every tree. */
  readonly share?: number;
  readonly seed?: number;
}

/** Training examples. */
export interface Examples {
  /** Features row by row, `[row · width + feature]`; all finite. */
  readonly features: Float64Array;
  readonly width: number;
  /** One finite response for each row, at least one. */
  readonly responses: Float64Array;
  /** Rows with the same number are drawn together; each row is its own group where absent. */
  readonly groups?: Int32Array;
}

/** A grown forest. */
export interface QuantileForest {
  /**
   * Quantiles of the response: Q_q(x) = the least response v with Σ w_i(x)·1(r_i ≤ v) ≥ q, where w_i is the mean over the
   * trees of 1(row i shares x's leaf) / rows in that leaf.
   *
   * @param features `width` finite values
   * @param levels ascending, each in (0, 1]
   */
  quantiles(features: ArrayLike<number>, levels: readonly number[]): Float64Array;
  /** The same for a training row, from the trees without any row of its group; undefined where there is none. */
  outOfBag(row: number, levels: readonly number[]): Float64Array | undefined;
}

/** @throws RangeError for options or examples that cannot be */
export function quantileForest(options: QuantileForestOptions = {}) {
  return { fit: (examples: Examples): QuantileForest => grow(examples, options) };
}

function grow(examples: Examples, options: QuantileForestOptions): QuantileForest {
  const { features, width, responses } = examples;
  const { trees = 50, leastLeaf = 10, share = 0.632, seed = 1 } = options;
  const tried = options.tried ?? Math.ceil(width / 3);
  const n = responses.length;
  check(examples, trees, leastLeaf, tried, share);
  const groups = examples.groups ?? Int32Array.from({ length: n }, (_, row) => row);
  const names = Int32Array.from(new Set(groups));
  const random = seededRandom(seed);
  const sorted = sortByFeature(features, width, n);
  const rank = rankOf(responses);
  const ascending = responses.toSorted();

  const grown: { readonly tree: Tree; readonly drawn: ReadonlySet<number> }[] = [];
  for (let t = 0; t < trees; t++) {
    const drawn = drawGroups(names, share, random);
    const inBag = Uint8Array.from(groups, (group) => (drawn.has(group) ? 1 : 0));
    grown.push({ tree: growTree({ features, width, responses, sorted, inBag, leastLeaf, tried, random }), drawn });
  }

  const weights = new Float64Array(n); // by rank of the response, so that a running sum is the distribution
  const ask = (row: ArrayLike<number>, offset: number, levels: readonly number[], without?: number) => {
    weights.fill(0);
    let asked = 0;
    for (const { tree, drawn } of grown) {
      if (without !== undefined && drawn.has(without)) continue;
      asked++;
      const leaf = leafOf(tree, row, offset);
      const from = tree.start[leaf];
      const to = tree.end[leaf];
      const weight = 1 / (to - from);
      for (let i = from; i < to; i++) weights[rank[tree.rows[i]]] += weight;
    }
    return asked === 0 ? undefined : readOff(ascending, weights, asked, levels);
  };
  return {
    quantiles: (row, levels) => ask(row, 0, levels)!,
    outOfBag: (row, levels) => ask(features, row * width, levels, groups[row]),
  };
}

function check({ features, width, responses }: Examples, ...numbers: readonly number[]): void {
  const [trees, leastLeaf, tried, share] = numbers;
  if (responses.length === 0) throw new RangeError("a forest needs at least one example");
  if (features.length !== responses.length * width)
    throw new RangeError(`${features.length} features are not ${width} for each of ${responses.length} examples`);
  if (!features.every(Number.isFinite) || !responses.every(Number.isFinite))
    throw new RangeError("a forest cannot learn from values that are not finite");
  if (!(Number.isInteger(trees) && trees >= 1)) throw new RangeError(`${trees} trees: not a whole number from 1`);
  if (!(leastLeaf >= 1)) throw new RangeError(`a least leaf size of ${leastLeaf} is below 1`);
  if (!(Number.isInteger(tried) && tried >= 1 && tried <= width))
    throw new RangeError(`${tried} features per split: not a whole number from 1 to ${width}`);
  if (!(share > 0 && share <= 1)) throw new RangeError(`a share of ${share} is not in (0, 1]`);
}

/** Rows in the order of each feature: `[feature · n + place]`. Trees keep this order while they part, so that they need not sort again. */
function sortByFeature(features: Float64Array, width: number, n: number): Int32Array {
  const sorted = new Int32Array(width * n);
  for (let f = 0; f < width; f++) {
    const rows = Int32Array.from({ length: n }, (_, row) => row);
    sorted.set(
      rows.sort((a, b) => features[a * width + f] - features[b * width + f] || a - b),
      f * n,
    );
  }
  return sorted;
}

function rankOf(responses: Float64Array): Int32Array {
  const rank = new Int32Array(responses.length);
  Int32Array.from({ length: responses.length }, (_, row) => row)
    .sort((a, b) => responses[a] - responses[b] || a - b)
    .forEach((row, place) => {
      rank[row] = place;
    });
  return rank;
}

function drawGroups(names: Int32Array, share: number, random: Random): Set<number> {
  if (share === 1) return new Set(names);
  const many = Math.min(Math.max(1, names.length - 1), Math.max(1, Math.round(share * names.length)));
  return new Set(shuffle(names.slice(), random).subarray(0, many));
}

/** Rounding error that the sum of the weights may have. */
const rounding = 1e-9;

function readOff(
  ascending: Float64Array,
  weights: Float64Array,
  total: number,
  levels: readonly number[],
): Float64Array {
  const out = new Float64Array(levels.length);
  const last = ascending.length - 1;
  let sum = weights[0];
  let at = 0;
  let heaviest = weights[0] > 0 ? 0 : -1; // the last place so far that has weight
  for (let q = 0; q < levels.length; q++) {
    while (sum < (levels[q] - rounding) * total && at < last) {
      sum += weights[++at];
      if (weights[at] > 0) heaviest = at;
    }
    out[q] = ascending[heaviest < 0 ? at : heaviest];
  }
  return out;
}
