import { Cron } from "croner";
import type { TimeWindow } from "../api/fields/windows.ts";
import { isTimeZone } from "../api/values/cron.ts";

/** A window of time that opens and closes; times are milliseconds since the Unix epoch. */
export interface OpenTimes {
  isOpen(timeMs: number): boolean;
  /** When the window next opens or closes after `timeMs`; undefined where it does not within the next years. */
  nextChange(timeMs: number): number | undefined;
}

/** Times to check before a window counts as one that never changes; excluded days may follow one another for a year or more. */
const mostSteps = 1000;

/**
 * Reads a window. Cron expressions have five fields and are read in the window's own time zone; the window is open when its `end`
 * comes before its next `start`, from `from` on and before `until`, and not on the days of `excludeDates`.
 * Where clocks are set forward, a time that does not exist counts at the change; where they are set back, the first of the two times counts.
 *
 * @throws RangeError naming the window where an expression, a date or the zone cannot be read
 */
export function readWindow(window: TimeWindow): OpenTimes {
  const zone = window.timeZone ?? "UTC";
  const where = `window "${window.name}"`;
  if (!isTimeZone(zone))
    throw new RangeError(`${where}: "${zone}" is not a time zone; give an IANA name such as Europe/Berlin`);
  const start = window.start === undefined ? undefined : readCron(window.start, zone, `${where}, start`);
  const end = window.end === undefined ? undefined : readCron(window.end, zone, `${where}, end`);
  const fromMs = window.from === undefined ? Number.NEGATIVE_INFINITY : readLocal(window.from, zone, false, where);
  const untilMs = window.until === undefined ? Number.POSITIVE_INFINITY : readLocal(window.until, zone, true, where);
  const excluded = (window.excludeDates ?? []).map((text) => readExclusion(text, zone, where));
  const midnight = excluded.length > 0 ? readCron("0 0 * * *", zone, where) : undefined;

  const next = (cron: Cron | undefined, timeMs: number) =>
    cron?.nextRun(new Date(timeMs))?.getTime() ?? Number.POSITIVE_INFINITY;
  const isOpenAt = (timeMs: number) => {
    if (timeMs < fromMs || timeMs >= untilMs) return false;
    if (start !== undefined && end !== undefined && !(next(end, timeMs) < next(start, timeMs))) return false;
    return !excluded.some((isExcluded) => isExcluded(timeMs));
  };
  /** The first time after `timeMs` at which the window may open or close. */
  const turn = (timeMs: number) =>
    Math.min(
      next(start, timeMs),
      next(end, timeMs),
      next(midnight, timeMs),
      fromMs > timeMs ? fromMs : Number.POSITIVE_INFINITY,
      untilMs > timeMs ? untilMs : Number.POSITIVE_INFINITY,
    );

  // Ticks ask many times within the same interval.
  let stretch = { fromMs: 0, untilMs: 0, open: false };
  const isOpen = (timeMs: number) => {
    if (!(timeMs >= stretch.fromMs && timeMs < stretch.untilMs))
      stretch = { fromMs: timeMs, untilMs: turn(timeMs), open: isOpenAt(timeMs) };
    return stretch.open;
  };
  return {
    isOpen,
    nextChange(timeMs) {
      const open = isOpenAt(timeMs);
      let at = timeMs;
      for (let step = 0; step < mostSteps; step++) {
        at = turn(at);
        if (!Number.isFinite(at)) return undefined;
        if (isOpenAt(at) !== open) return at;
      }
      return undefined;
    },
  };
}

function readCron(text: string, zone: string, where: string): Cron {
  try {
    return new Cron(text.replaceAll("?", "*"), { timezone: zone, mode: "5-part", paused: true });
  } catch (error) {
    throw new RangeError(`${where}: "${text}" in ${zone} cannot be read: ${(error as Error).message}`);
  }
}

/** A date, or a date and time, in the zone. @param isEnd whether a date without a time means its end */
function readLocal(text: string, zone: string, isEnd: boolean, where: string): number {
  const hasTime = text.includes("T");
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  if (Number.isNaN(day.getTime())) throw new RangeError(`${where}: "${text}" is not a date`);
  if (isEnd && !hasTime) day.setUTCDate(day.getUTCDate() + 1);
  const time = hasTime ? text.slice(11).padEnd(8, ":00") : "00:00:00";
  let at: Date | null;
  try {
    at = new Cron(`${day.toISOString().slice(0, 10)}T${time}`, { timezone: zone, paused: true }).nextRun(new Date(0));
  } catch (error) {
    throw new RangeError(`${where}: "${text}" in ${zone} cannot be read: ${(error as Error).message}`);
  }
  if (at === null) throw new RangeError(`${where}: "${text}" lies before 1970`);
  return at.getTime();
}

/** Whether a time lies on an excluded day. */
function readExclusion(text: string, zone: string, where: string): (timeMs: number) => boolean {
  if (text.startsWith("*")) {
    const cron = readCron(text, zone, `${where}, excludeDates`);
    return (timeMs) => cron.match(new Date(Math.floor(timeMs / 60_000) * 60_000));
  }
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  });
  return text.length === 5
    ? (timeMs) => format.format(timeMs).endsWith(`-${text}`)
    : (timeMs) => format.format(timeMs) === text;
}
