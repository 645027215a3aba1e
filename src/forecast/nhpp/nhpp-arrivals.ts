import { finiteOf, median } from "../../series/statistics/robust-statistics.ts";

/** A load read as arrivals: whole counts where possible, else in units of its own noise. */
export interface Arrivals {
  /** What one arrival adds to a sample of the load. */
  readonly unit: number;
  /** Whether all samples are whole numbers of the unit. */
  readonly whole: boolean;
  /** Samples in units; NaN where missing. */
  readonly counts: Float64Array<ArrayBuffer>;
}

/** Arrivals in bins, the last of which ends where the history ends. */
export interface Binned {
  readonly stepsPerBin: number;
  /** Counts in units of their own noise, so that they scatter about as Poisson's; NaN where nothing was observed. */
  readonly counts: Float64Array<ArrayBuffer>;
  /** Share of each bin's steps that were observed. */
  readonly exposure: Float64Array<ArrayBuffer>;
  /** Arrivals per such count. */
  readonly noise: number;
}

/** Median of a squared standard normal: divides the median of squared differences to give a variance. */
const medianOfSquare = 0.455;
/** Noise is at least 1 % of the level, so that a bin never weighs more than 10⁴ counts. */
const leastNoise = 1e-4;

/**
 * Reads a load as arrivals. Whole numbers are counts per step; numbers that are whole after multiplication by the step's seconds
 * are counts per second; any other load is measured in units of its noise, as if that were Poisson noise.
 *
 * @param values at least 0, NaN where missing
 */
export function readArrivals(values: Float64Array, stepSeconds: number): Arrivals {
  const largest = values.reduce((most, value) => (value > most ? value : most), 0);
  for (const perUnit of [1, stepSeconds])
    if (values.every((value) => Number.isNaN(value) || isWhole(value * perUnit, largest * perUnit)))
      return { unit: 1 / perUnit, whole: true, counts: values.map((value) => Math.round(value * perUnit)) };
  const unit = noiseOf(values);
  return { unit, whole: false, counts: values.map((value) => value / unit) };
}

/**
 * A tiny number is taken for 0 only where it is a rounding error of the load's `size`; single-precision numbers are off by one part
 * in ten million.
 */
function isWhole(value: number, size: number): boolean {
  const rounding = Math.min(1e-9, 1e-9 * size);
  const tolerance = Math.max(1e-6 * Math.min(1, value), Math.min(0.01, 2e-7 * value), rounding);
  return value < 2 ** 50 && Math.abs(value - Math.round(value)) <= tolerance;
}

/** Puts arrivals into bins of so many steps, without the steps before the first whole bin. */
export function binArrivals({ counts: fine, whole }: Arrivals, stepsPerBin: number): Binned {
  const bins = Math.floor(fine.length / stepsPerBin);
  const first = fine.length - bins * stepsPerBin;
  const counts = new Float64Array(bins);
  const exposure = new Float64Array(bins);
  for (let b = 0; b < bins; b++) {
    let [sum, present] = [0, 0];
    for (let i = first + b * stepsPerBin; i < first + (b + 1) * stepsPerBin; i++) {
      if (!Number.isFinite(fine[i])) continue;
      sum += fine[i];
      present++;
    }
    counts[b] = present > 0 ? sum : Number.NaN;
    exposure[b] = present / stepsPerBin;
  }
  const measured = noiseOf(counts.map((count, b) => count / exposure[b]));
  const noise = whole ? Math.max(1, measured) : measured;
  return { stepsPerBin, counts: counts.map((count) => count / noise), exposure, noise };
}

/** Variance ÷ mean of neighbouring samples, a robust estimate: 1 for Poisson counts, c for c times such counts. Above 0. */
function noiseOf(values: Float64Array): number {
  const ratios: number[] = [];
  for (let i = 1; i < values.length; i++) {
    const sum = values[i] + values[i - 1];
    if (sum > 0) ratios.push((values[i] - values[i - 1]) ** 2 / sum);
  }
  const present = finiteOf(values);
  const mean = present.reduce((a, b) => a + b / present.length, 0);
  if (mean === 0 || present.length === 0) return 1;
  return Math.max(leastNoise * mean, ratios.length > 0 ? median(Float64Array.from(ratios)) / medianOfSquare : 0);
}
