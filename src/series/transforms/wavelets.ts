/**
 * Maximal-overlap discrete wavelet transform with Daubechies' extremal-phase filters.
 *
 * **Source**: Percival and Walden, Wavelet Methods for Time Series Analysis (2000), chapter 5; filters of Daubechies (1992).
 * **Differs**: nothing; the series is treated as circular, so that the first `boundary` coefficients of each level mix both ends.
 * **Cost**: O(n · levels · taps).
 */

/** Scaling filters by their count of vanishing moments; each has twice as many taps, which sum to √2. */
const scalingFilters = {
  2: [0.4829629131445342, 0.8365163037378078, 0.2241438680420134, -0.1294095225512604],
  4: [
    0.2303778133088965, 0.7148465705529156, 0.630880767929859, -0.02798376941685959, -0.1870348117190931,
    0.03084138183556063, 0.03288301166688518, -0.01059740178506902,
  ],
  8: [
    0.05441584224310392, 0.3128715909142994, 0.6756307362972886, 0.585354683654206, -0.01582910525634878,
    -0.284015542961546, 0.0004724845739137111, 0.1287474266204787, -0.01736930100180714, -0.04408825393079449,
    0.01398102791739832, 0.008746094047405785, -0.004870352993451556, -0.0003917403733769459, 0.0006754494064505678,
    -0.0001174767841247692,
  ],
} as const;

/** Numbers of vanishing moments of the filters above. */
export type Moments = keyof typeof scalingFilters;

/** The components of a series by scale. */
export interface Modwt {
  /** `details[j − 1]` is level j: n coefficients for periods between about 2^j and 2^(j+1) samples. */
  readonly details: readonly Float64Array[];
  /** The components slower than the last level. */
  readonly smooth: Float64Array;
}

/**
 * Splits a series into levels.
 *
 * @param values finite samples, length n
 * @param levels from 1
 * @throws RangeError when there are no samples or no levels
 */
export function modwt(values: Float64Array, levels: number, moments: Moments = 8): Modwt {
  const n = values.length;
  if (n === 0 || !(levels >= 1)) throw new RangeError(`cannot split ${n} samples into ${levels} levels`);
  const { scaling, wavelet } = filtersOf(moments);
  const details: Float64Array[] = [];
  let above = values;
  for (let level = 1; level <= levels; level++) {
    const stride = 2 ** (level - 1) % n;
    const detail = new Float64Array(n);
    const smooth = new Float64Array(n);
    for (let l = 0; l < scaling.length; l++) {
      const g = scaling[l];
      const h = wavelet[l];
      // Two straight runs instead of a remainder for each sample of the circle.
      const shift = (l * stride) % n;
      for (let t = shift; t < n; t++) {
        const v = above[t - shift];
        smooth[t] += g * v;
        detail[t] += h * v;
      }
      for (let t = 0; t < shift; t++) {
        const v = above[t - shift + n];
        smooth[t] += g * v;
        detail[t] += h * v;
      }
    }
    details.push(detail);
    above = smooth;
  }
  return { details, smooth: above };
}

/** Coefficients at the start of a level that mix both ends of a series of `n` samples (L_j − 1 of the literature). */
export function boundary(level: number, n: number, moments: Moments = 8): number {
  return Math.min(n, (2 ** level - 1) * (2 * moments - 1));
}

/**
 * Share of the power at `frequency` (cycles per sample) that passes to the details of `level`: by Daubechies' closed form,
 * cos²ᴺ(πf)·Σ_{l<N} C(N−1+l, l)·sin²ˡ(πf) for one scaling filter of N moments.
 */
export function squaredGain(level: number, frequency: number, moments: Moments = 8): number {
  // The wavelet filter is the scaling filter, mirrored at a quarter.
  let gain = scalingGain(0.5 - frequency * 2 ** (level - 1), moments);
  for (let above = 1; above < level; above++) gain *= scalingGain(frequency * 2 ** (above - 1), moments);
  return gain;
}

function scalingGain(frequency: number, moments: Moments): number {
  const sine = Math.sin(Math.PI * frequency) ** 2;
  let sum = 0;
  let term = 1;
  for (let l = 0; l < moments; l++) {
    sum += term;
    term *= (sine * (moments + l)) / (l + 1);
  }
  return (1 - sine) ** moments * sum;
}

function filtersOf(moments: Moments): { scaling: Float64Array; wavelet: Float64Array } {
  const taps = scalingFilters[moments];
  const scaling = Float64Array.from(taps, (tap) => tap / Math.SQRT2);
  const wavelet = scaling.map((_, l) => (l % 2 === 0 ? 1 : -1) * scaling[taps.length - 1 - l]);
  return { scaling, wavelet };
}
