import { answersLater, responseTimeSeconds, waitProbability } from "./queueing.ts";
import { fitNonNegative } from "./robust-regression.ts";

/** Share of the requests that a response time holds for: 0.95 for the 95th percentile; undefined for the mean. */
export type Share = number | undefined;

/** How response times rise with the load: each pod shares its time among its requests, or all workers take requests from one queue. */
export type ResponseModel =
  | {
      readonly kind: "Sharing";
      /** Response time of an idle pod, seconds. */
      readonly idleSeconds: number;
      /** Load, or usage, of a pod at which the response time becomes infinite. */
      readonly full: number;
    }
  | {
      readonly kind: "OneQueue";
      /** Requests per second of one worker. */
      readonly serviceRate: number;
      /** Requests that a pod serves at once, a whole number from 1. */
      readonly workers: number;
    };

/**
 * Processor sharing: R = idle ÷ (1 − x/full), so that 1/R falls along a straight line with a pod's load x. Found by Huber
 * regression of 1/R, in which outliers have little weight.
 *
 * @param x a pod's load, or its usage, above 0 @param seconds response times, above 0
 * @returns undefined where response times do not rise with x
 */
export function fitSharing(x: Float64Array, seconds: Float64Array): ResponseModel | undefined {
  let highest = 0;
  for (const value of x) highest = Math.max(highest, value);
  // With x counted back from its highest value, slope and intercept are both at least 0: pods did answer at that load.
  const { slopes, base } = fitNonNegative(
    [x.map((value) => highest - value)],
    seconds.map((value) => 1 / value),
    true,
  );
  const idleRate = base + slopes[0] * highest;
  if (!(slopes[0] * highest > leastRise * idleRate)) return undefined;
  return { kind: "Sharing", idleSeconds: 1 / idleRate, full: idleRate / slopes[0] };
}

/** A loss of speed at the highest load below this share may be noise. */
const leastRise = 0.05;

const workerCounts = [1, 2, 4, 8, 16, 32, 64] as const;
const samplesTried = 120;
const mostWorkersTried = 20_000;

/**
 * M/M/c with c = pods × workers, by a grid search: the service rate and the workers per pod with the smallest error of log R.
 *
 * @param load requests per second in all @param pods that served @param seconds mean response times; all above 0
 * @returns undefined where requests hardly ever waited, which does not tell the number of workers
 */
export function fitOneQueue(load: Float64Array, pods: Float64Array, seconds: Float64Array): ResponseModel | undefined {
  const every = Math.max(1, Math.floor(load.length / samplesTried));
  const tried: { load: number; pods: number; seconds: number }[] = [];
  for (let i = 0; i < load.length; i += every)
    tried.push({ load: load[i], pods: Math.max(1, Math.round(pods[i])), seconds: seconds[i] });
  const shortest = tried.map((sample) => sample.seconds).toSorted((a, b) => a - b)[Math.floor(tried.length / 20)];
  const largest = Math.max(...tried.map((sample) => sample.pods));
  let best: { error: number; rate: number; workers: number } | undefined;
  for (const workers of workerCounts) {
    if (workers * largest > mostWorkersTried) break;
    const errorAt = (rate: number, limit: number) => {
      let error = 0;
      for (const sample of tried) {
        const c = sample.pods * workers;
        const fitted = sample.load < c * rate ? responseTimeSeconds(sample.load, rate, c) : Number.POSITIVE_INFINITY;
        error += Math.min(1, Math.abs(Math.log(fitted / sample.seconds))) / tried.length;
        if (error > limit) break; // worse than the best already
      }
      return error;
    };
    let [rate, error] = [Number.NaN, Number.POSITIVE_INFINITY];
    for (let width = 0.1, low = -1, high = 2; width > 0.002; width /= 5) {
      const middle = Number.isNaN(rate) ? undefined : Math.log(rate * shortest);
      for (let at = middle === undefined ? low : middle - 5 * width; at <= (middle ?? high) + 5 * width; at += width) {
        const candidate = Math.exp(at) / shortest;
        if (!Number.isFinite(candidate)) break; // response times too small for a number
        const found = errorAt(candidate, error);
        if (found < error) [rate, error] = [candidate, found];
      }
      if (Number.isNaN(rate)) break;
    }
    if (best === undefined || error < best.error) best = { error, rate, workers };
  }
  if (best === undefined || !Number.isFinite(best.rate)) return undefined;
  const { rate, workers } = best;
  const busiest = Math.max(...tried.map((sample) => waitProbability(sample.load, rate, sample.pods * workers)));
  return busiest > leastRise ? { kind: "OneQueue", serviceRate: rate, workers } : undefined;
}

