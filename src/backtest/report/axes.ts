import { type Markup, markup } from "./markup.ts";

/** Where a plot's curves lie in its picture, in the picture's units. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** A value's place along an axis. */
export type Scale = (value: number) => number;

/** One tick of an axis. */
export interface Tick {
  readonly at: number;
  readonly label: string;
}

export function linear(from: number, to: number, start: number, end: number): Scale {
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}

/** A place in a picture: a tenth of a unit is finer than a screen. */
export function place(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** About `count` round values from 0 to `most`. */
export function roundTicks(most: number, count: number): number[] {
  const rough = most / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((each) => each >= rough)!;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, k) => Number((k * step).toPrecision(12)));
}

/** Lines across a plot and the words beside them. */
export function axes(frame: Frame, x: readonly Tick[], y: readonly Tick[], xTitle: string, yTitle: string): Markup {
  const { width, height, left, right, top, bottom } = frame;
  const base = height - bottom;
  return markup`<g class="axis">${y.map(
    ({ at, label }) =>
      markup`<line x1="${left}" x2="${width - right}" y1="${place(at)}" y2="${place(at)}"/><text x="${left - 8}" y="${place(at + 4)}" text-anchor="end">${label}</text>`,
  )}${x.map(
    ({ at, label }) =>
      markup`<line class="tick" x1="${place(at)}" x2="${place(at)}" y1="${base}" y2="${base + 4}"/><text x="${place(at)}" y="${base + 18}" text-anchor="middle">${label}</text>`,
  )}<text class="title" x="${left - 8}" y="${top - 10}">${yTitle}</text><text class="title" x="${width - right}" y="${height - 4}" text-anchor="end">${xTitle}</text></g>`;
}

/** A curve through points, broken where a value is missing. */
export function curve(xs: readonly number[], values: ArrayLike<number>, y: Scale, isStepped = false): string {
  let path = "";
  let wasThere = false;
  let last = Number.NaN;
  for (let i = 0; i < xs.length; i++) {
    const value = values[i];
    if (!Number.isFinite(value)) {
      wasThere = false;
      continue;
    }
    const [px, py] = [place(xs[i]), place(y(value))];
    if (!wasThere) path += `M${px} ${py}`;
    else if (!isStepped) path += `L${px} ${py}`;
    else path += value === last ? (i + 1 === xs.length || values[i + 1] !== value ? `H${px}` : "") : `H${px}V${py}`;
    wasThere = true;
    last = value;
  }
  return path;
}

/** The area between two curves, a closed piece for each stretch where both are known. */
export function area(xs: readonly number[], low: ArrayLike<number>, high: ArrayLike<number>, y: Scale): string {
  let path = "";
  for (let from = 0; from < xs.length; from++) {
    if (!Number.isFinite(low[from]) || !Number.isFinite(high[from])) continue;
    let to = from;
    while (to + 1 < xs.length && Number.isFinite(low[to + 1]) && Number.isFinite(high[to + 1])) to++;
    const upper = xs.slice(from, to + 1).map((x, k) => `${place(x)} ${place(y(high[from + k]))}`);
    const lower = xs.slice(from, to + 1).map((x, k) => `${place(x)} ${place(y(low[from + k]))}`);
    path += `M${upper.join("L")}L${lower.reverse().join("L")}Z`;
    from = to;
  }
  return path;
}
