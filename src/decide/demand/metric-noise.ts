import type { Random } from "../../series/statistics/seeded-random.ts";

/** Trust in the newest value: the share of its residual that the level follows. */
const gains: readonly number[] = [0.75, 0.55, 0.4, 0.28, 0.2];
/** Values that the noise is measured on, the fewest that tell, and how often it is measured anew. */
const [measuredOn, fewest, measureEvery] = [480, 40, 20];
/** What noise is taken for before anything is known of it: most metrics have less. */
const priorShare = 0.06;
/** Less noise than this share of the load is none; what swings by more is the load itself, and counts as this much. */
const [leastShare, mostShare] = [1e-3, 0.15];
/** A value further off than this, in deviations of the noise, is no noise: it counts in full, at once. */
const gate = 3.5;
/** Errors of an hour of quarter minutes ago count a third. */
const memory = 1 - 1 / 240;
/** What smoothing has to gain before it is used at all. */
const worthwhile = 0.97;

/** What is known of a metric's noise. */
export interface MetricNoise {
  /** Its standard deviation as a share of the value; 0 where there is none to speak of. */
  readonly share: number;
  /** The gain of the smoother that foretells the next value best; undefined where none does better than the values themselves. */
  readonly gain: number | undefined;
}

/**
 * Takes the noise off live values. Of some smoothers that follow level and slope side by side, the one whose next value came out
 * best lately is used; values without noise pass unchanged, and so do jumps that noise does not explain.
 *
 * **Source**: alpha-beta filters (Kalata 1984), chosen by their own errors.
 */
export class NoiseFilter {
  private readonly smoothers = gains.map((gain) => ({ smoother: new Smoother(gain), error: 0 }));
  /** Errors of saying "as the last value", and of going on along the last two. */
  private steady = 0;
  private straight = 0;
  private before = Number.NaN;
  private beforeThat = Number.NaN;
  private readonly differences: number[] = [];
  private count = 0;
  noise: MetricNoise = { share: 0, gain: undefined };

  /** Takes the next value in. @returns it without its noise */
  next(value: number): number {
    const { before, beforeThat } = this;
    if (!Number.isNaN(beforeThat)) {
      this.differences.push(relativeDifference(beforeThat, before, value));
      if (this.differences.length > measuredOn) this.differences.shift();
      this.straight = this.straight * memory + Math.abs(value - 2 * before + beforeThat);
      this.steady = this.steady * memory + Math.abs(value - before);
    }
    let { share } = this.noise;
    if (this.count++ % measureEvery === 0 && this.differences.length >= fewest) share = shareOf(this.differences);
    for (const each of this.smoothers) each.error = each.error * memory + Math.abs(each.smoother.next(value, share));
    this.beforeThat = before;
    this.before = value;
    let best: (typeof this.smoothers)[number] | undefined;
    let least = worthwhile * Math.min(this.steady, this.straight);
    for (const each of this.smoothers) if (each.error < least) [best, least] = [each, each.error];
    if (share === 0) best = undefined;
    this.noise = { share, gain: best?.smoother.gain };
    return best === undefined ? value : best.smoother.level;
  }

  /** The noise's deviation as a share of the value, on the safe side: what too few values tell lies between their own and the prior. */
  get likelyShare(): number {
    const known = Math.min(1, this.differences.length / fewest);
    if (known === 1 && this.noise.share > 0) return this.noise.share;
    const own = known > 0 ? shareOf(this.differences) : 0;
    return Math.sqrt(known * own ** 2 + (1 - known) * priorShare ** 2);
  }

  /** Goes on after a gap: what was before it tells nothing of the values now, but still of their noise. */
  restart(): void {
    this.before = Number.NaN;
    this.beforeThat = Number.NaN;
    for (const { smoother } of this.smoothers) smoother.restart();
  }
}

/** An alpha-beta filter, critically damped. */
class Smoother {
  readonly gain: number;
  level = Number.NaN;
  private trend = 0;
  private before = Number.NaN;
  private readonly trendGain: number;

  constructor(gain: number) {
    this.gain = gain;
    this.trendGain = 2 * (2 - gain) - 4 * Math.sqrt(1 - gain);
  }

  /** @param share the noise's deviation as a share of the value @returns the residual of the value */
  next(value: number, share: number): number {
    const { before } = this;
    this.before = value;
    if (Number.isNaN(this.level)) {
      this.level = value;
      return 0;
    }
    const forecast = this.level + this.trend;
    const error = value - forecast;
    const isNoise = Math.abs(error) <= gate * share * Math.abs(value);
    this.level = isNoise ? Math.max(0, forecast + this.gain * error) : value;
    this.trend = share === 0 ? value - before : this.trend + this.trendGain * error;
    return error;
  }

  restart(): void {
    this.level = Number.NaN;
    this.before = Number.NaN;
    this.trend = 0;
  }
}

/**
 * The deviation of what is independent from value to value, as a share of the value: read from second differences, in which
 * straight lines vanish; from the lower ones, as rises and interpolated history bend here and there only.
 */
function shareOf(differences: readonly number[]): number {
  const sorted = Float64Array.from(differences).sort();
  const deviation = sorted[Math.floor(0.4 * sorted.length)] / (0.5244 * Math.sqrt(6)); // P(|N| < 0.5244) = 0.4
  return deviation < leastShare ? 0 : Math.min(deviation, mostShare);
}

function relativeDifference(a: number, b: number, c: number): number {
  return Math.abs(c - 2 * b + a) / Math.max(1e-9, (a + 2 * b + c) / 4);
}

/**
 * Values of history as they would look had they come live: with the live values' noise, then without it as far as it can be taken
 * off. What is learnt from them trusts slopes as far as live ones deserve it.
 *
 * @param values points below `length` are known, those from `start` on are history or live @param isLive whether a point came live:
 * those stay as they are
 */
export function asReadLive(
  { values, start, length }: { readonly values: Float32Array; readonly start: number; readonly length: number },
  isLive: (index: number) => boolean,
  { share, gain }: MetricNoise,
  random: Random,
): Float32Array {
  const seen = values.slice();
  const differences: number[] = [];
  for (let i = Math.max(start, length - 40_000) + 2; i < length; i += 7)
    if (!isLive(i)) differences.push(relativeDifference(values[i - 2], values[i - 1], values[i]));
  const own = differences.length > 0 ? shareOf(differences) : 0;
  const added = Math.sqrt(Math.max(0, share ** 2 - own ** 2));
  const smoother = gain === undefined ? undefined : new Smoother(gain);
  for (let i = start; i < length; i++) {
    if (isLive(i)) continue;
    const normal = 2 * (random() + random() + random() - 1.5); // near enough: of deviation 1, never beyond 3
    const noisy = values[i] * (1 + added * normal);
    smoother?.next(noisy, share);
    seen[i] = smoother === undefined ? noisy : smoother.level;
  }
  return seen;
}
