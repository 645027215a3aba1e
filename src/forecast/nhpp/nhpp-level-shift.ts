import { median } from "../../series/statistics/robust-statistics.ts";

/** A level shift: the arrivals from `at` on are `factor` times those before, at the same time of day. */
export interface ArrivalLevelShift {
  /** In steps. */
  readonly at: number;
  readonly factor: number;
  readonly hoursAgo: number;
}

const hoursADay = 24;
/** A level must last so long on both sides, or it may be a burst; one older than two days is already in the last cycle. */
const fewestHours = 12;
const lastingHours = 3;
const oldestHours = 48;
/** Smaller changes are followed by the level of the last hour. */
const leastChange = Math.log(3);
const largestChange = 100;
/** Share of the day after the shift that must show it, within half of its size; the day before must not show it. */
const showing = 0.75;
const calm = 0.25;
/** Counts per hour below which everything may be noise. */
const fewestCounts = 2;

/**
 * Finds the last level shift: compares each hour with the same hour of the day before, so that daily seasonality is no shift, and,
 * with more than a week of history, of the week before, so that a weekend is no shift.
 *
 * @param counts arrivals a step, in units in which they scatter about as Poisson's; NaN where missing
 * @returns undefined where there is none within the last two days to at least three times, or at most a third of, the level
 */
export function lastLevelShift(counts: Float64Array, stepsPerHour: number): ArrivalLevelShift | undefined {
  const perHour = Math.round(stepsPerHour);
  if (perHour < 1) return undefined;
  const hours = Math.floor(counts.length / perHour);
  const first = counts.length - hours * perHour;
  const logs = Float64Array.from({ length: hours }, (_, h) =>
    logOfHour(counts.subarray(first + h * perHour, first + (h + 1) * perHour)),
  );
  const silence = Math.log(2 * fewestCounts); // an hour without arrivals has ln fewestCounts
  const change = (t: number, lag: number) => (t >= lag ? logs[t] - logs[t - lag] : Number.NaN);
  let best: { at: number; size: number } | undefined;
  let most = 0;
  for (let at = Math.max(hoursADay, hours - oldestHours); at <= hours - fewestHours; at++) {
    const until = Math.min(hours, at + hoursADay);
    const after = present(at, until, (t) => change(t, hoursADay));
    const before = present(Math.max(0, at - hoursADay), at, (t) => change(t, hoursADay));
    if (after.length < fewestHours || before.length < fewestHours) continue;
    const size = median(after);
    if (!(Math.abs(size) >= leastChange && Math.abs(median(before)) <= calm * Math.abs(size))) continue;
    const shows = (value: number) => value / size >= 0.5 && value / size <= 1.5;
    if (after.filter(shows).length < showing * after.length) continue;
    const overAWeek = present(at, until, (t) => change(t, 7 * hoursADay));
    if (overAWeek.length >= showing * after.length && !(median(overAWeek) / size >= 0.5)) continue;
    if (median(logs.slice(at, until).filter(Number.isFinite)) < silence) continue; // an outage is no level
    // The last hours, compared with the same hours of the last day before the shift: does it persist?
    const now = present(Math.max(at, hours - lastingHours), hours, (t) =>
      change(t, hoursADay * Math.ceil((t - at + 1) / hoursADay)),
    );
    if (!(median(now) / size >= 0.5)) continue;
    const gain = after.reduce((sum, value) => sum + Math.abs(value) - Math.abs(value - size), 0);
    if (gain > most) [best, most] = [{ at, size }, gain];
  }
  if (best === undefined) return undefined;
  const { at } = best;
  // Logarithms shrink small counts; sums do not.
  let [since, before] = [0, 0];
  for (let t = at; t < Math.min(hours, at + hoursADay); t++) {
    const [now, then] = [Math.exp(logs[t]), Math.exp(logs[t - hoursADay])];
    if (Number.isNaN(now + then)) continue;
    since += now - fewestCounts;
    before += then - fewestCounts;
  }
  const factor = Math.max(1 / largestChange, Math.min(largestChange, since / before));
  return { at: first + at * perHour, factor, hoursAgo: hours - at };
}

/** ln of an hour's counts plus a few; NaN where less than half of the hour is present. */
function logOfHour(hour: Float64Array): number {
  let [sum, known] = [0, 0];
  for (const count of hour) {
    if (!Number.isFinite(count)) continue;
    sum += count;
    known++;
  }
  return 2 * known < hour.length ? Number.NaN : Math.log((sum * hour.length) / known + fewestCounts);
}

function present(from: number, to: number, at: (t: number) => number): Float64Array {
  return Float64Array.from({ length: to - from }, (_, k) => at(from + k)).filter(Number.isFinite);
}
