import { LRUCache } from "lru-cache";
import { negotiate } from "../http/accept.ts";
import { type RequestLine, readRequestLine } from "../http/request-attributes.ts";
import { type Answer, jsonAnswer, type RequestContext } from "../http/request-context.ts";
import { isRefusal, type Refusal, refuse } from "../http/status.ts";
import { externalMetricsPath } from "../names.ts";
import { answerMetrics, type MetricQuery, readMetricQuery } from "./external-metrics.ts";
import type { Snapshot } from "./snapshot.ts";

const metricPrefix = `${externalMetricsPath}/namespaces/`;
/** Longer URLs and headers are read anew each time. */
const longestKeptUrl = 2048;
const longestKeptAccept = 512;

/** A request line with what its answer needs. */
export interface MetricRequest {
  readonly line: RequestLine;
  readonly query: MetricQuery | Refusal;
}

/** Reads and answers requests for metrics. HPAs ask the same again and again, so what was read is kept. */
export class MetricRequests {
  readonly #snapshot: Snapshot;
  readonly #wallMs: () => number;
  readonly #read = new LRUCache<string, MetricRequest>({ max: 5000 });
  readonly #representations = new LRUCache<string, { readonly isServed: boolean }>({ max: 200 });

  constructor(snapshot: Snapshot, wallMs: () => number) {
    this.#snapshot = snapshot;
    this.#wallMs = wallMs;
  }

  /** Whether a URL is one of a metric, by its prefix. */
  static isMetric(url: string): boolean {
    return url.startsWith(metricPrefix);
  }

  /** @returns undefined for a URL that can't be read */
  read(url: string): MetricRequest | undefined {
    const known = this.#read.get(url);
    if (known) return known;
    const line = readRequestLine("GET", url);
    if (!line) return undefined;
    const request = { line, query: readMetricQuery("GET", line) };
    if (url.length <= longestKeptUrl) this.#read.set(url, request);
    return request;
  }

  /** @param query where it has been read already */
  answer(
    context: RequestContext,
    line: RequestLine,
    query: MetricQuery | Refusal = readMetricQuery(context.request.method ?? "", line),
  ): Answer | Refusal {
    if (isRefusal(query)) return query;
    if (!this.#isServed(context.request.headers.accept ?? ""))
      return refuse(406, "only application/json is served: no Table, no metadata alone, no other encoding");
    const result = answerMetrics(query, this.#snapshot, this.#wallMs());
    if (isRefusal(result)) return result;
    context.rung = result.rungs;
    return jsonAnswer(result.body);
  }

  #isServed(accept: string): boolean {
    let representation = this.#representations.get(accept);
    if (!representation) {
      representation = { isServed: negotiate(accept).kind === "Json" };
      if (accept.length <= longestKeptAccept) this.#representations.set(accept, representation);
    }
    return representation.isServed;
  }
}
