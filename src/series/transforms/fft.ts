/**
 * Discrete Fourier transforms of real series.
 *
 * **Source**: Cooley and Tukey (1965) for powers of two, Bluestein (1970) for every other length.
 * **Differs**: nothing; a real series of power-of-two length is folded into a complex one of half the length.
 * **Cost**: O(n log n); tables (bit reversal, twiddles, chirps) are cached for the last lengths used.
 */

/** One-sided spectrum of a real series of `length` samples: bins 0 … ⌊length/2⌋, X_k = Σ x_t·exp(−2πikt/length). */
export interface Spectrum {
  readonly length: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}

interface Plan {
  readonly reversed: Uint32Array;
  /** cos and −sin of 2πk/n for k < n/2. */
  readonly cos: Float64Array;
  readonly sin: Float64Array;
}

interface Chirp {
  readonly size: number;
  /** exp(−πik²/n) for k < n. */
  readonly re: Float64Array;
  readonly im: Float64Array;
  /** Transform of the conjugate chirp, wrapped around. */
  readonly filterRe: Float64Array;
  readonly filterIm: Float64Array;
}

const plans = new Map<number, Plan>();
const chirps = new Map<number, Chirp>();
const keptChirps = 8;

/** The smallest power of two that is at least `n`. */
export function nextPowerOfTwo(n: number): number {
  let size = 1;
  while (size < n) size *= 2;
  return size;
}

/**
 * Forward complex transform in place; the length must be a power of two.
 * For the inverse, call it with `re` and `im` swapped and divide by the length.
 *
 * @throws RangeError when the length is not a power of two or the arrays differ in length
 */
export function transform(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  if (n !== im.length) throw new RangeError(`real part has ${n} samples and imaginary part ${im.length}`);
  if (n < 1 || (n & (n - 1)) !== 0) throw new RangeError(`length ${n} is not a power of two`);
  const { reversed, cos, sin } = planOf(n);
  for (let i = 0; i < n; i++) {
    const j = reversed[i];
    if (j <= i) continue;
    const a = re[i];
    re[i] = re[j];
    re[j] = a;
    const b = im[i];
    im[i] = im[j];
    im[j] = b;
  }
  for (let half = 1; half < n; half *= 2) {
    const stride = n / (2 * half);
    for (let start = 0; start < n; start += 2 * half) {
      for (let k = 0, w = 0; k < half; k++, w += stride) {
        const i = start + k;
        const j = i + half;
        const xr = re[j] * cos[w] - im[j] * sin[w];
        const xi = re[j] * sin[w] + im[j] * cos[w];
        re[j] = re[i] - xr;
        im[j] = im[i] - xi;
        re[i] += xr;
        im[i] += xi;
      }
    }
  }
}

/**
 * Spectrum of a real series.
 *
 * @param values finite samples; fill or zero gaps first
 * @param length samples transformed: padded with zeros at the end; the series' own length where absent
 * @throws RangeError when `length` is shorter than the series
 */
export function realSpectrum(values: Float64Array, length = values.length): Spectrum {
  if (length < values.length || length < 1)
    throw new RangeError(`cannot transform ${values.length} samples at length ${length}`);
  if ((length & (length - 1)) !== 0) return bluestein(values, length);
  if (length === 1) return { length, re: Float64Array.of(values[0] ?? 0), im: new Float64Array(1) };

  // Even samples as the real part, odd ones as the imaginary part: half the work.
  const half = length / 2;
  const zr = new Float64Array(half);
  const zi = new Float64Array(half);
  for (let i = 0; i < values.length; i++) (i & 1 ? zi : zr)[i >> 1] = values[i];
  transform(zr, zi);
  const { cos, sin } = planOf(length);
  const re = new Float64Array(half + 1);
  const im = new Float64Array(half + 1);
  re[0] = zr[0] + zi[0];
  re[half] = zr[0] - zi[0];
  for (let k = 1; k < half; k++) {
    const m = half - k;
    const evenRe = (zr[k] + zr[m]) / 2;
    const evenIm = (zi[k] - zi[m]) / 2;
    const oddRe = (zi[k] + zi[m]) / 2;
    const oddIm = (zr[m] - zr[k]) / 2;
    re[k] = evenRe + oddRe * cos[k] - oddIm * sin[k];
    im[k] = evenIm + oddRe * sin[k] + oddIm * cos[k];
  }
  return { length, re, im };
}

/**
 * The real series of a spectrum whose length is a power of two: the inverse of `realSpectrum`.
 *
 * @throws RangeError when the spectrum's length is not a power of two
 */
