import type { Condition } from "../../api/conditions.ts";

/** A condition as a controller states it, without its times. */
export interface Claim {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
}

/**
 * The claims as conditions: `lastTransitionTime` changes only with the status. Conditions without a claim are dropped; the order is that
 * of the claims, so that an unchanged status is byte for byte the same.
 *
 * @param now RFC 3339, whole seconds
 */
export function withClaims(
  conditions: readonly Condition[] | undefined,
  claims: readonly Claim[],
  observedGeneration: number | undefined,
  now: string,
): Condition[] {
  return claims.map((claim) => {
    const before = conditions?.find(({ type }) => type === claim.type);
    const lastTransitionTime = before?.status === claim.status ? before.lastTransitionTime : now;
    return { ...claim, ...(observedGeneration !== undefined && { observedGeneration }), lastTransitionTime };
  });
}

/** The claims whose status or reason is new: each is a transition, and transitions are Events. */
export function transitions(conditions: readonly Condition[] | undefined, claims: readonly Claim[]): Claim[] {
  return claims.filter((claim) => {
    const before = conditions?.find(({ type }) => type === claim.type);
    return before === undefined || before.status !== claim.status || before.reason !== claim.reason;
  });
}
