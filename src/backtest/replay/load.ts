import type { Series } from "../../series/series.ts";

/** The busiest moments (all but this share) need this many pods: so any trace makes a deployment of a familiar size. */
const busyShare = 0.999;
export const busyPods = 50;

/** What one pod carries, so that the busiest moments need `busyPods` pods: four digits, as a manifest would say it. */
export function sizePods({ values }: Series): number {
  const known = values.filter((value) => value > 0).sort();
  const all = values.reduce((n, value) => n + (Number.isNaN(value) ? 0 : 1), 0);
  const fromTop = Math.min(known.length - 1, Math.floor((1 - busyShare) * all));
  return Number((known[known.length - 1 - fromTop] / busyPods).toPrecision(4));
}

/** The load at a moment: on the line between the middles of two steps; NaN where it is missing. */
export function loadAt({ startMs, stepMs, values }: Series, timeMs: number): number {
  const place = (timeMs - startMs) / stepMs - 0.5;
  const left = Math.floor(place);
  const [a, b] = [values[left], values[left + 1]];
  const [hasLeft, hasRight] = [Number.isFinite(a), Number.isFinite(b)];
  if (hasLeft && hasRight) return a + (b - a) * (place - left);
  const own = place - left < 0.5 ? a : b;
  return Number.isFinite(own) ? own : Number.NaN;
}
