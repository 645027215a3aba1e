/** Expected arrivals over time: a rate for each bin, from `startSeconds` on; the last rate holds on, the first held before. */
export interface ArrivalRates {
  readonly startSeconds: number;
  /** Length of a bin, above 0. */
  readonly binSeconds: number;
  /** Arrivals a second, at least 0, one for each bin. */
  readonly perSecond: Float64Array;
}

/** Sampled arrivals of a Poisson process whose rate is 1: `unit[query · samples + k]`, each query's ascending over k. */
export interface UnitArrivals {
  readonly samples: number;
  readonly queries: number;
  readonly unit: Float64Array;
}

/**
 * Draws the times of the next `queries` arrivals of a unit Poisson process, `samples` times over: sums of exponential draws.
 * The draws serve any rate, by rescaling time, and may be used for many plans; new draws now and then keep their error from
 * lasting.
 *
 * @param random uniform in [0, 1), from a seeded generator
 */
export function drawUnitArrivals(samples: number, queries: number, random: () => number): UnitArrivals {
  if (!(Number.isInteger(samples) && samples >= 1))
    throw new RangeError(`${samples} samples are no whole number from 1`);
  if (!(Number.isInteger(queries) && queries >= 1))
    throw new RangeError(`${queries} queries are no whole number from 1`);
  const unit = new Float64Array(samples * queries);
  const sums = new Float64Array(samples);
  for (let query = 0; query < queries; query++) {
    for (let k = 0; k < samples; k++) sums[k] -= Math.log(1 - random());
    unit.set(sums, query * samples);
    unit.subarray(query * samples, (query + 1) * samples).sort();
  }
  return { samples, queries, unit };
}

/** Draws start-up times from those that were seen, one for each sample. */
export function drawStartups(seen: Float64Array, samples: number, random: () => number): Float64Array<ArrayBuffer> {
  if (seen.length === 0) throw new RangeError("a start-up time must have been seen");
  if (seen.length === 1) return Float64Array.from(seen);
  return Float64Array.from({ length: samples }, () => seen[Math.floor(random() * seen.length)]);
}

/**
 * Sampled times, in seconds from now, of the query that is `ahead` further queries away (1 is the next), ascending:
 * ξ = Λ⁻¹(Λ(now) + Γ) − now, by a walk over the bins. `Infinity` where the rate ends at 0.
 *
 * @throws RangeError for a query beyond those drawn
 */
export function sampleArrivals(
  draws: UnitArrivals,
  ahead: number,
  rates: ArrivalRates,
  nowSeconds: number,
): Float64Array<ArrayBuffer> {
  if (!(Number.isInteger(ahead) && ahead >= 1 && ahead <= draws.queries))
    throw new RangeError(`query ${ahead} is not among the ${draws.queries} drawn`);
  const { startSeconds, binSeconds, perSecond } = rates;
  const out = new Float64Array(draws.samples);
  const last = perSecond.length - 1;
  let bin = Math.min(last, Math.max(0, Math.floor((nowSeconds - startSeconds) / binSeconds)));
  let at = 0; // seconds from now
  let expected = 0; // arrivals until then
  const base = (ahead - 1) * draws.samples;
  for (let k = 0; k < draws.samples; k++) {
    const target = draws.unit[base + k];
    while (bin < last) {
      const end = startSeconds + (bin + 1) * binSeconds - nowSeconds;
      const whole = expected + perSecond[bin] * (end - at);
      if (whole >= target) break;
      [expected, at] = [whole, end];
      bin++;
    }
    out[k] = perSecond[bin] > 0 ? at + (target - expected) / perSecond[bin] : Number.POSITIVE_INFINITY;
  }
  return out;
}

/** Expected arrivals over the `seconds` that follow `nowSeconds`. */
export function expectedArrivals(
  { startSeconds, binSeconds, perSecond }: ArrivalRates,
  nowSeconds: number,
  seconds: number,
): number {
  const last = perSecond.length - 1;
  const end = nowSeconds + seconds;
  let sum = 0;
  for (let at = nowSeconds; at < end; ) {
    const bin = Math.min(last, Math.max(0, Math.floor((at - startSeconds) / binSeconds)));
    const until = bin === last ? end : Math.min(end, startSeconds + (bin + 1) * binSeconds);
    if (!(until > at)) break; // a crumb of rounding at a bin's edge
    sum += perSecond[bin] * (until - at);
    at = until;
  }
  return sum;
}
