import type { Binned } from "./nhpp-arrivals.ts";
import type { Intensity } from "./nhpp-intensity.ts";

/** Fewer arrivals at a step of the hour say little: so many are added as expected. */
const priorArrivals = 20;

/** Expected counts of bins, interpolated to steps between the middles of bins; in arrivals. */
export function toSteps(rates: Float64Array, { stepsPerBin, noise }: Binned, steps: number): Float64Array<ArrayBuffer> {
  const out = new Float64Array(steps);
  for (let j = 0; j < steps; j++) {
    const place = (j + 0.5) / stepsPerBin - 0.5;
    const low = Math.max(0, Math.floor(place));
    const high = Math.min(rates.length - 1, low + 1);
    const share = Math.max(0, place - low);
    out[j] = ((rates[low] + share * (rates[high] - rates[low])) * noise) / stepsPerBin;
  }
  return out;
}

/**
 * Factors for the steps of an hour, `[step mod steps per hour]`: clocks send requests at :00 and :05. Empty where bins are single
 * steps or an hour is no whole number of steps.
 */
export function hourProfile(counts: Float64Array, binned: Binned, fit: Intensity, stepsPerHour: number): Float64Array {
  const { stepsPerBin, exposure } = binned;
  if (stepsPerBin === 1 || !Number.isInteger(stepsPerHour)) return new Float64Array(0);
  const actual = new Float64Array(stepsPerHour).fill(priorArrivals);
  const expected = new Float64Array(stepsPerHour).fill(priorArrivals);
  const first = counts.length - exposure.length * stepsPerBin;
  const means = toSteps(fit.logRates.map(Math.exp), binned, counts.length - first);
  for (let i = first; i < counts.length; i++) {
    if (!Number.isFinite(counts[i])) continue;
    actual[i % stepsPerHour] += counts[i] / binned.noise;
    expected[i % stepsPerHour] += means[i - first] / binned.noise;
  }
  return actual.map((count, phase) => count / expected[phase]);
}

export function factorAt(profile: Float64Array, step: number): number {
  return profile.length > 0 ? profile[step % profile.length] : 1;
}
