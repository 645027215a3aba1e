import { clipTo, median, normalMad, quantileOfSorted } from "../../series/statistics/robust-statistics.ts";
import { powerOf, realSpectrum } from "../../series/transforms/fft.ts";
import { boundary, modwt, squaredGain } from "../../series/transforms/wavelets.ts";
import { fisherPValue } from "./fisher-test.ts";
import { type Line, subtract } from "./robust-lines.ts";

/** A peak of the robust periodogram that passed its level's Fisher test. */
export interface Peak {
  /** Cycles a sample. */
  readonly frequency: number;
  /** Fisher's p-value within its level's passband, times the number of levels. */
  readonly pValue: number;
  readonly level: number;
}

/** How to search for peaks. */
export interface PeakSearch {
  /** Lowest frequency, cycles per sample. */
  readonly lowest: number;
  /** Significance over all levels. */
  readonly alpha: number;
  /** Share of the power that the detrending passes at a frequency, 0 … 1. */
  readonly passed: (frequency: number) => number;
}

/** Passbands reach this much beyond the octave, so that a peak at its edge is not missed. */
const margin = 1.3;

/**
 * The strongest significant peak of each wavelet level (RobustPeriod, sections 3.2 and 3.3).
 *
 * @param values finite samples around 0, already clipped; 0 where missing
 */
export function findPeaks(values: Float64Array, { lowest, alpha, passed }: PeakSearch): Peak[] {
  const n = values.length;
  const levels = Math.max(1, Math.min(Math.floor(Math.log2(1 / lowest)), Math.floor(Math.log2(n)) - 1));
  const { details } = modwt(values, levels);
  const background = backgroundOf(powerOf(realSpectrum(values)), passed, n);
  const peaks: Peak[] = [];
  for (let level = 1; level <= levels; level++) {
    const coefficients = details[level - 1];
    const scale = normalMad * median(coefficients.map(Math.abs));
    if (scale === 0) continue;
    // One step of the Huber fit for all bins at once: the transform of ψ(w).
    const clipped = coefficients.map((w) => clipTo(w, 2 * scale));
    const power = powerOf(realSpectrum(clipped));
    const low = Math.max(2, Math.ceil(lowest * n - 1e-9), Math.floor(n / (2 ** (level + 1) * margin)));
    const high = Math.min(Math.floor(n / 2) - 1, Math.ceil((n * margin) / 2 ** level));
    if (high - low < 4) continue;
    let sum = 0;
    let best = low;
    const ratio = new Float64Array(high - low + 1);
    for (let k = low; k <= high; k++) {
      // Relative to the smooth spectrum of the series within this level: else its slope would count as a peak.
      ratio[k - low] = power[k] / (background[k] * passed(k / n) * squaredGain(level, k / n));
      sum += ratio[k - low];
      if (ratio[k - low] > ratio[best - low]) best = k;
    }
    // A peak between two bins leaks into its neighbours, which are therefore not counted as noise.
    if (best > low) sum -= ratio[best - low - 1];
    if (best < high) sum -= ratio[best - low + 1];
    const bins = ratio.length - (best > low ? 1 : 0) - (best < high ? 1 : 0);
    const pValue = Math.min(1, fisherPValue(ratio[best - low] / sum, bins) * levels);
    if (pValue >= alpha) continue;
    peaks.push({ frequency: refine(power, best) / n, pValue, level });
  }
  return distinct(peaks, n);
}

/** The smooth part of a spectrum for each bin: medians over a window of constant ratio, without the filter's slope. */
function backgroundOf(power: Float64Array, passed: (frequency: number) => number, n: number): Float64Array {
  const bins = power.length;
  const log = new Float64Array(bins);
  for (let k = 1; k < bins; k++) log[k] = Math.log(power[k] / Math.max(1e-6, passed(k / n)) + 1e-300);
  const background = new Float64Array(bins);
  // Medians at knots a fifth of an octave apart, straight lines in log–log between them.
  let lastKnot = 0;
  let lastValue = 0;
  for (let knot = 2; ; knot = Math.max(knot + 1, Math.round(knot * 1.15))) {
    const k = Math.min(knot, bins - 1);
    const from = Math.max(2, Math.min(Math.floor(k / 1.7), k - 4));
    const to = Math.min(bins - 1, Math.max(Math.ceil(k * 1.7), k + 4));
    const value = detrendedMedian(log, from, to, k);
    if (lastKnot === 0) background.fill(Math.exp(value), 0, k + 1);
    else
      for (let i = lastKnot + 1; i <= k; i++) {
        const part = Math.log(i / lastKnot) / Math.log(k / lastKnot);
        background[i] = Math.exp(lastValue + part * (value - lastValue));
      }
    lastKnot = k;
    lastValue = value;
    if (k === bins - 1) return background;
  }
}

