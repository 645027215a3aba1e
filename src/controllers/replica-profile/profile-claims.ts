import type { ReplicaProfile } from "../../api/kinds/replica-profile.ts";
import type { Scale } from "../../kube/client/scale.ts";
import type { PodStatesOutcome } from "../pods/pod-states.ts";
import type { PodCounts } from "../pods/workload-pods.ts";
import type { Claim } from "../status/set-condition.ts";

/** Conditions of a profile that does not act. */
export function inactiveClaims(reason: "TargetNotFound" | "TargetOwnedByAnother", message: string): Claim[] {
  return (["Applied", "Ensured"] as const).map((type) => ({ type, status: "False", reason, message }));
}

/** Conditions of a profile that acts: whether the target has its replicas, and whether its pods have their states. */
export function profileClaims(
  { spec }: ReplicaProfile,
  scale: Scale,
  counts: PodCounts,
  outcome: PodStatesOutcome | undefined,
): Claim[] {
  const total = spec.onlineReplicas + spec.cutoffReplicas + spec.standbyReplicas;
  const isApplied = scale.replicas === total;
  const isEnsured =
    isApplied &&
    counts.online === spec.onlineReplicas &&
    counts.cutoff === spec.cutoffReplicas &&
    counts.standby === spec.standbyReplicas &&
    counts.freezing === 0;
  const held = outcome?.plan.held;
  const stuck = outcome?.stuck ?? [];
  const why = [
    ...(held ? [held.message] : []),
    ...(stuck.length > 0 ? [`${stuck.join(", ")} can't wake: their nodes have no room for their requests`] : []),
  ]
    .map((each) => `${each}; `)
    .join("");
  return [
    {
      type: "Applied",
      status: isApplied ? "True" : "False",
      reason: isApplied ? "AsExpected" : "ScalingUnderWay",
      message: `spec.replicas is ${scale.replicas}, wanted ${total}`,
    },
    {
      type: "Ensured",
      status: isEnsured ? "True" : "False",
      reason: isEnsured ? "AsExpected" : (held?.reason ?? (stuck.length > 0 ? "NoRoomToWake" : "PodsUnderWay")),
      message: `${why}${counts.online} online, ${counts.cutoff} cut off, ${counts.standby} on standby${counts.freezing > 0 ? ` (${counts.freezing} not frozen yet)` : ""}, ${counts.starting} starting; wanted ${spec.onlineReplicas}, ${spec.cutoffReplicas}, ${spec.standbyReplicas}`,
    },
    ...(outcome?.externalFaults ? [externalClaim(outcome.externalFaults)] : []),
  ];
}

function externalClaim(faults: readonly string[]): Claim {
  const isReached = faults.length === 0;
  return {
    type: "ExternalReached",
    status: isReached ? "True" : "False",
    reason: isReached ? "AsExpected" : "ExternalNotReached",
    message: isReached ? "all external programs answer" : faults.join("; ").slice(0, 1024),
  };
}
