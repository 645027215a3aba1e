import type { Series } from "../../series/series.ts";
import { signedRoots, signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { gridLevels, medianIndex } from "../quantiles/quantile-grid.ts";
import { withoutOutliers } from "./outliers.ts";
import type { RecentLevelShift } from "./recent-level-shift.ts";

/** Defects of a history that a reader of its forecast should know. */
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
  readonly missingAtEnd: number;
  readonly negatives: number;
  /** Samples so far beyond all others that they are faults; stray negative ones are not counted here. */
  readonly outliers: number;
  readonly isConstant: boolean;
  /** For a counter, which otherwise only rises: how often it fell to less than half. Absent for other series. */
  readonly resets?: number;
}

/** A share of negative samples up to this is a counter's reset or a fault of the query, not load. */
const strayShare = 0.01;
/** A series with so many changes, of which at most this share are falls, is a counter and not a load that happens to rise. */
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
    missingAtEnd: last < 0 ? 0 : values.length - 1 - last,
    negatives,
    outliers: 0,
    isConstant,
    ...(isCounter && { resets }),
  };
  const counted = hasStrayNegatives(quality) ? values.map((value) => (value < 0 ? Number.NaN : value)) : values;
  return { ...quality, outliers: withoutOutliers(counted, stepMs).outliers };
}

/** Whether the negative samples are so few that they are faults, not load. */
export function hasStrayNegatives({ negatives, steps, missingShare }: DataQuality): boolean {
  return negatives > 0 && negatives <= strayShare * steps * (1 - missingShare);
}

/** Weight of a day relative to the next one, about as in the experts, over the last week. */
const fading = 0.8;
const knownDays = 7;
/** Samples before a level shift count for this share: they show the shape of the days, but less of how days differ. */
const beforeShift = 0.5;

/**
 * Weighted share of the last week that the history covers: 1 for a whole week, less with gaps, a level shift or a short history.
 * 1 below a day of history, where no daily profile is forecast.
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

/** Factor on the width of prediction intervals: a fourth root, as a stronger one costs more at every quantile (measured). */
export function intervalFactor(evidence: number): number {
  return evidence ** -0.25;
}

/** Fewer samples, over a day or more, may agree by chance and do not show how far a load moves. */
const enoughSamples = 24;
/** Standard deviation to assume then, on the root of a typical load: about what a day changes (as in `drift`). */
const unseenSpread = 0.25;

/** Whether there are too few samples to show how far the load moves, although they span a day or more. */
export function isSparse({ samples, steps, stepMs }: DataQuality): boolean {
  return samples < enoughSamples && steps * stepMs >= dayMs;
}

/**
 * Widens the prediction intervals of a sparse history: √(d² + e²) on the root of the values, where e falls to 0 at 24 samples.
 *
 * @param quantiles `[level · leads + lead]` on the grid levels; not changed
 * @param values the history, NaN where missing
 */
export function widenForSparse(quantiles: Float64Array, leads: number, values: Float64Array): Float64Array {
  const known = signedRoots(values).filter(Number.isFinite);
  const typical = known.reduce((sum, value) => sum + Math.abs(value), 0) / Math.max(1, known.length);
  const unseen = unseenSpread * typical * Math.sqrt(Math.max(0, 1 - known.length / enoughSamples));
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

/** A level shift for `describeQuality`: when, and by how much in the series' own unit. */
export interface ReportedLevelShift {
  readonly agoMs: number;
  readonly factor: number;
  readonly offset: number;
}

/**
 * The defects in words: "20 % missing, a gap of 6 h that ended 1 day ago".
 *
 * @param growth steady growth a day, as the difference of logarithms; 0 for none
 * @returns empty where there are none
 */
export function describeQuality(quality: DataQuality, shift?: ReportedLevelShift, growth = 0): string {
  const { steps, stepMs, missingShare, longestGap, sinceGap, missingAtEnd, negatives, outliers, isConstant, resets } =
    quality;
  const words: string[] = [];
  if (steps * stepMs < 2 * dayMs) words.push(`only ${describeSpan(steps * stepMs)}`);
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
  if (missingAtEnd >= 3) words.push(`no samples in the last ${describeSpan(missingAtEnd * stepMs)}`);
  if (negatives > 0)
    words.push(
      `${negatives} negative ${negatives === 1 ? "sample" : "samples"}${hasStrayNegatives(quality) ? " removed" : ""}`,
    );
  if (outliers > 0) words.push(`${outliers} ${outliers === 1 ? "outlier" : "outliers"} removed`);
  if (isConstant) words.push("constant");
  if (resets !== undefined)
    words.push(
      `looks like a counter${resets > 0 ? `, reset ${resets === 1 ? "once" : `${resets} times`}` : ""} (forecast its rate instead)`,
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
