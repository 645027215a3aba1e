import { countProbability } from "./count-distribution.ts";

/** So many counts are enough for the dispersion. */
const mostCounts = 400;
const fewestCounts = 20;
const leastSearched = 1e-6;
const largestDispersion = 100;

/**
 * How much more counts scatter around their expectation than a Poisson distribution: the dispersion of `countQuantile`.
 *
 * Each count gets its mid-distribution value (probability integral transform), 0 … 1; the dispersion is the one that gives these
 * values their expected variance, (1 − Σp³)/12. The values are bounded, so that a burst of any size has limited influence, and small
 * counts need no normal approximation.
 *
 * @param counts at least 0, NaN where missing
 * @param means expected counts, same length; a count with an expectation that is not above 0 is ignored
 * @returns 0 where the counts scatter no more than Poisson's, or fewer than 20 can be used
 * @see Czado, Gneiting and Held, Predictive model assessment for count data (Biometrics 2009), section 2.1
 */
export function countDispersion(counts: Float64Array, means: Float64Array): number {
  const known: number[] = [];
  for (let i = 0; i < counts.length; i++) if (Number.isFinite(counts[i]) && means[i] > 0) known.push(i);
  if (known.length < fewestCounts) return 0;
  const stride = Math.max(1, Math.floor(known.length / mostCounts));
  const used = known.filter((_, k) => k % stride === 0);

  const excess = (dispersion: number) => {
    let sum = 0;
    for (const i of used) {
      const upTo = countProbability(counts[i], means[i], dispersion);
      const below = countProbability(counts[i] - 1, means[i], dispersion);
      sum += ((upTo + below) / 2 - 0.5) ** 2 - (1 - sumOfCubes(means[i], dispersion)) / 12;
    }
    return sum;
  };
  let before = excess(0);
  if (before <= 0) return 0;
  // The first root from below: far beyond it, all distributions concentrate at 0 and the variance rises again.
  let at = leastSearched;
  for (let next = excess(at); next > 0; next = excess(at)) {
    if (next > before && at > 1 / 64) return at / 2; // no root: the minimum
    if (at > largestDispersion) return largestDispersion;
    before = next;
    at *= 2;
  }
  let [low, high] = [at === leastSearched ? 0 : at / 2, at];
  for (let round = 0; round < 12; round++) {
    const middle = (low + high) / 2;
    if (excess(middle) > 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Σ p(k)³; near 0 where the distribution is wide. */
function sumOfCubes(mean: number, dispersion: number): number {
  const failed = (dispersion * mean) / (1 + dispersion * mean);
  let p = dispersion > 1e-9 ? Math.exp(-Math.log1p(dispersion * mean) / dispersion) : Math.exp(-mean);
  let sum = p ** 3;
  const terms = Math.min(300, 3 * mean + 30);
  for (let k = 0; k < terms; k++) {
    p *= dispersion > 1e-9 ? (failed * (k + 1 / dispersion)) / (k + 1) : mean / (k + 1);
    sum += p ** 3;
  }
  return sum;
}
