import { setTimeout as sleep } from "node:timers/promises";
import { CollectError } from "../collect-error.ts";

/** How often and how far apart something is tried again. */
export interface RetryRules {
  /** Attempts in all, from 1. */
  readonly attempts: number;
  /** The first pause is up to this long; each next one up to twice the one before. */
  readonly firstPauseMs: number;
  /** No pause is longer, whatever the store asks for. */
  readonly longestPauseMs: number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
}

export const usualRetries: RetryRules = {
  attempts: 3,
  firstPauseMs: 250,
  longestPauseMs: 5_000,
  random: Math.random,
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
};

/** What a later attempt may mend. A timeout is not: a store that is too slow gets slower when asked again. */
const passing: ReadonlySet<string> = new Set(["RateLimited", "ServerError", "Unreachable"]);

/**
 * Tries `attempt` until it succeeds, fails for good or has been tried often enough; pauses are random up to a bound that
 * doubles, so that many clients of a store that comes back do not return in step, and at least as long as the store asked.
 * @throws what the last attempt threw
 */
export async function retried<T>(attempt: () => Promise<T>, rules: RetryRules, signal?: AbortSignal): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof CollectError) || !passing.has(error.code) || tried >= rules.attempts) throw error;
      const jittered = rules.random() * rules.firstPauseMs * 2 ** (tried - 1);
      const pause = Math.min(Math.max(jittered, (error.retryAfterSeconds ?? 0) * 1000), rules.longestPauseMs);
      await rules.sleep(pause, signal).catch(() => undefined);
      if (signal?.aborted) throw error;
    }
  }
}
