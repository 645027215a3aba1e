import type { Injection } from "../../pods/inject/inject-pod-states.ts";
import type { Refusal } from "../http/status.ts";
import { type AdmissionRequest, answerAdmission } from "./admission.ts";

/** Says what a pod that is being made gets. It must not wait for anything: every creation waits for it. */
export type PodInjector = (request: AdmissionRequest) => Injection;

/** The API server cuts longer warnings, and drops all when they are long together. */
const longestWarning = 256;
const mostWarnings = 10;

/**
 * Answers the review of a pod that is being made: it is allowed, whatever it is.
 *
 * @param body the bytes of the request
 * @returns the answering review, or a 400 when the bytes are none of version 1 with a uid
 */
export function reviewPod(body: Buffer, inject: PodInjector): object | Refusal {
  return answerAdmission(body, (request) => {
    const { kind, operation } = request;
    if (kind.group !== "" || kind.version !== "v1" || kind.kind !== "Pod" || operation !== "CREATE")
      return { allowed: true };
    const { patch, warnings, outcome } = inject(request);
    return {
      allowed: true,
      auditAnnotations: { injection: outcome },
      ...(patch.length > 0 && {
        patchType: "JSONPatch",
        patch: Buffer.from(JSON.stringify(patch)).toString("base64"),
      }),
      ...(warnings.length > 0 && {
        warnings: warnings.slice(0, mostWarnings).map((each) => each.slice(0, longestWarning)),
      }),
    };
  });
}
