import { countQuantile } from "../../src/series/statistics/count-distribution.ts";
import { type ArrivalRates, sampleArrivals, type UnitArrivals } from "./arrivals.ts";
import { creationTime, type PlanProblem } from "./creation-time.ts";

/** What a plan needs to know. */
export interface PlanRequest {
  readonly problem: PlanProblem;
  readonly rates: ArrivalRates;
  readonly nowSeconds: number;
  /**
   * When the last query came, at most now, where only then instances were created since: the next query's plan of then holds.
   * Now when left out.
   */
  readonly sinceSeconds?: number;
  /** Instances starting or idle that no query has taken. */
  readonly outstanding: number;
  /** Until the next plan: creations beyond it are left to that. */
  readonly intervalSeconds: number;
  /** Start-up times sampled with the draws, or one for all. */
  readonly startups: Float64Array;
  readonly draws: UnitArrivals;
}

/** Instances to create. */
export interface CreationPlan {
  /** At once. */
  readonly now: number;
  /** Seconds from now, ascending, each above 0 and within the interval. */
  readonly later: readonly number[];
}

/**
 * The sequential plan: the instances of the queries beyond those that have one, until the first whose creation can wait for
 * the next plan. Made again every interval, and at each arrival.
 *
 * **Source**: RobustScaler (ICDE 2022), sequential scaling.
 *
 * **Differs**: the next query's samples stay those of the last arrival. Sampled anew at every interval, as if that no query came
 * were news, a creation some way off would be put off for ever, as Poisson arrivals have no memory: of one query in 200 s with
 * α = 0.2, all would miss. Queries behind it are sampled from now: they can still be planned when it has come.
 *
 * At most as many instances are outstanding as queries were drawn.
 */
export function planCreations(request: PlanRequest): CreationPlan {
  const {
    problem,
    rates,
    nowSeconds,
    sinceSeconds = nowSeconds,
    outstanding,
    intervalSeconds,
    startups,
    draws,
  } = request;
  let now = 0;
  const later: number[] = [];
  for (let query = outstanding + 1; query <= draws.queries; query++) {
    const from = query === outstanding + 1 ? sinceSeconds : nowSeconds;
    const at = creationTime(problem, sampleArrivals(draws, query, rates, from), startups) - (nowSeconds - from);
    if (at > intervalSeconds) break;
    if (at <= 0) now++;
    else later.push(at);
  }
  return { now, later: later.sort((a, b) => a - b) };
}

/**
 * How many instances the hitting-probability plan keeps when all take equally long to start: max{i: P(N ≥ i) > α} for N
 * arrivals over the start-up, which is N's (1 − α) quantile.
 *
 * @param expected arrivals over the start-up, at least 0
 * @param missed α, in (0, 1)
 * @param dispersion 0 for Poisson
 */
export function outstandingToHit(expected: number, missed: number, dispersion = 0): number {
  return countQuantile(expected, dispersion, 1 - missed);
}
