/** At most so many tasks at once; the others wait in order. */
export class Limit {
  readonly #most: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @throws RangeError unless `most` is a whole number from 1 */
  constructor(most: number) {
    if (!Number.isInteger(most) || most < 1) throw new RangeError(`a limit is a whole number from 1, not ${most}`);
    this.#most = most;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    // A place that becomes free is handed to the first who waits, so no later caller overtakes.
    if (this.#running >= this.#most) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running++;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
