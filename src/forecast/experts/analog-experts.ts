import { presentMean } from "../../series/gaps.ts";
import { smallest } from "../../series/statistics/robust-statistics.ts";
import { sortTogether } from "../../series/statistics/weighted-quantile.ts";
import { signedSquaresInPlace } from "../../series/transforms/square-root.ts";
import { gridLevels, sampleQuantiles } from "../quantiles/quantile-grid.ts";
import { powers } from "./day-profile.ts";
import { type Expert, type ExpertInput, stepsIn } from "./expert.ts";
import { levelShares, levelsBefore } from "./level.ts";
import { addLevels, fitOf } from "./profile-experts.ts";

/** Nearest neighbours for each lead; the distance of the middle one sets the scale of the weights. */
const nearest = 40;

/** Nearest neighbours: what followed past steps whose previous three hours resemble the last three hours. */
export const analogs: Expert = { name: "analogs", forecast: (past) => quantilesOfAnalogs(past, 0) };

/** The same, with preference for the same time of day. */
export const analogsByClock: Expert = { name: "analogs by clock", forecast: (past) => quantilesOfAnalogs(past, 0.1) };

/** What both experts need of a history; computed once for both. */
interface AnalogSearch {
  readonly mean: number;
  readonly residual: Float64Array;
  readonly levels: readonly Float64Array[];
  readonly shares: Float64Array;
  readonly base: Float64Array;
  /** The first past step, and the distance of the present to each from there on. */
  readonly first: number;
  readonly distances: Float64Array;
  readonly hasGaps: boolean;
}

const searches = new WeakMap<ExpertInput, AnalogSearch>();

function prepare(past: ExpertInput): AnalogSearch {
  const known = searches.get(past);
  if (known !== undefined) return known;
  const mean = presentMean(past.rooted);
  const residual = past.rooted.map((value) => value - mean);
  const levels = [5, 60].map((minutes) => levelsBefore(residual, Math.max(0.35, stepsIn(past, minutes))));
  const shares = levelShares(residual, levels, past.leads, past.horizon, { ...fitOf(past), penalty: 1 });
  const base = addLevels(new Float64Array(past.leads.length).fill(mean), levels, shares);
  const hasGaps = residual.some(Number.isNaN);
  const search = { mean, residual, levels, shares, base, ...measureDistances(past), hasGaps };
  searches.set(past, search);
  return search;
}

/** @param clock added to a distance for each squared hour between the times of day */
function quantilesOfAnalogs(past: ExpertInput, clock: number): Float64Array | undefined {
  const { leads } = past;
  const n = past.rooted.length;
  const search = prepare(past);
  if (search.distances.length === 0) return undefined;
  const { residual, levels, shares, base } = search;
  const many = levels.length;
  const distances = clock > 0 ? addClock(search, past, clock) : search.distances;
  const { to, steps } = byDistance(distances, search.first, search.hasGaps ? 0 : n - leads[leads.length - 1]);
  const scratch = new Float64Array(nearest);
  const weights = new Float64Array(nearest);
  const out = new Float64Array(gridLevels.length * leads.length);
  for (let l = 0; l < leads.length; l++) {
    const lead = leads[l];
    let count = 0;
    for (let c = 0; c < to.length && count < nearest; c++) {
      const k = steps[c];
      if (k + lead >= n) continue;
      let value = residual[k + lead];
      if (Number.isNaN(value)) continue;
      for (let p = 0; p < many; p++) value -= shares[l * many + p] * levels[p][k];
      scratch[count] = base[l] + value;
      weights[count] = to[c];
      count++;
    }
    if (count > 0) {
      const closest = weights[0];
      const spread = weights[Math.min(nearest / 2, count) - 1] - closest + 1e-9;
      for (let c = 0; c < count; c++) weights[c] = Math.exp((-1.5 * (weights[c] - closest)) / spread);
    }
    sampleQuantiles({ values: scratch, weights, count }, base[l], out, l, leads.length);
  }
  return signedSquaresInPlace(out);
}

