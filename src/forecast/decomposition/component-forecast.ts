import { binMeans } from "../../series/resample.ts";
import { clipTo, finiteOf, median, robustScale } from "../../series/statistics/robust-statistics.ts";
import { robustStl } from "./robust-stl.ts";
import { extrapolateTrend, robustTrend } from "./robust-trend.ts";

/** Trend and seasonality of a history, extrapolated. */
export interface ComponentForecast {
  /** Trend plus seasonality at each lead. */
  readonly center: Float64Array;
  /** Spread of the remainder at the same phase, at each lead; above 0. */
  readonly spread: Float64Array;
  /** Median trend minus extrapolated trend, at each lead. */
  readonly toUsual: Float64Array;
  /** Mean remainder of the last hour. */
  readonly recent: number;
}

/** Cycles of history that a period needs: two, and the bin by which a decomposition on bins may cut them short. */
export const cyclesNeeded = 2 + 1 / 16;
const mostPeriods = 3;

/** The strongest three periods that the history shows often enough, none near another. */
export function usablePeriods(periods: readonly number[], length: number): number[] {
  const used: number[] = [];
  for (const period of periods)
    if (
      period >= 2 &&
      period * cyclesNeeded <= length &&
      used.every((other) => Math.abs(other / period - 1) > 0.05) &&
      used.length < mostPeriods
    )
      used.push(period);
  return used;
}

/** The history to decompose, and the leads to forecast. */
export interface ComponentRequest {
  /** Samples up to an origin, NaN where missing, length n. */
  readonly values: Float64Array;
  /** Samples a cycle, fractions allowed, each at most n/2; none for a series that has only a trend. */
  readonly periods: readonly number[];
  /** Steps after the last sample: lead 0 is the next step. */
  readonly leads: Int32Array;
  readonly stepsPerHour: number;
  /** Least spread, above 0: a constant history does not show how far the load may move. */
  readonly leastSpread: number;
}

/** The trend is fitted to bins, so many per longest period: it changes slowly, and the cost grows with the square of the period. */
const binsPerPeriod = 48;
const binsWithoutPeriod = 336;
/** Weight of a cycle relative to the next one. */
const cycleMemory = 0.75;
const cyclesUsed = 8;

/**
 * Decomposes a history into trend and seasonality (RobustSTL, or RobustTrend without a period) and extrapolates both: the trend with a
 * damped slope, the seasonality as the weighted mean of its last cycles.
 */
export function forecastComponents({
  values,
  periods,
  leads,
  stepsPerHour,
  leastSpread,
}: ComponentRequest): ComponentForecast {
  const n = values.length;
  const longest = Math.max(0, ...periods);
  const each = Math.max(1, Math.ceil(longest > 0 ? longest / binsPerPeriod : n / binsWithoutPeriod));
  const skip = n % each; // bins end where the history ends
  const binned = binMeans(values.subarray(skip), each, 0.25);
  const coarse = periods.map((period) => period / each).filter((period) => period >= 4);
  const fitted = coarse.length > 0 ? robustStl({ periods: coarse }).fit(binned) : robustTrend().fit(binned);

  const trend = interpolateBins(fitted.trend, each, skip, n);
  const rest = values.map((v, t) => v - trend[t]);
  const reach = leads[leads.length - 1] + 1;
  const season = carrySeasons(rest, periods, reach);
  // φ = 0.98 in five minutes, on slopes of the last three hours, or of three bins where those are longer.
  const memory = Math.max(3, Math.round((3 * stepsPerHour) / each));
  const ahead = extrapolateTrend(
    fitted.trend,
    Math.ceil(reach / each) + 2,
    0.98 ** ((12 * each) / stepsPerHour),
    memory,
  );
  const usual = median(fitted.trend);

  const strayed = finiteOf(season.remainder);
  const size = strayed.reduce((sum, v) => sum + Math.abs(v), 0) / Math.max(1, strayed.length);
  // A mostly idle series has almost no robust spread, but its rare bursts count here.
  const global = Math.max(leastSpread, robustScale(strayed, 0), size);
  const center = new Float64Array(leads.length);
  const spread = new Float64Array(leads.length);
  const toUsual = new Float64Array(leads.length);
  const last = fitted.trend[fitted.trend.length - 1];
  for (let l = 0; l < leads.length; l++) {
    const at = (leads[l] + 0.5 + each / 2) / each; // in bins after the middle of the last one
    const low = Math.floor(at);
    const from = low === 0 ? last : ahead[low - 1];
    const carried = from + (at - low) * (ahead[low] - from);
    center[l] = carried + season.ahead[leads[l]];
    toUsual[l] = usual - carried;
    spread[l] = Math.max(0.5 * global, Math.min(2.5 * global, season.spreadAhead[leads[l]] || global));
  }
  return { center, spread, toUsual, recent: recentOf(season.remainder, Math.max(1, Math.round(stepsPerHour)), global) };
}