/** Level at bin `at` of a robust straight line through log power over log frequency (median of halves, Brown–Mood). */
function detrendedMedian(log: Float64Array, from: number, to: number, at: number): number {
  const cut = Math.min(to - 1, Math.max(from, Math.round(Math.sqrt(from * to))));
  const low = quantileOfSorted(log.slice(from, cut + 1).sort(), 0.5);
  const high = quantileOfSorted(log.slice(cut + 1, to + 1).sort(), 0.5);
  const xLow = Math.log(Math.sqrt(from * cut));
  const xHigh = Math.log(Math.sqrt((cut + 1) * to));
  const slope = xHigh > xLow ? (high - low) / (xHigh - xLow) : 0;
  const bound = Math.max(-4, Math.min(0.5, slope)); // a load has a falling spectrum; a rising one is caused by a peak
  const residual = new Float64Array(to - from + 1);
  for (let k = from; k <= to; k++) residual[k - from] = log[k] - bound * Math.log(k);
  return quantileOfSorted(residual.sort(), 0.5) + bound * Math.log(at) + 0.3665; // ln(1/ln 2): median to mean of an exponential
}

/** Peak position between bins by a parabola through the amplitudes. */
function refine(power: Float64Array, k: number): number {
  const a = Math.sqrt(power[k - 1]);
  const b = Math.sqrt(power[k]);
  const c = Math.sqrt(power[k + 1]);
  const bend = a - 2 * b + c;
  return bend >= 0 ? k : k + Math.max(-0.5, Math.min(0.5, (0.5 * (a - c)) / bend));
}

/** Neighbouring levels find the same peak: the more significant one is kept. */
function distinct(peaks: Peak[], n: number): Peak[] {
  const kept: Peak[] = [];
  for (const peak of peaks.toSorted((a, b) => a.pValue - b.pValue))
    if (kept.every(({ frequency }) => Math.abs(frequency - peak.frequency) > 1.2 / n)) kept.push(peak);
  return kept;
}

/**
 * Whether each line is periodic: the autocorrelation after two and three periods of its wavelet level, without the other lines. Uses
 * coefficients beyond the wavelet's boundary where there are enough of them.
 *
 * @param residual finite samples, the series without any of the lines
 * @returns for each line the smaller of the two autocorrelations; 1 where the series is too short
 */
export function lineAutocorrelations(residual: Float64Array, lines: readonly Line[]): number[] {
  const n = residual.length;
  const highest = Math.floor(Math.log2(n)) - 1;
  const levels = lines.map(({ frequency }) => Math.max(1, Math.min(Math.floor(Math.log2(1 / frequency)), highest)));
  if (lines.length === 0) return [];
  const { details } = modwt(residual, Math.max(...levels));
  return lines.map(({ frequency, cos, sin }, i) => {
    const level = levels[i];
    const skip = n - boundary(level, n) > 8 / frequency ? boundary(level, n) : 0;
    // The level's response to the line is the line with another amplitude; its phase does not matter for the residual.
    const size = Math.sqrt(squaredGain(level, frequency));
    const detail = details[level - 1].slice(skip);
    subtract(detail, [{ frequency, cos: -size * cos, sin: -size * sin }], detail);
    return lineAutocorrelation(detail, frequency);
  });
}

function lineAutocorrelation(detail: Float64Array, frequency: number): number {
  const scale = normalMad * median(detail.map(Math.abs));
  if (scale === 0) return 1;
  const clipped = detail.map((w) => clipTo(w, 2 * scale));
  const length = clipped.length;
  const correlation = (lag: number) => {
    if (lag + 1 >= length) return 1;
    const k = Math.floor(lag);
    return ((1 - lag + k) * lagProduct(clipped, k) + (lag - k) * lagProduct(clipped, k + 1)) / lagProduct(clipped, 0);
  };
  return Math.min(correlation(2 / frequency), correlation(3 / frequency));
}

function lagProduct(values: Float64Array, lag: number): number {
  let sum = 0;
  for (let t = lag; t < values.length; t++) sum += values[t] * values[t - lag];
  return sum / (values.length - lag);
}
