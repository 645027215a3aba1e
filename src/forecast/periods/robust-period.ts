import { clipTo, finiteOf, median, robustScale } from "../../series/statistics/robust-statistics.ts";
import { hodrickPrescott, lambdaFor } from "../../series/transforms/hodrick-prescott.ts";
import { levelShifts, withoutShifts } from "../data/level-shifts.ts";
import { withoutOutliers } from "../data/outliers.ts";
import { calendarPeriods } from "./calendar-periods.ts";
import { fundamentals } from "./harmonics.ts";
import { type Recurrence, recurrence } from "./periodic-shape.ts";
import { fitLines, type Line, type LineFit, powerAt, powerOfLine } from "./robust-lines.ts";
import { findPeaks, lineAutocorrelations, type Peak } from "./spectral-peaks.ts";

/**
 * Period detection: RobustPeriod, extended to several overlapping periods and to shapes without a strong spectral line.
 *
 * **Source**: Wen, He, Sun, Zhang, Ke and Xu, RobustPeriod: robust time-frequency mining for multiple periodicity detection
 * (SIGMOD 2021): Hodrick–Prescott detrending, clipping, MODWT levels, Huber periodogram, Fisher's test, Huber-ACF.
 *
 * **Differs**:
 * - level shifts are removed before detrending, which would smear them over many periods;
 * - a bin of a level's periodogram is one step of the Huber fit, the transform of the clipped coefficients; the full Huber fit is
 *   made for all lines together, on the series itself, with free frequencies;
 * - Fisher's test uses the passband's bins of the unpadded transform, against the smooth spectrum of the series within the level:
 *   the paper's flat null hypothesis finds periods in a third of random walks;
 * - the search is repeated on the residual of the lines found so far;
 * - the autocorrelation is tested at two and three periods, on the line and the residual without the other lines;
 * - harmonics are grouped under their fundamental, and a shape with a recurring autocorrelation counts where lines are too weak.
 *
 * **Cost**: O(n·(levels·taps + lines²)); about 6 ms for 2,016 samples of noise, 30 ms with a dozen lines.
 */

/** A period found in a series. */
export interface Period {
  /** Samples a cycle; fractions matter over many cycles. */
  readonly period: number;
  /** Share of the detrended series' variance that the period and its harmonics explain, 0 … 1. */
  readonly strength: number;
  /** Probability of such a peak without a period; 1 where only the recurring shape shows it. */
  readonly pValue: number;
}

/** Prior knowledge of a series, and the significance level. */
export interface PeriodOptions {
  /** Length of a step. With it, a day and a week need fewer than the five cycles of other periods. */
  readonly stepMs?: number;
  /** Probability, for each search, of a false period. */
  readonly alpha?: number;
}

interface FoundLine extends Line {
  readonly pValue: number;
}

const clip = 2.5;
/** Clipping limit before the trend is known, in robust standard deviations: a larger sample would bend even a robust trend. */
const roughClip = 100;
const searches = 4;
const mostLines = 12;
const leastSamples = 32;
const leastCycles = 5;
const leastAutocorrelation = 0.1;
const leastStrength = 0.02;

/**
 * Finds the periods of a series.
 *
 * @param samples NaN where missing, length n; outliers (`withoutOutliers`) count as missing
 * @returns strongest first; empty where there is no period, where fewer than 32 samples or 30 % are present, or the series is constant
 */
export function detectPeriods(samples: Float64Array, options: PeriodOptions = {}): Period[] {
  const { values } = withoutOutliers(samples, options.stepMs ?? Number.POSITIVE_INFINITY);
  const n = values.length;
  const present = finiteOf(values);
  if (present.length < leastSamples || present.length < 0.3 * n) return [];
  const center = median(present);
  const spread = robustScale(present, center);
  if (spread === 0) return [];
  const longest = n / leastCycles;
  const y = values.map((v) => clipTo((v - center) / spread, roughClip));
  const x = detrend(y, longest);
  const scale = robustScale(finiteOf(x), 0);
  if (scale < 1e-9) return [];

  const { lines, variance } = findLines(x, longest, options.alpha ?? 0.04);
  const shape = recurrence(
    x.map((v) => clipTo(v / scale, 4)),
    Math.floor(longest),
  );
  const recurring = shape && recurringFrequency(shape, lines, variance, n);
  const clipped = clip0(x, scale);
  const found = fundamentals(lines, n, (frequency) => scale * scale * powerAt(clipped, frequency), recurring)
    .map(({ frequency, power }) => ({
      period: 1 / frequency,
      strength: Math.min(1, Math.max(power / variance, isNear(frequency, recurring) ? shape!.correlation : 0)),
      pValue: lines.find((line) => isNear(line.frequency, frequency))?.pValue ?? 1,
    }))
    .filter(({ strength }) => strength > leastStrength);
  const named = options.stepMs === undefined ? [] : calendarPeriods(withoutStraightLine(y), options.stepMs);
  return withCalendar(found, named, n).toSorted((a, b) => b.strength - a.strength);
}

/** Periods that the history cannot distinguish from a day or a week become exactly that; calendar periods that were not found are added. */
function withCalendar(
  found: readonly Period[],
  named: readonly { period: number; gain: number }[],
  n: number,
): Period[] {
  const snapped: Period[] = [];
  for (const one of found) {
    const name = named.find(({ period }) => Math.abs(period / one.period - 1) < Math.max(0.015, (0.35 * period) / n));
    const period = name?.period ?? one.period;
    if (snapped.every((other) => other.period !== period)) snapped.push({ ...one, period });
  }
  const fresh = named.filter(({ period }) => snapped.every((one) => one.period !== period));
  return [...snapped, ...fresh.map(({ period, gain }) => ({ period, strength: gain, pValue: 1 }))];
}

