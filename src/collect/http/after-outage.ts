import type { LiveValue } from "../live-values.ts";

/** What is known of one query's answers. */
interface Outage {
  /** When it last failed or gave nothing, in the time of the caller's clock. */
  readonly brokenAtMs: number;
  /** The last value before that was above zero. */
  readonly hadLoad: boolean;
}

/**
 * A store that comes back often says zero at first, as its rates have no past yet. So a zero within two windows of the
 * return, where there was load before, is taken as missing; values above zero count at once.
 */
export class AfterOutage {
  readonly #seen = new Map<string, Outage>();

  /** `value` as it may be plausible; `windowMs` is the step, or the window of the query's rates. */
  plausible(key: string, value: LiveValue, nowMs: number, windowMs: number): LiveValue {
    const seen = this.#seen.get(key) ?? { brokenAtMs: -Infinity, hadLoad: false };
    if (value.kind !== "Value") {
      this.#seen.set(key, { ...seen, brokenAtMs: nowMs });
      return value;
    }
    if (value.value === 0 && seen.hadLoad && nowMs < seen.brokenAtMs + 2 * windowMs) return { kind: "Missing" };
    this.#seen.set(key, { ...seen, hadLoad: value.value > 0 });
    return value;
  }

  /** Forgets a key whose workload is gone. */
  forget(key: string): void {
    this.#seen.delete(key);
  }
}
