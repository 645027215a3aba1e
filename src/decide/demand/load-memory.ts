import type { Series } from "../../series/series.ts";

/** How far a point of the memory can be trusted. */
const Guessed = 0; // across a long gap, or before anything was known
const Coarse = 1; // from history whose steps are too long to show what happens within minutes
const Fine = 2; // from history with short steps, or between neighbours that are near
const Live = 3; // a live value, as it came

/** Steps longer than this hide the rises that pods have to be started for. */
const longestFineStepMs = 10 * 60_000;
/** Values further apart than this say nothing about what was between them. */
const longestFineGapMs = 30 * 60_000;
/** A week to learn from, and the week before it, which the last day of the first week is compared with. */
const daysKept = 14;
const dayMs = 86_400_000;

/**
 * What one metric was, as demand in pods on a regular grid: history first, live values after it.
 * Point `i` stands at `originMs + i·stepMs`; history's means are placed at the middle of their step and joined by lines.
 */
export class LoadMemory {
  readonly stepMs: number;
  originMs: number;
  /** Demand in pods; only the first `length` are known. Single precision: learning needs no more, and it halves the memory. */
  values: Float32Array;
  length = 0;
  private trust: Uint8Array;
  /** Index of the newest point that was measured, not carried; −1 where there is none. */
  private newest = -1;
  /** The highest demand known, in pods; 0 where nothing is. */
  highest = 0;

  /** @param nowMs the first tick, which the grid is laid through @param stepMs the grid's step, the time between ticks */
  constructor(nowMs: number, stepMs: number) {
    const kept = Math.ceil((daysKept * dayMs) / stepMs);
    this.stepMs = stepMs;
    this.originMs = nowMs - kept * stepMs;
    this.values = new Float32Array(kept + Math.ceil(kept / 28)); // half a day to write on before old points are dropped
    this.trust = new Uint8Array(this.values.length);
  }

  /** The grid's index nearest to a time. */
  indexOf(timeMs: number): number {
    return Math.round((timeMs - this.originMs) / this.stepMs);
  }

  /** Whether a point came live. */
  isLive(index: number): boolean {
    return this.trust[index] === Live;
  }

  /** The first index that is known; `length` where nothing is. */
  get start(): number {
    let i = 0;
    while (i < this.length && this.trust[i] === Guessed && this.values[i] === 0) i++;
    return i;
  }

  /** Points that show what happened within minutes, counted from the left: `counts[b] − counts[a]` of `[a, b)` do. */
  fineCounts(): Int32Array {
    const counts = new Int32Array(this.length + 1);
    for (let i = 0; i < this.length; i++) counts[i + 1] = counts[i] + (this.trust[i] >= Fine ? 1 : 0);
    return counts;
  }

  /**
   * Takes history in, `scale` pods a unit of it. Live values that are already known stay; NaN is a gap.
   *
   * @param untilMs history after this moment is not used: it would be the future
   */
  learn(history: Series, scale: number, untilMs: number): void {
    const end = Math.min(this.indexOf(untilMs), this.values.length);
    const isFineStep = history.stepMs <= longestFineStepMs;
    let [pastMs, past] = [Number.NaN, Number.NaN];
    for (let k = 0; k < history.values.length; k++) {
      const value = history.values[k] * scale;
      if (!Number.isFinite(value)) continue;
      const timeMs = history.startMs + (k + 0.5) * history.stepMs;
      const isNear = timeMs - pastMs <= Math.max(longestFineGapMs, history.stepMs);
      const trust = !isFineStep ? (isNear ? Coarse : Guessed) : isNear ? Fine : Guessed;
      this.writeLine(
        Number.isNaN(past) ? timeMs : pastMs,
        Number.isNaN(past) ? value : past,
        timeMs,
        value,
        trust,
        end,
      );
      [pastMs, past] = [timeMs, value];
    }
    if (Number.isNaN(past)) return;
    // From the middle of the last step to its end the mean is all that is known.
    const lastMs = Math.min(pastMs + history.stepMs / 2 + this.stepMs, untilMs);
    this.writeLine(pastMs, past, lastMs, past, isFineStep ? Fine : Coarse, end);
  }

  private writeLine(fromMs: number, from: number, toMs: number, to: number, trust: number, end: number): void {
    const first = Math.max(0, Math.ceil((fromMs - this.originMs) / this.stepMs));
    const last = Math.min(end - 1, Math.floor((toMs - this.originMs) / this.stepMs));
    for (let i = first; i <= last; i++) {
      if (i < this.length && this.trust[i] === Live) continue;
      const share = toMs > fromMs ? (this.originMs + i * this.stepMs - fromMs) / (toMs - fromMs) : 0;
      this.values[i] = from + (to - from) * share;
      this.trust[i] = trust;
      this.highest = Math.max(this.highest, this.values[i]);
    }
    if (last >= this.length) this.length = last + 1;
    this.newest = Math.max(this.newest, last);
  }

