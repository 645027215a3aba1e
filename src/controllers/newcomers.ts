/** Tells the tick that a workload is followed for the first time: it has no live value before the next round. */
export class Newcomers {
  #hasAny = false;
  #wake = () => {};

  /** A workload has come. */
  add(): void {
    this.#hasAny = true;
    this.#wake();
  }

  /** All that came so far are in the round that begins now. */
  clear(): void {
    this.#hasAny = false;
  }

  /** Resolves when one comes after the last `clear`, or has come. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#hasAny) resolve();
    });
  }
}
