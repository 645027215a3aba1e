import { smallest } from "../../series/statistics/robust-statistics.ts";

/**
 * Values so far beyond everything else in a history that they are faults of a query or a meter, not load.
 *
 * A jump to several times the largest ever seen is what bursts are made of, and stays. A lone sample must be twenty times the
 * largest of all others to be none; several of them a thousand times, and over within ten minutes: load that has gone where it
 * never was stays there for longer. Where the others are few, or nearly all 0, nothing is known of what is large.
 *
 * **Cost**: O(n), and nothing more where the largest value is no such one.
 */

/** How far beyond the largest of all others one sample, or several, must be. */
const aloneFactor = 20;
const severalFactor = 1000;
const longestMs = 600_000;
const mostRuns = 3;
/** No more of the samples than this, and so many others that are not 0. */
const mostShare = 0.01;
const leastOthers = 30;
/** What hides behind something wilder is looked for again. */
const searches = 3;

/**
 * A series without its wild values.
 *
 * @param values samples; what is not finite is missing; not changed
 * @returns the same samples, NaN in place of the wild ones, and how many those are; `values` itself where there are none
 */
export function withoutOutliers(values: Float64Array, stepMs: number): { values: Float64Array; wild: number } {
  let kept = values;
  let wild = 0;
  for (let search = 0; search < searches; search++) {
    const found = wildest(kept, stepMs);
    if (found.length === 0) break;
    if (wild === 0) kept = values.slice();
    for (const at of found) kept[at] = Number.NaN;
    wild += found.length;
  }
  return { values: kept, wild };
}

/** Where the values beyond the widest cut that all rules allow stand, in order of time. */
function wildest(values: Float64Array, stepMs: number): readonly number[] {
  const sizes = values.map(Math.abs).filter((size) => size > 0 && size < Number.POSITIVE_INFINITY);
  const longest = Math.max(1, Math.floor(longestMs / stepMs));
  const most = Math.min(mostRuns * longest, Math.max(1, Math.floor(mostShare * sizes.length)));
  if (sizes.length < leastOthers + 1) return [];
  let largest = 0;
  for (let i = 0; i < sizes.length; i++) if (sizes[i] > largest) largest = sizes[i];
  const usual = smallest(sizes, sizes.length - 1 - most);
  if (!(largest / aloneFactor > usual)) return [];

  const top = sizes.filter((size) => size >= usual).sort();
  for (let many = Math.min(most, sizes.length - leastOthers); many >= 1; many--) {
    const others = top[top.length - 1 - many];
    const least = top[top.length - many];
    if (!(least / (many === 1 ? aloneFactor : severalFactor) > others)) continue;
    const runs = runsFrom(values, least);
    if (runs.length <= mostRuns && runs.every((run) => run.length <= longest)) return runs.flat();
  }
  return [];
}

/** Samples of at least this size, those that follow each other together; missing ones between them part nothing. */
function runsFrom(values: Float64Array, least: number): number[][] {
  const runs: number[][] = [];
  let isOpen = false;
  for (let t = 0; t < values.length; t++) {
    if (!Number.isFinite(values[t])) continue;
    const isWild = Math.abs(values[t]) >= least;
    if (isWild && isOpen) runs[runs.length - 1].push(t);
    else if (isWild) runs.push([t]);
    isOpen = isWild;
  }
  return runs;
}
