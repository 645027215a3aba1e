/** What went wrong while reading from outside, to branch on. */
export type CollectCode =
  | "BadAddress" // the URL, or the address it resolves to, must not be called
  | "BadQuery" // the store says that the query is wrong
  | "BadAnswer" // not what the API promises
  | "ManySeries" // more than one series where one is expected
  | "NotFound" // the path or the metric does not exist there
  | "RateLimited"
  | "Redirected"
  | "ServerError" // 5xx
  | "StoreFailed" // the embedded history store
  | "Stopped" // the caller gave up
  | "Timeout"
  | "TooLarge" // more bytes, samples or series than the limits allow
  | "Unauthorized"
  | "Unreachable"
  | "WrongTime"; // stamps in the future, or in milliseconds

/** The outside world failed. The message names the source, the failure and the remedy, and holds no secret. */
export class CollectError extends Error {
  readonly code: CollectCode;
  /** Seconds that the store asked to wait, where it did. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: CollectCode, message: string, options: ErrorOptions & { retryAfterSeconds?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CollectError";
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** Codes that speak about the source as a whole, not about one query: asking it something else would fail alike. */
const ofTheSource: ReadonlySet<CollectCode> = new Set([
  "BadAddress",
  "RateLimited",
  "Redirected",
  "Stopped",
  "Unauthorized",
  "Unreachable",
]);

/** True where another query to the same source would fail alike. */
export function concernsSource(error: unknown): boolean {
  return error instanceof CollectError && ofTheSource.has(error.code);
}

/** Foreign text for a message: control characters and terminal escapes gone, at most `limit` characters. */
export function printable(text: string, limit = 200): string {
  // Bidirectional overrides reorder a terminal's line as escapes do.
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, " ").trim();
  return clean.length <= limit ? clean : `${clean.slice(0, limit - 1)}…`;
}
