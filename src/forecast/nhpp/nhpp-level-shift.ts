import { median } from "../../series/statistics/robust-statistics.ts";

/** A lasting change of level: what came from `at` on is `factor` times what came before at the same time of day. */
export interface ArrivalLevelShift {
  /** In steps. */
  readonly at: number;
  readonly factor: number;
  readonly hoursAgo: number;
}

const hoursADay = 24;
/** A level must have lasted so long on either side to be told from a burst, and one older than two days is in the last cycle already. */
const fewestHours = 12;
const lastingHours = 3;
const oldestHours = 48;
/** Smaller changes are carried on as the level of the last hour is. */
const leastChange = Math.log(3);
const largestChange = 100;
/** So much of the day after the change must show it, give or take half of it; a day before it must not. */
const showing = 0.75;
const calm = 0.25;
/** Counts an hour below which nothing is told from noise. */
const fewestCounts = 2;

/**
 * Finds the last lasting change of level: the hours of a day against the same hours of the day before, so that no daily rhythm is
 * one, and, where there is more than a week of history, against the week before, so that no weekend is.
 *
 * @param counts arrivals a step, in units in which they scatter about as Poisson's; NaN where missing
 * @returns undefined where there is none of the last two days to at least three times, or a third of, the level
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
    // The last hours against the same hours of the last day before the change: is it still there?
    const now = present(Math.max(at, hours - lastingHours), hours, (t) =>
      change(t, hoursADay * Math.ceil((t - at + 1) / hoursADay)),
    );
    if (!(median(now) / size >= 0.5)) continue;
    const gain = after.reduce((sum, value) => sum + Math.abs(value) - Math.abs(value - size), 0);
    if (gain > most) [best, most] = [{ at, size }, gain];
  }
  if (best === undefined) return undefined;
  const { at } = best;
  // The logarithms shrink small counts; their sums don't.
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

/** ln of an hour's counts, and of a few more; NaN where less than half of it is known. */
function logOfHour(hour: Float64Array): number {
  let [sum, seen] = [0, 0];
  for (const count of hour) {
    if (!Number.isFinite(count)) continue;
    sum += count;
    seen++;
  }
  return 2 * seen < hour.length ? Number.NaN : Math.log((sum * hour.length) / seen + fewestCounts);
}

function present(from: number, to: number, at: (t: number) => number): Float64Array {
  return Float64Array.from({ length: to - from }, (_, k) => at(from + k)).filter(Number.isFinite);
}
