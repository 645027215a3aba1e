import type { Cause } from "../../api/cause.ts";
import { isOwnedBy, ownerName } from "../../api/owner-reference.ts";
import type { IhpaInput } from "./ihpa-input.ts";

/** What keeps an IHPA from scaling; of several causes the most severe one. */
export function blockingCauseOf({
  ihpa,
  scale,
  problems,
  rival,
  hpas,
  profile,
}: Omit<IhpaInput, "decision">): Cause | undefined {
  if (problems.length > 0)
    return { reason: "InvalidSpec", message: problems.map(({ field, message }) => `${field}: ${message}`).join("; ") };
  if ("reason" in scale) return scale;
  const target = `${ihpa.spec.scaleTargetRef.kind} ${ihpa.spec.scaleTargetRef.name}`;
  if (rival !== undefined)
    return {
      reason: "TargetOwnedByAnother",
      message: `${target} is scaled by the older IHPA ${rival}; delete one of the two`,
    };
  // A preview may run beside another scaler.
  return ihpa.spec.scaleMode === "Preview" ? undefined : rivalryOf({ ihpa, hpas, profile });
}

/** Whether another object scales the target: then everything of ours that scales is deleted. */
export function isRivalry({ reason }: Cause): boolean {
  return reason === "TargetOwnedByAnother" || reason === "AmbiguousSelector";
}

/** What else scales the target, and keeps an IHPA in Auto from working. */
export function rivalryOf({ ihpa, hpas, profile }: Pick<IhpaInput, "ihpa" | "hpas" | "profile">): Cause | undefined {
  const target = `${ihpa.spec.scaleTargetRef.kind} ${ihpa.spec.scaleTargetRef.name}`;
  const foreign = hpas.filter((hpa) => !isOwnedBy(hpa.metadata, ihpa)).map(({ metadata }) => metadata.name);
  // A profile of an earlier IHPA of this name is taken over, as otherwise the garbage collector would delete it.
  if (profile && ownerName(profile.metadata, ihpa.kind) === undefined)
    return {
      reason: "TargetOwnedByAnother",
      message: `ReplicaProfile ${profile.metadata.name} already exists and does not belong to this IHPA; delete it, or use another name for one of the two`,
    };
  if (ihpa.spec.hpa === "Attached") {
    if (foreign.length < 2) return undefined;
    return {
      reason: "AmbiguousSelector",
      message: `${target} is scaled by ${foreign.length} HPAs: ${foreign.join(", ")}; keep one of them`,
    };
  }
  if (foreign.length === 0) return undefined;
  return {
    reason: "TargetOwnedByAnother",
    message: `${target} is also scaled by HPA ${foreign.join(", ")}; delete that HPA, or set spec.hpa: Attached and add the entry in status.hpa.metric to its spec.metrics`,
  };
}