/** The modelled response time (mean, or the percentile that was measured) under a load; `Infinity` where the queue never settles. */
export function fittedResponse(model: ResponseModel, load: number, perPod: number, pods: number): number {
  if (model.kind === "Sharing") {
    const busy = perPod / model.full;
    return busy < 1 ? model.idleSeconds / (1 - busy) : Number.POSITIVE_INFINITY;
  }
  return responseTimeSeconds(load, model.serviceRate, Math.max(1, Math.round(pods)) * model.workers);
}

/**
 * The percentile of the response time divided by its mean, on a pod that shares its time among its requests (M/M/1-PS): a
 * hyperexponential distribution with the mean and the variance of M/M/1-PS, whose squared coefficient of variation is
 * (2+ρ)/(2−ρ).
 *
 * @param busy ρ in [0, 1)
 * @see Coffman, Muntz, Trotter, Waiting time distributions for processor-sharing systems, J. ACM 17 (1970); the distribution
 *   itself has no closed form, so two moments of it are matched, with balanced means
 */
export function sharingFactor(share: Share, busy: number): number {
  if (share === undefined) return 1;
  const squared = (2 + busy) / (2 - busy);
  const first = (1 + Math.sqrt((squared - 1) / (squared + 1))) / 2;
  const later = (t: number) => first * Math.exp(-2 * first * t) + (1 - first) * Math.exp(-2 * (1 - first) * t);
  let [low, high] = [0, 1];
  while (later(high) > 1 - share) high *= 2;
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (later(middle) > 1 - share) low = middle;
    else high = middle;
  }
  return high;
}

/** A response time objective. */
export interface ResponseObjective {
  readonly seconds: number;
  /** Share of the requests that must meet it. */
  readonly share: Share;
  /** Which percentile, or the mean, the measured response times are. */
  readonly measured: Share;
}

const busySteps = 1000;

/**
 * The highest utilization with which a pod that shares its time meets the objective.
 *
 * @returns ρ in [0, 1); undefined where an idle pod already takes too long
 */
export function busyForObjective(
  idleSeconds: number,
  { seconds, share, measured }: ResponseObjective,
): number | undefined {
  let allowed: number | undefined;
  for (let step = 0; step < busySteps; step++) {
    const busy = step / busySteps;
    const factor = share === measured ? 1 : sharingFactor(share, busy) / sharingFactor(measured, busy);
    if ((idleSeconds * factor) / (1 - busy) > seconds) break;
    allowed = busy;
  }
  return allowed;
}

/** Pods of one queue, linear between whole numbers of pods. */
export interface QueueSize {
  pods(load: number): number;
  /** The load that so many pods carry. */
  carried(pods: number): number;
}

/** Pod counts up to this are computed one by one, then in steps of 5 %. */
const oneByOne = 64;
const mostPods = 20_000;

/**
 * Sizes an M/M/c queue so that it meets the objective.
 *
 * @returns undefined where the service time alone is too long
 */
export function sizeOneQueue(
  { serviceRate, workers }: Extract<ResponseModel, { kind: "OneQueue" }>,
  { seconds, share }: ResponseObjective,
): QueueSize | undefined {
  const keeps = (load: number, c: number) =>
    share === undefined
      ? responseTimeSeconds(load, serviceRate, c) <= seconds
      : answersLater(load, serviceRate, c, seconds) <= 1 - share;
  const least = share === undefined ? 1 / serviceRate : -Math.log(1 - share) / serviceRate;
  if (!(least < seconds)) return undefined;
  const counts = [0];
  const loads = [0];
  const extend = () => {
    const before = counts[counts.length - 1];
    const count = before < oneByOne ? before + 1 : Math.ceil(before * 1.05);
    const c = count * workers;
    let [low, high] = [0, c * serviceRate];
    for (let k = 0; k < 40; k++) {
      const middle = (low + high) / 2;
      if (keeps(middle, c)) low = middle;
      else high = middle;
    }
    counts.push(count);
    loads.push(Math.max(low, loads[loads.length - 1] * (count / Math.max(1, before))));
  };
  const between = (from: readonly number[], to: readonly number[], value: number) => {
    while (from[from.length - 1] < value && counts[counts.length - 1] < mostPods) extend();
    const last = from.length - 1;
    if (value >= from[last]) return last === 0 ? 0 : to[last] * (value / from[last]);
    let [low, high] = [0, last];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (from[middle] <= value) low = middle;
      else high = middle;
    }
    return to[low] + ((to[high] - to[low]) * (value - from[low])) / (from[high] - from[low]);
  };
  return {
    pods: (load) => between(loads, counts, load),
    carried: (pods) => between(counts, loads, pods),
  };
}
