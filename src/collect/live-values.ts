import { LRUCache } from "lru-cache";
import { CollectError, concernsSource, printable } from "./collect-error.ts";
import { Limit } from "./http/limit.ts";
import type { InstantValue } from "./prometheus/prometheus.ts";
import { batchLabel, batchQuery, isSelfContained } from "./prometheus/promql-batch.ts";
import { labelText } from "./samples.ts";

/** What live values are read from; a PrometheusClient is one. */
export interface InstantSource {
  readonly name: string;
  instant(query: string, options?: { atMs?: number; signal?: AbortSignal }): Promise<InstantValue[]>;
}

export interface LiveQuery {
  /** The asker's own name for it. */
  readonly key: string;
  readonly query: string;
  /** Makes one value of the series found, where the query gives one a pod; without it, a single series is expected. */
  readonly total?: (found: readonly InstantValue[]) => LiveValue;
}

/** What one query gave. `Missing` is never zero: nothing was found, or it was NaN. */
export type LiveValue =
  | { readonly kind: "Value"; readonly value: number; readonly timeMs: number }
  | { readonly kind: "Missing" }
  | { readonly kind: "Failed"; readonly error: CollectError };

export interface LiveOptions {
  /** The instant asked for; the store's own now where absent. */
  readonly atMs?: number;
  readonly signal?: AbortSignal;
}

/** Queries of one batch at most. */
const mostQueries = 100;
/** Characters of one batch at most; VictoriaMetrics refuses queries above 16 KiB. */
const mostCharacters = 12_000;
/** A batch that times out is taken apart for this long; then what is left shares its error. */
const budgetMs = 20_000;

/** Asks for the newest values of many workloads in few requests; one query that fails takes no other with it. */
export class LiveValues {
  /** Queries that fail in a batch, by source: asked alone for a while. */
  readonly #alone = new LRUCache<string, true>({ max: 10_000, ttl: 600_000 });
  /** Queries that a source takes in one batch, where that is fewer than usual. */
  readonly #most = new LRUCache<string, number>({ max: 1_000, ttl: 3_600_000 });

  /** One value for each key. Failures are values of their keys, never thrown. */
  async read(
    source: InstantSource,
    queries: readonly LiveQuery[],
    options: LiveOptions = {},
  ): Promise<Map<string, LiveValue>> {
    const round: Round = { source, options, values: new Map(), untilMs: performance.now() + budgetMs };
    const [alone, together] = [[] as LiveQuery[], [] as LiveQuery[]];
    for (const query of queries)
      (isSelfContained(query.query) && !this.#alone.has(inSource(round, query)) ? together : alone).push(query);
    const limit = new Limit(4);
    const batches = batchesOf(together, this.#most.get(source.name) ?? mostQueries);
    await Promise.all([
      ...batches.map((batch) => limit.run(() => this.#batch(batch, round))),
      ...alone.map((query) => limit.run(() => this.#single(query, round))),
    ]);
    return round.values;
  }

  /** Gives whether each of the queries was answered. */
  async #batch(queries: readonly LiveQuery[], round: Round): Promise<boolean> {
    if (queries.length <= 1 || round.fault)
      return (await Promise.all(queries.map((query) => this.#single(query, round)))).every(Boolean);
    let found: InstantValue[];
    try {
      found = await round.source.instant(batchQuery(queries.map(({ query }) => query)), round.options);
    } catch (error) {
      if (!(error instanceof CollectError)) throw error;
      const late = performance.now() > round.untilMs;
      if (concernsSource(error) || (late && (error.code === "Timeout" || error.code === "ServerError")))
        round.fault = error;
      // One of them is bad, which halves find in few requests, or they are too many for this source.
      const half = Math.ceil(queries.length / 2);
      const first = await this.#batch(queries.slice(0, half), round);
      const second = await this.#batch(queries.slice(half), round);
      if (first && second) this.#most.set(round.source.name, Math.min(half, this.#most.get(round.source.name) ?? half));
      return first && second;
    }
    const byNumber = Map.groupBy(found, ({ labels }) => labels.get(batchLabel) ?? "");
    for (const [number, query] of queries.entries())
      round.values.set(query.key, outcomeOf(byNumber.get(String(number)) ?? [], query, round.source.name));
    return true;
  }

  async #single(query: LiveQuery, round: Round): Promise<boolean> {
    try {
      if (round.fault) throw round.fault;
      const found = await round.source.instant(query.query, round.options);
      round.values.set(query.key, outcomeOf(found, query, round.source.name));
      return true;
    } catch (error) {
      if (!(error instanceof CollectError)) throw error;
      if (concernsSource(error)) round.fault ??= error;
      else this.#alone.set(inSource(round, query), true);
      round.values.set(query.key, { kind: "Failed", error });
      return false;
    }
  }
}

/** What a call knows: `fault` is set once the source as a whole has failed. */
interface Round {
  readonly source: InstantSource;
  readonly options: LiveOptions;
  readonly values: Map<string, LiveValue>;
  readonly untilMs: number;
  fault?: CollectError;
}

function inSource(round: Round, { query }: LiveQuery): string {
  return `${round.source.name}\0${query}`;
}

function batchesOf(queries: readonly LiveQuery[], most: number): LiveQuery[][] {
  const batches: LiveQuery[][] = [];
  let characters = Infinity;
  for (const query of queries) {
    const batch = batches.at(-1);
    if (!batch || batch.length >= most || characters + query.query.length > mostCharacters) {
      batches.push([query]);
      characters = 0;
    } else batch.push(query);
    characters += query.query.length + batchLabel.length + 40;
  }
  return batches;
}

function outcomeOf(found: readonly InstantValue[], { query, total }: LiveQuery, source: string): LiveValue {
  if (total) return total(found);
  if (found.length > 1) {
    const [one, other] = found.map(({ labels }) => {
      const own = new Map(labels);
      own.delete(batchLabel);
      return printable(labelText(own), 300);
    });
    const message =
      `metric source ${source} finds ${found.length} series where one is expected, among them ${one} and ${other}; ` +
      `aggregate the query ${printable(query)}, with sum(…) for example`;
    return { kind: "Failed", error: new CollectError("ManySeries", message) };
  }
  if (found.length === 0 || Number.isNaN(found[0].value)) return { kind: "Missing" };
  return { kind: "Value", value: found[0].value, timeMs: found[0].timeMs };
}