/** The trend, linear between the middles of bins; constant beyond the first and last middle. */
function interpolateBins(bins: Float64Array, each: number, skip: number, n: number): Float64Array {
  const trend = new Float64Array(n);
  const last = bins.length - 1;
  for (let t = 0; t < n; t++) {
    const at = (t - skip + 0.5) / each - 0.5;
    const low = Math.max(0, Math.min(last - 1, Math.floor(at)));
    const part = Math.max(0, Math.min(1, at - low));
    trend[t] = last < 1 ? bins[0] : bins[low] + part * (bins[low + 1] - bins[low]);
  }
  return trend;
}

interface CarriedSeason {
  readonly ahead: Float64Array;
  readonly spreadAhead: Float64Array;
  /** In-sample: the series minus trend and seasonality. */
  readonly remainder: Float64Array;
}

/** Each seasonal component as the mean of earlier cycles, longest period first, so that shorter ones refine its remainder. */
function carrySeasons(rest: Float64Array, periods: readonly number[], reach: number): CarriedSeason {
  const n = rest.length;
  const ahead = new Float64Array(reach);
  let remainder = rest;
  for (const period of periods.toSorted((a, b) => b - a)) {
    const clipped = clipSpikes(remainder, period);
    const mean = cycleMeans(clipped, period, reach);
    for (let j = 0; j < reach; j++) ahead[j] += mean[n + j];
    remainder = remainder.map((v, t) => v - mean[t]);
  }
  const spreadAhead = new Float64Array(reach);
  if (periods.length > 0) {
    const longest = Math.max(...periods);
    const sizes = remainder.map(Math.abs);
    const usual = cycleMeans(smooth(sizes, Math.max(1, Math.round(longest / 32))), longest, reach);
    for (let j = 0; j < reach; j++) spreadAhead[j] = 1.25 * usual[n + j];
  }
  return { ahead, spreadAhead, remainder };
}

/** Clips spikes towards the median of neighbouring cycles, so that a single spike is not repeated in the next cycle. */
function clipSpikes(values: Float64Array, period: number): Float64Array {
  const n = values.length;
  const lag = Math.round(period);
  const changes = new Float64Array(Math.max(0, n - lag));
  for (let t = lag; t < n; t++) changes[t - lag] = values[t] - values[t - lag];
  const scale = robustScale(finiteOf(changes), 0);
  if (scale === 0) return values;
  return values.map((v, t) => {
    const same: number[] = [];
    for (let k = -3; k <= 3; k++) {
      const other = values[t + Math.round(k * period)];
      if (Number.isFinite(other)) same.push(other);
    }
    if (same.length < 3 || !Number.isFinite(v)) return v;
    const usual = median(Float64Array.from(same));
    return usual + clipTo(v - usual, 3 * scale);
  });
}

/** For each sample and each step ahead, the weighted mean of earlier cycles at that phase; 0 where there is none. */
function cycleMeans(values: Float64Array, period: number, reach: number): Float64Array {
  const n = values.length;
  const means = new Float64Array(n + reach);
  for (let t = 0; t < n + reach; t++) {
    let weights = 0;
    let sum = 0;
    let weight = 1;
    const first = t < n ? 1 : Math.floor((t - n) / period) + 1;
    for (let k = first; k < first + cyclesUsed; k++, weight *= cycleMemory) {
      const at = t - Math.round(k * period);
      if (at < 0) break;
      if (at >= n || !Number.isFinite(values[at])) continue;
      weights += weight;
      sum += weight * values[at];
    }
    // The first cycle has none before it, and a season counted as remainder would pass for noise.
    if (weights === 0 && t < n)
      for (let k = 1; k <= 2 && t + Math.round(k * period) < n; k++) {
        const later = values[t + Math.round(k * period)];
        if (!Number.isFinite(later)) continue;
        weights++;
        sum += later;
      }
    if (weights > 0) means[t] = sum / weights;
  }
  return means;
}

/** Mean of what is present within `half` samples on both sides. */
function smooth(values: Float64Array, half: number): Float64Array {
  const n = values.length;
  const out = new Float64Array(n).fill(Number.NaN);
  let sum = 0;
  let count = 0;
  for (let t = -half; t < n; t++) {
    const entering = values[t + half];
    if (Number.isFinite(entering)) {
      sum += entering;
      count++;
    }
    const leaving = values[t - half - 1];
    if (Number.isFinite(leaving)) {
      sum -= leaving;
      count--;
    }
    if (t >= 0 && count > 0) out[t] = sum / count;
  }
  return out;
}

function recentOf(remainder: Float64Array, steps: number, scale: number): number {
  const last = finiteOf(remainder.subarray(Math.max(0, remainder.length - steps)));
  if (last.length === 0) return 0;
  return last.reduce((sum, v) => sum + clipTo(v, 6 * scale), 0) / last.length;
}
