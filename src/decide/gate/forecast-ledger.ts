import type { Grid } from "../demand/grid.ts";
import type { Outcome } from "./outcome.ts";

/** A forecast of one stretch of the load. */
export interface IssuedForecast {
  /** The stretch, ends included: milliseconds since the Unix epoch. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Whether it forecasts the stretch's largest value or its mean. */
  readonly of: "Largest" | "Mean";
  readonly middle: number;
  readonly upper: number;
}

const dayMs = 86_400_000;

/** Keeps forecasts until the actual values are known. */
export class ForecastLedger {
  private pending: IssuedForecast[] = [];

  add(forecast: IssuedForecast): void {
    this.pending.push(forecast);
  }

  /**
   * Outcomes of all that ended at point `newest` or before, oldest first. The season before is the day before, or the week before
   * where that day is not known.
   */
  settle(grid: Grid, newest: number): Outcome[] {
    const knownMs = grid.originMs + newest * grid.stepMs;
    const outcomes: Outcome[] = [];
    let done = 0;
    for (const { fromMs, toMs, of, middle, upper } of this.pending) {
      if (toMs > knownMs + grid.stepMs / 2) break;
      done++;
      const actual = loadOver(grid, fromMs, toMs, of);
      if (Number.isNaN(actual)) continue;
      const yesterday = loadOver(grid, fromMs - dayMs, toMs - dayMs, of);
      const naive = Number.isNaN(yesterday) ? loadOver(grid, fromMs - 7 * dayMs, toMs - 7 * dayMs, of) : yesterday;
      outcomes.push({ timeMs: toMs, actual, forecast: middle, upper, naive });
    }
    this.pending = done > 0 ? this.pending.slice(done) : this.pending;
    return outcomes;
  }
}

/** NaN where any of it lies outside what is known. */
function loadOver(
  { values, start, length, originMs, stepMs }: Grid,
  fromMs: number,
  toMs: number,
  of: IssuedForecast["of"],
) {
  const from = Math.round((fromMs - originMs) / stepMs);
  const to = Math.round((toMs - originMs) / stepMs);
  if (from < start || to >= length || to < from) return Number.NaN;
  let [largest, sum] = [Number.NEGATIVE_INFINITY, 0];
  for (let i = from; i <= to; i++) {
    sum += values[i];
    if (values[i] > largest) largest = values[i];
  }
  return of === "Largest" ? largest : sum / (to - from + 1);
}
