/** Terminal charts: columns of eighths of a character cell. */

const eighths = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

export type Paint = (text: string) => string;

export interface Palette {
  readonly load: Paint;
  readonly forecast: Paint;
  readonly band: Paint;
  readonly forescale: Paint;
  readonly hpa: Paint;
  readonly oracle: Paint;
  readonly dim: Paint;
  readonly bold: Paint;
}

/** ANSI colours; without them weight alone is left, or nothing. */
export function palette(colour: boolean): Palette {
  const paint =
    (code: string): Paint =>
    (text) =>
      colour && text !== "" ? `\x1b[${code}m${text}\x1b[0m` : text;
  return {
    load: paint("36"),
    forecast: paint("33"),
    band: paint("2;33"),
    forescale: paint("32"),
    hpa: paint("35"),
    oracle: paint("34"),
    dim: paint("2"),
    bold: paint("1"),
  };
}

/** One row: each value a block of its height. NaN is a gap. `top` is the value of a full cell. */
export function sparkline(values: readonly number[], top: number): string {
  return values
    .map((value) => {
      if (Number.isNaN(value)) return " ";
      return eighths[Math.max(0, Math.min(8, Math.round((value / (top || 1)) * 8)))];
    })
    .join("");
}

/** A column of the big chart: what was (`load`, with a line at `pods`), or what is expected (`low` ≤ `middle` ≤ `high`). */
export type Column =
  | { readonly load: number; readonly pods?: number }
  | { readonly low: number; readonly middle: number; readonly high: number };

/** @returns `rows` lines from top to bottom, each `columns.length` cells wide, with an axis `axisWidth` wide on the left */
export function bandChart(columns: readonly Column[], rows: number, colours: Palette, axisWidth = 4): string[] {
  const top = niceTop(
    Math.max(
      ...columns.map((column) => ("load" in column ? Math.max(column.load || 0, column.pods ?? 0) : column.high)),
    ),
  );
  return Array.from({ length: rows }, (_, fromTop) => {
    const row = rows - 1 - fromTop;
    const cells = columns.map((column) => cell(column, row, top / rows, colours)).join("");
    const axis = fromTop === 0 ? label(top) : row === 0 ? "0" : "";
    return `${colours.dim(`${axis.padStart(axisWidth)} ┤`)}${cells}`;
  });
}

function cell(column: Column, row: number, height: number, colours: Palette): string {
  const bottom = row * height;
  if ("load" in column) {
    const { load, pods } = column;
    const filled = Number.isNaN(load) ? 0 : Math.max(0, Math.min(8, Math.round(((load - bottom) / height) * 8)));
    // The line of pods stands where the bars leave room.
    if (filled === 0 && pods !== undefined && rowOf(pods, height) === row) return colours.forescale("╌");
    return colours.load(eighths[filled]);
  }
  if (row === rowOf(column.middle, height)) return colours.forecast("━");
  const isInBand = bottom + height > column.low && bottom < column.high;
  return isInBand ? colours.band("░") : " ";
}

/** Row of a value; a value on the edge between two belongs to the lower one. */
function rowOf(value: number, height: number): number {
  return Math.max(0, Math.ceil(value / height - 1e-9) - 1);
}

/** The next round number: an axis that changes its top at every tick is hard to read. */
function niceTop(value: number): number {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value) ?? 10) * unit;
}

function label(value: number): string {
  return value >= 10 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
}
