import type { PodInState } from "./pod-in-state.ts";

/** What the ranking reads of a pod. */
export type RankedPod = Pick<
  PodInState,
  "name" | "uid" | "scheduled" | "phase" | "ready" | "cost" | "node" | "readySinceMs" | "restarts" | "createdMs"
>;

/**
 * The order in which a ReplicaSet's controller deletes pods when there are too many, first to go first: not scheduled, Pending,
 * not ready, cheap by deletion cost, many on one node, ready for a short time, restarted often, young. Times count in
 * powers of two, and among equals the uid decides, which is as good as chance.
 *
 * @param nowMs when it looks
 * @see ActivePodsWithRanks in Kubernetes' pkg/controller/controller_utils.go
 */
export function replicaSetRanking<P extends RankedPod>(pods: readonly P[], nowMs: number): P[] {
  const onNode = new Map<string, number>();
  for (const { node } of pods) if (node !== undefined) onNode.set(node, (onNode.get(node) ?? 0) + 1);
  const phases = { Pending: 0, Unknown: 1, Running: 2 };
  const neighbours = ({ node }: P) => (node === undefined ? 0 : onNode.get(node)!);
  const compare = (a: P, b: P): number => {
    if (a.scheduled !== b.scheduled) return a.scheduled ? 1 : -1;
    if (a.phase !== b.phase) return phases[a.phase] - phases[b.phase];
    if (a.ready !== b.ready) return a.ready ? 1 : -1;
    const [costA, costB] = [a.cost ?? 0, b.cost ?? 0];
    if (costA !== costB) return costA - costB;
    if (neighbours(a) !== neighbours(b)) return neighbours(b) - neighbours(a);
    const [sinceA, sinceB] = [a.readySinceMs, b.readySinceMs];
    if (a.ready && sinceA !== undefined && sinceB !== undefined && sinceA !== sinceB)
      return ageClass(sinceA, nowMs) - ageClass(sinceB, nowMs) || byUid(a, b);
    if (a.restarts !== b.restarts) return b.restarts - a.restarts;
    if (a.createdMs !== b.createdMs) return ageClass(a.createdMs, nowMs) - ageClass(b.createdMs, nowMs) || byUid(a, b);
    return byUid(a, b);
  };
  return pods.toSorted(compare);
}

/** Powers of two of nanoseconds, as Go counts a duration. */
function ageClass(sinceMs: number, nowMs: number): number {
  const age = nowMs - sinceMs;
  return age > 0 ? Math.floor(Math.log2(age * 1e6)) : -1;
}

function byUid(a: RankedPod, b: RankedPod): number {
  return a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0;
}
