import type { CapacityModel } from "./linear.ts";

/** Upper limit of the search. */
const mostPods = 100_000;

/**
 * Mean response time of an M/M/c queue: `pods` equal pods share one queue.
 *
 * @param arrivalRate λ, requests per second, above 0
 * @param serviceRate μ, requests per second that one pod completes, above 0
 * @param pods c, a whole number from 1
 * @returns seconds; `Infinity` when λ ≥ cμ, as the queue never settles
 * @throws RangeError when an argument is out of its range
 * @see Kleinrock, Queueing Systems I (1975), section 3.5
 */
export function responseTimeSeconds(arrivalRate: number, serviceRate: number, pods: number): number {
  checkRates(arrivalRate, serviceRate);
  if (!(Number.isInteger(pods) && pods >= 1)) throw new RangeError(`pods must be a whole number from 1: ${pods}`);
  const load = arrivalRate / serviceRate; // a = λ/μ, in Erlang
  if (load >= pods) return Number.POSITIVE_INFINITY;
  let blocked = 1;
  for (let k = 1; k <= pods; k++) blocked = erlangB(blocked, load, k);
  return responseOf(blocked, load, serviceRate, pods);
}

/**
 * The fewest pods of an M/M/c queue whose mean response time is at most `seconds`.
 *
 * @param seconds above 1/μ: no number of pods answers faster than one idle pod works
 * @throws RangeError when an argument is out of its range
 */
export function podsForResponseTime(arrivalRate: number, serviceRate: number, seconds: number): number {
  checkRates(arrivalRate, serviceRate);
  if (!(seconds > 1 / serviceRate))
    throw new RangeError(
      `a response time of ${seconds} s cannot be met: an idle pod takes ${1 / serviceRate} s for a request`,
    );
  const load = arrivalRate / serviceRate;
  let blocked = 1;
  for (let k = 1; k <= mostPods; k++) {
    blocked = erlangB(blocked, load, k);
    if (k > load && responseOf(blocked, load, serviceRate, k) <= seconds) return k;
  }
  return mostPods;
}

/**
 * Pods that serve all their requests at once (processor sharing): response time = service time ÷ (1 − ρ), so that the
 * utilization may be at most ρ = 1 − service time ÷ objective.
 *
 * @param workSeconds service time of a request on an idle pod, above 0
 * @param seconds the mean response time to meet, above `workSeconds`
 * @throws RangeError when no number of pods could meet it
 */
export function processorSharing(workSeconds: number, seconds: number): CapacityModel {
  if (!(workSeconds > 0 && seconds > workSeconds))
    throw new RangeError(
      `a response time of ${seconds} s cannot be met: an idle pod takes ${workSeconds} s for a request`,
    );
  const busy = 1 - workSeconds / seconds;
  return {
    pods: (arrivalRate) => (arrivalRate * workSeconds) / busy,
    reason: `a request takes ${workSeconds} s on an idle pod, so a pod may be ${Math.round(100 * busy)} % busy to answer within ${seconds} s`,
  };
}

/**
 * Probability that a request of an M/M/c queue has to wait: Erlang C.
 *
 * @returns 1 when λ ≥ cμ
 * @throws RangeError when an argument is out of its range
 */
export function waitProbability(arrivalRate: number, serviceRate: number, pods: number): number {
  checkRates(arrivalRate, serviceRate);
  if (!(Number.isInteger(pods) && pods >= 1)) throw new RangeError(`pods must be a whole number from 1: ${pods}`);
  const load = arrivalRate / serviceRate;
  if (load >= pods) return 1;
  let blocked = 1;
  for (let k = 1; k <= pods; k++) blocked = erlangB(blocked, load, k);
  return (pods * blocked) / (pods - load * (1 - blocked));
}

/** Probability that a request of an M/M/c queue waits longer than `seconds` before its service begins: C(c, a)·e^(−(cμ−λ)t). */
export function waitsLonger(arrivalRate: number, serviceRate: number, pods: number, seconds: number): number {
  const waits = waitProbability(arrivalRate, serviceRate, pods);
  return waits * Math.exp(-Math.max(0, pods * serviceRate - arrivalRate) * seconds);
}

/**
 * Probability that an answer of an M/M/c queue takes longer than `seconds`, waiting and service together.
 *
 * @see Gross, Shortle, Thompson, Harris, Fundamentals of Queueing Theory, 4th ed. (2008), section 2.3.2
 */
export function answersLater(arrivalRate: number, serviceRate: number, pods: number, seconds: number): number {
  const waits = waitProbability(arrivalRate, serviceRate, pods);
  const load = arrivalRate / serviceRate;
  if (load >= pods) return 1;
  const served = serviceRate * seconds; // μt
  const spare = pods - 1 - load; // where it is 0, both rates are equal and the quotient is its limit
  const quotient =
    Math.abs(served * spare) < 1e-7
      ? served * Math.exp(-served)
      : (Math.exp(-served) - Math.exp(-served * (1 + spare))) / spare;
  return Math.min(1, Math.exp(-served) + waits * quotient);
}

/** Erlang B by recursion, from k − 1 pods to k: the textbook sum of a^k/k! overflows near 170 pods. */
function erlangB(blocked: number, load: number, k: number): number {
  return (load * blocked) / (k + load * blocked);
}

function responseOf(blocked: number, load: number, serviceRate: number, pods: number): number {
  const waits = (pods * blocked) / (pods - load * (1 - blocked)); // Erlang C
  return waits / (serviceRate * (pods - load)) + 1 / serviceRate;
}

function checkRates(arrivalRate: number, serviceRate: number): void {
  if (!(arrivalRate > 0 && Number.isFinite(arrivalRate)))
    throw new RangeError(`the arrival rate must be above 0: ${arrivalRate}`);
  if (!(serviceRate > 0 && Number.isFinite(serviceRate)))
    throw new RangeError(`the service rate must be above 0: ${serviceRate}`);
}
