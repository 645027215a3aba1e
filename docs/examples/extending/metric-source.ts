import type { RangeSource } from "../../../src/collect/history.ts";
import type { Range } from "../../../src/collect/http/chunks.ts";
import type { InstantSource } from "../../../src/collect/live-values.ts";
import type { InstantValue } from "../../../src/collect/prometheus/prometheus.ts";
import type { Samples } from "../../../src/collect/samples.ts";

/** A metric source that reads values from memory: `store` gives a query's value at an instant, NaN where there is none. */
export class MemorySource implements InstantSource, RangeSource {
  readonly name: string;
  readonly #store: (query: string, timeMs: number) => number;

  constructor(name: string, store: (query: string, timeMs: number) => number) {
    this.name = name;
    this.#store = store;
  }

  async instant(query: string, { atMs = 0 }: { readonly atMs?: number } = {}): Promise<InstantValue[]> {
    return [{ labels: new Map(), timeMs: atMs, value: this.#store(query, atMs) }];
  }

  async rangeOfOne(query: string, { startMs, endMs, stepMs }: Range): Promise<Samples> {
    const count = Math.floor((endMs - startMs) / stepMs) + 1;
    const timesMs = Float64Array.from({ length: count }, (_, step) => startMs + step * stepMs);
    return { timesMs, values: timesMs.map((timeMs) => this.#store(query, timeMs)) };
  }
}
