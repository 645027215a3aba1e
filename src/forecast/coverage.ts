/** How often actual values were at or below one quantile in the backtest. */
export interface LevelCoverage {
  readonly level: number;
  /** Share of the values at or below the quantile, 0 … 1; a calibrated forecast has `level`. */
  readonly observed: number;
  /** Values that were compared. */
  readonly samples: number;
}

/**
 * @param atOrBelow for each level, how many values were at or below its quantile
 * @returns empty where there was nothing to compare
 */
export function coverageFrom(
  levels: readonly number[],
  atOrBelow: readonly number[],
  samples: number,
): readonly LevelCoverage[] {
  if (samples === 0) return [];
  return levels.map((level, k) => ({ level, observed: atOrBelow[k] / samples, samples }));
}
