import type { PodInState } from "./pod-in-state.ts";
import { isNumbered, type PodSorter, type WorkloadKind } from "./pod-order.ts";

/** Deletion costs by what a pod is: what is cheap goes first, among pods alike in phase and readiness. */
export const deletionCosts = {
  /** Out of service, and chosen to go before the others that are. */
  leaving: -2000,
  cutoff: -1000,
  standby: 100,
  /** Marks of the next few in service, where the order is not the workload's own, lie below this. */
  next: -1100,
} as const;

/** At most this share of the pods in service carries a mark of our own order, so that few pods are written at a change. */
const markedShare = 0.1;
const mostMarked = 99;

/** A deletion cost to be written; undefined takes ours away. */
export interface DeletionCost {
  readonly pod: string;
  readonly cost: number | undefined;
}

export interface DeletionCostInput {
  readonly kind: WorkloadKind;
  readonly sorter: PodSorter["type"];
  /** All pods with the state that they are to have, first to leave first. */
  readonly order: readonly PodInState[];
  /** Pods wanted out of service in each state. */
  readonly desired: { readonly cutoff: number; readonly standby: number };
  /** Pods that are too many. */
  readonly surplus: number;
}

/**
 * The costs that make the right pods go: cut-off pods before all others that are not ready, frozen ones last of these. Where more are
 * frozen than wanted, those that are too many go before the cut-off ones that are still watched. Pods in service are
 * marked only where the order is not the workload's own: the next few, always, so that no scaling comes before its marks.
 *
 * @returns what differs from what stands; nothing for StatefulSets, which don't ask. Costs that are not ours are left alone.
 */
export function planDeletionCosts({ kind, sorter, order, desired, surplus }: DeletionCostInput): DeletionCost[] {
  if (isNumbered(kind)) return [];
  const gated = order.filter(({ gated }) => gated);
  const cutoff = gated.filter(({ state }) => state === "Cutoff");
  const standby = gated.filter(({ state }) => state === "Standby");
  const wanted = new Map<string, number>();
  for (const { name } of cutoff) wanted.set(name, deletionCosts.cutoff);
  for (const { name } of standby) wanted.set(name, deletionCosts.standby);
  // Not scheduled and Pending pods go first whatever they cost.
  const forced = order.filter(({ scheduled, phase }) => !scheduled || phase === "Pending").length;
  const tooMany = [
    ...cutoff.slice(0, excess(cutoff, desired.cutoff)),
    ...standby.slice(0, excess(standby, desired.standby)),
  ];
  const leaving = tooMany.slice(0, Math.max(0, surplus - forced));
  if (leaving.length > 0 && cutoff.some((pod) => !leaving.includes(pod)))
    for (const { name } of leaving) wanted.set(name, deletionCosts.leaving);
  if (sorter !== "WorkloadDefault") {
    const serving = order.filter(({ name, ready }) => ready && !wanted.has(name));
    const few = Math.max(1, Math.ceil(serving.length * markedShare), Math.min(surplus, serving.length));
    const marked = serving.slice(0, Math.min(few, mostMarked));
    for (const [place, { name }] of marked.entries()) wanted.set(name, deletionCosts.next - (marked.length - place));
  }
  return order.flatMap(({ name, cost }) => {
    const next = wanted.get(name);
    return next === cost || (next === undefined && !isOurs(cost)) ? [] : [{ pod: name, cost: next }];
  });
}

function excess(pods: readonly PodInState[], wanted: number): number {
  return Math.max(0, pods.length - wanted);
}

function isOurs(cost: number | undefined): boolean {
  if (cost === undefined) return false;
  const { leaving, cutoff, standby, next } = deletionCosts;
  return [leaving, cutoff, standby].some((each) => each === cost) || (cost < next && cost >= next - mostMarked);
}
