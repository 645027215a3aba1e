import { generator } from "../unit/forecast/robust-series.ts";

/** Counts from a known intensity. */
export interface KnownIntensity {
  /** NaN in the gap. */
  readonly counts: Float64Array;
  /** Expected count of each bin. */
  readonly rates: Float64Array;
}

/** A week of ten-minute bins: a day of 144 with a morning and an afternoon peak, a gap of 40 bins and a burst of 80 more in each of four. */
export function knownIntensity(seed: number): KnownIntensity {
  const { uniform } = generator(seed);
  const rates = Float64Array.from({ length: 1008 }, (_, t) => dailyRate((t % 144) / 144));
  const counts = rates.map((rate) => poissonDraw(rate, uniform));
  counts.fill(Number.NaN, 400, 440);
  for (let t = 700; t < 704; t++) counts[t] += 80;
  return { counts, rates };
}

/** Expected count at a time of day, 0 … 1: 4 at night, 19 in the morning, 30 in the afternoon. */
export function dailyRate(day: number): number {
  return 4 + 26 * Math.exp(-(((day - 0.58) / 0.16) ** 2)) + 14 * Math.exp(-(((day - 0.3) / 0.08) ** 2));
}

/** A Poisson count by multiplying uniforms: for means up to some hundreds. */
export function poissonDraw(mean: number, uniform: () => number): number {
  const least = Math.exp(-mean);
  let count = -1;
  for (let product = 1; product > least; count++) product *= uniform();
  return count;
}

/** Root of the mean squared difference of two arrays. */
export function rootMeanSquare(a: Float64Array, b: Float64Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length);
}
