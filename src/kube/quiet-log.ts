import type { Log } from "./log.ts";
import { type Clock, systemClock } from "./loop/clock.ts";

const firstMs = 10_000;
const longestMs = 300_000;

interface Repeated {
  /** When it was last written, and how long it is then silent. */
  writtenMs: number;
  waitMs: number;
  /** Times it came since. */
  count: number;
}

/**
 * The same log, where a warning for the same cause comes at once, then after 10 s, 20 s and so on, at most every five minutes, with
 * the number of times it came since: several loops that fail together fill no screen. The cause is the field `cause`, else `error`.
 */
export function quieted(log: Log, clock: Clock = systemClock): Log {
  const known = new Map<string, Repeated>();
  return {
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.info(message, fields),
    error: (message, fields) => log.error(message, fields),
    warn(message, fields) {
      const { cause, error } = (fields ?? {}) as { readonly cause?: unknown; readonly error?: unknown };
      const key = `${message} ${cause ?? error ?? ""}`;
      const nowMs = clock.monotonicMs();
      for (const [each, { writtenMs, waitMs }] of known) if (nowMs - writtenMs > 2 * waitMs) known.delete(each);
      const before = known.get(key);
      if (before && nowMs - before.writtenMs < before.waitMs) {
        before.count++;
        return;
      }
      const waitMs = before ? Math.min(longestMs, 2 * before.waitMs) : firstMs;
      known.set(key, { writtenMs: nowMs, waitMs, count: 0 });
      log.warn(message, before?.count ? { ...fields, repeated: before.count } : fields);
    },
  };
}
