import { CollectError, printable } from "../collect-error.ts";
import { chunksOf, maxPointsPerQuery, pointsOf, type Range } from "../http/chunks.ts";
import { HttpSource, type HttpSourceOptions } from "../http/http-source.ts";
import { type RetryRules, retried, usualRetries } from "../http/retry.ts";
import { joined, type LabelledSamples, labelText, noSamples, type Samples } from "../samples.ts";
import type { AnswerRules } from "./answer.ts";
import { readBody } from "./read-answer.ts";

/** What is reported of each request, for metrics: `code` is `OK` or a CollectCode. */
export interface RequestReport {
  readonly source: string;
  readonly code: string;
  readonly seconds: number;
  readonly samples: number;
}

export interface PrometheusOptions extends HttpSourceOptions {
  readonly retries?: Partial<RetryRules>;
  /** Samples of one answer at most. */
  readonly maxSamples?: number;
  /** Samples of all answers of one range together at most: 16 bytes each are held. */
  readonly maxRangeSamples?: number;
  /** Milliseconds since the Unix epoch; for telling stamps of the future. */
  readonly now?: () => number;
  readonly onRequest?: (report: RequestReport) => void;
  /** Called with each warning that the store sends. */
  readonly onWarning?: (warning: string, query: string) => void;
}

/** One value of an instant query: `timeMs` is the instant that the store evaluated. */
export interface InstantValue {
  readonly labels: ReadonlyMap<string, string>;
  readonly timeMs: number;
  /** NaN where the store says NaN or ±Inf. */
  readonly value: number;
}

/** Clocks differ a little; an instant value may be this far ahead of ours. */
const clockToleranceMs = 60_000;

/** Reads Prometheus and every store that speaks its HTTP API. All failures are CollectErrors. */
export class PrometheusClient {
  readonly name: string;
  readonly #source: HttpSource;
  readonly #retries: RetryRules;
  readonly #maxSamples: number;
  readonly #maxRangeSamples: number;
  readonly #now: () => number;
  readonly #onRequest: (report: RequestReport) => void;
  readonly #onWarning: (warning: string, query: string) => void;

  /** @throws CollectError BadAddress where the URL must not be called */
  constructor(options: PrometheusOptions) {
    this.name = options.name;
    this.#source = new HttpSource(options);
    this.#retries = { ...usualRetries, ...options.retries };
    this.#maxSamples = options.maxSamples ?? 250_000;
    this.#maxRangeSamples = options.maxRangeSamples ?? 4_000_000;
    this.#now = options.now ?? Date.now;
    this.#onRequest = options.onRequest ?? (() => undefined);
    this.#onWarning = options.onWarning ?? (() => undefined);
  }

