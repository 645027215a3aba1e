import type { Series } from "../series/series.ts";
import type { LevelCoverage } from "./coverage.ts";
import type { LearnedWeights } from "./learned-weights.ts";

/** What a forecaster is asked. Times are UTC; `timeZone` (IANA) is where the workload's users live. */
export interface ForecastRequest {
  readonly series: Series;
  /** Steps ahead, from 1. */
  readonly horizon: number;
  /** Quantile levels wanted, ascending, each in (0, 1). */
  readonly levels: readonly number[];
  readonly timeZone: string;
  /** Name of the algorithm for `forecastByName`; Forecast where absent. */
  readonly algorithm?: string;
  /**
   * `weights` of an earlier forecast of the same workload, same step and horizon: spares the backtest, most of the cost. They
   * stay good for some hours; where they do not fit, or are another algorithm's, the backtest is run.
   */
  readonly weights?: LearnedWeights;
}

/** A load read as arrivals: what its quantiles over stretches other than a step are made of. */
export interface ForecastArrivals {
  /** Arrivals expected in each step; those that seem to come together count as one. */
  readonly expected: Float64Array;
  /** How much more than Poisson's they scatter around that, for each step: the dispersion of `countQuantile`. */
  readonly dispersions: Float64Array;
  /** What one arrival in a step adds to the load. */
  readonly unit: number;
}

/** A probabilistic forecast. Its first step begins where the history ends. */
export interface Forecast {
  readonly startMs: number;
  readonly stepMs: number;
  readonly levels: readonly number[];
  /** One array of `horizon` values for each level; never crossing, never NaN. */
  readonly quantiles: readonly Float64Array[];
  /** The single best value for each step: the median, which minimizes the absolute error. */
  readonly mean: Float64Array;
  /** Periods found in the history, in samples, strongest first. */
  readonly periods: readonly number[];
  /** How it was made, for people: first the defects of the history, if any, then the experts with most weight, or the algorithm. */
  readonly method: string;
  /** Coverage of each level in the backtest, where the history allowed to measure it. */
  readonly coverage: readonly LevelCoverage[];
  /**
   * The median's backtest over the history, in the series' unit: mean absolute error, mean size of the load, and the error as a
   * share of the seasonal naive forecast's, which repeats the last day. Absent where the history is too short for a backtest.
   */
  readonly backtest?: {
    readonly error: number;
    readonly load: number;
    readonly relativeError: number;
    readonly samples: number;
  };
  /** What the backtest taught, to be handed back with the next request; absent where there was no backtest. */
  readonly weights?: LearnedWeights;
  /** Present where the load was read as arrivals. */
  readonly arrivals?: ForecastArrivals;
}

/** Every outcome that is not a mistake of the caller. */
export type ForecastOutcome =
  | { readonly kind: "Forecast"; readonly forecast: Forecast }
  | { readonly kind: "TooShort"; readonly samples: number; readonly needed: number }
  | { readonly kind: "NotPredictable"; readonly why: string };