export function inverseReal(spectrum: Spectrum): Float64Array {
  const n = spectrum.length;
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  for (let k = 0; k <= n / 2; k++) {
    re[k] = spectrum.re[k];
    im[k] = spectrum.im[k];
    if (k > 0 && k < n / 2) {
      re[n - k] = spectrum.re[k];
      im[n - k] = -spectrum.im[k];
    }
  }
  transform(im, re); // swapped: the inverse, but for 1/n
  for (let i = 0; i < n; i++) re[i] /= n;
  return re;
}

/**
 * Exact lag sums Σ_t a_t·b_{t+k} for k = 0 … maxLag: padded so that nothing wraps around.
 *
 * @param a finite samples, length n
 * @param b finite samples, length n
 * @throws RangeError when the lengths differ or maxLag is not within 0 … n − 1
 */
export function lagProducts(a: Float64Array, b: Float64Array, maxLag: number): Float64Array {
  if (a.length !== b.length) throw new RangeError(`lengths ${a.length} and ${b.length} differ`);
  if (!(maxLag >= 0 && maxLag < a.length)) throw new RangeError(`lag ${maxLag} is outside 0 … ${a.length - 1}`);
  const size = nextPowerOfTwo(a.length + maxLag + 1);
  const x = realSpectrum(a, size);
  const y = a === b ? x : realSpectrum(b, size);
  const re = new Float64Array(x.re.length);
  const im = new Float64Array(x.re.length);
  for (let k = 0; k < re.length; k++) {
    re[k] = x.re[k] * y.re[k] + x.im[k] * y.im[k];
    im[k] = x.re[k] * y.im[k] - x.im[k] * y.re[k];
  }
  return inverseReal({ length: size, re, im }).slice(0, maxLag + 1);
}

/** |X_k|²/length of a spectrum, one value a bin. */
export function powerOf(spectrum: Spectrum): Float64Array {
  const { re, im, length } = spectrum;
  const power = new Float64Array(re.length);
  for (let k = 0; k < power.length; k++) power[k] = (re[k] * re[k] + im[k] * im[k]) / length;
  return power;
}

function bluestein(values: Float64Array, n: number): Spectrum {
  const { size, re: cr, im: ci, filterRe, filterIm } = chirpOf(n);
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  for (let i = 0; i < values.length; i++) {
    re[i] = values[i] * cr[i];
    im[i] = values[i] * ci[i];
  }
  transform(re, im);
  for (let k = 0; k < size; k++) {
    const a = re[k] * filterRe[k] - im[k] * filterIm[k];
    im[k] = re[k] * filterIm[k] + im[k] * filterRe[k];
    re[k] = a;
  }
  transform(im, re);
  const bins = Math.floor(n / 2) + 1;
  const outRe = new Float64Array(bins);
  const outIm = new Float64Array(bins);
  for (let k = 0; k < bins; k++) {
    outRe[k] = (re[k] * cr[k] - im[k] * ci[k]) / size;
    outIm[k] = (re[k] * ci[k] + im[k] * cr[k]) / size;
  }
  return { length: n, re: outRe, im: outIm };
}

function planOf(n: number): Plan {
  const known = plans.get(n);
  if (known) return known;
  const reversed = new Uint32Array(n);
  for (let i = 1; i < n; i++) reversed[i] = (reversed[i >> 1] >> 1) | (i & 1 ? n >> 1 : 0);
  const half = Math.max(1, n / 2);
  const cos = new Float64Array(half);
  const sin = new Float64Array(half);
  for (let k = 0; k < half; k++) {
    cos[k] = Math.cos((2 * Math.PI * k) / n);
    sin[k] = -Math.sin((2 * Math.PI * k) / n);
  }
  const plan = { reversed, cos, sin };
  plans.set(n, plan);
  return plan;
}

function chirpOf(n: number): Chirp {
  const known = chirps.get(n);
  if (known) return known;
  const size = nextPowerOfTwo(2 * n - 1);
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  const filterRe = new Float64Array(size);
  const filterIm = new Float64Array(size);
  for (let k = 0; k < n; k++) {
    const angle = (Math.PI * ((k * k) % (2 * n))) / n; // k² reduced first: cos of a large angle loses digits
    re[k] = Math.cos(angle);
    im[k] = -Math.sin(angle);
    filterRe[k] = re[k];
    filterIm[k] = -im[k];
    if (k > 0) {
      filterRe[size - k] = re[k];
      filterIm[size - k] = -im[k];
    }
  }
  transform(filterRe, filterIm);
  if (chirps.size >= keptChirps) chirps.delete(chirps.keys().next().value!);
  const chirp = { size, re, im, filterRe, filterIm };
  chirps.set(n, chirp);
  return chirp;
}
