/** What went wrong, to branch on. The first ten are the API server's own answers. */
export type KubeErrorCode =
  | "BadRequest"
  | "Unauthorized"
  | "Forbidden"
  | "NotFound"
  | "AlreadyExists"
  | "Conflict"
  | "Gone"
  | "Invalid"
  | "TooManyRequests"
  | "ServerError"
  /** No connection, or it broke. */
  | "Unreachable"
  /** The server's certificate was not accepted. */
  | "Untrusted"
  /** No whole answer in the time given. */
  | "Timeout"
  /** An answer that is not what the protocol says. */
  | "BadAnswer"
  /** The kubeconfig or the service account cannot be used. */
  | "Configuration"
  /** The kind has no scale subresource. */
  | "NotScalable"
  /** This process no longer holds the Lease under which it wanted to write. */
  | "NotLeader";

/** The part of a `metav1.Status` that this folder reads. */
export interface StatusBody {
  readonly kind?: string;
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  };
}

interface KubeErrorOptions {
  readonly status?: number;
  readonly object?: string;
  readonly reason?: string;
  readonly details?: StatusBody["details"];
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** A call to the Kubernetes API that failed; the message names the object, the failure and the remedy. */
export class KubeError extends Error {
  readonly code: KubeErrorCode;
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** The object or collection asked for, such as `deployments.apps shop/web`. */
  readonly object: string | undefined;
  /** `reason` of the server's Status, where it gave one. */
  readonly reason: string | undefined;
  readonly details: StatusBody["details"];
  /** How long the server asked to be left alone. */
  readonly retryAfterMs: number | undefined;

  constructor(code: KubeErrorCode, message: string, options: KubeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "KubeError";
    this.code = code;
    this.status = options.status;
    this.object = options.object;
    this.reason = options.reason;
    this.details = options.details;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** True for a `KubeError` with one of these codes. */
export function isKubeError(error: unknown, ...codes: KubeErrorCode[]): error is KubeError {
  return error instanceof KubeError && (codes.length === 0 || codes.includes(error.code));
}

/**
 * The error for a Status that the API server sent as an answer or inside a watch.
 *
 * @param verb what was tried, such as `patch`
 * @param object what it was tried on
 * @param retryAfter the header of that name, in seconds
 */
export function errorOfStatus(
  httpStatus: number,
  body: StatusBody | undefined,
  verb: string,
  object: string,
  retryAfter?: string,
): KubeError {
  const code = codeOf(httpStatus, body?.reason);
  const said = body?.message ? printable(body.message) : `the server answered ${httpStatus}`;
  const advice = remedies[code];
  const seconds = Number(retryAfter ?? body?.details?.retryAfterSeconds);
  return new KubeError(code, `${verb} ${object}: ${said}${advice ? `; ${advice}` : ""}`, {
    status: httpStatus,
    object,
    reason: body?.reason,
    details: body?.details,
    retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined,
  });
}

function codeOf(status: number, reason: string | undefined): KubeErrorCode {
  switch (status) {
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 408:
    case 504:
      return "Timeout";
    case 409:
      return reason === "AlreadyExists" ? "AlreadyExists" : "Conflict";
    case 410:
      return "Gone";
    case 422:
      return "Invalid";
    case 429:
      return "TooManyRequests";
  }
  return status >= 400 && status < 500 ? "BadRequest" : "ServerError";
}

const remedies: Partial<Record<KubeErrorCode, string>> = {
  Unauthorized: "check that the token or client certificate is valid for this cluster",
  Forbidden: "grant the verb to this user with a Role or ClusterRole (`kubectl auth can-i` shows what it may do)",
  NotFound: "check the name, the namespace and that the kind is installed",
  Conflict: "read the object again and decide anew",
  Gone: "list again",
  TooManyRequests: "lower --kube-api-qps or give this user a larger priority level",
};

const untrusted =
  /^(CERT_|ERR_TLS_CERT|UNABLE_TO_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|HOSTNAME_MISMATCH|INVALID_CA)/;

/** The error for a call that got no answer; `host` stands in the message, credentials never do. */
export function errorOfConnection(cause: unknown, verb: string, object: string, host: string): KubeError {
  const code = (cause as NodeJS.ErrnoException)?.code ?? "";
  // `message` may hold OpenSSL's text, never a credential: keys and tokens do not enter it.
  const what = code || printable((cause as Error)?.message ?? String(cause));
  if (untrusted.test(code))
    return new KubeError(
      "Untrusted",
      `${verb} ${object}: the certificate of the API server at ${host} was not accepted (${what}); check certificate-authority-data and tls-server-name in the kubeconfig`,
      { object, cause },
    );
  return new KubeError(
    "Unreachable",
    `${verb} ${object}: the API server at ${host} did not answer (${what}); check that it runs and that the kubeconfig's server is right`,
    { object, cause },
  );
}

/** One line, no control characters, at most 600 characters. */
function printable(text: string): string {
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ").trim();
  return line.length > 600 ? `${line.slice(0, 600)}…` : line;
}
