/** Wakes the tick early for workloads that are new: they have no live value before the next round. */
export class Newcomers {
  #hasAny = false;
  #wake = () => {};

  /** There is a new workload. */
  add(): void {
    this.#hasAny = true;
    this.#wake();
  }

  /** All new workloads so far are read in the round that begins now. */
  clear(): void {
    this.#hasAny = false;
  }

  /** Resolves once there has been a new workload since the last `clear`. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#hasAny) resolve();
    });
  }
}
