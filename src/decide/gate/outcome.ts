/** What was forecast for a stretch of time, and the actual demand; in pods. */
export interface Outcome {
  /** When it was known. */
  readonly timeMs: number;
  readonly actual: number;
  /** The forecast's median. */
  readonly forecast: number;
  /** The quantile that sizes pods. */
  readonly upper: number;
  /** What repeating the last season would have said; NaN where no season is known. */
  readonly naive: number;
}