/**
 * Distance of the present to each past step: mean squared difference over the previous three hours, with weights that halve each
 * hour, divided by the variance; larger if only one is on a weekend, and with age.
 */
function measureDistances(past: ExpertInput): Pick<AnalogSearch, "first" | "distances"> {
  const { rooted, stepsPerDay } = past;
  const { dayOfWeek } = past.calendar;
  const n = rooted.length;
  const window = Math.max(3, Math.floor(stepsIn(past, 180)));
  const stride = Math.max(1, Math.floor(window / 36));
  const first = Math.max(2, Math.floor(stepsPerDay / 8), window);
  const count = Math.max(0, n - 1 - first);
  const distances = new Float64Array(count);

  // Lags with a present sample, and their weights.
  const keep = 0.5 ** (stride / Math.max(1, stepsIn(past, 60)));
  const every = Math.ceil(window / stride);
  const fade = powers(keep, every);
  const lags = new Int32Array(every);
  const now = new Float64Array(every);
  const share = new Float64Array(every);
  let known = 0;
  for (let w = 0; w < every; w++) {
    const value = rooted[n - 1 - w * stride];
    if (Number.isNaN(value)) continue;
    lags[known] = 1 + w * stride;
    now[known] = value;
    share[known] = fade[w];
    known++;
  }

  const variance = presentVariance(rooted) + 1e-24;
  const isWeekend = dayOfWeek[n] >= 5;
  for (let c = 0; c < count; c++) {
    const k = first + c;
    let sum = 0;
    let weights = 0;
    for (let w = 0; w < known; w++) {
      const value = rooted[k - lags[w]];
      if (Number.isNaN(value)) continue;
      const apart = now[w] - value;
      sum += share[w] * apart * apart;
      weights += share[w];
    }
    let distance = weights > 0 ? sum / weights / variance : 1e9;
    if (dayOfWeek[k] >= 5 !== isWeekend) distance += 0.3;
    distance += (0.02 * (n - k)) / stepsPerDay;
    distances[c] = distance;
  }
  return { first, distances };
}

/** Distances with the difference of the times of day added. */
function addClock(
  { first, distances }: AnalogSearch,
  { rooted, stepsPerDay, calendar }: ExpertInput,
  clock: number,
): Float64Array {
  const n = rooted.length;
  const now = n + calendar.offsetSteps[n];
  const out = new Float64Array(distances.length);
  for (let c = 0; c < out.length; c++) {
    const k = first + c;
    const steps = (now - k - calendar.offsetSteps[k]) % stepsPerDay;
    const hours = (Math.min(steps, stepsPerDay - steps) * 24) / stepsPerDay;
    out[c] = distances[c] + clock * hours * hours;
  }
  return out;
}

/**
 * Past steps in order of distance. Those that cannot be among the nearest at any lead are omitted: all that are farther than the
 * 40th of the steps that every lead can use.
 *
 * @param first the step of the first distance
 * @param usableBefore steps before this one have a sample at every lead; 0 where gaps make that unknown
 */
function byDistance(
  distances: Float64Array,
  first: number,
  usableBefore: number,
): { to: Float64Array; steps: Int32Array } {
  const usable = Math.min(distances.length, usableBefore - first);
  const limit = usable > nearest ? smallest(distances.slice(0, usable), nearest - 1) : Number.POSITIVE_INFINITY;
  const to = new Float64Array(distances.length);
  const steps = new Int32Array(distances.length);
  let count = 0;
  for (let c = 0; c < distances.length; c++) {
    if (distances[c] > limit) continue;
    to[count] = distances[c];
    steps[count] = first + c;
    count++;
  }
  sortTogether(to, steps, 0, count - 1);
  return { to: to.subarray(0, count), steps: steps.subarray(0, count) };
}

function presentVariance(values: Float64Array): number {
  const mean = presentMean(values);
  let sum = 0;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    sum += (values[i] - mean) ** 2;
    count++;
  }
  return count > 0 ? sum / count : 0;
}
