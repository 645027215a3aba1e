/** A deployment as the replay needs it: pods that serve, and pods that start and will. Times are milliseconds. */
export class SimulatedDeployment {
  #online: number;
  /** When each starting pod will serve, oldest first. */
  readonly #starting: { readonly createdMs: number; readonly readyMs: number }[] = [];
  readonly #startupMs: number;

  constructor(replicas: number, startupMs: number) {
    this.#online = replicas;
    this.#startupMs = startupMs;
  }

  get online(): number {
    return this.#online;
  }

  get starting(): number {
    return this.#starting.length;
  }

  get total(): number {
    return this.#online + this.#starting.length;
  }

  /** Lets time pass. @returns seconds from creation to readiness of the pods that became ready */
  advance(nowMs: number): number[] {
    const seconds: number[] = [];
    for (; this.#starting.length > 0 && this.#starting[0].readyMs <= nowMs; this.#online++) {
      const { createdMs, readyMs } = this.#starting.shift()!;
      seconds.push((readyMs - createdMs) / 1000);
    }
    return seconds;
  }

  /** Sets the replicas wanted. A ReplicaSet deletes pods that are not ready first, the youngest before the older. */
  scale(replicas: number, nowMs: number): void {
    for (let missing = replicas - this.total; missing > 0; missing--)
      this.#starting.push({ createdMs: nowMs, readyMs: nowMs + this.#startupMs });
    const surplus = Math.max(0, this.total - replicas);
    const unready = Math.min(surplus, this.#starting.length);
    this.#starting.splice(this.#starting.length - unready, unready);
    this.#online -= surplus - unready;
  }
}
