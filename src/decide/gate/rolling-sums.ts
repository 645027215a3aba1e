import type { Outcome } from "./outcome.ts";

/** What a stretch of outcomes adds up to, in pods. */
export interface Sums {
  readonly count: number;
  readonly load: number;
  readonly error: number;
  /** Of outcomes that a season before them can be compared with: the forecast's errors and the season's. */
  readonly comparedError: number;
  readonly naiveError: number;
  /** Outcomes at or below the quantile. */
  readonly covered: number;
  /** Errors of each part that could be compared: the forecast's and the season's. */
  readonly parts: readonly { readonly error: number; readonly naiveError: number }[];
  /** Parts that hold any outcome that could be compared. */
  readonly filled: number;
}

interface Part {
  index: number;
  count: number;
  load: number;
  error: number;
  compared: number;
  comparedError: number;
  naiveError: number;
  covered: number;
}

/** Sums over a window that slides in equal parts. */
export class RollingSums {
  private readonly partMs: number;
  private readonly ring: Part[];

  constructor(windowMs: number, parts: number) {
    this.partMs = windowMs / parts;
    this.ring = Array.from({ length: parts }, () => empty(Number.NEGATIVE_INFINITY));
  }

  add({ timeMs, actual, forecast, upper, naive }: Outcome): void {
    const index = Math.floor(timeMs / this.partMs);
    const place = ((index % this.ring.length) + this.ring.length) % this.ring.length;
    if (this.ring[place].index !== index) this.ring[place] = empty(index);
    const part = this.ring[place];
    const error = Math.abs(actual - forecast);
    part.count++;
    part.load += Math.abs(actual);
    part.error += error;
    // Rounding must not decide whether a quantile of 0 holds for a load of 0.
    if (actual <= upper + 1e-9) part.covered++;
    if (!Number.isFinite(naive)) return;
    part.compared++;
    part.comparedError += error;
    part.naiveError += Math.abs(actual - naive);
  }

  /** The sums of the window that ends at `timeMs`. */
  sums(timeMs: number): Sums {
    const oldest = Math.floor(timeMs / this.partMs) - this.ring.length;
    const all = { count: 0, load: 0, error: 0, comparedError: 0, naiveError: 0, covered: 0, filled: 0 };
    const parts: { error: number; naiveError: number }[] = [];
    for (const part of this.ring) {
      if (part.index <= oldest) continue;
      all.count += part.count;
      all.load += part.load;
      all.error += part.error;
      all.comparedError += part.comparedError;
      all.naiveError += part.naiveError;
      all.covered += part.covered;
      if (part.compared === 0) continue;
      all.filled++;
      parts.push({ error: part.comparedError, naiveError: part.naiveError });
    }
    return { ...all, parts };
  }
}

function empty(index: number): Part {
  return { index, count: 0, load: 0, error: 0, compared: 0, comparedError: 0, naiveError: 0, covered: 0 };
}
