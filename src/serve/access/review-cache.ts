import { LRUCache } from "lru-cache";

/**
 * Verdicts of the API server, kept for some seconds. Questions asked while the same one is under way share its answer;
 * failures are never kept.
 */
export class ReviewCache<Verdict extends object> {
  readonly #verdicts: LRUCache<string, Verdict>;
  readonly #underWay = new Map<string, Promise<Verdict>>();

  /** @param monotonicMs a clock that never jumps */
  constructor(options: { readonly max: number; readonly ttlMs: number; readonly monotonicMs: () => number }) {
    this.#verdicts = new LRUCache({
      max: options.max,
      ttl: options.ttlMs,
      ttlResolution: 0,
      perf: { now: options.monotonicMs },
    });
  }

  /** How many verdicts are kept at present. */
  get size(): number {
    return this.#verdicts.size;
  }

  /** The verdict at once when it is known. */
  peek(key: string): Verdict | undefined {
    return this.#verdicts.get(key);
  }

  /** Asks, unless the same question is under way already. */
  ask(key: string, review: () => Promise<Verdict>): Promise<Verdict> {
    const before = this.#underWay.get(key);
    if (before) return before;
    const asked = review().then(
      (verdict) => {
        this.#underWay.delete(key);
        this.#verdicts.set(key, verdict);
        return verdict;
      },
      (error) => {
        this.#underWay.delete(key);
        throw error;
      },
    );
    this.#underWay.set(key, asked);
    return asked;
  }

  clear(): void {
    this.#verdicts.clear();
  }
}