  /** Takes a live value in, in pods, as it was at `timeMs`. A second value for the same point replaces the first. */
  push(timeMs: number, value: number): void {
    let index = this.indexOf(timeMs);
    if (index < 0) return; // older than anything kept
    index = this.makeRoomFor(index);
    const before = this.newest;
    const gap = index - before;
    if (before >= 0 && gap > 1) {
      const trust = gap * this.stepMs <= longestFineGapMs ? Fine : Guessed;
      const left = this.values[before];
      for (let i = before + 1; i < index; i++) {
        this.values[i] = left + ((value - left) * (i - before)) / gap;
        this.trust[i] = trust;
      }
    }
    this.values[index] = value;
    this.trust[index] = Live;
    this.highest = Math.max(this.highest, value);
    this.newest = Math.max(this.newest, index);
    this.length = Math.max(this.length, index + 1);
  }

  /** Continues the newest value up to `timeMs` where live values are late; the next one replaces what was carried. */
  carryTo(timeMs: number): void {
    if (this.newest < 0) return;
    const index = this.makeRoomFor(this.indexOf(timeMs));
    for (let i = this.newest + 1; i <= index; i++) {
      this.values[i] = this.values[this.newest];
      this.trust[i] = Guessed;
    }
    this.length = Math.max(this.length, index + 1);
  }

  /** Drops the oldest points where the grid's end is reached. Gives the index after the move. */
  private makeRoomFor(index: number): number {
    if (index < this.values.length) return index;
    const spare = Math.ceil(this.values.length / 29);
    const drop = Math.max(index + 1 - this.values.length, spare);
    if (drop >= this.values.length) {
      // Silent for longer than anything is kept: nothing is left to learn from.
      this.values.fill(0);
      this.trust.fill(Guessed);
      this.length = 0;
      this.newest = -1;
    } else {
      this.values.copyWithin(0, drop);
      this.trust.copyWithin(0, drop);
      this.values.fill(0, this.values.length - drop);
      this.trust.fill(Guessed, this.trust.length - drop);
      this.length = Math.max(0, this.length - drop);
      this.newest = Math.max(-1, this.newest - drop);
    }
    this.originMs += drop * this.stepMs;
    this.highest = this.values.subarray(0, this.length).reduce((a, b) => Math.max(a, b), 0);
    return index - drop;
  }

  /** The highest demand known further than `asideMs` from the highest of all, pods; the highest where all lies nearer. */
  highestAsidePeak(asideMs: number): number {
    const { values, length, start } = this;
    let peak = start;
    for (let i = start + 1; i < length; i++) if (values[i] > values[peak]) peak = i;
    const aside = Math.ceil(asideMs / this.stepMs);
    let highest = Number.NEGATIVE_INFINITY;
    for (let i = start; i < length; i++) if (Math.abs(i - peak) > aside && values[i] > highest) highest = values[i];
    return highest === Number.NEGATIVE_INFINITY ? this.highest : highest;
  }

  /** The same memory on another grid through `nowMs`. */
  onGrid(nowMs: number, stepMs: number): LoadMemory {
    const other = new LoadMemory(nowMs, stepMs);
    for (let i = 0; i < other.values.length; i++) {
      const place = (other.originMs + i * stepMs - this.originMs) / this.stepMs;
      const left = Math.floor(place);
      if (left < 0 || left > this.newest) continue;
      const right = Math.min(left + 1, this.newest);
      other.values[i] = this.values[left] + (this.values[right] - this.values[left]) * (place - left);
      other.trust[i] = Math.min(this.trust[left], this.trust[right], Fine);
      other.length = i + 1;
      other.newest = i;
    }
    other.highest = this.highest;
    return other;
  }

  /** What is known, as a series whose steps are centred on the grid's points (NaN where only guessed). */
  series(scale: number): Series {
    const from = this.start;
    const values = new Float64Array(Math.max(0, this.newest + 1 - from));
    for (let i = 0; i < values.length; i++)
      values[i] = this.trust[from + i] === Guessed ? Number.NaN : this.values[from + i] * scale;
    return { startMs: this.originMs + (from - 0.5) * this.stepMs, stepMs: this.stepMs, values };
  }
}
