/** What a policy cost and how it served, so far. */
export interface Score {
  readonly podHours: number;
  readonly underProvisionedMinutes: number;
  /** Demand that no pod was there for, as a share of all demand, 0 … 1. */
  readonly unserved: number;
}

/** Adds up one policy's ticks. */
export class Scoreboard {
  #podHours = 0;
  #underMinutes = 0;
  #unserved = 0;
  #demand = 0;
  #pods: number | undefined;
  #actions = 0;

  /**
   * @param pods all pods of the policy, also those that start: they are paid for
   * @param serving pods that serve now
   * @param demand pods needed now, fractional
   */
  add(pods: number, serving: number, demand: number, tickSeconds: number): void {
    this.#podHours += (pods * tickSeconds) / 3600;
    this.#underMinutes += serving < demand - 1e-9 ? tickSeconds / 60 : 0;
    this.#unserved += Math.max(0, demand - serving) * tickSeconds;
    this.#demand += demand * tickSeconds;
    if (this.#pods !== undefined && this.#pods !== pods) this.#actions++;
    this.#pods = pods;
  }

  /** Ticks at which the size differed from the tick before. */
  get actions(): number {
    return this.#actions;
  }

  get score(): Score {
    return {
      podHours: this.#podHours,
      underProvisionedMinutes: this.#underMinutes,
      unserved: this.#demand > 0 ? this.#unserved / this.#demand : 0,
    };
  }
}
