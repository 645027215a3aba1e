import { finiteOf, median } from "../../series/statistics/robust-statistics.ts";

const dayMs = 86_400_000;
/** Share by which a calendar period must reduce the error. */
const leastGain = 0.12;

/**
 * Tests the day and the week, which need fewer cycles than other periods. A period counts if the mean of its other cycles predicts a
 * sample better than a forecast without it (a constant for the day, the day for the week), by an eighth of the mean error.
 *
 * @param values detrended samples, NaN where missing
 * @param stepMs length of a step
 * @returns periods in samples, each with the share by which it reduces the error; a day needs two and a half cycles, a week two
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
    const predicted = fromOtherCycles(values, period, day);
    const gain = 1 - errorOf(values, predicted) / errorOf(values, known, predicted);
    if (!(gain > leastGain)) continue;
    found.push({ period, gain });
    known = predicted;
  }
  return found;
}

/** Each sample predicted by the mean of the same phase, ± a 96th of a day, in all other cycles; NaN where they have none. */
function fromOtherCycles(values: Float64Array, period: number, day: number): Float64Array<ArrayBuffer> {
  const n = values.length;
  const half = Math.max(0, Math.floor(day / 96));
  const predicted = new Float64Array(n).fill(Number.NaN);
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
    if (count > 0) predicted[t] = sum / count;
  }
  return predicted;
}

/** Mean absolute error over the samples that both forecasts predict. */
function errorOf(values: Float64Array, predicted: Float64Array, also = predicted): number {
  let sum = 0;
  let count = 0;
  for (let t = 0; t < values.length; t++) {
    const error = Math.abs(values[t] - predicted[t]);
    if (!Number.isFinite(error) || !Number.isFinite(also[t])) continue;
    sum += error;
    count++;
  }
  return count > 0 ? sum / count : Number.POSITIVE_INFINITY;
}
