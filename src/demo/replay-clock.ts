import { setTimeout as sleep } from "node:timers/promises";

/** A wait shorter than this is not worth a timer. */
const shortestWaitMs = 2;
/** What was lost to a hiccup is made up for; further behind than this it is let go. */
const mostBehindMs = 1500;
/** Speed below this share of the one asked for is slow. */
const slowShare = 0.97;
/** The shown speed is that of the last seconds. */
const windowMs = 3000;
const sliceMs = 100;

/** Keeps simulated time at a multiple of the machine's, or as near to it as the machine can. */
export class ReplayClock {
  readonly wanted: number;
  readonly #now: () => number;
  #startMs: number;
  #simulatedMs = 0;
  /** Where the two clocks were last laid on each other. */
  #anchor: { readonly realMs: number; readonly simulatedMs: number };
  #recent: { readonly realMs: number; readonly simulatedMs: number }[] = [];

  /** @param wanted simulated milliseconds a millisecond @param now a clock that never jumps */
  constructor(wanted: number, now: () => number) {
    this.wanted = wanted;
    this.#now = now;
    this.#startMs = now();
    this.#anchor = { realMs: this.#startMs, simulatedMs: 0 };
  }

  start(): void {
    this.#startMs = this.#now();
    this.#anchor = { realMs: this.#startMs, simulatedMs: this.#simulatedMs };
    this.#recent = [this.#anchor];
  }

  get elapsedMs(): number {
    return this.#now() - this.#startMs;
  }

  /** Speed since the start; the one asked for, where it was kept. */
  get reached(): number {
    return this.#since({ realMs: this.#startMs, simulatedMs: 0 });
  }

  /** Speed over the last seconds; the one asked for, where it is kept. */
  get current(): number {
    return this.#since(this.#recent[0] ?? this.#anchor);
  }

  #since(from: { readonly realMs: number; readonly simulatedMs: number }): number {
    const realMs = this.#now() - from.realMs;
    // A tick is done before its time has passed: over a short while that says nothing.
    const speed = realMs > sliceMs ? (this.#simulatedMs - from.simulatedMs) / realMs : this.wanted;
    return speed < slowShare * this.wanted ? speed : this.wanted;
  }

  /** Simulated time has moved. */
  advance(simulatedMs: number): void {
    this.#simulatedMs += simulatedMs;
    const realMs = this.#now();
    const last = this.#recent.at(-1);
    if (last === undefined || realMs - last.realMs > sliceMs)
      this.#recent.push({ realMs, simulatedMs: this.#simulatedMs });
    while (this.#recent.length > 1 && realMs - this.#recent[0].realMs > windowMs) this.#recent.shift();
    if (realMs - this.#dueMs() <= mostBehindMs) return;
    this.#anchor = { realMs, simulatedMs: this.#simulatedMs };
  }

  /** Waits until the machine's clock has caught up. @param untilMs elapsed time at which to stop waiting */
  async wait(options: { signal: AbortSignal; untilMs?: number; meanwhile: () => void }): Promise<void> {
    const { signal, untilMs = Number.POSITIVE_INFINITY, meanwhile } = options;
    for (;;) {
      const waitMs = Math.min(this.#dueMs() - this.#now(), untilMs - this.elapsedMs);
      if (waitMs < shortestWaitMs || signal.aborted) return;
      await sleep(Math.min(waitMs, sliceMs), undefined, { signal }).catch(() => {});
      if (waitMs > sliceMs) meanwhile();
    }
  }

  #dueMs(): number {
    return this.#anchor.realMs + (this.#simulatedMs - this.#anchor.simulatedMs) / this.wanted;
  }
}
