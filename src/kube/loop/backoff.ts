/** Waits that double from `firstMs` to `longestMs`, spread so that many who failed together do not return together. */
export class Backoff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  readonly #random: () => number;
  #failures = 0;

  /** @param random in [0, 1) */
  constructor(firstMs: number, longestMs: number, random: () => number) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#random = random;
  }

  /** The next wait: between 100 % and 120 % of the doubled one, at most `longestMs`. */
  nextMs(): number {
    const doubledMs = this.#firstMs * 2 ** Math.min(this.#failures++, 40);
    return Math.min(this.#longestMs, doubledMs * (1 + 0.2 * this.#random()));
  }

  /** It went well: the next wait is the first again. */
  reset(): void {
    this.#failures = 0;
  }

  get failures(): number {
    return this.#failures;
  }
}
