import { smallest } from "../../series/statistics/robust-statistics.ts";

/**
 * Outliers: values so far beyond all others of a history that they are faults of a query or a meter, not load.
 *
 * A jump to several times the largest value is a burst, and is kept. A single sample is an outlier at twenty times the largest of
 * all others. Several are outliers at a thousand times and within ten minutes, as a real change of load lasts longer. Where there
 * are few other samples, or nearly all are 0, nothing tells what is large, and nothing is removed.
 *
 * **Cost**: O(n).
 */

/** How far beyond the largest of all others one sample, or several, must be. */
const aloneFactor = 20;
const severalFactor = 1000;
const longestMs = 600_000;
const mostRuns = 3;
/** Outliers are at most this share of the samples, and at least so many others are not 0. */
const mostShare = 0.01;
const leastOthers = 30;
/** An outlier may be hidden by a larger one, so that the search is repeated. */
const searches = 3;

/**
 * A series without its outliers.
 *
 * @param values samples; what is not finite is missing; not changed
 * @returns the same samples, NaN in place of outliers, and the number of outliers; `values` itself where there are none
 */
export function withoutOutliers(values: Float64Array, stepMs: number): { values: Float64Array; outliers: number } {
  let kept = values;
  let outliers = 0;
  for (let search = 0; search < searches; search++) {
    const found = largestOutliers(kept, stepMs);
    if (found.length === 0) break;
    if (outliers === 0) kept = values.slice();
    for (const at of found) kept[at] = Number.NaN;
    outliers += found.length;
  }
  return { values: kept, outliers };
}

/** Steps of the values above the lowest cut that satisfies all rules, in order of time. */
function largestOutliers(values: Float64Array, stepMs: number): readonly number[] {
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

/** Runs of samples of at least this size; missing samples do not end a run. */
function runsFrom(values: Float64Array, least: number): number[][] {
  const runs: number[][] = [];
  let isOpen = false;
  for (let t = 0; t < values.length; t++) {
    if (!Number.isFinite(values[t])) continue;
    const isLarge = Math.abs(values[t]) >= least;
    if (isLarge && isOpen) runs[runs.length - 1].push(t);
    else if (isLarge) runs.push([t]);
    isOpen = isLarge;
  }
  return runs;
}
