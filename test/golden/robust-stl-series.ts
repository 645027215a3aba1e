import { generator } from "../unit/forecast/robust-series.ts";

/** The synthetic series of the RobustSTL paper (section 4.1), part by part. */
export interface PaperSeries {
  readonly values: Float64Array;
  readonly trend: Float64Array;
  readonly season: Float64Array;
  readonly spikes: readonly number[];
}

/**
 * A square season of 50 samples whose cycles are shifted at random by up to two samples, 15 cycles; a trend with ten abrupt
 * changes of level; 14 spikes and dips; noise of variance 0.1.
 */
export function paperSeries(seed: number): PaperSeries {
  const period = 50;
  const n = 15 * period;
  const random = generator(seed);
  const season = new Float64Array(n);
  for (let cycle = 0; cycle < 15; cycle++) {
    const shift = Math.round((random.uniform() - 0.5) * 4);
    for (let t = cycle * period; t < (cycle + 1) * period; t++)
      season[t] = (t + shift + 2 * period) % period < period / 2 ? 1 : -1;
  }
  const trend = new Float64Array(n);
  for (let change = 0; change < 10; change++) {
    const at = Math.floor((0.03 + 0.94 * random.uniform()) * n);
    const size = 4 * (random.uniform() - 0.5);
    for (let t = at; t < n; t++) trend[t] += size;
  }
  const values = Float64Array.from({ length: n }, (_, t) => season[t] + trend[t] + Math.sqrt(0.1) * random.normal());
  const spikes: number[] = [];
  for (let spike = 0; spike < 14; spike++) {
    const at = Math.floor(random.uniform() * n);
    values[at] += random.uniform() < 0.5 ? 8 : -8;
    spikes.push(at);
  }
  return { values, trend, season, spikes };
}
