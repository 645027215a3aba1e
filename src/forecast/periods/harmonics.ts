import { type Line, powerOfLine } from "./robust-lines.ts";

/** A period with its harmonics. */
export interface Fundamental {
  /** Cycles a sample. */
  readonly frequency: number;
  /** Variance of the fundamental and its harmonics. */
  readonly power: number;
}

/** Up to this multiple the shape of a cycle may have strong harmonics; an hour within a day lies well beyond. */
const shapely = 8;

/**
 * A recurring shape with so much more power at its second harmonic than at its own frequency consists of two slightly different
 * cycles: one period, of both.
 */
const unequal = 10;

interface Group {
  frequency: number;
  power: number;
  readonly members: { frequency: number; power: number; multiple: number }[];
}

/**
 * Groups spectral lines into fundamentals and their harmonics.
 *
 * - Lines within one percent of a stronger one are the same period with a drifting phase.
 * - A line at m times a lower one is its harmonic, unless it is a period of its own: strong compared with the lower line, and far
 *   above the neighbouring harmonics, which the shape of a cycle makes alike. The second harmonic of a recurring shape with almost
 *   no power at its own frequency is always a harmonic.
 * - A weak line near a multiple of a much stronger period is a sideband: that period's change from cycle to cycle, as a week
 *   modulates the day.
 *
 * @param lines spectral lines of one series
 * @param n length of that series, which limits how well frequencies can be separated
 * @param powerAt power of the series at any frequency, found as a line or not
 * @param recurring frequency at which the whole shape recurs, where the lines alone do not show it
 */
export function fundamentals(
  lines: readonly Line[],
  n: number,
  powerAt: (frequency: number) => number,
  recurring?: number,
): Fundamental[] {
  const merged = mergeDrifting(lines);
  const groups: Group[] = [];
  if (recurring !== undefined) groups.push({ frequency: recurring, power: 0, members: [] });
  for (const line of merged) {
    const owner = groups.find((group, i) => belongs(line, group, powerAt, n, i === 0 && recurring !== undefined));
    if (owner) {
      owner.members.push({ ...line, multiple: Math.round(line.frequency / owner.frequency) });
      owner.power += line.power;
    } else
      groups.push({
        frequency: line.frequency,
        power: line.power,
        members: [{ ...line, multiple: 1 }],
      });
  }
  const strongest = Math.max(0, ...groups.map(({ power }) => power));
  return groups
    .filter((group, i) => (i === 0 && recurring !== undefined) || group.power > 0.08 * strongest)
    .filter((group) => !groups.some((other) => isSideband(group, other, n)))
    .map((group, i) => ({
      frequency: i === 0 && recurring !== undefined ? nearOr(jointFrequency(group), recurring) : jointFrequency(group),
      power: group.power,
    }));
}

function mergeDrifting(lines: readonly Line[]): { frequency: number; power: number }[] {
  const merged: { frequency: number; power: number }[] = [];
  for (const line of lines.toSorted((a, b) => powerOfLine(b) - powerOfLine(a))) {
    const power = powerOfLine(line);
    const same = merged.find(({ frequency }) => Math.abs(line.frequency / frequency - 1) < 0.01);
    if (same) same.power += power;
    else merged.push({ frequency: line.frequency, power });
  }
  return merged.toSorted((a, b) => a.frequency - b.frequency);
}

function belongs(
  line: { frequency: number; power: number },
  group: Group,
  powerAt: (frequency: number) => number,
  n: number,
  isRecurring: boolean,
): boolean {
  const multiple = Math.round(line.frequency / group.frequency);
  const apart = Math.abs(line.frequency - multiple * group.frequency);
  if (multiple < 1 || apart > toleranceOf(line.frequency, multiple, n)) return false;
  if (multiple === 1) return true;
  const own = powerAt(line.frequency);
  const harmonic = (m: number) =>
    Math.max(...[-1, -0.5, 0, 0.5, 1].map((o) => powerAt(m * (group.frequency + (0.4 * o) / n))));
  // A drifting fundamental is spread over neighbouring lines, which were merged.
  const merged = group.members.find((member) => member.multiple === 1)?.power ?? 0;
  const base = Math.max(harmonic(1), merged);
  if (isRecurring && multiple === 2 && own > unequal * base) return true;
  const beside = [multiple - 2, multiple - 1, multiple + 1, multiple + 2].filter((m) => m > 1).map(harmonic);
  return !(own > (multiple <= shapely ? 0.5 : 0.1) * base && own > 2.5 * Math.max(...beside));
}

function isSideband(group: Group, other: Group, n: number): boolean {
  if (other === group || group.power > 0.3 * other.power || group.frequency < 0.7 * other.frequency) return false;
  const ratio = group.frequency / other.frequency;
  const apart = Math.abs(ratio - Math.round(ratio));
  return apart < 0.2 && apart * other.frequency > toleranceOf(group.frequency, Math.round(ratio), n);
}

/** How far from a multiple a line may lie and still be that harmonic. */
function toleranceOf(frequency: number, multiple: number, n: number): number {
  return Math.max((0.35 * Math.sqrt(multiple)) / n, 0.01 * frequency);
}

/** A harmonic's frequency is known as precisely as the fundamental's, so that its m-th part is m times more precise. */
function jointFrequency({ members }: Group): number {
  let weight = 0;
  let sum = 0;
  for (const { frequency, power, multiple } of members) {
    weight += power * multiple * multiple;
    sum += power * multiple * frequency;
  }
  return sum / weight;
}

/** The frequency of the lines, or that of the recurring shape where the lines have none or contradict it. */
function nearOr(frequency: number, recurring: number): number {
  return Math.abs(frequency / recurring - 1) < 0.015 ? frequency : recurring;
}
