import type { PodInState } from "./pod-in-state.ts";
import { replicaSetRanking } from "./replica-set-ranking.ts";

/** Who says which pods leave first. */
export type PodSorter =
  | { readonly type: "WorkloadDefault" }
  | {
      readonly type: "Cost";
      /** Nodes to be emptied, the first one first: those that are cordoned or about to be taken away. */
      readonly nodesToEmpty?: readonly string[];
    }
  | {
      readonly type: "External";
      /** Names of pods as the external program gave them, first to leave first. */
      readonly order: readonly string[];
    };

/** How a workload's controller treats its pods: a ReplicaSet ranks them, a StatefulSet numbers them. */
export type WorkloadKind = "ReplicaSet" | "StatefulSetParallel" | "StatefulSetOrderedReady" | "Other";

/** Whether pods are numbered, and the highest number is deleted first whatever anybody prefers. */
export function isNumbered(kind: WorkloadKind): boolean {
  return kind === "StatefulSetParallel" || kind === "StatefulSetOrderedReady";
}

/**
 * The order in which pods leave service, first to leave first. A StatefulSet always drops its highest ordinals, so there no
 * sorter has a say.
 *
 * @returns all pods, each once
 */
export function leaveOrder(
  pods: readonly PodInState[],
  kind: WorkloadKind,
  sorter: PodSorter,
  nowMs: number,
): PodInState[] {
  if (isNumbered(kind)) return pods.toSorted((a, b) => (b.ordinal ?? -1) - (a.ordinal ?? -1) || byName(a, b));
  switch (sorter.type) {
    case "WorkloadDefault":
      return replicaSetRanking(pods, nowMs);
    case "Cost":
      return byCost(pods, sorter.nodesToEmpty ?? []);
    case "External": {
      const places = new Map(sorter.order.map((name, place) => [name, place]));
      const placeOf = ({ name }: PodInState) => places.get(name) ?? Number.MAX_SAFE_INTEGER;
      // Stable: pods that the program did not name come last, in the workload's own order.
      return replicaSetRanking(pods, nowMs).toSorted((a, b) => placeOf(a) - placeOf(b));
    }
  }
}

/**
 * The order that leaves a workload cheapest and safest: pods on nodes that are to be emptied; then, zone by zone, from whichever zone
 * has most left; there from the node with the fewest of these pods, so that it becomes empty; there the pods that were
 * restarted most, and the youngest, whose caches are coldest.
 */
function byCost(pods: readonly PodInState[], nodesToEmpty: readonly string[]): PodInState[] {
  const places = new Map(nodesToEmpty.map((node, place) => [node, place]));
  const placeOf = ({ node }: PodInState) => places.get(node ?? "") ?? Number.MAX_SAFE_INTEGER;
  const isLeaving = (pod: PodInState) => places.has(pod.node ?? "");
  const onNode = new Map<string, number>();
  for (const { node = "" } of pods) onNode.set(node, (onNode.get(node) ?? 0) + 1);
  const within = (a: PodInState, b: PodInState) =>
    placeOf(a) - placeOf(b) ||
    onNode.get(a.node ?? "")! - onNode.get(b.node ?? "")! ||
    compareText(a.node ?? "", b.node ?? "") ||
    b.restarts - a.restarts ||
    b.createdMs - a.createdMs ||
    byName(a, b);
  const order = pods.filter(isLeaving).toSorted(within);
  const zones = new Map<string, PodInState[]>();
  for (const pod of pods.toSorted(within)) {
    if (isLeaving(pod)) continue;
    const zone = zones.get(pod.zone ?? "");
    if (zone) zone.push(pod);
    else zones.set(pod.zone ?? "", [pod]);
  }
  const queues = [...zones].toSorted(([a], [b]) => compareText(a, b)).map(([, queue]) => ({ queue, next: 0 }));
  while (order.length < pods.length) {
    let fullest = queues[0];
    for (const zone of queues) if (left(zone) > left(fullest)) fullest = zone;
    order.push(fullest.queue[fullest.next++]);
  }
  return order;
}

function left({ queue, next }: { readonly queue: readonly unknown[]; readonly next: number }): number {
  return queue.length - next;
}

function byName(a: PodInState, b: PodInState): number {
  return compareText(a.name, b.name);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
