import { binMeans } from "../../series/resample.ts";
import type { Series } from "../../series/series.ts";
import { weightedQuantiles } from "../../series/statistics/weighted-quantile.ts";
import { signedRoots, signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { gridLevels, medianIndex } from "../quantiles/quantile-grid.ts";

/** The finest step that is forecast, and the most steps of history that are worth their time. */
const finestStepMs = 60_000;
const mostSteps = 20_160; // two weeks of minutes, ten of five minutes
/** A shorter series is not binned: bins need something to average. */
const leastSteps = 120;

/** A series as the input of the experts: from its first to its last present sample, with steps of a minute or more. */
export interface WorkingSeries extends Series {
  /** Steps of the original series in one of these. */
  readonly fineSteps: number;
  /** Steps after the last present one, to the end of the history. */
  readonly missingAtEnd: number;
}

/** @param series at least one sample is finite; those that are not count as missing */
export function toWorkingStep(series: Series): WorkingSeries {
  const wanted = Math.max(1, Math.round(finestStepMs / series.stepMs));
  const fineSteps = series.values.length >= leastSteps * wanted ? wanted : 1;
  const skipped = series.values.length % fineSteps; // so that the last bin ends with the history
  const binned = binMeans(series.values.subarray(skipped), fineSteps, 0);
  let first = 0;
  while (Number.isNaN(binned[first])) first++;
  let end = binned.length;
  while (Number.isNaN(binned[end - 1])) end--;
  first = Math.max(first, end - mostSteps);
  const stepMs = series.stepMs * fineSteps;
  return {
    values: binned.subarray(first, end),
    stepMs,
    startMs: series.startMs + skipped * series.stepMs + first * stepMs,
    fineSteps,
    missingAtEnd: binned.length - end,
  };
}

/**
 * Converts quantiles from working steps to the original steps, which scatter around the mean of their working step: the distance
 * from the median grows as independent deviations add up, √(d² + e²), on the square root of the values.
 *
 * @param quantiles `[level · leads + lead]` of `leads` working steps
 * @param horizon original steps
 * @returns `[level · horizon + step]`
 */
export function toFine(
  quantiles: Float64Array,
  leads: number,
  horizon: number,
  series: Series,
  working: WorkingSeries,
): Float64Array {
  const { fineSteps } = working;
  if (fineSteps === 1) return quantiles;
  const scatter = scatterWithin(series.values, fineSteps);
  const rooted = signedRoots(quantiles);
  const out = new Float64Array(gridLevels.length * horizon);
  for (let q = 0; q < gridLevels.length; q++) {
    for (let step = 0; step < horizon; step++) {
      const lead = Math.floor(step / fineSteps);
      const median = rooted[medianIndex * leads + lead];
      const apart = rooted[q * leads + lead] - median;
      out[q * horizon + step] = median + Math.sign(q - medianIndex) * Math.hypot(apart, scatter[q]);
    }
  }
  return signedSquaresInPlace(out);
}

/** Quantiles, on the grid levels, of √sample − √mean of its working step. */
function scatterWithin(values: Float64Array, fineSteps: number): Float64Array {
  const skipped = values.length % fineSteps;
  const fine = signedRoots(values.subarray(skipped));
  const coarse = signedRoots(binMeans(values.subarray(skipped), fineSteps, 0));
  const deviations = fine.map((value, i) => value - coarse[Math.floor(i / fineSteps)]).filter(Number.isFinite);
  const out = new Float64Array(gridLevels.length);
  const weights = new Float64Array(deviations.length).fill(1);
  weightedQuantiles({ values: deviations, weights, count: deviations.length }, gridLevels, out);
  return out;
}
