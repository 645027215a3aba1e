import type { CollectCode } from "../collect-error.ts";
import { printable } from "../collect-error.ts";
import { type LabelledSamples, labelText, tidied } from "../samples.ts";

/** What an answer is held against. */
export interface AnswerRules {
  /** A range query promises a matrix, an instant query a vector or a scalar. */
  readonly expect: "matrix" | "vector";
  /** Samples outside these bounds (milliseconds, inclusive) are refused. */
  readonly earliestMs: number;
  readonly latestMs: number;
  readonly maxSamples: number;
}

/** A checked answer, or what is wrong with it. Plain data: it crosses from a worker thread. */
export type Answer =
  | {
      readonly kind: "Series";
      readonly series: readonly LabelledSamples[];
      readonly warnings: readonly string[];
      readonly samples: number;
    }
  | { readonly kind: "Fault"; readonly code: CollectCode; readonly message: string };

/**
 * Reads the JSON answer of Prometheus' HTTP API (`/api/v1/query` and `/api/v1/query_range`). Nothing in it is believed:
 * a status of error, the wrong result type, native histograms, a value that is no number and stamps out of bounds are
 * faults; NaN, ±Inf and stale markers are gaps (NaN); stamps may come in any order, and of two alike the last wins.
 */
export function readAnswer(body: string, rules: AnswerRules): Answer {
  try {
    return read(JSON.parse(body), rules);
  } catch (error) {
    if (error instanceof Fault) return { kind: "Fault", code: error.code, message: error.message };
    if (error instanceof SyntaxError)
      return {
        kind: "Fault",
        code: "BadAnswer",
        message: "sent something that is not JSON; see whether the URL is that of the store's API",
      };
    throw error;
  }
}

class Fault extends Error {
  readonly code: CollectCode;
  constructor(code: CollectCode, message: string) {
    super(message);
    this.code = code;
  }
}

function read(answer: unknown, rules: AnswerRules): Answer {
  if (!isRecord(answer))
    throw new Fault("BadAnswer", "sent JSON that is no answer of its API; see whether the URL is right");
  if (answer.status === "error") {
    const what = printable(`${text(answer.errorType)}: ${text(answer.error)}`, 300);
    const code =
      answer.errorType === "bad_data" ? "BadQuery" : answer.errorType === "timeout" ? "Timeout" : "BadAnswer";
    throw new Fault(code, `answered with an error: ${what}`);
  }
  if (answer.status !== "success" || !isRecord(answer.data))
    throw new Fault(
      "BadAnswer",
      "sent an answer without status and data; see whether the URL is that of the store's API",
    );
  const warnings = [...list(answer.warnings), ...list(answer.infos)].slice(0, 20).map((w) => printable(text(w), 300));
  const { resultType, result } = answer.data;
  if (resultType === "scalar" && rules.expect === "vector") {
    const series = [oneSeries(new Map(), [result], rules)];
    return { kind: "Series", series, warnings, samples: 1 };
  }
  if (resultType !== rules.expect)
    throw new Fault(
      "BadAnswer",
      `sent a ${printable(text(resultType), 40) || "result without type"} where a ${rules.expect} was asked for; ` +
        (rules.expect === "vector"
          ? "write the query without a trailing range such as [5m]"
          : "check the proxies between it and Forescale"),
    );
  if (!Array.isArray(result)) throw new Fault("BadAnswer", "sent a result that is no list");
  let samples = 0;
  const series = result.map((entry: unknown) => {
    if (!isRecord(entry)) throw new Fault("BadAnswer", "sent a series that is no object");
    const labels = labelsOf(entry.metric);
    if (entry.histogram !== undefined || list(entry.histograms).length > 0)
      throw new Fault(
        "BadAnswer",
        `sent native histograms for ${printable(labelText(labels))}; take a number of them, as histogram_quantile or histogram_count does`,
      );
    const points = rules.expect === "vector" ? [entry.value] : entry.values;
    if (!Array.isArray(points)) throw new Fault("BadAnswer", `sent no values for ${printable(labelText(labels))}`);
    samples += points.length;
    if (samples > rules.maxSamples)
      throw new Fault(
        "TooLarge",
        `sent more than ${rules.maxSamples} samples; aggregate the query, or ask for fewer points`,
      );
    return oneSeries(labels, points, rules);
  });
  return { kind: "Series", series, warnings, samples };
}

function oneSeries(
  labels: ReadonlyMap<string, string>,
  points: readonly unknown[],
  rules: AnswerRules,
): LabelledSamples {
  const timesMs = new Float64Array(points.length);
  const values = new Float64Array(points.length);
  for (let i = 0; i < points.length; i++) {
    const point = points[i];
    if (!Array.isArray(point) || point.length !== 2 || typeof point[0] !== "number")
      throw new Fault("BadAnswer", "sent a sample that is no pair of time and value");
    timesMs[i] = Math.round(point[0] * 1000);
    checkTime(timesMs[i], rules);
    values[i] = numberOf(point[1]);
  }
  return { labels, ...tidied(timesMs, values) };
}

function checkTime(timeMs: number, { earliestMs, latestMs }: AnswerRules): void {
  if (timeMs >= earliestMs && timeMs <= latestMs) return;
  // Seconds read as milliseconds (or the reverse) are off by a thousand, far beyond what a wrong clock does.
  if (timeMs > latestMs * 100 || (earliestMs > 0 && timeMs < earliestMs / 100))
    throw new Fault("WrongTime", "sent stamps that are not in seconds (milliseconds?); its API promises seconds");
  const stamp = Math.abs(timeMs) <= 8.64e15 ? new Date(timeMs).toISOString() : String(timeMs);
  if (timeMs > latestMs)
    throw new Fault(
      "WrongTime",
      `sent a sample of the future or after the range asked (${stamp}); compare its clock with ours`,
    );
  throw new Fault("WrongTime", `sent a sample from before the time asked (${stamp}); compare its clock with ours`);
}

/** The API writes values as strings. Infinities and NaN (stale markers arrive as such) say nothing about load. */
function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") {
    if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) {
      const number = Number(value);
      return Number.isFinite(number) ? number : NaN;
    }
    if (/^([+-]?inf(inity)?|nan)$/i.test(value)) return NaN;
  }
  throw new Fault("BadAnswer", `sent a value that is no number: ${printable(text(value), 40)}`);
}

function labelsOf(metric: unknown): ReadonlyMap<string, string> {
  return new Map(isRecord(metric) ? Object.entries(metric).map(([name, value]) => [name, text(value)]) : []);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : value === undefined ? "" : (JSON.stringify(value) ?? "");
}
