import { examine, hasStrayNegatives } from "../forecast/data/data-quality.ts";
import type { Series } from "../series/series.ts";

/** What a row with no neighbour is taken for. */
const loneStepMs = 60_000;

/** The rows of a history file as they stand: ascending stamps (milliseconds), and each column's values, NaN where empty. */
export interface HistoryRows {
  readonly stamps: Float64Array;
  readonly columns: ReadonlyMap<string, Float64Array>;
  /** What was left out, a sentence for each column that had any of it. */
  readonly warnings: readonly string[];
}

/**
 * Reads a history: a header `timestamp,NAME…`, then a row a step. A stamp is the UTC start of its step, a value the mean of that
 * step, an empty field a missing one; rows may be missing too. Negative values that are less than one in a hundred are a counter's
 * reset or a query's fault: they count as missing.
 *
 * @param names columns that must be there; others are left out
 * @param warn called with what was left out
 * @returns a series for each name
 * @throws Error with one sentence that names the line and the remedy
 */
export function readHistory(
  text: string,
  names: readonly string[],
  warn: (message: string) => void = () => {},
): Map<string, Series> {
  const { stamps, columns, warnings } = readRows(text, names);
  warnings.forEach(warn);
  const stepMs = stepOf(stamps);
  return new Map(names.map((name) => [name, toSeries(stamps, columns.get(name)!, stepMs)]));
}

/** Names of a history file's columns beside the timestamp, in order. @throws Error where the header is none */
export function readHeader(text: string): string[] {
  const [first, ...names] = headerOf(linesOf(text), "NAME");
  if (first !== "timestamp" || names.length === 0)
    throw new Error("line 1: there is no column beside timestamp; write timestamp,NAME");
  return names;
}

/** As `readHistory`, but the rows wherever they stand: for those that lay their own grid. */
export function readRows(text: string, names: readonly string[]): HistoryRows {
  const lines = linesOf(text);
  const header = headerOf(lines, names.join(",") || "NAME");
  const columns = names.map((name) => {
    const column = header.indexOf(name, 1);
    if (column < 0)
      throw new Error(`there is no column "${name}"; the header has ${header.slice(1).join(", ") || "none"}`);
    return column;
  });

  const stamps = new Float64Array(lines.length - 1);
  const cells = names.map(() => new Float64Array(lines.length - 1));
  for (let i = 1; i < lines.length; i++) {
    const fields = lines[i].split(",");
    if (fields.length !== header.length)
      throw new Error(
        `line ${i + 1} has ${fields.length} fields, the header ${header.length}; give each row all of them`,
      );
    stamps[i - 1] = readStamp(unquote(fields[0]), i + 1);
    if (i > 1 && !(stamps[i - 1] > stamps[i - 2]))
      throw new Error(
        stamps[i - 1] === stamps[i - 2]
          ? `line ${i + 1} repeats the timestamp ${unquote(fields[0])}; keep one row for each step`
          : `line ${i + 1} goes back in time to ${unquote(fields[0])}; sort the rows by timestamp`,
      );
    columns.forEach((column, k) => {
      cells[k][i - 1] = readValue(unquote(fields[column]), names[k], i + 1);
    });
  }
  const warnings = names.flatMap(
    (name, k) => leaveOutNegatives(cells[k], name, (i) => `line ${i + 2}: ${name} is "${cells[k][i]}"`) ?? [],
  );
  return { stamps, columns: new Map(names.map((name, k) => [name, cells[k]])), warnings };
}

/**
 * Makes stray negative values missing ones, in place.
 *
 * @param tell says where a value stands and what it is, for the message
 * @returns a sentence about them; undefined where there are none
 * @throws Error where they are too many to be strays
 */
export function leaveOutNegatives(
  values: Float64Array,
  name: string,
  tell: (index: number) => string,
): string | undefined {
  const first = values.findIndex((value) => value < 0);
  if (first < 0) return undefined;
  const quality = examine({ startMs: 0, stepMs: 1, values });
  const { negatives } = quality;
  const where = tell(first);
  if (!hasStrayNegatives(quality))
    throw new Error(
      `${where}${negatives > 1 ? `, and ${negatives - 1} more are negative` : ""}; a load is a number from 0, or empty where it is missing`,
    );
  for (let i = first; i < values.length; i++) if (values[i] < 0) values[i] = Number.NaN;
  return negatives === 1
    ? `${where}: left out, as a load is never negative`
    : `${negatives} negative values of ${name} are left out, as a load is never negative; the first: ${where}`;
}

function linesOf(text: string): string[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  while (lines.length > 0 && lines[lines.length - 1].trim() === "") lines.pop();
  return lines;
}

function headerOf(lines: readonly string[], names: string): string[] {
  const header = (lines[0] ?? "").split(",").map(unquote);
  if (header[0] !== "timestamp")
    throw new Error(`line 1: the header begins with "${header[0]}"; write timestamp,${names}`);
  return header;
}

function readStamp(text: string, line: number): number {
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`; // a stamp without a zone is UTC, wherever we run
  const timeMs = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(text) ? Date.parse(zoned.replace(" ", "T")) : Number.NaN;
  if (Number.isNaN(timeMs))
    throw new Error(`line ${line}: "${text}" is no timestamp; write UTC such as 2025-11-22T06:00:00Z`);
  return timeMs;
}

function readValue(text: string, name: string, line: number): number {
  if (text === "") return Number.NaN;
  const value = Number(text);
  if (!Number.isFinite(value))
    throw new Error(`line ${line}: ${name} is "${text}"; a load is a number from 0, or empty where it is missing`);
  return value;
}

/** The step that most rows keep: the median distance. */
export function stepOf(stamps: Float64Array): number {
  if (stamps.length < 2) return loneStepMs;
  const distances = stamps.slice(1).map((stamp, i) => stamp - stamps[i]);
  return distances.toSorted()[Math.floor((distances.length - 1) / 2)];
}

function toSeries(stamps: Float64Array, cells: Float64Array, stepMs: number): Series {
  if (stamps.length === 0) return { startMs: 0, stepMs, values: new Float64Array(0) };
  const startMs = stamps[0];
  const values = new Float64Array(Math.round((stamps[stamps.length - 1] - startMs) / stepMs) + 1).fill(Number.NaN);
  for (let i = 0; i < stamps.length; i++) {
    const place = (stamps[i] - startMs) / stepMs;
    const nearest = Math.round(place);
    if (Math.abs(place - nearest) > 0.01)
      throw new Error(
        `line ${i + 2} does not fit the steps: most rows are ${stepMs / 1000} s apart, this one is not a whole number of steps after the first; resample the history`,
      );
    values[nearest] = cells[i];
  }
  return { startMs, stepMs, values };
}

function unquote(field: string): string {
  const text = field.trim();
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}
