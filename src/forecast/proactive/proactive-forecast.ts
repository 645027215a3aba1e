import { calendarOf } from "../../series/calendar.ts";
import { finiteOf, median, robustScale } from "../../series/statistics/robust-statistics.ts";
import { signedRoots } from "../../series/transforms/square-root.ts";
import { correctionShare } from "../decomposition/component-correction.ts";
import { forecastComponents, usablePeriods } from "../decomposition/component-forecast.ts";
import type { ForecastOutcome, ForecastRequest } from "../forecast.ts";
import { detectPeriods } from "../periods/robust-period.ts";
import { type Bucket, bucketsOf, interpolateRows, logCenters } from "../quantiles/lead-buckets.ts";
import { type Frame, featuresOf, featureWidth, type Origin, pastOrigins } from "./proactive-examples.ts";
import { type ResidualExamples, residualQuantiles } from "./residual-quantiles.ts";

/**
 * AHPA's proactive forecast: the seasonality is repeated, the trend damped, and the quantiles come from a quantile regression forest,
 * calibrated on held-out data so that each level has its coverage.
 *
 * **Source**: Zhou et al., AHPA: adaptive horizontal pod autoscaling systems on Alibaba Cloud Container Service for Kubernetes
 * (AAAI 2023), "Proactive prediction"; Meinshausen, Quantile regression forests (2006); the shift after Romano, Patterson and
 * Candès, Conformalized quantile regression (2019).
 *
 * **Differs**:
 * - it works on sign(y)·√|y|, where the noise hardly depends on the level;
 * - the forest learns the residuals of forecasts from past origins, not the in-sample remainder, which lacks the errors of trend and
 *   seasonality;
 * - before the forest, the last hour's remainder persists and the trend returns to its median, by the shares that fit past origins:
 *   a tree needs many splits for a straight line;
 * - held out is not one stretch at the end, but for each tree the days that it was not grown from.
 *
 * **Cost**: one decomposition for each of 16 origins and one forest; about 80 ms for 2,016 samples.
 *
 * @param request the series is not changed; samples that are not finite count as missing
 * @returns non-negative where the history is; `TooShort` below 24 present samples
 */
export function proactiveForecast(request: ForecastRequest): ForecastOutcome {
  const { series, horizon, levels, timeZone } = request;
  const { startMs, stepMs } = series;
  const present = finiteOf(series.values);
  if (present.length < fewestSamples) return { kind: "TooShort", samples: present.length, needed: fewestSamples };
  let length = series.values.length;
  while (!Number.isFinite(series.values[length - 1])) length--;
  const gap = series.values.length - length;
  const unit = present.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0) || 1;
  const history = series.values.subarray(0, length).map((v) => (Number.isFinite(v) ? v / unit : Number.NaN));
  const rooted = signedRoots(history);
  const all = finiteOf(rooted);
  const leastSpread = Math.max(1e-9, 0.02 * robustScale(all), 1e-3 * Math.abs(median(all)));
  const periods = usablePeriods(
    detectPeriods(history, { stepMs }).map(({ period }) => period),
    length,
  );
  const reach = gap + horizon;
  const calendar = calendarOf(startMs, stepMs, length + reach, timeZone);
  const leads = Int32Array.from({ length: horizon }, (_, j) => gap + j);
  const stepsPerHour = 3_600_000 / stepMs;
  const parts = forecastComponents({ values: rooted, periods, leads, stepsPerHour, leastSpread });
  const now: Origin = { origin: length, leads, ...parts };

  const least = Math.max(leastSpread, 0.3 * median(parts.spread));
  const frame: Frame = { rooted, periods, stepMs, startMs, reach, leastSpread: least, calendar };
  const past = pastOrigins(frame);
  const buckets = bucketsOf(reach, stepsPerHour);
  const correct = correctionOf(frame, past, buckets);
  const bands = residualQuantiles(
    residualsOf(frame, past, correct),
    { features: featuresOf(frame, now), leads },
    buckets,
    withMedian(levels),
  );

  const nonNegative = history.every((v) => !(v < 0));
  const corrected = parts.center.map((center, l) => center + correct(now, l));
  const rows = bands.quantiles.map((offsets) =>
    offsets.map((offset, l) => {
      const z = corrected[l] + offset * parts.spread[l];
      return nonNegative && !(z > 0) ? 0 : z * Math.abs(z) * unit;
    }),
  );
  const wanted = withMedian(levels);
  const middle = wanted.indexOf(0.5);
  return {
    kind: "Forecast",
    forecast: {
      startMs: startMs + series.values.length * stepMs,
      stepMs,
      levels,
      quantiles: levels.map((level) => rows[wanted.indexOf(level)]),
      mean: rows[middle].slice(),
      periods,
      method:
        periods.length > 0
          ? `Proactive: RobustSTL, periods of ${periods.map((p) => Number(p.toFixed(2))).join(" and ")} samples, and a quantile forest`
          : "Proactive: RobustTrend and a quantile forest",
      coverage: bands.coverage.filter(({ level }) => levels.includes(level)),
    },
  };
}

