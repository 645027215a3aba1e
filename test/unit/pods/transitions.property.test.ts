import fc from "fast-check";
import { expect, test } from "vitest";
import { isFrozen, isServing } from "../../../src/pods/pod-in-state.ts";
import type { WorkloadKind } from "../../../src/pods/pod-order.ts";
import type { DesiredPods, TransitionPlan } from "../../../src/pods/transition.ts";
import { planTransitions } from "../../../src/pods/transitions.ts";
import { type Nature, SimulatedWorkload } from "./simulated-workload.ts";

const desired = fc.record({ online: fc.nat(8), cutoff: fc.nat(4), standby: fc.nat(4) });
const kinds = fc.constantFrom<WorkloadKind>("ReplicaSet", "StatefulSetParallel", "StatefulSetOrderedReady", "Other");
const able: Nature = { gated: true, sidecar: true, refuses: false };
const natures = fc.array(fc.record({ gated: fc.boolean(), sidecar: fc.boolean(), refuses: fc.boolean() }), {
  minLength: 1,
  maxLength: 5,
});
const rooms = fc.option(fc.nat(8), { nil: undefined });

type Event =
  | { readonly type: "Plan"; readonly done: readonly boolean[] }
  | { readonly type: "Kubelet" | "Sidecar" | "Kill"; readonly pod: number }
  | { readonly type: "Controller" | "Settle" }
  | { readonly type: "Wish"; readonly desired: DesiredPods };

const events = fc.array(
  fc.oneof<fc.Arbitrary<Event>[]>(
    fc.record({ type: fc.constant("Plan" as const), done: fc.array(fc.boolean(), { maxLength: 12 }) }),
    fc.record({ type: fc.constantFrom("Kubelet" as const, "Sidecar" as const, "Kill" as const), pod: fc.nat(12) }),
    fc.record({ type: fc.constantFrom("Controller" as const, "Settle" as const) }),
    fc.record({ type: fc.constant("Wish" as const), desired: desired }),
  ),
  { maxLength: 40 },
);

function planOf(workload: SimulatedWorkload, desired: DesiredPods, notReadyRoom: number | undefined): TransitionPlan {
  const { pods, specReplicas, kind, nowMs } = workload;
  const allowed = { rolloutRunning: false, paused: false, allowedScalingDirection: "Both" as const };
  const input = { pods, desired, specReplicas, kind, ...allowed, notReadyRoom, nowMs };
  return planTransitions({ ...input, sorter: { type: "WorkloadDefault" } });
}

/** What holds of every plan, whatever state the workload is in. */
function expectSound(workload: SimulatedWorkload, desired: DesiredPods, plan: TransitionPlan): void {
  const byName = new Map(workload.pods.map((pod) => [pod.name, pod]));
  const names = plan.transitions.map(({ pod }) => pod);
  expect(new Set(names).size).toBe(names.length);
  let sentAway = 0;
  for (const { pod: name, from, to } of plan.transitions) {
    const pod = byName.get(name)!;
    expect(from).toBe(pod.state);
    expect(to).not.toBe(from);
    if (to !== "Online") expect(pod.gated).toBe(true);
    if (to === "Standby")
      expect(pod).toMatchObject({ sidecar: true, refusesStandby: false, gate: false, ready: false });
    if (from === "Online") {
      expect(to).toBe("Cutoff");
      expect(pod.ready).toBe(true);
      sentAway++;
    }
  }
  const serving = workload.pods.filter(isServing).length;
  expect(sentAway).toBeLessThanOrEqual(Math.max(0, serving - desired.online));
  for (const { pod, online } of plan.gates) if (online) expect(isFrozen(byName.get(pod)!)).toBe(false);
}

/** Lets a workload live through events, and then in peace until nothing changes any more. */
function live(workload: SimulatedWorkload, first: DesiredPods, room: number | undefined, happenings: readonly Event[]) {
  let desired = first;
  const planned = () => {
    const plan = planOf(workload, desired, room);
    expectSound(workload, desired, plan);
    expect(planOf(workload, desired, room)).toEqual(plan);
    return plan;
  };
  for (const event of happenings) {
    const name = "pod" in event ? workload.pods[event.pod % Math.max(1, workload.pods.length)]?.name : undefined;
    if (event.type === "Wish") desired = event.desired;
    else if (event.type === "Controller") workload.workloadController();
    else if (event.type === "Settle") workload.settle();
    else if (event.type === "Plan") {
      let part = 0;
      workload.carryOut(planned(), () => event.done[part++ % Math.max(1, event.done.length)] ?? true);
    } else if (name !== undefined) {
      if (event.type === "Kubelet") workload.kubelet(name);
      if (event.type === "Sidecar") workload.sidecar(name);
      if (event.type === "Kill") workload.kill(name);
    }
  }
  for (let round = 0; round < 60; round++) {
    workload.settle();
    const plan = planned();
    const isDone = plan.transitions.length + plan.gates.length + plan.deletionCosts.length === 0;
    if (isDone && plan.replicas === workload.specReplicas) return { desired, plan };
    workload.carryOut(plan, () => true);
  }
  throw new Error(`no rest after 60 rounds: ${JSON.stringify(planOf(workload, desired, room))}`);
}

function counts({ pods }: SimulatedWorkload) {
  const of = (wanted: string) => pods.filter(({ state }) => state === wanted).length;
  return { online: of("Online"), cutoff: of("Cutoff"), standby: of("Standby") };
}

test("whatever happens in between, pods that can all be frozen end as wanted: all counts, no pod lost, every one in service ready", () => {
  fc.assert(
    fc.property(kinds, fc.nat(12), desired, events, (kind, replicas, first, happenings) => {
      const workload = new SimulatedWorkload(kind, replicas, [able]);
      const { desired } = live(workload, first, undefined, happenings);
      const total = desired.online + desired.cutoff + desired.standby;
      if (kind === "StatefulSetOrderedReady") {
        const cutoff = Math.min(1, desired.cutoff + desired.standby);
        expect(counts(workload)).toEqual({ online: total - cutoff, cutoff, standby: 0 });
      } else expect(counts(workload)).toEqual({ ...desired });
      for (const pod of workload.pods) {
        expect(pod.ready).toBe(pod.state === "Online");
        expect(isFrozen(pod)).toBe(pod.state === "Standby");
      }
    }),
    { numRuns: 400 },
  );
});

test("with pods that can't be cut off or frozen, and little room: at rest too, as many in service as wanted, none beyond the room", () => {
  fc.assert(
    fc.property(kinds, fc.nat(12), natures, desired, rooms, events, (kind, replicas, made, first, room, happenings) => {
      const workload = new SimulatedWorkload(kind, replicas, made);
      const { desired } = live(workload, first, room, happenings);
      const { online, cutoff, standby } = counts(workload);
      expect(online + cutoff + standby).toBe(desired.online + desired.cutoff + desired.standby);
      expect(online).toBeGreaterThanOrEqual(desired.online);
      expect(standby).toBeLessThanOrEqual(desired.standby);
      expect(cutoff + standby).toBeLessThanOrEqual(room ?? Number.POSITIVE_INFINITY);
      for (const pod of workload.pods) expect(pod.ready).toBe(pod.state === "Online");
    }),
    { numRuns: 400 },
  );
});
