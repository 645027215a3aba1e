/**
 * Distribution of arrivals with a given mean: Poisson, or negative binomial where the rate itself is uncertain.
 *
 * The variance is mean + dispersion·mean²: a Poisson count whose rate is gamma distributed around `mean`.
 *
 * **Source**: Hilbe, Negative Binomial Regression (2011), the form NB2; Press et al., Numerical Recipes (2007), sections 6.1,
 * 6.2 and 6.4, for the incomplete gamma and beta functions.
 * **Cost**: a probability O(√mean), a quantile about four of them; constant above a mean of 10⁶.
 */

/** Below this dispersion a count is Poisson distributed up to rounding. */
const leastDispersion = 1e-9;
/** Above this mean, quantiles are those of a smaller mean, scaled. */
const largestMean = 1e6;

/**
 * Probability of at most `count` arrivals.
 *
 * @param count any number; smooth between whole numbers, for loads that are not whole counts
 * @param mean expected arrivals, at least 0
 * @param dispersion 0 for Poisson
 * @throws RangeError for a mean or dispersion that is negative or not finite
 */
export function countProbability(count: number, mean: number, dispersion: number): number {
  checkCount(mean, dispersion);
  if (!(count > -1)) return 0;
  if (mean === 0 || count === Number.POSITIVE_INFINITY) return 1;
  if (dispersion < leastDispersion) return 1 - lowerGamma(count + 1, mean);
  const size = 1 / dispersion;
  return incompleteBeta(size / (size + mean), mean / (size + mean), size, count + 1);
}

/**
 * The least whole count that is not exceeded with a probability of at least `level`.
 *
 * @param level in (0, 1)
 * @throws RangeError for a level outside (0, 1), or a mean or dispersion that is negative or not finite
 */
export function countQuantile(mean: number, dispersion: number, level: number): number {
  checkCount(mean, dispersion);
  if (!(level > 0 && level < 1)) throw new RangeError(`level ${level} is not between 0 and 1`);
  if (mean === 0) return 0;
  const relative = 1 / mean + dispersion; // variance ÷ mean²
  if (mean > largestMean) {
    if (relative < 1e-4) return Math.max(0, Math.round(mean * (1 + Math.sqrt(relative) * normalQuantile(level))));
    return Math.round((mean / largestMean) * countQuantile(largestMean, relative - 1 / largestMean, level));
  }
  // Bracketed from the normal's quantile, then halved.
  const deviation = mean * Math.sqrt(relative);
  const reaches = (count: number) => countProbability(count, mean, dispersion) >= level;
  const guess = Math.max(0, Math.round(mean + deviation * normalQuantile(level)));
  let stride = Math.max(1, Math.round(deviation / 8));
  let [low, high] = [guess, guess]; // low: not reached, high: reached
  if (reaches(guess)) {
    while (low >= 0 && reaches(low)) {
      high = low;
      low -= stride;
      stride *= 2;
    }
    low = Math.max(-1, low);
  } else
    while (!reaches(high)) {
      low = high;
      high += stride;
      stride *= 2;
    }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (reaches(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * The quantile of a load that is not a whole count: where the distribution, linear between whole counts, reaches `level`. 0 for levels up to the probability of no arrival.
 *
 * @throws RangeError as `countQuantile` does
 */
export function smoothCountQuantile(mean: number, dispersion: number, level: number): number {
  const above = countQuantile(mean, dispersion, level);
  if (above === 0 || mean > largestMean) return above;
  const low = countProbability(above - 1, mean, dispersion);
  const high = countProbability(above, mean, dispersion);
  return high > low ? above - 1 + Math.min(1, Math.max(0, (level - low) / (high - low))) : above;
}

/**
 * Standard normal quantile, by Acklam's rational approximation: relative error below 1.2·10⁻⁹.
 *
 * @param level in (0, 1)
 */
export function normalQuantile(level: number): number {
  if (level > 0.5) return -normalQuantile(1 - level);
  if (level < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(level));
    return (
      (((((-7.784894002430293e-3 * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) * q +
        4.374664141464968) *
        q +
        2.938163982698783) /
      ((((7.784695709041462e-3 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1)
    );
  }
  const q = level - 0.5;
  const r = q * q;
  return (
    ((((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r -
      30.66479806614716) *
      r +
      2.506628277459239) *
      q) /
    (((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r -
      13.28068155288572) *
      r +
      1)
  );
}

function checkCount(mean: number, dispersion: number): void {
  if (!(mean >= 0 && Number.isFinite(mean))) throw new RangeError(`a mean of ${mean} arrivals is not a number from 0`);
  if (!(dispersion >= 0 && Number.isFinite(dispersion)))
    throw new RangeError(`a dispersion of ${dispersion} is not at least 0`);
}

/** ln Γ(x) for x > 0: Stirling's series, reached by recursion; absolute error below 10⁻¹². */
function logGamma(x: number): number {
  let shift = 0;
  let z = x;
  while (z < 10) {
    shift += Math.log(z);
    z++;
  }
  const i2 = 1 / (z * z);
  const series = (1 / 12 - i2 * (1 / 360 - i2 * (1 / 1260 - i2 * (1 / 1680 - i2 / 1188)))) / z;
  return (z - 0.5) * Math.log(z) - z + 0.9189385332046727 + series - shift; // ½·ln 2π
}

/** Regularised lower incomplete gamma function P(a, x), a > 0, x ≥ 0. */
function lowerGamma(a: number, x: number): number {
  if (x <= 0) return 0;
  const scale = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let k = a + 1; term > sum * 1e-15; k++) {
      term *= x / k;
      sum += term;
    }
    return Math.min(1, sum * scale);
  }
  // The continued fraction of the upper part, by Lentz's method.
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let h = d;
  for (let k = 1; k < 1e5; k++) {
    const an = -k * (k - a);
    b += 2;
    d = 1 / nonZero(an * d + b);
    c = nonZero(b + an / c);
    const change = c * d;
    h *= change;
    if (Math.abs(change - 1) < 1e-14) break;
  }
  return 1 - Math.min(1, scale * h);
}

/** Regularised incomplete beta function I_x(a, b) with y = 1 − x, a, b > 0. */
function incompleteBeta(x: number, y: number, a: number, b: number): number {
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(y, x, b, a);
  const scale = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(y)) / a;
  let c = 1;
  let d = 1 / nonZero(1 - ((a + b) * x) / (a + 1));
  let h = d;
  for (let m = 1; m < 1e5; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d);
    c = nonZero(1 + even / c);
    h *= c * d;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d);
    c = nonZero(1 + odd / c);
    const change = c * d;
    h *= change;
    if (Math.abs(change - 1) < 1e-14) break;
  }
  return Math.min(1, Math.max(0, scale * h));
}

function nonZero(value: number): number {
  return Math.abs(value) < 1e-300 ? 1e-300 : value;
}
