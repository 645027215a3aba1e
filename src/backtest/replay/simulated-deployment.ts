import type { PodNumbers } from "../../decide/steps/staged-replicas.ts";

/** A frozen pod serves again this long after it was asked to. */
const wakeMs = 3_000;

/**
 * A deployment as the replay needs it: pods that serve, pods that start and will, and pods out of service, cut off or frozen.
 * Times are milliseconds.
 */
export class SimulatedDeployment {
  #online: number;
  #cutoff = 0;
  #standby = 0;
  /** When each starting pod will serve, oldest first; frozen pods that wake among them. */
  #starting: { readonly readyMs: number; readonly createdMs?: number }[] = [];
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

  get cutoff(): number {
    return this.#cutoff;
  }

  get standby(): number {
    return this.#standby;
  }

  get total(): number {
    return this.#online + this.#starting.length + this.#cutoff + this.#standby;
  }

  /** Lets time pass. @returns seconds from creation to readiness of the new pods that became ready */
  advance(nowMs: number): number[] {
    const ready = this.#starting.filter(({ readyMs }) => readyMs <= nowMs);
    this.#starting = this.#starting.filter(({ readyMs }) => readyMs > nowMs);
    this.#online += ready.length;
    return ready.flatMap(({ readyMs, createdMs }) => (createdMs === undefined ? [] : (readyMs - createdMs) / 1000));
  }

  /**
   * Brings pods to the states wanted, as far as those there are allow: cut-off pods come back at once, frozen ones after the time
   * to wake, and pods leave service only where more serve than are wanted.
   */
  moveTo({ online, cutoff, standby }: PodNumbers, nowMs: number): void {
    const missing = () => Math.max(0, online - this.#online - this.#starting.length);
    const back = Math.min(missing(), Math.max(0, this.#cutoff - cutoff));
    this.#cutoff -= back;
    this.#online += back;
    const woken = Math.min(missing(), Math.max(0, this.#standby - standby));
    this.#standby -= woken;
    for (let k = 0; k < woken; k++) this.#starting.unshift({ readyMs: nowMs + wakeMs });
    const surplus = () => Math.min(this.#online, Math.max(0, this.#online + this.#starting.length - online));
    const cut = Math.min(surplus(), Math.max(0, cutoff - this.#cutoff));
    this.#cutoff += cut;
    this.#online -= cut;
    const frozen = Math.min(surplus(), Math.max(0, standby - this.#standby));
    this.#standby += frozen;
    this.#online -= frozen;
  }

  /**
   * Sets the replicas wanted. A ReplicaSet deletes pods that are not ready first: here those that start, the youngest before the
   * older, then the cut-off ones, whose deletion cost is lowest, and then the frozen ones.
   */
  scale(replicas: number, nowMs: number): void {
    for (let missing = replicas - this.total; missing > 0; missing--)
      this.#starting.push({ createdMs: nowMs, readyMs: nowMs + this.#startupMs });
    let surplus = Math.max(0, this.total - replicas);
    const take = (available: number): number => {
      const taken = Math.min(surplus, available);
      surplus -= taken;
      return taken;
    };
    const unready = take(this.#starting.length);
    this.#starting.splice(this.#starting.length - unready, unready);
    this.#cutoff -= take(this.#cutoff);
    this.#standby -= take(this.#standby);
    this.#online -= surplus;
  }
}
