import type { Series } from "../series/series.ts";
import type { Samples } from "./samples.ts";

/**
 * Samples at instants as a regular series: a step's value is the mean of the samples within it, NaN where there is none.
 *
 * A step holds the instants after its start up to and with its end, `(start, end]`, as a store's windows do: the sample
 * of `rate(x[5m])` at 10:05 speaks about 10:00 to 10:05. So a query sampled once a step gives each step its own mean, and
 * a step is complete once its end has passed. Samples outside the grid and NaN ones are left out; nothing is filled in,
 * and a counter's resets are the query's matter (`rate` knows them).
 *
 * @param grid where the first step starts, a step's length and the number of steps
 * @throws RangeError when the step is not above 0 or the number of steps no whole number
 */
export function toSeries(samples: Samples, grid: { startMs: number; stepMs: number; steps: number }): Series {
  const { startMs, stepMs, steps } = grid;
  if (!(stepMs > 0)) throw new RangeError(`a series needs a step above 0, not ${stepMs} ms`);
  if (!Number.isInteger(steps) || steps < 0)
    throw new RangeError(`a series needs a whole number of steps, not ${steps}`);
  const means = new Float64Array(steps);
  const counts = new Uint32Array(steps);
  for (let i = 0; i < samples.timesMs.length; i++) {
    const value = samples.values[i];
    const step = Math.ceil((samples.timesMs[i] - startMs) / stepMs) - 1;
    if (step < 0 || step >= steps || !Number.isFinite(value)) continue;
    counts[step]++;
    means[step] += value / counts[step] - means[step] / counts[step]; // a running mean: a sum could overflow
  }
  return { startMs, stepMs, values: means.map((mean, step) => (counts[step] === 0 ? NaN : mean)) };
}

/**
 * How far apart a step's samples are asked for: a fifth, a quarter, a third or half of the step, and 15 s or more, so that
 * the mean of a gauge means something; the step itself where no such part is whole.
 */
export function samplingStepMs(stepMs: number): number {
  const parts = [5, 4, 3, 2].find((n) => Number.isInteger(stepMs / n / 1000) && stepMs / n >= 15_000);
  return stepMs / (parts ?? 1);
}
