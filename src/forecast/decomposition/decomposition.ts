import { clipTo, finiteOf, median, robustScale } from "../../series/statistics/robust-statistics.ts";
import { carryParts } from "../experts/carried-parts.ts";
import { bucketsOf } from "../experts/combination.ts";
import { root } from "../experts/past.ts";
import type { Forecast, ForecastOutcome, ForecastRequest } from "../forecast.ts";

/**
 * Forecast by decomposition: the season is carried forward, the trend damped, and the quantiles are those of what such
 * forecasts missed on held-back days.
 *
 * **Source**: Zhou et al., AHPA: adaptive horizontal pod autoscaling systems on Alibaba Cloud Container Service for Kubernetes
 * (AAAI 2023), section "Proactive prediction"; conformal quantiles after Vovk, Gammerman and Shafer (2005).
 *
 * **Differs**:
 * - the series is handled as sign(y)·√|y|, where its noise hardly depends on its level;
 * - the remainder's quantiles are conformal, by lead, instead of a quantile regression forest's: with some days of history
 *   there are too few examples to grow one, and what was missed on held-back days counts trend and season errors too;
 * - the last hour's remainder is carried into the next hours, and the trend returns to its usual level, as far as past
 *   origins justify either.
 *
 * **Cost**: one decomposition a held-back origin, on bins; about 50 ms for 2,016 samples.
 */
const heldBack = 8;
const leadsLooked = 40;
const fewestSamples = 24;
/** Below so many held-back scores a bucket borrows from all leads. */
const fewestScores = 30;
const dayMs = 86_400_000;

interface Score {
  readonly origin: number;
  readonly lead: number;
  /** Missed, in units of the spread expected there. */
  readonly missed: number;
  readonly recent: number;
  /** The usual trend less the carried one, in the same units. */
  readonly toUsual: number;
}

/**
 * @param request the series is not changed; gaps stay gaps
 * @param periods in samples, strongest first, fractions allowed (`detectPeriods`); those over half of the history are left out,
 *   and without any the forecast is that of the trend alone (RobustTrend)
 * @returns non-negative where the history is; `TooShort` below 24 present samples
 */
export function decompositionForecast(request: ForecastRequest, periods: readonly number[]): ForecastOutcome {
  const { series, horizon, levels } = request;
  const samples = finiteOf(series.values).length;
  if (samples < fewestSamples) return { kind: "TooShort", samples, needed: fewestSamples };
  let length = series.values.length;
  while (!Number.isFinite(series.values[length - 1])) length--;
  const gap = series.values.length - length;
  const history = series.values.subarray(0, length);
  const rooted = root(history);
  const stepsPerHour = 3_600_000 / series.stepMs;
  const used = usablePeriods(periods, length);
  const leads = Int32Array.from({ length: horizon }, (_, j) => gap + j);
  const whole = finiteOf(rooted);
  const leastSpread = Math.max(1e-9, 0.02 * robustScale(whole), 1e-3 * Math.abs(median(whole)));
  const parts = carryParts({ values: rooted, periods: used, leads, stepsPerHour, leastSpread });

  const usualSpread = median(parts.spread);
  const scores = replay(rooted, used, gap + horizon, stepsPerHour, series.stepMs, 0.3 * usualSpread);
  const buckets = bucketsOf(gap + horizon, stepsPerHour);
  const calibrated = buckets.map(({ from, to }) => calibrate(scores, from, to));
  const centers = buckets.map(({ from, to }) => Math.log((from + to) / 2));
  const nonNegative = history.every((v) => !(v < 0));
  const at = (level: number) => {
    const offsets = calibrated.map(({ quantile }) => quantile(level));
    return parts.center.map((center, j) => {
      const lead = Math.log(leads[j] + 0.5);
      const share = between(
        centers,
        lead,
        calibrated.map(({ carried }) => carried),
      );
      const back = between(
        centers,
        lead,
        calibrated.map(({ returned }) => returned),
      );
      const offset = between(centers, lead, offsets);
      const z = center + back * parts.toUsual[j] + share * parts.recent + offset * parts.spread[j];
      return z * Math.abs(nonNegative ? Math.max(0, z) : z);
    });
  };
  const forecast: Forecast = {
    startMs: series.startMs + series.values.length * series.stepMs,
    stepMs: series.stepMs,
    levels,
    quantiles: levels.map(at).map((row) => row.map((v) => v + 0)), // no negative zeros
    mean: at(0.5).map((v) => v + 0),
    periods: used,
    method:
      used.length > 0
        ? `RobustSTL, periods of ${used.map((p) => Number(p.toFixed(2))).join(" and ")} samples`
        : "RobustTrend",
    coverage: coverageOf(scores, buckets, levels),
  };
  return { kind: "Forecast", forecast };
}

/** Cycles that a period has to be shown; a little over two, as the history is cut to whole bins. */
const cyclesNeeded = 2 + 1 / 16;

/** At most three, each shown twice over, and none that is near another. */
function usablePeriods(periods: readonly number[], length: number): number[] {
  const used: number[] = [];
  for (const period of periods)
    if (
      period >= 2 &&
      period * cyclesNeeded <= length &&
      used.every((other) => Math.abs(other / period - 1) > 0.05) &&
      used.length < 3
    )
      used.push(period);
  return used;
}

/**
 * Forecasts from held-back origins, half a day (or a period, or an eighth of the history) apart. All see a past of the same
 * length, so that they share one factored matrix.
 */
