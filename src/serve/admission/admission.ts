import { type Refusal, refuse } from "../http/status.ts";

/** The part of an `admission.k8s.io/v1` request that a validator reads. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  readonly namespace: string;
  readonly operation: string;
  readonly object: unknown;
  /** What is there already, for an update. */
  readonly oldObject: unknown;
}

/** What an answer says beside its uid. */
export interface AdmissionResponse {
  readonly allowed: boolean;
  readonly [field: string]: unknown;
}

/** What is wrong with an object, each with its remedy; none, and it is admitted. */
export type AdmissionValidator = (request: AdmissionRequest) => readonly string[];

const apiVersion = "admission.k8s.io/v1";

/**
 * Answers an AdmissionReview by a validator.
 *
 * @param body the bytes of the request
 * @returns the answering review, or a 400 when the bytes are none of version 1 with a uid
 */
export function reviewAdmission(body: Buffer, validate: AdmissionValidator): object | Refusal {
  return answerAdmission(body, (request) => {
    const problems = validate(request);
    if (problems.length === 0) return { allowed: true };
    return { allowed: false, status: { code: 422, reason: "Invalid", message: problems.join("; ") } };
  });
}

/**
 * Answers an AdmissionReview.
 *
 * @param body the bytes of the request
 * @returns the answering review, or a 400 when the bytes are none of version 1 with a uid
 */
export function answerAdmission(
  body: Buffer,
  respond: (request: AdmissionRequest) => AdmissionResponse,
): object | Refusal {
  let review: unknown;
  try {
    review = JSON.parse(body.toString("utf8"));
  } catch {
    return refuse(400, "the body is not JSON; send an AdmissionReview of admission.k8s.io/v1");
  }
  if (!isRecord(review) || review.kind !== "AdmissionReview" || review.apiVersion !== apiVersion)
    return refuse(400, `the body is no AdmissionReview of ${apiVersion}; set admissionReviewVersions to [v1]`);
  const { request } = review;
  if (!isRecord(request) || typeof request.uid !== "string" || request.uid === "")
    return refuse(400, "the AdmissionReview has no request.uid");
  const kind = isRecord(request.kind) ? request.kind : {};
  const { uid } = request;
  const response = respond({
    uid,
    kind: { group: text(kind.group), version: text(kind.version), kind: text(kind.kind) },
    namespace: text(request.namespace),
    operation: text(request.operation),
    object: request.object,
    oldObject: request.oldObject,
  });
  return { apiVersion, kind: "AdmissionReview", response: { uid, ...response } };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
