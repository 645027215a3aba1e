/** What replaying a history says of a forecast. */
export interface Backtest {
  /** Mean absolute error and mean of the actual demand, pods. */
  readonly error: number;
  readonly load: number;
  /** Error as a share of the error of repeating the last season. */
  readonly relativeError: number;
  readonly samples: number;
}
