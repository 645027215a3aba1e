import type { Clock } from "../../../src/kube/loop/clock.ts";

/** A clock that stands still until it is moved. */
export class FakeClock implements Clock {
  nowMs = 0;
  /** The epoch of the wall clock; set it to let the wall jump. */
  epochMs = Date.UTC(2026, 0, 1);
  readonly #timers = new Set<{ atMs: number; run: () => void }>();

  wallMs(): number {
    return this.epochMs + this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  setTimer(run: () => void, delayMs: number) {
    const timer = { atMs: this.nowMs + Math.max(0, delayMs), run };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Moves time on, timer by timer, and lets what they start run in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.nowMs = Math.max(this.nowMs, due.atMs);
      due.run();
      await settle();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
    await settle();
  }

  /** Moves time on without running a timer: a process that was stopped. */
  jump(ms: number): void {
    this.nowMs += ms;
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise(setImmediate);
}

/** Waits, in real time, for what goes over a real socket. */
export async function eventually(claim: () => boolean | Promise<boolean>, what = "the claim"): Promise<void> {
  const untilMs = Date.now() + 5_000;
  while (!(await claim())) {
    if (Date.now() > untilMs) throw new Error(`${what} did not come true within 5 s`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
