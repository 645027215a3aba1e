/**
 * When to create an instance for a query that has not come yet, where every query takes an instance of its own.
 *
 * **Source**: RobustScaler (ICDE 2022): three stochastically constrained problems (hitting probability, response time, cost),
 * solved by Monte Carlo for each upcoming query. A query that comes at ξ to an instance created at x that takes τ to start waits
 * (τ − (ξ − x)⁺)⁺, and the instance idles (ξ − τ − x)⁺; without an instance one is created at ξ.
 *
 * **Cost**: O(R log R) a query for R samples; O(R) where the start-up is fixed, as sampled arrivals come sorted.
 */

/** What is kept, at the least of what is left. Idle time is spared under the first two, waiting under the last. */
export type PlanProblem =
  /** A query finds its instance ready with a chance of at least 1 − `missed`. */
  | { readonly kind: "HittingProbability"; readonly missed: number }
  /** The mean wait for an instance is at most so long: the paper's d − μ_s. */
  | { readonly kind: "ResponseTime"; readonly waitSeconds: number }
  /** The mean idle time of an instance is at most so long: the paper's B − μ_τ − μ_s. */
  | { readonly kind: "Cost"; readonly idleSeconds: number };

/**
 * When to create the instance of one query, in seconds from now.
 *
 * @param arrivals sampled times of the query from now, seconds, at least 0, `Infinity` where it never comes; length R
 * @param startups start-up times sampled with them, length R, or one for all
 * @returns at least 0; 0 also where the constraint can't be met any more; `Infinity` for an instance that need not be created ahead
 * @throws RangeError for a problem or samples out of range
 */
export function creationTime(problem: PlanProblem, arrivals: Float64Array, startups: Float64Array): number {
  checkProblem(problem);
  if (arrivals.length === 0) throw new RangeError("a plan needs at least one sampled arrival");
  if (startups.length !== 1 && startups.length !== arrivals.length)
    throw new RangeError(`${startups.length} start-ups do not fit ${arrivals.length} arrivals`);
  const moments = new Float64Array(arrivals.length);
  for (let k = 0; k < arrivals.length; k++) moments[k] = arrivals[k] - startups[startups.length === 1 ? 0 : k];
  const latest = sorted(moments);
  switch (problem.kind) {
    case "HittingProbability":
      // At most the share `missed` of the samples lies before this one.
      return Math.max(0, latest[Math.min(latest.length - 1, Math.floor(problem.missed * latest.length + 1e-9))]);
    case "ResponseTime":
      return Math.max(0, latestWithin(problem.waitSeconds, latest, sorted(arrivals)));
    case "Cost":
      return Math.max(0, earliestWithin(problem.idleSeconds, latest));
  }
}

/**
 * Mean wait of a query whose instance is created at x.
 *
 * Never falls as x grows.
 */
export function meanWaitSeconds(x: number, arrivals: Float64Array, startups: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < arrivals.length; k++) {
    const startup = startups[startups.length === 1 ? 0 : k];
    sum += Math.max(0, startup - Math.max(0, arrivals[k] - x));
  }
  return sum / arrivals.length;
}

/** Mean time that an instance created at x idles before its query. Never grows as x grows. */
export function meanIdleSeconds(x: number, arrivals: Float64Array, startups: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < arrivals.length; k++)
    sum += Math.max(0, arrivals[k] - startups[startups.length === 1 ? 0 : k] - x);
  return sum / arrivals.length;
}

/**
 * The largest x with a mean wait of at most `wait`. R times the mean wait is Σ(x − latest)⁺ − Σ(x − arrival)⁺: linear between
 * these times, and its slope is how many samples have passed their latest but not their arrival.
 */
function latestWithin(wait: number, latest: Float64Array, arrivals: Float64Array): number {
  const n = latest.length;
  const allowed = wait * n;
  let [sum, slope, at] = [0, 0, 0];
  for (let i = 0, j = 0; i < n || j < n; ) {
    const isLatest = i < n && latest[i] <= arrivals[j];
    const next = isLatest ? latest[i] : arrivals[j];
    if (next === Number.POSITIVE_INFINITY) break;
    const reached = sum + (slope > 0 ? slope * (next - at) : 0);
    if (reached > allowed) return at + (allowed - sum) / slope;
    [sum, at] = [reached, next];
    if (isLatest) {
      slope++;
      i++;
    } else {
      slope--;
      j++;
    }
  }
  return Number.POSITIVE_INFINITY; // an instance of its own at the arrival waits no longer than is allowed
}

/** The smallest x with a mean idle time of at most `idle`; from the last sample down, as idle time is none there. */
function earliestWithin(idle: number, latest: Float64Array): number {
  const n = latest.length;
  const allowed = idle * n;
  // A query that may never come would let its instance idle for ever: only when it can't wait any more.
  if (latest[n - 1] === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (let i = n - 1; i > 0; i--) {
    const more = (n - i) * (latest[i] - latest[i - 1]);
    if (sum + more > allowed) return latest[i] - (allowed - sum) / (n - i);
    sum += more;
  }
  return latest[0] - (allowed - sum) / n;
}

function sorted(values: Float64Array): Float64Array {
  for (let i = 1; i < values.length; i++) if (values[i] < values[i - 1]) return values.toSorted();
  return values;
}

function checkProblem(problem: PlanProblem): void {
  if (problem.kind === "HittingProbability") {
    if (!(problem.missed >= 0 && problem.missed < 1))
      throw new RangeError(`a chance of ${problem.missed} to miss is not in [0, 1)`);
    return;
  }
  const seconds = problem.kind === "ResponseTime" ? problem.waitSeconds : problem.idleSeconds;
  if (!(seconds >= 0)) throw new RangeError(`${seconds} s are not at least 0: the budget is spent before any decision`);
}
