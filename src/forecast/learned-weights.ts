import type { LevelCoverage } from "./coverage.ts";

/** What a forecast can hand to the next one: plain data, by the algorithm that made it. */
export type LearnedWeights = ExpertWeights | NhppWeights;

/** What the backtest of the experts taught. It stays true for some hours, so that a later forecast need not repeat the backtest. */
export interface ExpertWeights {
  readonly experts: readonly string[];
  readonly stepMs: number;
  readonly horizon: number;
  /** `[bucket of leads][expert]`, each bucket summing to 1. */
  readonly weights: readonly (readonly number[])[];
  /** Factor on the upper levels' distance from the median. */
  readonly stretch: number;
  /** Origins of the backtest; 0 where the history was too short and all experts have equal weights. */
  readonly origins: number;
  /** For each level of the quantile grid: how many of the `samples` values were at or below it. */
  readonly atOrBelow: readonly number[];
  readonly samples: number;
  /** Errors of the median in the backtest; absent where there was none. */
  readonly errors?: BacktestErrors;
}

/** Errors of the median in the backtest, without a unit. */
export interface BacktestErrors {
  /** Absolute error as a share of the load. */
  readonly wape: number;
  /** The same error as a share of the seasonal naive forecast's, which repeats the last known day. */
  readonly relativeError: number;
}

/** What trials and the backtest taught an NHPP model: true for a day or so, as long as the periods stay. */
export interface NhppLearned {
  /** Periods, in bins. */
  readonly lags: readonly number[];
  readonly stepsPerBin: number;
  /** β₁ and β₂ of the intensity. */
  readonly smoothness: number;
  readonly periodicity: number;
  readonly extrapolation: NhppExtrapolation;
  /** How much more than Poisson's the counts scatter, for each bucket of leads. */
  readonly dispersions: readonly number[];
}

/** How an intensity goes on beyond its history. */
export interface NhppExtrapolation {
  /** Weight of each period, summing to 1. */
  readonly periodWeights: readonly number[];
  /** Share of the last hour's level, as a power of it, that is carried into the first bin. */
  readonly levelShare: number;
  /** Bins until that share has halved. */
  readonly halfLife: number;
}

/** What an NHPP forecast keeps for the next one. */
export interface NhppWeights extends NhppLearned {
  /** End of the history that it was learned from. */
  readonly learnedMs: number;
  readonly coverage: readonly LevelCoverage[];
}