  /** Values of a query at one instant, `atMs` or the store's own now; empty where it finds nothing. */
  async instant(query: string, options: { atMs?: number; signal?: AbortSignal } = {}): Promise<InstantValue[]> {
    const { atMs, signal } = options;
    const parameters = new URLSearchParams({ query, ...(atMs !== undefined && { time: seconds(atMs) }) });
    const about = atMs ?? this.#now();
    const series = await this.#ask("/api/v1/query", parameters, query, signal, {
      expect: "vector",
      earliestMs: about - (atMs === undefined ? 3_600_000 : clockToleranceMs),
      latestMs: about + clockToleranceMs,
      maxSamples: this.#maxSamples,
    });
    return series.map(({ labels, timesMs, values }) => ({ labels, timeMs: timesMs[0], value: values[0] }));
  }

  /**
   * All series of a query over a range, in as many requests as the limits ask for: at most 11,000 points a series, and
   * fewer where many series make an answer too large. Series are distinguished by their labels, pieces are joined.
   */
  async range(
    query: string,
    range: Range,
    options: { expectedSeries?: number; signal?: AbortSignal } = {},
  ): Promise<LabelledSamples[]> {
    const perSeries = Math.floor(this.#maxSamples / Math.max(1, options.expectedSeries ?? 1));
    const found = new Map<string, { labels: ReadonlyMap<string, string>; pieces: Samples[] }>();
    let samples = 0;
    for (const chunk of chunksOf(range, Math.max(1, Math.min(maxPointsPerQuery, perSeries))))
      for (const series of await this.#chunk(query, chunk, options.signal)) {
        const key = labelText(series.labels);
        const entry = found.get(key) ?? { labels: series.labels, pieces: [] };
        entry.pieces.push(series);
        samples += series.timesMs.length;
        if (samples > this.#maxRangeSamples)
          throw this.error(
            "TooLarge",
            `has more than ${this.#maxRangeSamples} samples for ${printable(query)}; aggregate the query, or take a longer step`,
          );
        found.set(key, entry);
      }
    return [...found.values()].map(({ labels, pieces }) => ({ labels, ...joined(pieces) }));
  }

  /** The one series of a query over a range; no samples where it finds nothing. @throws CollectError ManySeries for more */
  async rangeOfOne(query: string, range: Range, options: { signal?: AbortSignal } = {}): Promise<Samples> {
    const series = await this.range(query, range, options);
    this.#refuseMany(series, query);
    return series[0] ?? noSamples;
  }

  /** An error about this source. */
  error(code: CollectError["code"], what: string, options?: ErrorOptions): CollectError {
    return this.#source.error(code, what, options);
  }

  close(): void {
    this.#source.close();
  }

  #refuseMany(series: readonly { labels: ReadonlyMap<string, string> }[], query: string): void {
    if (series.length <= 1) return;
    const [one, other] = series.map(({ labels }) => printable(labelText(labels), 300));
    throw this.error(
      "ManySeries",
      `finds ${series.length} series where one is expected, among them ${one} and ${other}; ` +
        `aggregate the query ${printable(query)}, with sum(…) for example`,
    );
  }

  async #chunk(query: string, range: Range, signal?: AbortSignal): Promise<readonly LabelledSamples[]> {
    const parameters = new URLSearchParams({
      query,
      start: seconds(range.startMs),
      end: seconds(range.endMs),
      step: seconds(range.stepMs),
    });
    try {
      return await this.#ask("/api/v1/query_range", parameters, query, signal, {
        expect: "matrix",
        earliestMs: range.startMs - range.stepMs,
        latestMs: Math.min(range.endMs, this.#now()) + Math.max(range.stepMs, 1000),
        maxSamples: this.#maxSamples,
      });
    } catch (error) {
      const points = pointsOf(range);
      if (!(error instanceof CollectError) || error.code !== "TooLarge" || points < 2) throw error;
      const pieces: LabelledSamples[] = [];
      for (const half of chunksOf(range, Math.ceil(points / 2)))
        pieces.push(...(await this.#chunk(query, half, signal)));
      return pieces;
    }
  }

  async #ask(
    path: string,
    parameters: URLSearchParams,
    query: string,
    signal: AbortSignal | undefined,
    rules: AnswerRules,
  ): Promise<readonly LabelledSamples[]> {
    return retried(
      async () => {
        const began = performance.now();
        let samples = 0;
        let code = "OK";
        try {
          const answer = await this.#source.ask(path, parameters, signal);
          this.#checkStatus(answer.status, answer.body, answer.retryAfterSeconds, query);
          const read = await readBody(answer.body, rules, signal);
          if (read.kind === "Fault") throw this.error(read.code, `${read.message} (query ${printable(query)})`);
          for (const warning of read.warnings) this.#onWarning(warning, query);
          samples = read.samples;
          return read.series;
        } catch (error) {
          code = error instanceof CollectError ? error.code : "Error";
          throw error;
        } finally {
          this.#onRequest({ source: this.name, code, seconds: (performance.now() - began) / 1000, samples });
        }
      },
      this.#retries,
      signal,
    );
  }

  #checkStatus(status: number, body: Buffer, retryAfterSeconds: number | undefined, query: string): void {
    if (status === 200) return;
    const said = whatItSaid(body);
    const because = said && `: ${said}`;
    if (status === 401 || status === 403)
      throw this.error("Unauthorized", `refuses our credentials (${status}); see the Secret that the source names`);
    if (status === 429)
      throw this.#source.error("RateLimited", "asks for fewer requests (429); raise its limit or the workloads' step", {
        retryAfterSeconds,
      });
    if (status === 404)
      throw this.error("NotFound", `has no such path (404); give the base URL, to which /api/v1/query is appended`);
    if (
      status === 413 ||
      /would load too many samples|exceeded maximum resolution|max-samples|too many samples/i.test(said)
    )
      throw this.error("TooLarge", `finds the answer too large (${status}${because})`);
    if (status === 400 || status === 422)
      throw this.error("BadQuery", `refuses the query ${printable(query)} (${status}${because}); correct the query`);
    if (status === 503 && /timed? ?out/i.test(said))
      throw this.error("Timeout", `gave up on the query ${printable(query)} (${said}); make it cheaper`);
    if (status >= 500)
      throw this.#source.error("ServerError", `failed (${status}${because}); see its log`, { retryAfterSeconds });
    throw this.error(
      "BadAnswer",
      `answers with the status ${status}${because}; see whether the URL is that of the store's API`,
    );
  }
}

/** The API's own words about a failure; nothing of a page of HTML. */
function whatItSaid(body: Buffer): string {
  if (body.length > 65_536) return "";
  try {
    const { error } = JSON.parse(body.toString("utf8")) as { error?: unknown };
    return typeof error === "string" ? printable(error, 300) : "";
  } catch {
    return "";
  }
}

/** The API takes seconds; decimals, never an exponent. */
function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
