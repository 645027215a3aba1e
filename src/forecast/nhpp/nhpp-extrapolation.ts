import { clipTo } from "../../series/statistics/robust-statistics.ts";
import type { NhppExtrapolation } from "../learned-weights.ts";

/**
 * An intensity carried beyond its history: λ_{T+h} = λ_{T+h−L}, over several periods the weighted geometric mean of it, times
 * the level of the last hour against what was expected of it, fading.
 *
 * **Source**: RobustScaler (ICDE 2022), forecast by the last cycle. **Differs**: several periods, and the level of the last
 * hour; how much either counts is learned from replays, by Poisson deviance.
 */
/** What is known at an origin: everything before it. */
export interface Origin {
  /** ln λ fitted to the bins before the origin; its length is the origin. */
  readonly logRates: Float64Array;
  /** Counts of all bins, and the shares of them that were observed; only those before the origin are read. */
  readonly counts: Float64Array;
  readonly exposure: Float64Array;
  readonly lags: readonly number[];
  readonly binsPerHour: number;
}

/** A level can't be told from fewer counts than some: as many are taken to have come as expected. */
const priorCounts = 5;
const largestRatio = Math.log(4);
/** A last hour older than this says nothing of now. */
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

/** ln of the last observed hour's counts against those that its periods led to expect, and how many bins ago it ended. */
function levelRatio(
  { logRates, counts, exposure, lags, binsPerHour }: Origin,
  weights: readonly number[],
): { readonly ratio: number; readonly age: number } {
  const n = logRates.length;
  let end = n;
  while (end > 0 && !(exposure[end - 1] > 0)) end--;
  const age = n - end;
  if (lags.length === 0 || age > oldestHours * binsPerHour) return { ratio: 0, age };
  let [seen, expected] = [priorCounts, priorCounts];
  for (let t = Math.max(0, end - Math.max(1, Math.round(binsPerHour))); t < end; t++) {
    if (!(exposure[t] > 0)) continue;
    seen += counts[t];
    expected += exposure[t] * Math.exp(blend(logRates, t, lags, weights));
  }
  return { ratio: clipTo(Math.log(seen / expected), largestRatio), age };
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
const leadsJudged = 48;

/**
 * Chooses how to carry on from replays at past origins, by Poisson deviance at leads that grow ever farther apart: first the
 * weights of the periods, then how the level of the last hour lasts.
 *
 * @param origins at most two lags; each judged by the counts that followed it
 * @param bins leads that matter
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
  const leads = [...new Set(Array.from({ length: leadsJudged }, (_, k) => Math.floor(bins ** (k / leadsJudged)) - 1))];
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