const fewestSamples = 24;
const dayMs = 86_400_000;

function withMedian(levels: readonly number[]): number[] {
  return [...new Set([...levels, 0.5])].sort((a, b) => a - b);
}

type Correction = (at: Origin, l: number) => number;

/** How far the trend returns to its usual level and the last hour's remainder persists, by lead, from the residuals of past origins. */
function correctionOf(frame: Frame, past: readonly Origin[], buckets: readonly Bucket[]): Correction {
  const shares = buckets.map((bucket) => {
    const scored = scoredLeads(frame, past, bucket);
    const returned = correctionShare(
      scored.map(({ at, l, residual }) => [at.toUsual[l] / at.spread[l], residual / at.spread[l]]),
    );
    const carried = correctionShare(
      scored.map(({ at, l, residual }) => [
        at.recent / at.spread[l],
        (residual - returned * at.toUsual[l]) / at.spread[l],
      ]),
    );
    return Float64Array.of(returned, carried);
  });
  const centers = logCenters(buckets);
  return (at, l) => {
    const [returned, carried] = interpolateRows(centers, Math.log(at.leads[l] + 0.5), shares);
    return returned * at.toUsual[l] + carried * at.recent;
  };
}

/** The leads of past origins that lie in a bucket, with the residual of the uncorrected forecast. */
function scoredLeads({ rooted }: Frame, past: readonly Origin[], { from, to }: Bucket) {
  const scored: { readonly at: Origin; readonly l: number; readonly residual: number }[] = [];
  for (const at of past)
    at.leads.forEach((lead, l) => {
      if (lead >= from && lead < to) scored.push({ at, l, residual: rooted[at.origin + lead] - at.center[l] });
    });
  return scored;
}

/** Residuals of past origins, in spreads, with their features; grouped by the day of the origin, counted back from the end. */
function residualsOf(frame: Frame, past: readonly Origin[], correct: Correction): ResidualExamples {
  const { rooted, stepMs } = frame;
  const features: number[] = [];
  const responses: number[] = [];
  const groups: number[] = [];
  const leads: number[] = [];
  for (const at of past) {
    features.push(...featuresOf(frame, at));
    for (let l = 0; l < at.leads.length; l++) {
      responses.push((rooted[at.origin + at.leads[l]] - at.center[l] - correct(at, l)) / at.spread[l]);
      groups.push(Math.floor(((rooted.length - at.origin - 1) * stepMs) / dayMs));
      leads.push(at.leads[l]);
    }
  }
  return {
    features: Float64Array.from(features),
    width: featureWidth,
    responses: Float64Array.from(responses),
    groups: Int32Array.from(groups),
    leads: Int32Array.from(leads),
  };
}
