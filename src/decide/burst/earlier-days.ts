import type { Points } from "../demand/grid.ts";
import type { LeadShape } from "../demand/lead-shape.ts";

/** Below this share of the lowest that earlier days had, today is unlike them. */
const farBelow = 0.8;

/**
 * Whether the load has stayed for twenty minutes far below everything that earlier days had around this time: a holiday, a service
 * that lost its callers. False where no earlier day is known.
 */
export function isBelowEarlierDays({ values, start }: Points, n: number, { day, twenty }: LeadShape): boolean {
  if (n - twenty < start) return false;
  let highest = 0;
  for (let i = n - twenty; i <= n; i++) highest = Math.max(highest, values[i]);
  let isKnown = false;
  for (const days of [1, 2, 3, 7]) {
    const then = n - days * day;
    if (then - twenty < start) continue;
    isKnown = true;
    for (let i = then - twenty; i <= then + twenty; i++) if (values[i] * farBelow <= highest) return false;
  }
  return isKnown;
}
