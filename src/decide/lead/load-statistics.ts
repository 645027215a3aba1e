import type { LeadShape } from "../demand/lead-shape.ts";
import type { LoadStatistics } from "./lead-features.ts";

/** Statistics of all points and rows at once, in O(1) each once built: for fitting. */
export function tableOfStatistics(
  values: Float32Array,
  length: number,
  start: number,
  shape: LeadShape,
  meanLoad: number,
): LoadStatistics & { readonly largest: Float32Array; readonly rises: Float32Array } {
  const { lead, minute, five, twenty, hour, fourHours } = shape;
  const peaksFive = trailingPeaks(values, start, length, five + 1);
  const peaksTwenty = trailingPeaks(values, start, length, twenty + 1);
  const leadWide = trailingPeaks(values, start, length, lead + 2 * five + 1);
  const leadNear = trailingPeaks(values, start, length, lead + 2 * minute + 1);
  const largest = trailingPeaks(values, start, length, lead + 1); // at its last point
  const rises = risesOf(values, start, length, shape, largest);
  const riseEnd = length - lead;
  const peaksHour = trailingPeaks(rises, start, riseEnd, hour + 1);
  const peaksFourHours = trailingPeaks(rises, start, riseEnd, fourHours + 1);
  const sums = sumsOf(values, start, length);
  const riseSums = sumsOf(rises, start, riseEnd);
  const mean = (of: Float64Array, at: number, width: number) => {
    const from = Math.max(start, at - width + 1);
    return (of[at + 1] - of[from]) / (at + 1 - from);
  };
  const clip = (row: number) => Math.max(start, row); // before the first row whose lead was seen, the first one stands in
  return {
    values,
    start,
    meanLoad,
    largest,
    rises,
    mean: (at, width) => mean(sums, at, width),
    peakFive: (at) => peaksFive[at],
    peakTwenty: (at) => peaksTwenty[at],
    peakLeadWide: (at) => leadWide[at],
    peakLeadNear: (at) => leadNear[at],
    riseMean: (row, width) => mean(riseSums, clip(row), width),
    riseMaxHour: (row) => peaksHour[clip(row)],
    riseMaxFourHours: (row) => peaksFourHours[clip(row)],
  };
}

/** The same statistics for one row at a time, by short loops over a memory that grows: for deciding. */
export class LiveStatistics implements LoadStatistics {
  start: number;
  readonly meanLoad: number;
  values: Float32Array;
  private readonly shape: LeadShape;
  /** Rises of the last rows, in a ring: row `r` at `r mod size`. */
  private readonly ring: Float32Array;
  /** The first row whose rise is not in the ring yet. */
  private riseEnd: number;

  constructor(values: Float32Array, length: number, start: number, shape: LeadShape, meanLoad: number) {
    this.values = values;
    this.start = start;
    this.shape = shape;
    this.meanLoad = meanLoad;
    this.ring = new Float32Array(Math.max(shape.day, shape.fourHours) + 1);
    this.riseEnd = Math.max(start, length - shape.lead - this.ring.length);
  }

  /** Takes up rises whose whole lead is known, points below `length` being known. */
  extend(length: number): void {
    const { lead, lag } = this.shape;
    for (; this.riseEnd + lead < length; this.riseEnd++)
      this.ring[this.riseEnd % this.ring.length] =
        peak(this.values, this.riseEnd, this.riseEnd + lead) - this.values[Math.max(this.start, this.riseEnd - lag)];
  }

  mean(at: number, width: number): number {
    const from = Math.max(this.start, at - width + 1);
    let sum = 0;
    for (let i = from; i <= at; i++) sum += this.values[i];
    return sum / (at + 1 - from);
  }

  peakFive(at: number): number {
    return peak(this.values, Math.max(this.start, at - this.shape.five), at);
  }

  peakTwenty(at: number): number {
    return peak(this.values, Math.max(this.start, at - this.shape.twenty), at);
  }

  peakLeadWide(at: number): number {
    return peak(this.values, Math.max(this.start, at - this.shape.lead - 2 * this.shape.five), at);
  }

  peakLeadNear(at: number): number {
    return peak(this.values, Math.max(this.start, at - this.shape.lead - 2 * this.shape.minute), at);
  }

  riseMean(row: number, width: number): number {
    const from = Math.max(this.start, row - width + 1, this.riseEnd - this.ring.length);
    const size = this.ring.length;
    let [sum, count] = [0, 0];
    for (let r = from, k = ((from % size) + size) % size; r <= row; r++) {
      sum += this.ring[k];
      count++;
      if (++k === size) k = 0;
    }
    return count > 0 ? sum / count : 0;
  }

  riseMaxHour(row: number): number {
    return this.riseMax(row, this.shape.hour);
  }

  riseMaxFourHours(row: number): number {
    return this.riseMax(row, this.shape.fourHours);
  }

  private riseMax(row: number, width: number): number {
    const from = Math.max(this.start, row - width, this.riseEnd - this.ring.length);
    const size = this.ring.length;
    let highest = Number.NEGATIVE_INFINITY;
    for (let r = from, k = ((from % size) + size) % size; r <= row; r++) {
      if (this.ring[k] > highest) highest = this.ring[k];
      if (++k === size) k = 0;
    }
    return highest === Number.NEGATIVE_INFINITY ? 0 : highest;
  }
}

/** `out[i]` is the largest of the `width` values up to and with `i`; fewer at the beginning. Cost: O(n) by a monotone queue. */
export function trailingPeaks(values: Float32Array, start: number, end: number, width: number): Float32Array {
  const out = new Float32Array(values.length);
  const queue = new Int32Array(values.length); // indices of falling values: the head is the window's largest
  let [head, tail] = [0, 0];
  for (let i = start; i < end; i++) {
    while (tail > head && values[queue[tail - 1]] <= values[i]) tail--;
    queue[tail++] = i;
    if (queue[head] <= i - width) head++;
    out[i] = values[queue[head]];
  }
  return out;
}

function risesOf(values: Float32Array, start: number, length: number, shape: LeadShape, largest: Float32Array) {
  const rises = new Float32Array(values.length);
  for (let row = start; row + shape.lead < length; row++)
    rises[row] = largest[row + shape.lead] - values[Math.max(start, row - shape.lag)];
  return rises;
}

function sumsOf(values: Float32Array, start: number, end: number): Float64Array {
  const sums = new Float64Array(values.length + 1);
  for (let i = start; i < end; i++) sums[i + 1] = sums[i] + values[i];
  return sums;
}

function peak(values: Float32Array, from: number, to: number): number {
  let highest = values[from];
  for (let i = from + 1; i <= to; i++) if (values[i] > highest) highest = values[i];
  return highest;
}
