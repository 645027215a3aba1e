/** Wanted pods of the last minutes, and what they are held at: up at once, down late. */
export interface Held {
  readonly replicas: number;
  /** Wanted numbers still remembered, oldest first. */
  readonly wanted: readonly { readonly timeMs: number; readonly replicas: number }[];
}

export const shortWindowMs = 60_000;
export const longWindowMs = 300_000;

/**
 * Up at once. Down: a fall of more than a tenth (and more than one pod) that lasted a minute is followed; a smaller one has to
 * last five minutes, so that noise starts and stops no pods.
 *
 * @param held what was held before; undefined at the start
 * @param longMs how long small falls wait; a user's stabilisation window may ask for more, then all falls wait for it
 */
export function stabilizeDown(
  held: Held | undefined,
  timeMs: number,
  replicas: number,
  stabilisationMs?: number,
): Held {
  const longest = stabilisationMs ?? longWindowMs;
  const wanted = [...(held?.wanted.filter((w) => w.timeMs >= timeMs - longest) ?? []), { timeMs, replicas }];
  if (held === undefined || replicas >= held.replicas) return { replicas, wanted };
  const highestSince = (ms: number) => {
    let highest = replicas;
    for (const w of wanted) if (w.timeMs >= timeMs - ms) highest = Math.max(highest, w.replicas);
    return highest;
  };
  const present = held.replicas;
  if (stabilisationMs === undefined) {
    const short = highestSince(shortWindowMs);
    if (present - short > Math.max(1, present / 10)) return { replicas: short, wanted };
  }
  return { replicas: Math.min(present, highestSince(longest)), wanted };
}

/**
 * Up only as far as was wanted all through a window that the user asked for.
 *
 * @param held what `stabilizeDown` gave at this tick @param before replicas held at the tick before
 */
export function stabilizeUp(held: Held, timeMs: number, before: number, windowMs: number): Held {
  let lowest = held.replicas;
  for (const { timeMs: at, replicas } of held.wanted) if (at >= timeMs - windowMs) lowest = Math.min(lowest, replicas);
  return { ...held, replicas: Math.max(before, lowest) };
}
