import { type Log, silent } from "../log.ts";
import type { KubeMetrics } from "../metrics.ts";
import { Backoff } from "./backoff.ts";
import { type Clock, systemClock, type Timer } from "./clock.ts";

/** What a run asks for: nothing, or to be run again after a while. */
export interface Next {
  readonly recheckAfterMs?: number;
}

export interface WorkQueueOptions {
  /** In metrics and logs. */
  readonly name: string;
  /** Brings a key's state about. Runs at most once at a time for a key; a throw means again, with backoff. */
  readonly handle: (key: string, signal: AbortSignal) => Promise<Next | undefined>;
  /** Keys in work at once; default 4. */
  readonly concurrency?: number;
  /** Waits after failures, doubled each time; defaults 5 ms and 1000 s. */
  readonly firstBackoffMs?: number;
  readonly longestBackoffMs?: number;
  readonly clock?: Clock;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
  readonly metrics?: KubeMetrics;
  readonly log?: Log;
}

/**
 * Keys to work on, first come first served. A key that waits is held once however often it is added; one that is
 * added while it is in work runs once more afterwards. Works from the first `add`, ends with `shutdown`.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #concurrency: number;
  readonly #log: Log;
  /** Keys that wait, in the order of their adding, with the time of it. */
  readonly #waiting = new Map<string, number>();
  readonly #inWork = new Set<string>();
  /** Added while in work. */
  readonly #again = new Set<string>();
  readonly #later = new Map<string, { readonly atMs: number; readonly timer: Timer }>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #abort = new AbortController();
  #closed = false;
  #onIdle: (() => void)[] = [];

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#concurrency = options.concurrency ?? 4;
    this.#log = options.log ?? silent;
  }

  /** Keys that wait for a worker; those in work or due later are not counted. */
  get length(): number {
    return this.#waiting.size;
  }

  /** Has a key worked on as soon as a worker is free, whatever its backoff. */
  add(key: string): void {
    if (this.#closed) return;
    if (this.#inWork.has(key)) this.#again.add(key);
    else if (!this.#waiting.has(key)) {
      this.#waiting.set(key, this.#clock.monotonicMs());
      this.#pump();
    }
    this.#measure();
  }

  /** Adds a key after a while. Of several such times for a key the earliest holds. */
  addAfter(key: string, delayMs: number): void {
    if (this.#closed) return;
    if (!(delayMs > 0)) {
      this.add(key);
      return;
    }
    const atMs = this.#clock.monotonicMs() + delayMs;
    const held = this.#later.get(key);
    if (held && held.atMs <= atMs) return;
    held?.timer.cancel();
    const timer = this.#clock.setTimer(() => {
      this.#later.delete(key);
      this.add(key);
    }, delayMs);
    this.#later.set(key, { atMs, timer });
  }

  /** Forgets what is known of a key that no longer exists: its backoff and its later time. */
  forget(key: string): void {
    this.#backoffs.delete(key);
    this.#later.get(key)?.timer.cancel();
    this.#later.delete(key);
  }

  /**
   * Takes no more keys, drops those due later, and resolves when the waiting ones and those in work are done. After
   * `timeoutMs` the waiting ones are dropped and the handlers' signal is aborted; it still resolves when they return.
   */
  async shutdown(timeoutMs = 10_000): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#later.values()) timer.cancel();
    this.#later.clear();
    this.#again.clear();
    if (this.#waiting.size === 0 && this.#inWork.size === 0) return;
    const timer = this.#clock.setTimer(() => {
      this.#waiting.clear();
      this.#abort.abort(new Error(`the queue ${this.#options.name} is shutting down`));
      this.#settle();
    }, timeoutMs);
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    timer.cancel();
  }

  #pump(): void {
    while (this.#inWork.size < this.#concurrency && this.#waiting.size > 0) {
      const [key, addedMs] = this.#waiting.entries().next().value!;
      this.#waiting.delete(key);
      this.#inWork.add(key);
      const waitSeconds = (this.#clock.monotonicMs() - addedMs) / 1000;
      this.#options.metrics?.queueWaitSeconds.observe({ queue: this.#options.name }, waitSeconds);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    let outcome = "Done";
    try {
      // A handler's code never runs inside `add`: the caller may be in the middle of something.
      await Promise.resolve();
      const next = await this.#options.handle(key, this.#abort.signal);
      this.#backoffs.delete(key);
      if (next?.recheckAfterMs !== undefined) this.addAfter(key, next.recheckAfterMs);
    } catch (error) {
      outcome = "Failed";
      this.#retry(key, error);
    }
    const seconds = (this.#clock.monotonicMs() - startMs) / 1000;
    this.#options.metrics?.reconcileSeconds.observe({ queue: this.#options.name, outcome }, seconds);
    this.#inWork.delete(key);
    if (this.#again.delete(key)) this.add(key);
    this.#pump();
    this.#measure();
    this.#settle();
  }

  #retry(key: string, error: unknown): void {
    if (this.#closed) return;
    const { firstBackoffMs = 5, longestBackoffMs = 1_000_000, name } = this.#options;
    let backoff = this.#backoffs.get(key);
    if (!backoff) {
      backoff = new Backoff(firstBackoffMs, longestBackoffMs, this.#random);
      this.#backoffs.set(key, backoff);
    }
    const waitMs = backoff.nextMs();
    const text = error instanceof Error ? error.message : String(error);
    this.#log.warn("work on a key failed", { queue: name, key, error: text, failures: backoff.failures, waitMs });
    this.addAfter(key, waitMs);
  }

  #settle(): void {
    if (!this.#closed || this.#waiting.size > 0 || this.#inWork.size > 0) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #measure(): void {
    this.#options.metrics?.queueDepth.set({ queue: this.#options.name }, this.#waiting.size);
  }
}
