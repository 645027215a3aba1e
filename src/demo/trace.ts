import type { Series } from "../series/series.ts";

/** A real load, cut into what Forescale may learn from and what is replayed. */
export interface Trace {
  /** For programs. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** Where it comes from. */
  readonly source: string;
  /** Name of the IHPA and of its metric. */
  readonly metric: string;
  /** What its values count. */
  readonly unit: string;
  readonly load: Series;
  /** The replay begins here; all before is history. */
  readonly replayFromMs: number;
  readonly replayUntilMs: number;
  /** Load that one pod carries. */
  readonly podCarries: number;
}

/** Rows of a file: ascending stamps in milliseconds, and a value or NaN for each. */
export interface TraceRows {
  readonly stamps: Float64Array;
  readonly values: Float64Array;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/**
 * Lays the rows of a file on a regular grid, each on its nearest step; rows that share a step are averaged, steps without a row are
 * missing.
 *
 * @param stepMs distance that most rows keep
 * @throws Error with one sentence for a trace that is too short, too coarse, too irregular, or that has no load
 */
export function layTrace({ stamps, values }: TraceRows, stepMs: number): Series {
  const days = stamps.length === 0 ? 0 : (stamps[stamps.length - 1] - stamps[0] + stepMs) / dayMs;
  if (days < 2 - 1e-9)
    throw new Error(
      `${describeDays(days)} of load is too little to learn from and replay; give at least 2 days, better 2 weeks`,
    );
  if (stepMs > hourMs)
    throw new Error(`most rows are ${stepMs / hourMs} h apart; give a row at least every hour, better every minute`);
  const steps = Math.round((stamps[stamps.length - 1] - stamps[0]) / stepMs) + 1;
  const sums = new Float64Array(steps);
  const counts = new Uint32Array(steps);
  for (let i = 0; i < stamps.length; i++) {
    if (Number.isNaN(values[i])) continue;
    const step = Math.round((stamps[i] - stamps[0]) / stepMs);
    sums[step] += values[i];
    counts[step]++;
  }
  const filled = counts.reduce((n, count) => n + (count > 0 ? 1 : 0), 0);
  if (filled < steps / 2)
    throw new Error(
      `only ${filled} of ${steps} steps of ${stepMs / 1000} s have a value; give regular rows, or resample to a coarser step`,
    );
  if (sums.every((sum) => sum === 0)) throw new Error("every value is 0; a load is needed to scale by");
  return { startMs: stamps[0], stepMs, values: sums.map((sum, i) => (counts[i] > 0 ? sum / counts[i] : Number.NaN)) };
}

/** The rate that `rate(…[window])` of a metrics store shows: at each step the mean of the steps that end with it. */
export function trailingMean(series: Series, windowMs: number): Series {
  const each = Math.max(1, Math.round(windowMs / series.stepMs));
  const values = series.values.map((_, i) => {
    const window = series.values.subarray(Math.max(0, i - each + 1), i + 1).filter((value) => !Number.isNaN(value));
    return window.length > 0 ? window.reduce((a, b) => a + b) / window.length : Number.NaN;
  });
  return { ...series, values };
}

/**
 * Where the history of a user's trace ends: after a week and at least 60 %, or after 60 % where a week would leave too little to replay.
 *
 * @returns milliseconds, the start of a step
 */
export function historyEndMs({ startMs, stepMs, values }: Series): number {
  const spanMs = values.length * stepMs;
  const share = 0.6 * spanMs;
  const lengthMs = spanMs > 8 * dayMs ? Math.max(7 * dayMs, share) : share;
  return startMs + Math.ceil(lengthMs / stepMs) * stepMs;
}

/** A column's name as the name of objects: lower-case letters, digits and dashes. */
export function objectName(column: string): string {
  const name = column
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40)
    .replace(/-+$/, "");
  return /^[a-z]/.test(name) ? name : name === "" ? "load" : `load-${name}`;
}

function describeDays(days: number): string {
  const [count, unit] = days < 1 ? [days * 24, "hour"] : [days, "day"];
  const rounded = Number(count.toFixed(1));
  return `${rounded} ${unit}${rounded === 1 ? "" : "s"}`;
}