/** The series minus a straight line, by least squares: unlike the curved trend, this keeps the week. */
function withoutStraightLine(values: Float64Array): Float64Array {
  let count = 0;
  let sumT = 0;
  let sumV = 0;
  for (let t = 0; t < values.length; t++) {
    if (!Number.isFinite(values[t])) continue;
    count++;
    sumT += t;
    sumV += values[t];
  }
  let product = 0;
  let square = 0;
  for (let t = 0; t < values.length; t++) {
    if (!Number.isFinite(values[t])) continue;
    product += (t - sumT / count) * (values[t] - sumV / count);
    square += (t - sumT / count) ** 2;
  }
  const slope = square > 0 ? product / square : 0;
  return values.map((v, t) => v - sumV / count - slope * (t - sumT / count));
}

/** The series minus a Hodrick–Prescott trend, fitted twice: the second time to samples clipped around the first trend, so that spikes do not bend it. */
function detrend(values: Float64Array, longest: number): Float64Array {
  const y = withoutShifts(values, levelShifts(values, Math.round(longest)));
  const lambda = lambdaFor(longest);
  const rough = hodrickPrescott(y, lambda);
  const scale = robustScale(finiteOf(y.map((v, t) => v - rough[t])), 0);
  const trend = hodrickPrescott(
    y.map((v, t) => rough[t] + clipTo(v - rough[t], 3 * scale)),
    lambda,
  );
  return y.map((v, t) => v - trend[t]);
}

/** Lines that pass Fisher's test and the autocorrelation test, and the variance that they are part of. */
function findLines(x: Float64Array, longest: number, alpha: number): { lines: FoundLine[]; variance: number } {
  const n = x.length;
  const lambda = lambdaFor(longest);
  const passed = (f: number) => (1 - 1 / (1 + lambda * (2 * Math.sin(Math.PI * f)) ** 4)) ** 2;
  let fit: LineFit = { lines: [], residual: x, scale: robustScale(finiteOf(x), 0) };
  let found: Peak[] = [];
  for (let search = 0; search < searches && found.length < mostLines && fit.scale > 1e-9; search++) {
    const rest = clip0(fit.residual, fit.scale);
    const least = (leastStrength / 4) * meanSquare(rest);
    const fresh = findPeaks(rest, { lowest: 0.98 / longest, alpha, passed })
      .filter(({ frequency }) => found.every((old) => Math.abs(old.frequency - frequency) > 1 / n))
      .map((peak) => ({ peak, power: powerAt(rest, peak.frequency) }))
      .filter(({ power }) => power > least)
      .toSorted((a, b) => b.power - a.power)
      .slice(0, mostLines - found.length)
      .map(({ peak }) => peak);
    if (fresh.length === 0) break;
    found = [...found, ...fresh];
    const refit = fitLines(
      x,
      found.map(({ frequency }) => frequency),
      5,
    );
    if (refit.lines.length < found.length) break;
    fit = refit;
    found = found.map((peak, i) => ({ ...peak, frequency: fit.lines[i].frequency }));
  }
  const noise = clip0(fit.residual, fit.scale).map((v) => v * fit.scale);
  const kept = lineAutocorrelations(noise, fit.lines);
  const lines = fit.lines
    .map((line, i) => ({ ...line, pValue: found[i].pValue }))
    .filter((_, i) => kept[i] > leastAutocorrelation);
  return { lines, variance: meanSquare(noise) + lines.reduce((sum, line) => sum + powerOfLine(line), 0) };
}

/**
 * The frequency of a recurring shape that counts as a period besides the lines: that of a line at the same place, else the shape's
 * own, unless lines of other periods with a common multiple explain the shape.
 */
function recurringFrequency(
  shape: Recurrence,
  lines: readonly Line[],
  variance: number,
  n: number,
): number | undefined {
  const { period } = shape;
  const same = lines.filter(({ frequency }) => Math.abs(frequency * period - 1) < Math.max(0.03, (0.6 * period) / n));
  if (same.length > 0) return same.toSorted((a, b) => powerOfLine(b) - powerOfLine(a))[0].frequency;
  let explained = 0;
  let total = 0;
  let common = 0;
  const multiples = new Set<number>();
  for (const line of lines) {
    const ratio = line.frequency * period;
    const multiple = Math.round(ratio);
    const power = powerOfLine(line);
    total += power;
    if (multiple < 1 || Math.abs(ratio - multiple) > Math.max(0.02 * ratio, (0.5 * period) / n)) continue;
    explained += power;
    multiples.add(multiple);
    common = greatestCommonDivisor(common, multiple);
  }
  if (explained < 0.8 * total) return undefined;
  const neighbours = [1, 2, 3].some((m) => multiples.has(m) && multiples.has(m + 1));
  const unexplained = total < 0.8 * shape.correlation * variance;
  return common !== 1 || neighbours || unexplained ? 1 / period : undefined;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function isNear(frequency: number, other: number | undefined): boolean {
  return other !== undefined && Math.abs(frequency / other - 1) < 0.015;
}

/** Clipped samples in units of `scale`; 0 where missing. */
function clip0(values: Float64Array, scale: number): Float64Array {
  return values.map((v) => (Number.isFinite(v) ? clipTo(v / scale, clip) : 0));
}

function meanSquare(values: Float64Array): number {
  let sum = 0;
  for (let t = 0; t < values.length; t++) sum += values[t] * values[t];
  return sum / values.length;
}
