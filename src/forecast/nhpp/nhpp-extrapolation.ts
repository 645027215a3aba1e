import { clipTo } from "../../series/statistics/robust-statistics.ts";
import type { NhppExtrapolation } from "../learned-weights.ts";

/**
 * Extrapolates an intensity beyond its history: λ_{T+h} = λ_{T+h−L}, the weighted geometric mean over several periods, times the
 * ratio of actual to expected arrivals in the last hour, which fades.
 *
 * **Source**: RobustScaler (ICDE 2022), forecast by the last cycle. **Differs**: several periods, and the level of the last
 * hour; the weights of both are learned in a backtest, by Poisson deviance.
 */
/** The history before an origin. */
export interface Origin {
  /** ln λ fitted to the bins before the origin; its length is the origin. */
  readonly logRates: Float64Array;
  /** Counts of all bins, and the shares of them that were observed; only those before the origin are read. */
  readonly counts: Float64Array;
  readonly exposure: Float64Array;
  readonly lags: readonly number[];
  readonly binsPerHour: number;
}

/** Added to actual and expected counts, as few counts say little about a level. */
const priorCounts = 5;
const largestRatio = Math.log(4);
/** A last hour older than this is not used. */
const oldestHours = 24;

/** Expected counts of `bins` bins from the origin on. */
export function extrapolateRates(
  origin: Origin,
  extrapolation: NhppExtrapolation,
  bins: number,
): Float64Array<ArrayBuffer> {
  const { logRates, lags, binsPerHour } = origin;
  const n = logRates.length;
  const known = new Float64Array(n + bins);
  known.set(logRates);
  const flat = meanOfLast(logRates, Math.max(1, Math.round(binsPerHour)));
  for (let t = n; t < n + bins; t++)
    known[t] = lags.length > 0 ? blend(known, t, lags, extrapolation.periodWeights) : flat;
  const { ratio, age } = levelRatio(origin, extrapolation.periodWeights);
  const out = new Float64Array(bins);
  for (let h = 0; h < bins; h++) {
    const share = extrapolation.levelShare * 2 ** (-(age + h) / extrapolation.halfLife);
    out[h] = Math.exp(known[n + h] + share * ratio);
  }
  return out;
}

/** ln of actual ÷ expected counts of the last observed hour, and how many bins ago it ended. */
function levelRatio(
  { logRates, counts, exposure, lags, binsPerHour }: Origin,
  weights: readonly number[],
): { readonly ratio: number; readonly age: number } {
  const n = logRates.length;
  let end = n;
  while (end > 0 && !(exposure[end - 1] > 0)) end--;
  const age = n - end;
  if (lags.length === 0 || age > oldestHours * binsPerHour) return { ratio: 0, age };
  let [actual, expected] = [priorCounts, priorCounts];
  for (let t = Math.max(0, end - Math.max(1, Math.round(binsPerHour))); t < end; t++) {
    if (!(exposure[t] > 0)) continue;
    actual += counts[t];
    expected += exposure[t] * Math.exp(blend(logRates, t, lags, weights));
  }
  return { ratio: clipTo(Math.log(actual / expected), largestRatio), age };
}

function blend(logRates: Float64Array, t: number, lags: readonly number[], weights: readonly number[]): number {
  let sum = 0;
  let total = 0;
  for (let k = 0; k < lags.length; k++) {
    if (t < lags[k]) continue;
    sum += weights[k] * logRates[t - lags[k]];
    total += weights[k];
  }
  return total > 0 ? sum / total : logRates[Math.max(0, Math.min(t, logRates.length) - 1)];
}

function meanOfLast(values: Float64Array, count: number): number {
  const last = values.subarray(Math.max(0, values.length - count));
  return last.reduce((a, b) => a + b, 0) / last.length;
}

const weightsOfTwo = [0, 0.25, 0.5, 0.75, 1].map((weight) => [weight, 1 - weight]);
const levelShares = [0.25, 0.5, 0.75, 1];
const halfLivesHours = [1, 3, 8, 24];
const leadsScored = 48;

/**
 * Chooses the extrapolation by a backtest: the least Poisson deviance at leads that are spaced logarithmically. First the weights of
 * the periods, then how long the level of the last hour persists.
 *
 * @param origins with at most two lags; each is scored by the counts that followed it
 * @param bins the forecast's horizon
 */
export function learnExtrapolation(origins: readonly Origin[], bins: number): NhppExtrapolation {
  const lags = origins[0]?.lags ?? [];
  const binsPerHour = origins[0]?.binsPerHour ?? 1;
  let best: NhppExtrapolation = {
    periodWeights: lags.map(() => 1 / lags.length),
    levelShare: 0.5,
    halfLife: 3 * binsPerHour,
  };
  if (origins.length === 0 || lags.length === 0) return best;
  const leads = [...new Set(Array.from({ length: leadsScored }, (_, k) => Math.floor(bins ** (k / leadsScored)) - 1))];
  let least = devianceOf(origins, leads, best);
  const attempt = (candidate: NhppExtrapolation) => {
    const deviance = devianceOf(origins, leads, candidate);
    if (deviance < least) [best, least] = [candidate, deviance];
  };
  if (lags.length === 2) for (const periodWeights of weightsOfTwo) attempt({ ...best, periodWeights });
  attempt({ ...best, levelShare: 0 });
  for (const levelShare of levelShares)
    for (const hours of halfLivesHours) attempt({ ...best, levelShare, halfLife: hours * binsPerHour });
  return best;
}

function devianceOf(origins: readonly Origin[], leads: readonly number[], extrapolation: NhppExtrapolation): number {
  let sum = 0;
  for (const origin of origins) {
    const n = origin.logRates.length;
    const rates = extrapolateRates(origin, extrapolation, leads[leads.length - 1] + 1);
    for (const lead of leads) {
      const exposure = origin.exposure[n + lead];
      if (exposure > 0) sum += exposure * rates[lead] - origin.counts[n + lead] * Math.log(rates[lead]);
    }
  }
  return sum;
}
