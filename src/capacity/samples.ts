import { resample } from "../series/resample.ts";
import { endMs, type Series } from "../series/series.ts";

/** Samples of a workload's history, all arrays of the same length; NaN is missing. */
export interface CapacitySamples {
  /** Start of each sample, ascending, milliseconds since the epoch. */
  readonly timesMs: Float64Array;
  /** The workload's total of each load, one array per load. */
  readonly loads: readonly Float64Array[];
  /** Pods that served. */
  readonly pods: Float64Array;
  /** Usage of all pods together. */
  readonly usage?: Float64Array;
  /** Response times, seconds. */
  readonly responseSeconds?: Float64Array;
}

export interface CapacityHistory {
  readonly loads: readonly Series[];
  readonly pods: Series;
  readonly usage?: Series;
  readonly responseSeconds?: Series;
}

/** Samples are at least this long: usage and response times follow the load with a delay. */
const shortestMs = 300_000;

/** Aligns the histories on one grid, over the time that all loads and the pods cover. */
export function capacitySamples({ loads, pods, usage, responseSeconds }: CapacityHistory): CapacitySamples {
  const beside = [usage, responseSeconds].filter((series) => series !== undefined);
  const { startMs, stepMs, columns } = align([...loads, pods], beside, shortestMs);
  const after = loads.length + 1;
  return {
    timesMs: columns[0].map((_, i) => startMs + i * stepMs),
    loads: columns.slice(0, loads.length),
    pods: columns[loads.length],
    ...(usage && { usage: columns[after] }),
    ...(responseSeconds && { responseSeconds: columns[usage ? after + 1 : after] }),
  };
}

/**
 * Aligns series of different steps and lengths on one grid, whose step is the smallest common multiple of theirs.
 *
 * @param needed at least one; the grid covers the time that all of these cover
 * @param beside NaN where they do not cover the grid
 * @returns one column for each series, those of `needed` first
 */
export function align(
  needed: readonly Series[],
  beside: readonly Series[],
  leastStepMs: number,
): { readonly startMs: number; readonly stepMs: number; readonly columns: Float64Array[] } {
  const all = [...needed, ...beside];
  const stepMs = all.reduce((step, series) => commonMultiple(step, series.stepMs), leastStepMs);
  const coarse = all.map((series) => resample(series, stepMs));
  const bounds = coarse.slice(0, needed.length);
  const startMs = Math.max(...bounds.map((series) => series.startMs));
  const n = Math.max(0, Math.floor((Math.min(...bounds.map(endMs)) - startMs) / stepMs + 1e-6));
  const columns = coarse.map(({ values, startMs: from }) => {
    const shift = Math.round((startMs - from) / stepMs);
    return Float64Array.from({ length: n }, (_, i) => values[i + shift] ?? Number.NaN);
  });
  return { startMs, stepMs, columns };
}

function commonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
