import { finiteOf, median, robustScale } from "../../series/statistics/robust-statistics.ts";
import { signedRoots } from "../../series/transforms/square-root.ts";
import { coverageFrom } from "../coverage.ts";
import type { Forecast, ForecastOutcome, ForecastRequest } from "../forecast.ts";
import { conformalQuantile, wideNormalQuantile } from "../quantiles/conformal-quantile.ts";
import { bucketsOf, interpolateRows, logCenters, spreadLeads } from "../quantiles/lead-buckets.ts";
import { correctionShare } from "./component-correction.ts";
import { forecastComponents, usablePeriods } from "./component-forecast.ts";

/**
 * Forecast by decomposition: the seasonality is repeated, the trend damped, and the quantiles come from the residuals of such
 * forecasts on held-out days.
 *
 * **Source**: Zhou et al., AHPA: adaptive horizontal pod autoscaling systems on Alibaba Cloud Container Service for Kubernetes
 * (AAAI 2023), section "Proactive prediction"; conformal quantiles after Vovk, Gammerman and Shafer (2005).
 *
 * **Differs**:
 * - it works on sign(y)·√|y|, where the noise hardly depends on the level;
 * - quantiles are conformal, by lead, instead of a quantile regression forest's: some days of history give too few examples for a
 *   forest, and residuals of held-out days include the errors of trend and seasonality;
 * - the last hour's remainder persists into the next hours, and the trend returns to its median, by the shares that fit past origins.
 *
 * **Cost**: one decomposition per held-out origin, on bins; about 50 ms for 2,016 samples.
 */
const mostOrigins = 8;
const leadsScored = 40;
const fewestSamples = 24;
/** A bucket with fewer scores uses those of all leads. */
const fewestScores = 30;
const dayMs = 86_400_000;

interface Score {
  readonly origin: number;
  readonly lead: number;
  /** Residual of the forecast, in spreads. */
  readonly residual: number;
  readonly recent: number;
  /** Median trend minus extrapolated trend, in spreads. */
  readonly toUsual: number;
}

/**
 * @param request the series is not changed; gaps stay gaps
 * @param periods in samples, strongest first, fractions allowed (`detectPeriods`); those over half of the history are left out,
 *   without any, the forecast is the trend alone (RobustTrend)
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
  const rooted = signedRoots(history);
  const stepsPerHour = 3_600_000 / series.stepMs;
  const used = usablePeriods(periods, length);
  const leads = Int32Array.from({ length: horizon }, (_, j) => gap + j);
  const whole = finiteOf(rooted);
  const leastSpread = Math.max(1e-9, 0.02 * robustScale(whole), 1e-3 * Math.abs(median(whole)));
  const parts = forecastComponents({ values: rooted, periods: used, leads, stepsPerHour, leastSpread });

  const usualSpread = median(parts.spread);
  const scores = backtest(rooted, {
    periods: used,
    reach: gap + horizon,
    stepMs: series.stepMs,
    leastSpread: 0.3 * usualSpread,
  });
  const buckets = bucketsOf(gap + horizon, stepsPerHour);
  const calibrated = buckets.map(({ from, to }) => calibrate(scores, from, to));
  const centers = logCenters(buckets);
  const nonNegative = history.every((v) => !(v < 0));
  const at = (level: number) => {
    const rows = calibrated.map(({ returned, carried, quantile }) =>
      Float64Array.of(returned, carried, quantile(level)),
    );
    return parts.center.map((center, j) => {
      const [returned, carried, offset] = interpolateRows(centers, Math.log(leads[j] + 0.5), rows);
      const z = center + returned * parts.toUsual[j] + carried * parts.recent + offset * parts.spread[j];
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

interface BacktestOptions {
  readonly periods: readonly number[];
  /** Steps ahead that are scored. */
  readonly reach: number;
  readonly stepMs: number;
  readonly leastSpread: number;
}

/**
 * Forecasts from held-out origins, half a day (or half a period, or a twelfth of the history) apart. All use histories of the same
 * length, so that they share one factored matrix.
 */
function backtest(rooted: Float64Array, { periods, reach, stepMs, leastSpread }: BacktestOptions): Score[] {
  const n = rooted.length;
  const stepsPerHour = 3_600_000 / stepMs;
  const longest = Math.max(0, ...periods);
  const apart = Math.max(1, Math.round(Math.min((longest || dayMs / stepMs) / 2, n / 12)));
  // The first origin needs two of the longest period before it.
  const origins = Math.min(mostOrigins, Math.floor((n - Math.max(2 * longest, fewestSamples)) / apart));
  if (origins < 1) return [];
  const window = n - origins * apart;
  const leads = spreadLeads(reach, leadsScored);
  const scores: Score[] = [];
  for (let origin = 1; origin <= origins; origin++) {
    const end = n - origin * apart;
    const past = rooted.subarray(end - window, end);
    if (finiteOf(past).length < fewestSamples / 2) continue;
    const { center, spread, recent, toUsual } = forecastComponents({
      values: past,
      periods,
      leads,
      stepsPerHour,
      leastSpread,
    });
    for (let l = 0; l < leads.length; l++) {
      const actual = rooted[end + leads[l]];
      if (!Number.isFinite(actual)) continue;
      scores.push({
        origin,
        lead: leads[l],
        residual: (actual - center[l]) / spread[l],
        recent: recent / spread[l],
        toUsual: toUsual[l] / spread[l],
      });
    }
  }
  return scores;
}

interface Calibration {
  /** Share by which the trend has returned to its median at these leads. */
  readonly returned: number;
  /** Share of the last hour's remainder that persists at these leads. */
  readonly carried: number;
  /** Quantile of the residuals, in spreads. */
  quantile(level: number): number;
}

function calibrate(scores: readonly Score[], from: number, to: number): Calibration {
  const near = scores.filter(({ lead }) => lead >= from && lead < to);
  const used = near.length >= fewestScores ? near : scores;
  const returned = correctionShare(near.map(({ residual, toUsual }) => [toUsual, residual]));
  const carried = correctionShare(near.map(({ residual, toUsual, recent }) => [recent, residual - returned * toUsual]));
  const rest = Float64Array.from(used, (score) => unexplained(score, returned, carried)).sort();
  return {
    returned,
    carried,
    quantile: (level) => (rest.length < fewestScores ? wideNormalQuantile(level) : conformalQuantile(rest, level)),
  };
}

function unexplained({ residual, recent, toUsual }: Score, returned: number, carried: number): number {
  return residual - returned * toUsual - carried * recent;
}

/** Each origin is scored with the calibration of the others: no forecast may be scored on its own training data. */
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
  return coverageFrom(levels, atOrBelow, scores.length);
}
