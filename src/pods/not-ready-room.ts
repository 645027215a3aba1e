import type { WorkloadKind } from "./pod-order.ts";

/** A PodDisruptionBudget that selects the workload's pods: what is read of it. */
export interface DisruptionBudget {
  readonly metadata: { readonly name?: string; readonly generation?: number };
  readonly spec?: { readonly unhealthyPodEvictionPolicy?: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly expectedPods?: number;
    readonly desiredHealthy?: number;
  };
}

/** A Deployment's `spec.strategy`. */
export interface RolloutStrategy {
  readonly type?: string;
  readonly rollingUpdate?: {
    readonly maxUnavailable?: number | string | null;
    readonly maxSurge?: number | string | null;
  } | null;
}

export interface NotReadyRoomInput {
  readonly kind: WorkloadKind;
  /** The target's spec.replicas. */
  readonly replicas: number;
  readonly budgets: readonly DisruptionBudget[];
  /** Whether pods out of service stay so few that a Deployment's condition Available holds. */
  readonly keepAvailable: boolean;
  readonly strategy?: RolloutStrategy;
}

/** How many pods may be not ready on purpose. */
export interface NotReadyRoom {
  /** Undefined where nothing limits it. */
  readonly room: number | undefined;
  /** What limits it, for people. */
  readonly reason: string;
}

/**
 * How many pods may be not ready on purpose. A PodDisruptionBudget counts them as disrupted, so one eviction more than them has to be
 * allowed, or nodes can't be drained; a budget with `unhealthyPodEvictionPolicy: AlwaysAllow` lets unready pods go and does not
 * limit them. A Deployment is Available while no more than maxUnavailable are not ready. OrderedReady stands one.
 */
export function notReadyRoom(input: NotReadyRoomInput): NotReadyRoom {
  const limits: { readonly room: number; readonly reason: string }[] = [];
  if (input.kind === "StatefulSetOrderedReady")
    limits.push({ room: 1, reason: "podManagementPolicy OrderedReady waits for every pod that is not ready" });
  for (const budget of input.budgets) {
    const limit = budgetLimit(budget);
    if (limit) limits.push(limit);
  }
  if (input.keepAvailable && input.strategy?.type !== "Recreate") {
    const room = maxUnavailable(input.strategy?.rollingUpdate ?? {}, input.replicas);
    const reason = `the Deployment is Available while at most ${room} of ${input.replicas} are not ready (strategy.rollingUpdate.maxUnavailable; see behavior.replicaProfile.keepAvailable)`;
    if (input.kind === "ReplicaSet") limits.push({ room, reason });
  }
  const least = limits.toSorted((a, b) => a.room - b.room)[0];
  return least ?? { room: undefined, reason: "no PodDisruptionBudget limits it" };
}

function budgetLimit({ metadata, spec, status }: DisruptionBudget) {
  if (spec?.unhealthyPodEvictionPolicy === "AlwaysAllow") return undefined;
  const name = `PodDisruptionBudget ${metadata.name}`;
  const isSeen = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  if (!isSeen || status?.expectedPods === undefined || status.desiredHealthy === undefined)
    return { room: 0, reason: `${name} has not been worked out by the cluster yet` };
  const { expectedPods, desiredHealthy } = status;
  return {
    room: Math.max(0, expectedPods - desiredHealthy - 1),
    reason: `${name} wants ${desiredHealthy} of ${expectedPods} healthy and one eviction has to stay allowed (unhealthyPodEvictionPolicy: AlwaysAllow takes this limit away)`,
  };
}

/** As the Deployment's controller works it out: surge is rounded up, unavailable down, and both are never 0. */
function maxUnavailable({ maxSurge, maxUnavailable: most }: NonNullable<RolloutStrategy["rollingUpdate"]>, of: number) {
  const unavailable = Math.floor(resolve(most ?? "25%", of));
  const surge = Math.ceil(resolve(maxSurge ?? "25%", of));
  return Math.min(of, unavailable === 0 && surge === 0 ? 1 : unavailable);
}

/** A number, or a share such as `25%`; 0 for what is neither, which allows least. */
function resolve(value: number | string, of: number): number {
  if (typeof value === "number") return value;
  return /^\d+%$/.test(value) ? (Number.parseInt(value, 10) * of) / 100 : 0;
}
