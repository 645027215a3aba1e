import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { group, version } from "../../api/kinds.ts";
import { describeProblem } from "../../api/validation/problem.ts";
import { validate } from "../../api/validation/validate.ts";
import type { Snapshot } from "../metrics-api/snapshot.ts";
import type { AdmissionRequest, AdmissionValidator } from "./admission.ts";

type Ihpa = IntelligentHorizontalPodAutoscaler;

/**
 * Judges IHPAs by what their schema can't know: zones and cron lines that do not exist, and a target that another one
 * scales already. Other kinds, deletions and objects on their way out are admitted.
 */
export function createIhpaValidator(snapshot: Snapshot): AdmissionValidator {
  return (request) => {
    const ihpa = ihpaOf(request, request.object);
    if (!ihpa || ihpa.metadata.deletionTimestamp) return [];
    const problems = validate(ihpa).map(describeProblem);
    const before = ihpaOf(request, request.oldObject);
    // Of two that were let in at the same time each can still be edited: the controller says which one acts.
    const isNewTarget = JSON.stringify(before?.spec.scaleTargetRef) !== JSON.stringify(ihpa.spec.scaleTargetRef);
    const rival = isNewTarget ? snapshot.rival(ihpa) : undefined;
    if (rival !== undefined) {
      const { kind, name } = ihpa.spec.scaleTargetRef;
      problems.push(
        `spec.scaleTargetRef: ${kind} ${name} is already scaled by IHPA ${rival}; delete that one first, or choose another target`,
      );
    }
    return problems;
  };
}

/** The object as an IHPA; the API server has checked it by its schema before it asks. */
function ihpaOf({ kind, namespace, operation }: AdmissionRequest, object: unknown): Ihpa | undefined {
  if (kind.group !== group || kind.version !== version || kind.kind !== "IntelligentHorizontalPodAutoscaler")
    return undefined;
  if (operation !== "CREATE" && operation !== "UPDATE") return undefined;
  if (typeof object !== "object" || object === null) return undefined;
  const { metadata, ...rest } = object as Ihpa;
  return { ...rest, metadata: { ...metadata, namespace } };
}
