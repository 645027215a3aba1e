/**
 * Local days and times of a regular grid of steps in a time zone.
 *
 * **Cost**: one call of Intl per day of the grid, and about 25 more for a day on which the offset changes.
 */
export interface Calendar {
  /** Day of the week of each step's start, local: 0 Monday … 6 Sunday. */
  readonly dayOfWeek: Uint8Array;
  /** Offset of local time from UTC at each step's start, in steps, rounded: it jumps where daylight saving begins or ends. */
  readonly offsetSteps: Int32Array;
}

const dayMs = 86_400_000;

/**
 * @param startMs start of the first step, milliseconds since the Unix epoch
 * @param stepMs length of a step, above 0
 * @param count how many steps
 * @param timeZone IANA name, such as "Europe/Berlin"
 * @throws RangeError for a time zone that the platform does not know
 */
export function calendarOf(startMs: number, stepMs: number, count: number, timeZone: string): Calendar {
  const dayOfWeek = new Uint8Array(count);
  const offsetSteps = new Int32Array(count);
  let offset = 0;
  let validUntilMs = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const time = startMs + i * stepMs;
    if (time >= validUntilMs) {
      ({ offset, validUntilMs } = offsetFrom(time, timeZone));
    }
    dayOfWeek[i] = (((Math.floor((time + offset) / dayMs) + 3) % 7) + 7) % 7; // the epoch was a Thursday
    offsetSteps[i] = Math.round(offset / stepMs);
  }
  return { dayOfWeek, offsetSteps };
}

/** Whether the platform knows this IANA time zone. */
export function isTimeZone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/**
 * Offset of local time from UTC, in milliseconds (positive east of Greenwich).
 *
 * @throws RangeError for an unknown time zone
 */
export function utcOffsetMs(timeMs: number, timeZone: string): number {
  if (timeZone === "UTC") return 0;
  const wholeSeconds = Math.floor(timeMs / 1000) * 1000;
  const local: Record<string, number> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(wholeSeconds)) local[type] = Number(value);
  const asUtc = Date.UTC(local.year, local.month - 1, local.day, local.hour, local.minute, local.second);
  return asUtc - wholeSeconds;
}

/** The offset at a time, and until when it is valid: to the next change, or for a day. */
function offsetFrom(timeMs: number, timeZone: string): { offset: number; validUntilMs: number } {
  if (timeZone === "UTC") return { offset: 0, validUntilMs: Number.POSITIVE_INFINITY };
  const offset = utcOffsetMs(timeMs, timeZone);
  let same = timeMs;
  let later = timeMs + dayMs;
  if (utcOffsetMs(later, timeZone) === offset) return { offset, validUntilMs: later };
  while (later - same > 1000) {
    const middle = Math.floor((same + later) / 2);
    if (utcOffsetMs(middle, timeZone) === offset) same = middle;
    else later = middle;
  }
  return { offset, validUntilMs: Math.floor(later / 1000) * 1000 };
}

/** Creating a formatter takes longer than a hundred uses of it. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(timeZone, format);
  }
  return format;
}
