const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Milliseconds of a duration as our objects write it: a whole number and one of s, m, h, d, w. @throws RangeError */
export function parseDuration(text: string): number {
  const [, count, unit] = /^([0-9]+)([smhdw])$/.exec(text) ?? [];
  if (unit === undefined)
    throw new RangeError(`"${text}" is not a duration; give a whole number and one of s, m, h, d, w, such as 14d`);
  return Number(count) * unitMs[unit];
}
