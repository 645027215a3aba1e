import { finiteOf, median } from "../../series/statistics/robust-statistics.ts";

const dayMs = 86_400_000;
/** Share of the error that a calendar cycle must take away, where nothing else says that it is there. */
const leastGain = 0.12;

/**
 * The day and the week, looked at even where fewer cycles are there than a period without a name must show. Each may be
 * refused: a cycle counts if its other cycles predict a sample better than what is known without it (nothing for the day,
 * the day for the week), by an eighth of the mean error.
 *
 * @param values detrended samples, NaN where missing
 * @param stepMs length of a step
 * @returns periods in samples, each with the share of the error it takes away; a day needs two and a half cycles, a week two
 */
export function calendarPeriods(values: Float64Array, stepMs: number): { period: number; gain: number }[] {
  const n = values.length;
  const day = dayMs / stepMs;
  const found: { period: number; gain: number }[] = [];
  const center = median(finiteOf(values));
  let known = new Float64Array(n).fill(center);
  for (const [period, cycles] of [
    [day, 2.5],
    [7 * day, 2],
  ] as const) {
    if (period < 4 || n < cycles * period - 0.5) continue;
    const foretold = fromOtherCycles(values, period, day);
    const gain = 1 - errorOf(values, foretold) / errorOf(values, known, foretold);
    if (!(gain > leastGain)) continue;
    found.push({ period, gain });
    known = foretold;
  }
  return found;
}

/** Each sample as the mean, over a stretch of a 48th of a day, of the same phase in all other cycles; NaN where none is there. */
function fromOtherCycles(values: Float64Array, period: number, day: number): Float64Array<ArrayBuffer> {
  const n = values.length;
  const half = Math.max(0, Math.floor(day / 96));
  const foretold = new Float64Array(n).fill(Number.NaN);
  for (let t = 0; t < n; t++) {
    let sum = 0;
    let count = 0;
    for (let k = -Math.floor(t / period) - 1; t + k * period < n + 1; k++) {
      if (k === 0) continue;
      const at = t + Math.round(k * period);
      for (let i = Math.max(0, at - half); i <= Math.min(n - 1, at + half); i++) {
        if (!Number.isFinite(values[i])) continue;
        sum += values[i];
        count++;
      }
    }
    if (count > 0) foretold[t] = sum / count;
  }
  return foretold;
}

/** Mean absolute error over the samples that both forecasts speak of. */
function errorOf(values: Float64Array, foretold: Float64Array, also = foretold): number {
  let sum = 0;
  let count = 0;
  for (let t = 0; t < values.length; t++) {
    const error = Math.abs(values[t] - foretold[t]);
    if (!Number.isFinite(error) || !Number.isFinite(also[t])) continue;
    sum += error;
    count++;
  }
  return count > 0 ? sum / count : Number.POSITIVE_INFINITY;
}
