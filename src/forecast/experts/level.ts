/**
 * How long the recent level persists: exponentially weighted means of a profile's residuals, and the share of them that remains some
 * steps ahead, learned from the history.
 *
 * **Cost**: O(n) per level; O(n · fitted leads) for the shares.
 */

/**
 * Exponentially weighted mean of the residuals *before* each step.
 *
 * @param residual NaN where missing: such a step only reduces the weight of the others
 * @param halfLife in steps, above 0
 * @returns length n + 1: `[k]` depends on `residual[0 … k−1]`; 0 where none is present
 */
export function levelsBefore(residual: Float64Array, halfLife: number): Float64Array {
  const n = residual.length;
  const keep = 0.5 ** (1 / halfLife);
  const out = new Float64Array(n + 1);
  let sum = 0;
  let weight = 0;
  for (let k = 0; k <= n; k++) {
    out[k] = weight > 1e-9 ? sum / weight : 0;
    if (k === n) break;
    sum *= keep;
    weight *= keep;
    const value = residual[k];
    if (Number.isNaN(value)) continue;
    sum += value;
    weight++;
  }
  return out;
}

/** Shares are fitted at these leads (counted from 1) and interpolated between them. */
const fittedLeads = [
  1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72, 96, 144, 192, 240, 288, 432, 576, 720, 1080, 1440, 2160, 2880, 4320, 5760,
  8640, 11520,
];

export interface ShareFit {
  /** The first step with a usable level. */
  readonly from: number;
  /** Steps from one training sample to the next. */
  readonly every: number;
  /** Ridge penalty as a share of the levels' mean energy. */
  readonly penalty: number;
}

/**
 * Ridge regression, without intercept, of the residual j steps ahead on the levels now, for each lead: fitted at a few leads, linear in log lead between them.
 *
 * @param residual NaN where missing
 * @param levels of `levelsBefore`, at most a handful
 * @param leads ascending, from 0 (the step right after the origin)
 * @param horizon steps of the whole forecast: the last fitted lead
 * @returns `[lead · levels.length + level]`; 0 where there are fewer than ten samples
 */
export function levelShares(
  residual: Float64Array,
  levels: readonly Float64Array[],
  leads: Int32Array,
  horizon: number,
  fit: ShareFit,
): Float64Array {
  const many = levels.length;
  const grid = [...fittedLeads.filter((lead) => lead < horizon), horizon];
  const last = leads[leads.length - 1] + 1;
  const used = Math.min(grid.length, grid.findIndex((lead) => lead >= last) + 1);
  const products = levelProducts(residual, levels, fit);
  const fitted = Array.from({ length: used }, (_, g) => fitShares(residual, levels, grid[g], fit, products));

  const out = new Float64Array(leads.length * many);
  let g = 0;
  for (let l = 0; l < leads.length; l++) {
    const lead = leads[l] + 1;
    while (g + 1 < used && grid[g + 1] <= lead) g++;
    const next = Math.min(g + 1, used - 1);
    const part = next > g ? Math.log(lead / grid[g]) / Math.log(grid[next] / grid[g]) : 0;
    for (let p = 0; p < many; p++) out[l * many + p] = (1 - part) * fitted[g][p] + part * fitted[next][p];
  }
  return out;
}

/**
 * Running sums of the products of each two levels over the training samples, `[p · many + q]` for q ≤ p: each lead needs one of the
 * sums. Undefined where samples are missing, as the products that count then differ by lead.
 */
function levelProducts(
  residual: Float64Array,
  levels: readonly Float64Array[],
  { from, every }: ShareFit,
): readonly Float64Array[] | undefined {
  const n = residual.length;
  for (let k = from; k < n; k++) if (Number.isNaN(residual[k])) return undefined;
  const many = levels.length;
  const sums: Float64Array[] = [];
  for (let p = 0; p < many; p++)
    for (let q = 0; q <= p; q++) {
      const [one, other] = [levels[p], levels[q]];
      const running = new Float64Array(Math.max(0, Math.ceil((n - from) / every)) + 1);
      for (let k = from, i = 0; k < n; k += every, i++) running[i + 1] = running[i] + one[k] * other[k];
      sums[p * many + q] = running;
    }
  return sums;
}

function fitShares(
  residual: Float64Array,
  levels: readonly Float64Array[],
  lead: number,
  fit: ShareFit,
  products: readonly Float64Array[] | undefined,
): Float64Array {
  const taken = Math.max(0, Math.ceil((residual.length - fit.from - lead + 1) / fit.every));
  const many = levels.length;
  const gram = new Float64Array(many * many);
  const right = new Float64Array(many);
  let samples = 0;
  for (let p = 0; p < many; p++) {
    right[p] = strideProduct(levels[p], residual, residual, lead, fit);
    for (let q = 0; q <= p; q++)
      gram[p * many + q] = products
        ? products[p * many + q][taken]
        : strideProduct(levels[p], levels[q], residual, lead, fit);
  }
  if (products) samples = taken;
  else
    for (let at = fit.from + lead - 1; at < residual.length; at += fit.every)
      if (!Number.isNaN(residual[at])) samples++;
  let trace = 0;
  for (let p = 0; p < many; p++) trace += gram[p * many + p];
  if (samples < 10 || !(trace > 0)) return right.fill(0);
  for (let p = 0; p < many; p++) gram[p * many + p] += (fit.penalty * trace) / many + 1e-12 * trace;
  return solveCholesky(gram, right);
}

/**
 * Σ one[k] · other[k] over every `fit.every`-th k whose residual `lead` steps ahead is present; where `other` is the residual itself,
 * the one ahead is used. A loop for each pair is several times faster than one loop over all pairs.
 */
function strideProduct(
  one: Float64Array,
  other: Float64Array,
  residual: Float64Array,
  lead: number,
  { from, every }: ShareFit,
): number {
  const n = residual.length;
  let sum = 0;
  if (other === residual) {
    for (let k = from, at = from + lead - 1; at < n; k += every, at += every) {
      const value = residual[at];
      if (!Number.isNaN(value)) sum += one[k] * value;
    }
  } else {
    for (let k = from, at = from + lead - 1; at < n; k += every, at += every) {
      const value = residual[at];
      if (!Number.isNaN(value)) sum += one[k] * other[k];
    }
  }
  return sum;
}

/** Solves a small positive definite system in place; only the lower triangle of `gram` is read. */
function solveCholesky(gram: Float64Array, right: Float64Array): Float64Array {
  const n = right.length;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = gram[i * n + j];
      for (let k = 0; k < j; k++) sum -= gram[i * n + k] * gram[j * n + k];
      gram[i * n + j] = i === j ? Math.sqrt(sum) : sum / gram[j * n + j];
    }
    for (let k = 0; k < i; k++) right[i] -= gram[i * n + k] * right[k];
    right[i] /= gram[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) right[i] -= gram[k * n + i] * right[k];
    right[i] /= gram[i * n + i];
  }
  return right;
}
