import { countProbability } from "./count-distribution.ts";

/** So many counts tell the dispersion as well as all of them. */
const mostCounts = 400;
const fewestCounts = 20;
const leastSearched = 1e-6;
const largestDispersion = 100;

/**
 * How much more counts scatter around what was expected than Poisson's would: the dispersion of `countQuantile`.
 *
 * Each count is placed within its distribution, 0 … 1, at the middle of its jump; the dispersion is the one that makes these
 * places as spread as they should be, (1 − Σp³)/12. A place is bounded, so a burst of any size counts no more than one that
 * is just beyond the largest count expected, and small counts need no normal approximation.
 *
 * @param counts at least 0, NaN where missing
 * @param means what was expected, same length; where it is not above 0, the count is left out
 * @returns 0 where the counts scatter no more than Poisson's, or fewer than 20 can be judged
 * @see Czado, Gneiting and Held, Predictive model assessment for count data (Biometrics 2009), section 2.1
 */
export function countDispersion(counts: Float64Array, means: Float64Array): number {
  const known: number[] = [];
  for (let i = 0; i < counts.length; i++) if (Number.isFinite(counts[i]) && means[i] > 0) known.push(i);
  if (known.length < fewestCounts) return 0;
  const stride = Math.max(1, Math.floor(known.length / mostCounts));
  const judged = known.filter((_, k) => k % stride === 0);

  const excess = (dispersion: number) => {
    let sum = 0;
    for (const i of judged) {
      const upTo = countProbability(counts[i], means[i], dispersion);
      const below = countProbability(counts[i] - 1, means[i], dispersion);
      sum += ((upTo + below) / 2 - 0.5) ** 2 - (1 - sumOfCubes(means[i], dispersion)) / 12;
    }
    return sum;
  };
  let before = excess(0);
  if (before <= 0) return 0;
  // The first root from below: far beyond it, everything expected crowds at 0 and the places spread again.
  let at = leastSearched;
  for (let next = excess(at); next > 0; next = excess(at)) {
    if (next > before && at > 1 / 64) return at / 2; // nothing fits: the least bad
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

/** Σ p(k)³ over the counts that matter; near 0 where the distribution is wide. */
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
