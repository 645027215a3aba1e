/** A pending call that can be taken back. */
export interface Timer {
  cancel(): void;
}

/** Time as the loops of this folder see it; tests move it, nothing here reads another clock. */
export interface Clock {
  /** Milliseconds since the epoch: for stamps that people and other programs read, never for ages. */
  wallMs(): number;
  /** Milliseconds on a clock that never jumps: for ages, deadlines and rates. */
  monotonicMs(): number;
  /** Calls `run` once, `delayMs` from now (0 when negative). */
  setTimer(run: () => void, delayMs: number): Timer;
}

// Node fires a longer timer at once; 24 days are as good as never for a loop.
const longestTimerMs = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(run, delayMs) {
    const handle = setTimeout(run, Math.min(Math.max(0, delayMs), longestTimerMs));
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * Waits on a clock.
 *
 * @throws the signal's reason, at once, when it is or becomes aborted
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.setTimer(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
