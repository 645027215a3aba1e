import { Cron } from "croner";

/** What is wrong with a cron expression. */
export type CronFault = { readonly kind: "Malformed"; readonly why: string } | { readonly kind: "NeverRuns" };

/** From when on an expression is asked for a firing: a leap year, so 29 February counts. */
const since = new Date(Date.UTC(2000, 0, 1) - 1);

/**
 * Checks a cron expression of five fields: minute, hour, day of month, month, day of week. The search for a firing is
 * bounded, so one that never comes is found out in milliseconds.
 *
 * @param timeZone a zone that exists; see `isTimeZone`
 * @returns undefined when it is good
 */
export function cronFault(expression: string, timeZone: string): CronFault | undefined {
  try {
    const cron = new Cron(expression.replaceAll("?", "*"), { timezone: timeZone, mode: "5-part", paused: true });
    return cron.nextRun(since) === null ? { kind: "NeverRuns" } : undefined;
  } catch (error) {
    return { kind: "Malformed", why: (error as Error).message.replace(/^CronPattern: /, "") };
  }
}

/** Whether the time zone is in the IANA database that this program carries. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return /^[A-Za-z]/.test(name); // bare offsets such as +01:00 are no zones
  } catch {
    return false;
  }
}

/** Whether a text such as `2025-11-10` or `2025-11-10T20:00` names a day, and a time, that exist. */
export function isLocalTime(text: string): boolean {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text);
  if (!match) return false;
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0));
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
}