function replay(
  rooted: Float64Array,
  periods: readonly number[],
  reach: number,
  stepsPerHour: number,
  stepMs: number,
  leastSpread: number,
): Score[] {
  const n = rooted.length;
  const longest = Math.max(0, ...periods);
  const apart = Math.max(1, Math.round(Math.min((longest || dayMs / stepMs) / 2, n / 12)));
  // The longest period must be seen twice before the first origin.
  const origins = Math.min(heldBack, Math.floor((n - Math.max(2 * longest, fewestSamples)) / apart));
  if (origins < 1) return [];
  const window = n - origins * apart;
  const leads = spreadLeads(reach);
  const scores: Score[] = [];
  for (let origin = 1; origin <= origins; origin++) {
    const end = n - origin * apart;
    const past = rooted.subarray(end - window, end);
    if (finiteOf(past).length < fewestSamples / 2) continue;
    const { center, spread, recent, toUsual } = carryParts({ values: past, periods, leads, stepsPerHour, leastSpread });
    for (let l = 0; l < leads.length; l++) {
      const actual = rooted[end + leads[l]];
      if (!Number.isFinite(actual)) continue;
      scores.push({
        origin,
        lead: leads[l],
        missed: (actual - center[l]) / spread[l],
        recent: recent / spread[l],
        toUsual: toUsual[l] / spread[l],
      });
    }
  }
  return scores;
}

/** Leads to look at: the first six, then ever farther apart. */
function spreadLeads(reach: number): Int32Array {
  const leads = new Set<number>();
  for (let k = 0; k < leadsLooked; k++) {
    const even = (k * (reach - 1)) / (leadsLooked - 1);
    leads.add(Math.min(reach - 1, k < 6 ? k : Math.round(even)));
  }
  return Int32Array.from([...leads].sort((a, b) => a - b));
}

interface Calibration {
  /** Share of the way from the carried trend back to the usual one that is gone at these leads. */
  readonly returned: number;
  /** Share of the last hour's remainder that is still there at these leads. */
  readonly carried: number;
  /** Offset from the center at a level, in spreads. */
  quantile(level: number): number;
}

function calibrate(scores: readonly Score[], from: number, to: number): Calibration {
  const near = scores.filter(({ lead }) => lead >= from && lead < to);
  const seen = near.length >= fewestScores ? near : scores;
  const returned = shareOf(
    near,
    ({ toUsual }) => toUsual,
    ({ missed }) => missed,
  );
  const carried = shareOf(
    near,
    ({ recent }) => recent,
    ({ missed, toUsual }) => missed - returned * toUsual,
  );
  const rest = Float64Array.from(seen, (score) => unexplained(score, returned, carried)).sort();
  return { returned, carried, quantile: (level) => conformalQuantile(rest, level) };
}

/** Slope within 0 … 1 of what was missed on what was known, shrunk towards 0, outliers held. */
function shareOf(scores: readonly Score[], known: (score: Score) => number, missed: (score: Score) => number): number {
  let product = 0;
  let square = 0;
  for (const score of scores) {
    const x = clipTo(known(score), 6);
    product += x * clipTo(missed(score), 6);
    square += x * x;
  }
  return clipTo(Math.max(0, product / (square + 4)), 1);
}

function unexplained({ missed, recent, toUsual }: Score, returned: number, carried: number): number {
  return missed - returned * toUsual - carried * recent;
}

/** Quantile with the n + 1 of conformal prediction; a normal's, doubled, where too few scores are there to tell. */
function conformalQuantile(sorted: Float64Array, level: number): number {
  const n = sorted.length;
  if (n < fewestScores) return 2 * 1.702 ** -1 * Math.log(level / (1 - level)); // logistic approximation of the normal
  const at = (n + 1) * level - 1;
  if (at <= 0) return sorted[0];
  if (at >= n - 1) return sorted[n - 1];
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]);
}

/** Piecewise linear through (x_i, y_i), x ascending, level beyond the ends. */
function between(x: readonly number[], at: number, y: readonly number[]): number {
  let i = 0;
  while (i + 1 < x.length && x[i + 1] <= at) i++;
  if (i + 1 >= x.length || at <= x[0]) return y[at <= x[0] ? 0 : x.length - 1];
  return y[i] + ((at - x[i]) / (x[i + 1] - x[i])) * (y[i + 1] - y[i]);
}

/** Each origin judged by the scores of the others, as no forecast may be measured by what it was made from. */
function coverageOf(
  scores: readonly Score[],
  buckets: readonly { readonly from: number; readonly to: number }[],
  levels: readonly number[],
): Forecast["coverage"] {
  const origins = [...new Set(scores.map(({ origin }) => origin))];
  if (origins.length < 2) return [];
  const atOrBelow = levels.map(() => 0);
  for (const origin of origins) {
    const others = scores.filter((score) => score.origin !== origin);
    for (const { from, to } of buckets) {
      const { returned, carried, quantile } = calibrate(others, from, to);
      const bounds = levels.map(quantile);
      for (const score of scores)
        if (score.origin === origin && score.lead >= from && score.lead < to)
          bounds.forEach((bound, k) => {
            if (unexplained(score, returned, carried) <= bound) atOrBelow[k]++;
          });
    }
  }
  return levels.map((level, k) => ({ level, observed: atOrBelow[k] / scores.length, samples: scores.length }));
}
