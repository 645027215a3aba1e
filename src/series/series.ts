/** A regular time series: `values[i]` is the mean over `[startMs + i·stepMs, startMs + (i+1)·stepMs)`; NaN is missing. */
export interface Series {
  /** Start of the first step, milliseconds since the Unix epoch. */
  readonly startMs: number;
  /** Length of a step in milliseconds, above 0. */
  readonly stepMs: number;
  readonly values: Float64Array;
}

/** End of the last step (exclusive), milliseconds since the Unix epoch. */
export function endMs(series: Series): number {
  return series.startMs + series.values.length * series.stepMs;
}
