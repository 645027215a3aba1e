/** Reasons of `metav1.Status` that this server gives. */
export type StatusReason =
  | "BadRequest"
  | "Unauthorized"
  | "Forbidden"
  | "NotFound"
  | "MethodNotAllowed"
  | "NotAcceptable"
  | "RequestEntityTooLarge"
  | "TooManyRequests"
  | "InternalError"
  | "ServiceUnavailable";

/** An answer other than 2xx, before it is written: what `metav1.Status` says. */
export interface Refusal {
  readonly code: 400 | 401 | 403 | 404 | 405 | 406 | 413 | 429 | 500 | 503;
  readonly reason: StatusReason;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

const reasons: Readonly<Record<Refusal["code"], StatusReason>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  413: "RequestEntityTooLarge",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
};

/** A refusal with the reason that belongs to its code. */
export function refuse(code: Refusal["code"], message: string, details?: Refusal["details"]): Refusal {
  return { code, reason: reasons[code], message, ...(details && { details }) };
}

/** True for a refusal, false for any other answer of this folder's functions. */
export function isRefusal(answer: object): answer is Refusal {
  return "code" in answer && "reason" in answer && "message" in answer;
}

/** The JSON of `metav1.Status`. It never holds `retryAfterSeconds`: client-go would retry inside the HPA's worker. */
export function statusJson(refusal: Refusal): string {
  const { code, reason, message, details } = refusal;
  const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, details, code };
  return `${JSON.stringify(status)}\n`;
}
