import type { Frame } from "./axes.ts";

/** A point of a plot that wants its name beside it. */
export interface Named {
  readonly cx: number;
  readonly cy: number;
  readonly title: string;
}

/** Where a name stands: its baseline's start or end. */
export interface Label {
  readonly x: number;
  readonly y: number;
  readonly anchor: "start" | "end";
}

/** A bold letter of the report's plots is hardly wider, a line hardly higher. */
const letterWidth = 7.5;
const lineHeight = 14;
const away = { x: 10, y: 8 } as const;
/** How many lines a name may rise above its point before it may overlap. */
const mostLines = 6;

/** Places names beside their points, one after the other: to the right or the left, in the frame, higher where another name stands. */
export function placeLabels(frame: Frame, points: readonly Named[]): Label[] {
  const boxes: { readonly left: number; readonly right: number; readonly y: number }[] = [];
  return points.map(({ cx, cy, title }) => {
    const width = title.length * letterWidth;
    const candidates = Array.from({ length: mostLines }, (_, line) => cy - away.y - line * lineHeight).flatMap((y) => [
      { left: cx + away.x, right: cx + away.x + width, y },
      { left: cx - away.x - width, right: cx - away.x, y },
    ]);
    const inFrame = candidates.filter(({ left, right }) => left >= frame.left && right <= frame.width);
    const isFree = (box: (typeof candidates)[number]) =>
      boxes.every(
        (other) => box.right < other.left || box.left > other.right || Math.abs(box.y - other.y) >= lineHeight,
      );
    const box = inFrame.find(isFree) ?? inFrame[0] ?? candidates[0];
    boxes.push(box);
    return box.left > cx ? { x: box.left, y: box.y, anchor: "start" } : { x: box.right, y: box.y, anchor: "end" };
  });
}
