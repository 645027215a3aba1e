/** How much the server takes on at once, and how long it waits; the defaults follow the upstream API server. */
export interface Limits {
  readonly headerBytes: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  readonly bodyBytes: number;
  /** A review holds a whole object, which the API server takes up to 3 MiB, and more around it. */
  readonly reviewBytes: number;
  readonly inFlight: number;
  readonly deadlineMs: number;
  /** How many verdicts of each kind are kept, and for how long. */
  readonly reviews: number;
  readonly reviewTtlMs: number;
}

export const defaultLimits: Limits = {
  headerBytes: 256 * 1024,
  headersTimeoutMs: 32_000,
  requestTimeoutMs: 60_000,
  // The API server's own connections idle for 90 s: it must be the one that closes.
  keepAliveTimeoutMs: 95_000,
  handshakeTimeoutMs: 10_000,
  bodyBytes: 3 * 2 ** 20,
  reviewBytes: 4 * 2 ** 20,
  inFlight: 400,
  deadlineMs: 1000,
  reviews: 10_000,
  reviewTtlMs: 10_000,
};
