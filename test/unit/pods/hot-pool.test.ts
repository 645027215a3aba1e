import { expect, test } from "vitest";
import { isServing } from "../../../src/pods/pod-in-state.ts";
import type { DesiredPods } from "../../../src/pods/transition.ts";
import { planTransitions } from "../../../src/pods/transitions.ts";
import { SimulatedWorkload } from "./simulated-workload.ts";

const able = { gated: true, sidecar: true, refuses: false };

function planFor(workload: SimulatedWorkload, desired: DesiredPods) {
  const { pods, specReplicas, kind, nowMs } = workload;
  const more = { rolloutRunning: false, paused: false, allowedScalingDirection: "Both" as const };
  return planTransitions({ pods, desired, specReplicas, kind, nowMs, ...more, sorter: { type: "WorkloadDefault" } });
}

function reconcilePods(workload: SimulatedWorkload, desired: DesiredPods): void {
  for (let round = 0; round < 20; round++) {
    workload.carryOut(planFor(workload, desired), () => true);
    workload.settle();
  }
}

function counts({ pods }: SimulatedWorkload) {
  const of = (wanted: string) => pods.filter(({ state }) => state === wanted).length;
  return [of("Online"), of("Cutoff"), of("Standby")];
}

test("a burst is met by the pool before any new pod runs, and the pool is filled again from the new ones", () => {
  const workload = new SimulatedWorkload("ReplicaSet", 9, [able]);
  reconcilePods(workload, { online: 6, cutoff: 0, standby: 3 });
  expect(counts(workload)).toEqual([6, 0, 3]);

  const burst = { online: 9, cutoff: 0, standby: 3 };
  const known = workload.pods.map(({ name }) => name);
  for (let round = 0; round < 4; round++) {
    workload.carryOut(planFor(workload, burst), () => true);
    for (const name of known) {
      workload.sidecar(name);
      workload.kubelet(name);
    }
  }
  expect(workload.pods).toHaveLength(9); // the workload's controller has not even made the new ones
  expect(workload.pods.filter(({ ready }) => ready)).toHaveLength(9);

  reconcilePods(workload, burst);
  expect(counts(workload)).toEqual([9, 0, 3]);
});

test("a pod that dies is stood in for by the pool until its successor is ready", () => {
  const workload = new SimulatedWorkload("ReplicaSet", 8, [able]);
  const desired = { online: 6, cutoff: 0, standby: 2 };
  reconcilePods(workload, desired);
  workload.kill(workload.pods.find(({ state }) => state === "Online")!.name);
  const { transitions } = planFor(workload, desired);
  expect(transitions).toEqual([expect.objectContaining({ from: "Standby", to: "Online" })]);
  reconcilePods(workload, desired);
  expect(counts(workload)).toEqual([6, 0, 2]);
});

test("100 cut-off pods come back in one plan: all labels and all gates", () => {
  const workload = new SimulatedWorkload("ReplicaSet", 140, [able]);
  reconcilePods(workload, { online: 40, cutoff: 100, standby: 0 });
  const plan = planFor(workload, { online: 140, cutoff: 0, standby: 0 });
  expect(plan.transitions.filter(({ to }) => to === "Online")).toHaveLength(100);
  expect(plan.gates.filter(({ online }) => online)).toHaveLength(100);
  workload.carryOut(plan, () => true);
  expect(workload.pods.filter(isServing)).toHaveLength(140);
});
