import { calendarOf } from "../../series/calendar.ts";
import { clipTo, finiteOf, median, robustScale } from "../../series/statistics/robust-statistics.ts";
import { carryParts } from "../experts/carried-parts.ts";
import { type Bucket, bucketsOf } from "../experts/combination.ts";
import { root } from "../experts/past.ts";
import type { ForecastOutcome, ForecastRequest } from "../forecast.ts";
import { detectPeriods } from "../periods/robust-period.ts";
import { between, type ErrorExamples, errorQuantiles } from "./proactive-bands.ts";
import { cyclesNeeded, type Frame, featuresOf, featureWidth, type Origin, pastOrigins } from "./proactive-examples.ts";

/**
 * AHPA's proactive forecast: the season carried forward, the trend damped, and the remainder's quantiles from a quantile
 * regression forest, shifted until what was held back is covered as the levels say.
 *
 * **Source**: Zhou et al., AHPA: adaptive horizontal pod autoscaling systems on Alibaba Cloud Container Service for Kubernetes
 * (AAAI 2023), "Proactive prediction"; Meinshausen, Quantile regression forests (2006); the shift after Romano, Patterson and
 * Candès, Conformalized quantile regression (2019).
 *
 * **Differs**:
 * - on sign(y)·√|y|, where noise of load hardly depends on its level;
 * - the forest learns what forecasts from past origins missed, not the remainder within the sample: that one knows nothing of
 *   the trend's and season's own errors;
 * - before it, the last hour's remainder is carried on and the trend returns to its usual level, as far as past origins
 *   justify: a tree needs many splits for a straight line;
 * - held back is not one stretch at the end, but for each tree the days that it was not grown from.
 *
 * **Cost**: a decomposition for each of 16 origins and one forest; about 80 ms for 2,016 samples.
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
  const rooted = root(history);
  const all = finiteOf(rooted);
  const leastSpread = Math.max(1e-9, 0.02 * robustScale(all), 1e-3 * Math.abs(median(all)));
  const periods = usablePeriods(history, stepMs);
  const reach = gap + horizon;
  const calendar = calendarOf(startMs, stepMs, length + reach, timeZone);
  const leads = Int32Array.from({ length: horizon }, (_, j) => gap + j);
  const stepsPerHour = 3_600_000 / stepMs;
  const parts = carryParts({ values: rooted, periods, leads, stepsPerHour, leastSpread });
  const now: Origin = { origin: length, leads, ...parts };

  const least = Math.max(leastSpread, 0.3 * median(parts.spread));
  const frame: Frame = { rooted, periods, stepMs, startMs, reach, leastSpread: least, calendar };
  const past = pastOrigins(frame);
  const buckets = bucketsOf(reach, stepsPerHour);
  const correct = correctionOf(frame, past, buckets);
  const bands = errorQuantiles(
    missedOf(frame, past, correct),
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

/** At most three, each shown twice over, and none that is near another. */
function usablePeriods(values: Float64Array, stepMs: number): number[] {
  const used: number[] = [];
  for (const { period } of detectPeriods(values, { stepMs }))
    if (
      used.length < 3 &&
      period >= 2 &&
      period * cyclesNeeded <= values.length &&
      used.every((other) => Math.abs(other / period - 1) > 0.05)
    )
      used.push(period);
  return used;
}

type Correction = (at: Origin, l: number) => number;

/** How far the trend returns to its usual level and the last hour's remainder lasts, by lead, from what past origins missed. */
function correctionOf(frame: Frame, past: readonly Origin[], buckets: readonly Bucket[]): Correction {
  const shares = buckets.map(({ from, to }) => {
    const returned = shareOf(frame, past, from, to, ({ toUsual }, l) => toUsual[l]);
    const carried = shareOf(
      frame,
      past,
      from,
      to,
      ({ recent }) => recent,
      ({ toUsual }, l) => returned * toUsual[l],
    );
    return Float64Array.of(returned, carried);
  });
  const centers = buckets.map(({ from, to }) => Math.log((from + to) / 2));
  return (at, l) => {
    const [returned, carried] = between(centers, Math.log(at.leads[l] + 0.5), shares);
    return returned * at.toUsual[l] + carried * at.recent;
  };
}

/** Slope within 0 … 1 of what was missed (less what is explained) on what was known, shrunk towards 0, outliers held. */
function shareOf(
  { rooted }: Frame,
  past: readonly Origin[],
  from: number,
  to: number,
  known: Correction,
  explained: Correction = () => 0,
): number {
  let product = 0;
  let square = 0;
  for (const at of past)
    for (let l = 0; l < at.leads.length; l++) {
      if (at.leads[l] < from || at.leads[l] >= to) continue;
      const x = clipTo(known(at, l) / at.spread[l], 6);
      const missed = rooted[at.origin + at.leads[l]] - at.center[l] - explained(at, l);
      product += x * clipTo(missed / at.spread[l], 6);
      square += x * x;
    }
  return clipTo(Math.max(0, product / (square + 4)), 1);
}

/** What past origins missed, in spreads, and what could be known of it; grouped by the day of the origin, counted back from now. */
function missedOf(frame: Frame, past: readonly Origin[], correct: Correction): ErrorExamples {
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
