import { type Clock, sleep } from "../loop/clock.ts";

/**
 * A rate limit: `burst` calls at once, `perSecond` in the long run, first come first served.
 * The level may go below zero, each waiter owning a place in the future, so no caller is overtaken.
 */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #level: number;
  #atMs: number;

  constructor(perSecond: number, burst: number, clock: Clock) {
    if (!(perSecond > 0) || !(burst >= 1))
      throw new RangeError(`a rate of ${perSecond}/s with burst ${burst} allows no request`);
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#clock = clock;
    this.#level = burst;
    this.#atMs = clock.monotonicMs();
  }

  /** Takes a token if one is there. */
  tryTake(): boolean {
    this.#refill();
    if (this.#level < 1) return false;
    this.#level -= 1;
    return true;
  }

  /**
   * Takes a token, waiting for it.
   *
   * @returns milliseconds waited
   * @throws the signal's reason when aborted; the place in the queue is then given back
   */
  async take(signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted();
    this.#refill();
    this.#level -= 1;
    if (this.#level >= 0) return 0;
    const waitMs = (-this.#level / this.#perSecond) * 1000;
    try {
      await sleep(this.#clock, waitMs, signal);
    } catch (error) {
      this.#level += 1;
      throw error;
    }
    return waitMs;
  }

  #refill(): void {
    const now = this.#clock.monotonicMs();
    this.#level = Math.min(this.#burst, this.#level + ((now - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = now;
  }
}
