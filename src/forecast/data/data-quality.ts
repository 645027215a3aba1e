import type { Series } from "../../series/series.ts";
import { signedRoots, signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { gridLevels, medianIndex } from "../quantiles/quantile-grid.ts";
import { withoutOutliers } from "./outliers.ts";
import type { RecentLevelShift } from "./recent-level-shift.ts";

/** What is odd about a history: all that a forecast from it should be read with. */
export interface DataQuality {
  /** Steps from the first present sample to the end of the series. */
  readonly steps: number;
  readonly stepMs: number;
  /** Finite samples among them. */
  readonly samples: number;
  /** Share of those steps without a finite sample, 0 … 1. */
  readonly missingShare: number;
  /** Steps of the longest gap between two samples, and steps from its end to the end of the series; 0 where there is no gap. */
  readonly longestGap: number;
  readonly sinceGap: number;
  /** Steps without a sample at the end. */
  readonly silent: number;
  readonly negatives: number;
  /** Samples so far beyond all others that they are faults; stray negative ones are no such. */
  readonly wild: number;
  readonly isConstant: boolean;
  /** How often a series that otherwise only rises fell back to less than half; absent where it is not such a one. */
  readonly resets?: number;
}

/** So few negative samples in a hundred, in a load that is none otherwise, are a counter's reset or a fault of the query. */
const strayShare = 0.01;
/** A counter is told from a load that happens to rise by so many changes, of which all but a few in a hundred rise. */
const counterChanges = 50;
const counterFalls = 0.02;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Reads a series once; samples that are not finite count as missing. */
export function examine({ values, stepMs }: Series): DataQuality {
  let first = 0;
  while (first < values.length && !Number.isFinite(values[first])) first++;
  const steps = values.length - first;
  let [last, present, negatives, longestGap, gapEnd] = [-1, 0, 0, 0, 0];
  let [rises, falls, resets, isConstant] = [0, 0, 0, true];
  for (let t = first; t < values.length; t++) {
    const value = values[t];
    if (!Number.isFinite(value)) continue;
    present++;
    if (value < 0) negatives++;
    if (last >= 0) {
      if (t - last - 1 > longestGap) [longestGap, gapEnd] = [t - last - 1, t];
      if (value > values[last]) rises++;
      if (value < values[last]) {
        falls++;
        if (value < values[last] / 2) resets++;
      }
      if (value !== values[last]) isConstant = false;
    }
    last = t;
  }
  const isCounter =
    negatives === 0 &&
    rises + falls >= counterChanges &&
    falls === resets &&
    falls <= Math.max(1, counterFalls * (rises + falls));
  const quality = {
    steps,
    stepMs,
    samples: present,
    missingShare: steps > 0 ? 1 - present / steps : 1,
    longestGap,
    sinceGap: longestGap > 0 ? values.length - gapEnd : 0,
    silent: last < 0 ? 0 : values.length - 1 - last,
    negatives,
    wild: 0,
    isConstant,
    ...(isCounter && { resets }),
  };
  const counted = hasStrayNegatives(quality) ? values.map((value) => (value < 0 ? Number.NaN : value)) : values;
  return { ...quality, wild: withoutOutliers(counted, stepMs).wild };
}

/** Whether the negative samples are so few that they are faults, not load. */
export function hasStrayNegatives({ negatives, steps, missingShare }: DataQuality): boolean {
  return negatives > 0 && negatives <= strayShare * steps * (1 - missingShare);
}

/** A history's samples weigh less by this a day, about as the experts weigh them, and a week is all that they can have. */
const fading = 0.8;
const knownDays = 7;
/** What was before a change of level tells the shape of the days, and by how much they differ only in part. */
const beforeShift = 0.5;

/**
 * How much of the last week there is to know from: 1 for a whole one, less for one with gaps, on another level, or not seen.
 * Below a day, where no day's course is forecast, nothing is missed.
 *
 * @param values NaN where missing, the last one present
 * @returns above 0, at most 1
 */
export function evidenceOf(values: Float64Array, stepMs: number, shift?: RecentLevelShift): number {
  const perDay = dayMs / stepMs;
  if (values.length < perDay) return 1;
  const keep = fading ** (1 / perDay);
  const wanted = Math.max(1, Math.round(knownDays * perDay));
  let [known, all] = [0, 0];
  for (let back = 0, weight = 1; back < wanted; back++, weight *= keep) {
    const t = values.length - 1 - back;
    all += weight;
    if (t >= 0 && !Number.isNaN(values[t])) known += shift && t < shift.at ? beforeShift * weight : weight;
  }
  return known / all;
}

/** How much wider bands are for it: the fourth root, as more is paid for with every quantile (measured). */
export function bandFactor(evidence: number): number {
  return evidence ** -0.25;
}

/** So many samples tell how far a load moves; fewer, spread over a day or more, may agree by chance. */
const tellingSamples = 24;
/** What is unknown then: one sd of the root of a typical load, about what a day does to it (as `drift` has it below a day). */
const unseenSpread = 0.25;

/** Whether there are too few samples to tell how far the load moves, although they span a day or more. */
export function isSparse({ samples, steps, stepMs }: DataQuality): boolean {
  return samples < tellingSamples && steps * stepMs >= dayMs;
}

/**
 * Moves levels away from the median by what so few samples cannot tell: √(d² + e²) on the root of the values, e the less the more
 * samples there are, and nothing from 24 on.
 *
 * @param quantiles `[level · leads + lead]` on the grid levels; not changed
 * @param values the history, NaN where missing
 */
export function widenForSparse(quantiles: Float64Array, leads: number, values: Float64Array): Float64Array {
  const known = signedRoots(values).filter(Number.isFinite);
  const typical = known.reduce((sum, value) => sum + Math.abs(value), 0) / Math.max(1, known.length);
  const unseen = unseenSpread * typical * Math.sqrt(Math.max(0, 1 - known.length / tellingSamples));
  const out = signedRoots(quantiles);
  for (let l = 0; l < leads; l++) {
    const median = out[medianIndex * leads + l];
    for (let q = 0; q < gridLevels.length; q++) {
      const normal = Math.log(gridLevels[q] / (1 - gridLevels[q])) / 1.7; // a normal quantile within 0.1
      const apart = out[q * leads + l] - median;
      out[q * leads + l] = median + Math.sign(normal) * Math.hypot(apart, unseen * normal);
    }
  }
  return signedSquaresInPlace(out);
}

/** What is told of a change of level: when, and by how much in the series' own unit. */
export interface ReportedLevelShift {
  readonly agoMs: number;
  readonly factor: number;
  readonly offset: number;
}

/**
 * The oddities in words, for a reason: "20 % missing, a gap of 6 h that ended 1 day ago".
 *
 * @param growth steady growth a day, as the difference of logarithms; 0 for none
 * @returns empty where there is nothing to say
 */
export function describeQuality(quality: DataQuality, shift?: ReportedLevelShift, growth = 0): string {
  const { steps, stepMs, missingShare, longestGap, sinceGap, silent, negatives, wild, isConstant, resets } = quality;
  const words: string[] = [];
  if (steps * stepMs < 2 * dayMs) words.push(`only ${describeSpan(steps * stepMs)} of it`);
  if (isSparse(quality)) words.push(`only ${quality.samples} samples`);
  if (shift) {
    const by = shift.offset === 0 ? `× ${significant(shift.factor)}` : `by ${significant(shift.offset)}`;
    words.push(`level shift ${by} ${describeSpan(shift.agoMs)} ago`);
  }
  if (growth !== 0)
    words.push(`${growth > 0 ? "grows" : "shrinks"} by ${significant(100 * Math.abs(Math.expm1(growth)))} % a day`);
  if (missingShare >= 0.01)
    words.push(`${Math.min(quality.samples > 0 ? 99 : 100, Math.round(100 * missingShare))} % missing`);
  if (longestGap >= 3 && longestGap * stepMs >= hourMs)
    words.push(`a gap of ${describeSpan(longestGap * stepMs)} that ended ${describeSpan(sinceGap * stepMs)} ago`);
  if (silent >= 3) words.push(`silent for the last ${describeSpan(silent * stepMs)}`);
  if (negatives > 0)
    words.push(
      `${negatives} negative ${negatives === 1 ? "sample" : "samples"}${hasStrayNegatives(quality) ? " left out" : ""}`,
    );
  if (wild > 0) words.push(`${wild} ${wild === 1 ? "sample" : "samples"} far beyond all others left out`);
  if (isConstant) words.push("constant");
  if (resets !== undefined)
    words.push(
      `a counter's course${resets > 0 ? `, reset ${resets === 1 ? "once" : `${resets} times`}` : ""} (forecast its rate)`,
    );
  return words.join(", ");
}

function significant(value: number): string {
  return String(Number(value.toPrecision(2)));
}

function describeSpan(ms: number): string {
  if (ms < hourMs) return `${Math.round(ms / 60_000)} min`;
  return ms < 2 * dayMs ? `${significant(ms / hourMs)} h` : `${significant(ms / dayMs)} days`;
}
