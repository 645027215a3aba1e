import { axes, type Frame, linear, place, roundTicks, type Scale, type Tick } from "../../src/backtest/report/axes.ts";
import { Markup, markup } from "../../src/backtest/report/markup.ts";
import { timeTicks } from "../../src/backtest/report/plots.ts";
import { palette } from "../../src/backtest/report/report-style.ts";

/** A part of a picture with a place of its own; what it draws is laid out from (0, 0). */
export interface Panel {
  readonly width: number;
  readonly height: number;
  readonly content: Markup;
  /** Whether it stands to the right of the panel before it, not below. */
  readonly isBeside?: boolean;
}

/** Width of all pictures, in their own units: about the pixels of a page's column. */
export const pictureWidth = 860;
const padding = 16;
/** Mean width of a letter at 12 units: there is no font to measure by. */
const letterWidth = 6.3;

const look = `${palette}
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;fill:var(--soft)}
text.head{font-size:15px;font-weight:600;fill:var(--ink)}
text.label{font-weight:600;fill:var(--ink)}
.card{fill:var(--card);stroke:var(--line)}
.axis line{stroke:var(--line)}
.axis line.tick{stroke:var(--soft)}
.line{fill:none;stroke-width:1.6;stroke-linejoin:round}
.thin{stroke-width:1.1}
.dashed{stroke-dasharray:4 3}
.mark{stroke-dasharray:2 4;stroke-width:1.4}
.dot{stroke:var(--card);stroke-width:1}
.wide{opacity:.16}
.narrow{opacity:.24}`;

/** Colours by what they stand for: names of the palette. */
export type Colour =
  | "ink"
  | "soft"
  | "forescale"
  | "hpa"
  | "cron"
  | "oracle"
  | "fixed"
  | "band"
  | "good"
  | "wait"
  | "bad";

export const stroke = (colour: Colour) => `stroke:var(--${colour})`;
export const fill = (colour: Colour) => `fill:var(--${colour})`;

/**
 * A whole SVG file that needs nothing else and follows the reader's light or dark mode.
 *
 * @param heading what is seen, one line
 * @param notes what was measured in it, lines below the heading
 */
export function picture(heading: string, notes: readonly string[], panels: readonly Panel[]): string {
  const parts: Markup[] = [];
  let y = padding + 16;
  parts.push(markup`<text class="head" x="${padding}" y="${y}">${heading}</text>`);
  for (const note of notes) {
    y += 19;
    parts.push(markup`<text x="${padding}" y="${y}">${note}</text>`);
  }
  y += 10;
  let [x, rowHeight] = [0, 0];
  for (const { width, height, content, isBeside } of panels) {
    if (!isBeside) [x, y, rowHeight] = [0, y + rowHeight, 0];
    parts.push(markup`<g transform="translate(${padding + x} ${y})">${content}</g>`);
    x += width;
    rowHeight = Math.max(rowHeight, height);
  }
  const height = y + rowHeight + padding;
  const width = pictureWidth + 2 * padding;
  const made = markup`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img"><title>${heading}</title><style>${new Markup(look)}</style><rect class="card" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="10"/>${parts}</svg>
`;
  // Lines of some length, so that a change shows where it is.
  return made.text.replaceAll("><", ">\n<");
}

export interface PlotOptions {
  readonly height: number;
  readonly width?: number;
  readonly left?: number;
  readonly x: { readonly from: number; readonly to: number; readonly ticks: readonly Value[]; readonly title?: string };
  readonly y: { readonly from: number; readonly to: number; readonly ticks: readonly Value[]; readonly title: string };
  readonly isBeside?: boolean;
  readonly draw: (x: Scale, y: Scale, frame: Frame) => readonly Markup[];
}

/** A value along an axis, with the word beside it. */
export interface Value {
  readonly value: number;
  readonly label: string;
}

/** A plot with its axes. */
export function plot({ height, width = pictureWidth, left = 44, x, y, isBeside, draw }: PlotOptions): Panel {
  const frame: Frame = { width, height, left, right: 14, top: 30, bottom: x.title === undefined ? 26 : 40 };
  const scaleX = linear(x.from, x.to, frame.left, frame.width - frame.right);
  const scaleY = linear(y.from, y.to, frame.height - frame.bottom, frame.top);
  const ticks = (values: readonly Value[], scale: Scale): Tick[] =>
    values.map(({ value, label }) => ({ at: scale(value), label }));
  return {
    width,
    height,
    isBeside,
    content: markup`${axes(frame, ticks(x.ticks, scaleX), ticks(y.ticks, scaleY), x.title ?? "", y.title)}${draw(scaleX, scaleY, frame)}`,
  };
}

/** Ticks of a stretch of time; a label that would leave the picture is left out. */
export function times(fromMs: number, untilMs: number): Value[] {
  return timeTicks(fromMs, untilMs - (untilMs - fromMs) * 0.01).map(({ timeMs, label }) => ({ value: timeMs, label }));
}

export function round(most: number, count: number): Value[] {
  return roundTicks(most, count).map((value) => ({ value, label: String(value) }));
}

export interface Key {
  readonly text: string;
  readonly colour: Colour;
  readonly kind: "line" | "dashed" | "area" | "block" | "dot";
}

/** The keys of curves, in as many rows as they need. */
export function legend(keys: readonly Key[]): Panel {
  const rowHeight = 20;
  let [x, row] = [0, 0];
  const parts = keys.map(({ text, colour, kind }) => {
    const width = 26 + text.length * letterWidth + 14;
    if (x > 0 && x + width > pictureWidth) [x, row] = [0, row + 1];
    const at = x;
    const y = row * rowHeight + 12;
    x += width;
    const sign = {
      line: markup`<path class="line" style="${stroke(colour)}" d="M${at} ${y - 4}h18"/>`,
      dashed: markup`<path class="line dashed" style="${stroke(colour)}" d="M${at} ${y - 4}h18"/>`,
      area: markup`<rect style="${fill(colour)};opacity:.35" x="${at}" y="${y - 10}" width="18" height="11" rx="2"/>`,
      block: markup`<rect style="${fill(colour)};opacity:.8" x="${at}" y="${y - 10}" width="18" height="11" rx="2"/>`,
      dot: markup`<circle class="dot" style="${fill(colour)}" cx="${at + 9}" cy="${y - 4}" r="5"/>`,
    }[kind];
    return markup`${sign}<text x="${place(at + 24)}" y="${y}">${text}</text>`;
  });
  return { width: pictureWidth, height: (row + 1) * rowHeight + 2, content: markup`${parts}` };
}

export function percent(share: number, digits = 0): string {
  return `${(100 * share).toFixed(digits)} %`;
}
