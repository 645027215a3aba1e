import type { KubeClient } from "../../kube/client/client.ts";
import { isKubeError } from "../../kube/client/kube-error.ts";
import { type KubeObject, type Resource, resources } from "../../kube/client/resource.ts";
import type { ScaleTarget } from "../../kube/client/scale.ts";
import type { RolloutStrategy } from "../../pods/not-ready-room.ts";
import type { WorkloadKind } from "../../pods/pod-order.ts";

/** The facts about a workload that decide how its pods may change state. */
export interface WorkloadFacts {
  readonly kind: WorkloadKind;
  /** Whether its pods are being replaced by those of another spec. */
  readonly rolloutRunning: boolean;
  readonly strategy?: RolloutStrategy;
}

/** The fields of a workload object that are read. */
export interface WorkloadObject extends KubeObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly strategy?: RolloutStrategy;
    readonly podManagementPolicy?: string;
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly currentRevision?: string;
    readonly updateRevision?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
  };
}

/** Labels by which workload controllers mark the revision of a pod. */
const revisionLabels = ["pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash"];

/**
 * Reads how a workload treats its pods. For kinds that are not built in, only the pods are looked at: several revisions at once mean
 * a rollout.
 *
 * @param pods those that are not being deleted
 */
export async function readWorkload(
  client: KubeClient,
  target: ScaleTarget,
  pods: readonly KubeObject[],
): Promise<WorkloadFacts> {
  const resource = builtIn(target);
  if (resource === undefined) return { kind: "Other", rolloutRunning: hasSeveralRevisions(pods) };
  try {
    return factsOf(target.kind, await client.get<WorkloadObject>(resource, target), pods);
  } catch (error) {
    if (!isKubeError(error, "Forbidden")) throw error;
    return { kind: "Other", rolloutRunning: hasSeveralRevisions(pods) };
  }
}

function builtIn({ apiVersion, kind }: ScaleTarget): Resource | undefined {
  if (!apiVersion.startsWith("apps/")) return undefined;
  return { Deployment: resources.deployments, StatefulSet: resources.statefulSets, ReplicaSet: resources.replicaSets }[
    kind
  ];
}

/** The facts that an object of a built-in kind states. */
export function factsOf(kind: string, object: WorkloadObject, pods: readonly KubeObject[]): WorkloadFacts {
  const { metadata, spec = {}, status = {} } = object;
  const isObserved = (status.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  if (kind === "StatefulSet") {
    const isUpdated = status.updateRevision === undefined || status.updateRevision === status.currentRevision;
    return {
      kind: spec.podManagementPolicy === "Parallel" ? "StatefulSetParallel" : "StatefulSetOrderedReady",
      rolloutRunning: !isObserved || !isUpdated || hasSeveralRevisions(pods),
    };
  }
  if (kind === "ReplicaSet") return { kind: "ReplicaSet", rolloutRunning: !isObserved };
  const progressing = status.conditions?.find(({ type }) => type === "Progressing");
  const replicas = spec.replicas ?? 1;
  const isComplete = progressing?.reason === "NewReplicaSetAvailable";
  const isUpdated = (status.updatedReplicas ?? 0) === (status.replicas ?? 0);
  // Scaling alone also makes replicas and spec differ for a moment, but then all pods have one revision.
  const isSettled = (status.replicas ?? 0) === replicas || !hasSeveralRevisions(pods);
  return {
    kind: "ReplicaSet",
    rolloutRunning: !isObserved || !isComplete || !isUpdated || !isSettled,
    ...(spec.strategy && { strategy: spec.strategy }),
  };
}

function hasSeveralRevisions(pods: readonly KubeObject[]): boolean {
  const revisions = new Set(
    pods.map(({ metadata }) => revisionLabels.map((label) => metadata.labels?.[label]).find(Boolean) ?? ""),
  );
  return revisions.size > 1;
}
