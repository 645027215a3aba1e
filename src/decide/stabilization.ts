/** The size kept while the requested number moves: up at once, down late. */
export interface StabilizedReplicas {
  readonly replicas: number;
  /** Numbers requested within the longest window, oldest first. */
  readonly requested: readonly { readonly timeMs: number; readonly replicas: number }[];
}

export const shortWindowMs = 60_000;
export const longWindowMs = 300_000;

/**
 * The rule of falls: one of more than a tenth (and more than one pod) is followed after the short window, a smaller one after the long
 * window, so that noise starts and stops no pods.
 *
 * @param present pods kept until now
 * @param highestOfShort the highest number requested within the short window @param highestOfLong the same of the long window
 * @returns pods kept from now on
 */
export function fallenTo(present: number, highestOfShort: number, highestOfLong: () => number): number {
  return present - highestOfShort > Math.max(1, present / 10) ? highestOfShort : Math.min(present, highestOfLong());
}

/**
 * Up at once; down by the rule of falls, or, with a window of the user's, only as far as was requested all through it.
 *
 * @param before what was kept before; undefined at the start
 * @param windowMs behavior.scaleDown's stabilizationWindowSeconds; where absent, the rule of falls holds
 */
export function stabilizeDown(
  before: StabilizedReplicas | undefined,
  timeMs: number,
  replicas: number,
  windowMs?: number,
): StabilizedReplicas {
  const longest = windowMs ?? longWindowMs;
  const requested = [
    ...(before?.requested.filter((each) => each.timeMs >= timeMs - longest) ?? []),
    { timeMs, replicas },
  ];
  if (before === undefined || replicas >= before.replicas) return { replicas, requested };
  const highestWithin = (ms: number) => {
    let highest = replicas;
    for (const each of requested) if (each.timeMs >= timeMs - ms) highest = Math.max(highest, each.replicas);
    return highest;
  };
  const highestOfLongest = () => highestWithin(longest);
  return windowMs === undefined
    ? { replicas: fallenTo(before.replicas, highestWithin(shortWindowMs), highestOfLongest), requested }
    : { replicas: Math.min(before.replicas, highestOfLongest()), requested };
}

/**
 * Up only as far as was requested all through a window that the user set.
 *
 * @param stabilized what `stabilizeDown` gave at this tick @param before replicas kept at the tick before
 */
export function stabilizeUp(
  stabilized: StabilizedReplicas,
  timeMs: number,
  before: number,
  windowMs: number,
): StabilizedReplicas {
  let lowest = stabilized.replicas;
  for (const { timeMs: at, replicas } of stabilized.requested)
    if (at >= timeMs - windowMs) lowest = Math.min(lowest, replicas);
  return { ...stabilized, replicas: Math.max(before, lowest) };
}
