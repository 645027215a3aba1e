import { type WeightedSample, weightedQuantiles } from "../../series/statistics/weighted-quantile.ts";

/** Quantile levels at which experts forecast; every level that a caller asks for is interpolated between these. */
export const gridLevels: readonly number[] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
export const medianIndex = gridLevels.indexOf(0.5);

/**
 * Writes the quantiles of a sample, on the grid levels, as those of one lead.
 *
 * @param fallback every level's value where the sample has no weight
 * @param out `[level · leads + lead]`
 */
export function sampleQuantiles(
  sample: WeightedSample,
  fallback: number,
  out: Float64Array,
  lead: number,
  leads: number,
): void {
  if (weightedQuantiles(sample, gridLevels, out, lead, leads)) return;
  for (let q = 0; q < gridLevels.length; q++) out[q * leads + lead] = fallback;
}

/**
 * Interpolates quantiles on the grid levels at other levels: linear in ln(p / (1 − p)) between two of them, and extrapolated
 * from the last two beyond the ends, which gives an exponential tail. Ascending levels give ascending values.
 *
 * @param quantiles `[level · leads + lead]`, ascending over the levels
 * @param many number of leads
 * @returns one array of `many` values for each level
 */
export function readLevels(quantiles: Float64Array, many: number, levels: readonly number[]): Float64Array[] {
  return levels.map((level) => {
    const exact = gridLevels.indexOf(level);
    if (exact >= 0) return quantiles.slice(exact * many, (exact + 1) * many);
    let upper = gridLevels.findIndex((known) => known > level);
    if (upper < 0) upper = gridLevels.length - 1;
    upper = Math.max(1, upper);
    const from = logit(gridLevels[upper - 1]);
    const part = (logit(level) - from) / (logit(gridLevels[upper]) - from);
    const out = new Float64Array(many);
    for (let l = 0; l < many; l++) {
      const low = quantiles[(upper - 1) * many + l];
      out[l] = low + part * (quantiles[upper * many + l] - low);
    }
    return out;
  });
}

function logit(level: number): number {
  return Math.log(level / (1 - level));
}
