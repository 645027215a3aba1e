import { describe, expect, test } from "vitest";
import { readinessDelayMs } from "../../../src/pods/pod-in-state.ts";
import type { TransitionInput } from "../../../src/pods/transition.ts";
import { planTransitions } from "../../../src/pods/transitions.ts";
import { pod, pods } from "./pods.ts";

const cutoff = { state: "Cutoff" } as const;
const standby = { state: "Standby" } as const;
const starting = { ready: false, containersReady: false } as const;
const pending = { ...starting, phase: "Pending" } as const;

function plan(input: Pick<TransitionInput, "pods"> & Partial<TransitionInput>) {
  return planTransitions({
    desired: { online: input.pods.length, cutoff: 0, standby: 0 },
    specReplicas: input.pods.length,
    kind: "ReplicaSet",
    rolloutRunning: false,
    paused: false,
    allowedScalingDirection: "Both",
    sorter: { type: "WorkloadDefault" },
    nowMs: 3_600_000,
    ...input,
  });
}

/** Changes as `a>C`: the pod's name and the first letter of its new state. */
function changes(input: Parameters<typeof plan>[0]): string[] {
  return plan(input).transitions.map(({ pod: name, to }) => `${name}>${to[0]}`);
}

const desired = (online: number, cutoff = 0, standby = 0) => ({ online, cutoff, standby });

describe("back by the shortest way", () => {
  const fleet = [...pods("on", 6), ...pods("cut", 2, cutoff), ...pods("ice", 2, standby)];

  test("one is missing: it comes from Cutoff", () => {
    expect(changes({ pods: fleet, desired: desired(7, 1, 2) })).toHaveLength(1);
    expect(changes({ pods: fleet, desired: desired(7, 1, 2) })[0]).toMatch(/^cut-.>O/);
  });

  test("three are missing: Cutoff first, then Standby", () => {
    expect(changes({ pods: fleet, desired: desired(9, 0, 1) }).map((change) => change[0])).toEqual(["c", "c", "i"]);
  });

  test("more are missing than there are: all come back, and the pool is spent before new pods start", () => {
    expect(changes({ pods: fleet, desired: desired(14, 0, 2) })).toHaveLength(4);
    expect(plan({ pods: fleet, desired: desired(14, 0, 2) }).replicas).toBe(16);
  });

  test("pods still starting don't serve: others come back meanwhile", () => {
    const some = [...pods("on", 6), ...pods("new", 1, starting), ...pods("ice", 1, standby)];
    expect(changes({ pods: some, desired: desired(7, 0, 1) })).toEqual(["ice-0>O"]);
  });

  test("a pod on its way back counts, so that no second one is woken for it", () => {
    const waking = pod("ice-0", {
      ready: false,
      containersReady: false,
      gate: false,
      standby: { frozen: false, reason: "Resuming" },
    });
    const some = [...pods("on", 6), waking, pod("ice-1", standby)];
    expect(changes({ pods: some, desired: desired(7, 0, 1) })).toEqual([]);
  });

  test("a pod that can't get its requests back stays frozen and another wakes", () => {
    const some = [...pods("on", 6), pod("ice-0", standby), pod("ice-1", { ...standby, wakeRefused: true })];
    expect(changes({ pods: some, desired: desired(7, 0, 1) })).toEqual(["ice-0>O"]);
  });

  test("a cut-off pod that is not well comes back last", () => {
    const some = [...pods("on", 6), pod("cut-0", { ...cutoff, containersReady: false }), pod("cut-1", cutoff)];
    expect(changes({ pods: some, desired: desired(7, 1) })).toEqual(["cut-1>O"]);
  });

  test("cut-off pods that somebody else keeps from being deleted serve again", () => {
    const some = [...pods("on", 6), ...pods("cut", 4, cutoff)];
    expect(changes({ pods: some, desired: desired(6) })).toEqual([]);
    expect(changes({ pods: some, desired: desired(6), isKept: true })).toHaveLength(4);
    const rest = { pods: pods("on", 10), desired: desired(6), isKept: true };
    expect(plan(rest)).toMatchObject({ transitions: [], replicas: 6 });
  });

  test("nobody leaves while one comes back", () => {
    const some = [...pods("on", 6), ...pods("cut", 2, cutoff)];
    expect(changes({ pods: some, desired: desired(7, 0, 1) })).toEqual([expect.stringMatching(/cut-.>O/)]);
  });
});

describe("out of service", () => {
  test("a surplus goes to Cutoff", () => {
    expect(changes({ pods: pods("on", 10), desired: desired(8, 2) })).toHaveLength(2);
  });

  test("only into states that are wanted: the rest waits for the replicas to fall", () => {
    const planned = plan({ pods: pods("on", 10), desired: desired(6, 1) });
    expect(planned.transitions).toHaveLength(1);
    expect(planned.replicas).toBe(7);
  });

  test("into Standby by way of Cutoff, once the gate has taken effect", () => {
    const input = { desired: desired(8, 0, 2) };
    const first = plan({ pods: pods("on", 10), ...input });
    expect(first.transitions.map(({ to }) => to)).toEqual(["Cutoff", "Cutoff"]);
    const stillReady = [...pods("on", 8), ...pods("cut", 2, { ...cutoff, ready: true, gate: true })];
    expect(changes({ pods: stillReady, ...input })).toEqual([]);
    const out = [...pods("on", 8), ...pods("cut", 2, cutoff)];
    expect(changes({ pods: out, ...input })).toEqual(["cut-0>S", "cut-1>S"]);
  });

  test("pods that can be frozen leave first where Standby is wanted", () => {
    const some = [...pods("a", 3, { sidecar: false }), pod("b-0"), ...pods("c", 3, { sidecar: false })];
    expect(changes({ pods: some, desired: desired(6, 0, 1) })).toEqual(["b-0>C"]);
  });

  test("without the sidecar Cutoff is as far as it goes, and why is said", () => {
    const some = [...pods("on", 8), ...pods("cut", 2, { ...cutoff, sidecar: false })];
    const planned = plan({ pods: some, desired: desired(8, 0, 2) });
    expect(planned.transitions).toEqual([]);
    expect(planned.held).toMatchObject({
      reason: "StandbyNotPossible",
      message: expect.stringContaining("2 without the sidecar"),
    });
  });

  test("a pod that refused to be frozen goes back to Cutoff and is not asked again", () => {
    const refused = {
      ready: false,
      gate: false,
      containersReady: true,
      refusesStandby: true,
      standby: { frozen: false, reason: "Refused" },
    };
    const some = [...pods("on", 9), pod("no-0", { state: "Standby", ...refused })];
    expect(plan({ pods: some, desired: desired(9, 0, 1) }).transitions).toEqual([
      { pod: "no-0", from: "Standby", to: "Cutoff", reason: "StandbyRefused" },
    ]);
    expect(
      changes({ pods: [...pods("on", 9), pod("no-0", { state: "Cutoff", ...refused })], desired: desired(9, 0, 1) }),
    ).toEqual([]);
  });

  test("a pod without the gate is never cut off, and the object says so", () => {
    const planned = plan({ pods: [...pods("old", 3, { gated: false }), ...pods("on", 1)], desired: desired(2, 2) });
    expect(planned.transitions.map(({ pod: name }) => name)).toEqual(["on-0"]);
    expect(planned.held).toMatchObject({ reason: "PodsNotGated", message: expect.stringContaining("3 of 4 pods") });
  });

  test("pods that have the label and no gate were made without the webhook, which is external with another remedy", () => {
    const missed = pods("missed", 3, { gated: false, asksForGate: true });
    const { held } = plan({ pods: missed, desired: desired(1, 2) });
    expect(held?.message).toMatch(/^3 of 3 pods have no .*; 3 have the label .*: restart the rollout$/);
    expect(
      plan({ pods: [...missed, ...pods("old", 1, { gated: false })], desired: desired(1, 3) }).held?.message,
    ).toMatch(/^4 of 4 .*label the pod template .*; 3 have the label/);
  });

  test("what the webhook said of a pod, and why a sidecar refused, is quoted where it matters", () => {
    const notInjected = "forescale.io/inject: nothing was added: the pod is for Windows";
    const ungated = pods("bare", 2, { gated: false, asksForGate: true, notInjected });
    expect(plan({ pods: ungated, desired: desired(1, 1) }).held?.message).toContain(
      `the webhook noted on bare-0: ${notInjected}`,
    );
    const out = { ...cutoff, ready: false };
    const bare = pod("bare-0", { ...out, sidecar: false, notInjected: "only the readiness gate was added" });
    expect(plan({ pods: [...pods("on", 3), bare], desired: desired(3, 0, 1) }).held?.message).toContain(
      "1 without the sidecar (the webhook noted on bare-0: only the readiness gate was added)",
    );
    const standby = { frozen: false, reason: "Refused", message: "Busy: 2 connections are still in use" };
    const busy = pod("busy-0", { ...out, refusesStandby: true, standby });
    expect(plan({ pods: [...pods("on", 3), busy], desired: desired(3, 0, 1) }).held?.message).toContain(
      "1 that refused it (busy-0: Busy: 2 connections are still in use), asked again after five minutes",
    );
  });

  test("a label on a pod without the gate is taken off: it serves all the time", () => {
    const some = [...pods("on", 3), pod("old-0", { ...cutoff, gated: false, ready: true })];
    expect(plan({ pods: some, desired: desired(4) }).transitions).toEqual([
      { pod: "old-0", from: "Cutoff", to: "Online", reason: "NotGated" },
    ]);
  });

  test("pods that are starting are left alone", () => {
    const some = [...pods("on", 6), ...pods("new", 4, starting)];
    expect(changes({ pods: some, desired: desired(6, 4) })).toEqual([]);
  });

  test("not more than the room of pods that are not ready", () => {
    const planned = plan({ pods: pods("on", 10), desired: desired(6, 4), notReadyRoom: 2, notReadyReason: "a budget" });
    expect(planned.transitions).toHaveLength(2);
    expect(planned.held).toMatchObject({
      reason: "NoRoomForNotReady",
      message: expect.stringContaining("at most 2 may be not ready: a budget"),
    });
  });

  test("a room that shrank brings pods back", () => {
    const some = [...pods("on", 6), ...pods("cut", 4, cutoff)];
    expect(changes({ pods: some, desired: desired(6, 4), notReadyRoom: 1 })).toHaveLength(3);
  });

  test("frozen pods that are wanted cut off are thawed, but not those that are to be deleted", () => {
    const some = [...pods("on", 8), ...pods("ice", 2, standby)];
    expect(changes({ pods: some, desired: desired(8, 2) })).toEqual([
      expect.stringMatching(/>C/),
      expect.stringMatching(/>C/),
    ]);
    expect(changes({ pods: some, desired: desired(8, 1) })).toEqual([]);
  });
});

describe("what holds", () => {
  const fleet = [...pods("on", 6), ...pods("cut", 2, cutoff)];

  test("a rollout: no pod changes state, and new pods are gated True at once", () => {
    const fresh = pod("new-0", { ...pending, gate: undefined });
    const planned = plan({ pods: [...fleet, fresh], desired: desired(8), rolloutRunning: true });
    expect(planned.transitions).toEqual([]);
    expect(planned.gates).toEqual([{ pod: "new-0", online: true }]);
    expect(planned.held?.reason).toBe("RolloutUnderWay");
  });

  test("a rollout with Pending pods: the replicas don't fall, as these would go first", () => {
    const some = [...pods("on", 8), ...pods("new", 2, pending)];
    expect(plan({ pods: some, desired: desired(7), rolloutRunning: true }).replicas).toBe(10);
    expect(plan({ pods: some, desired: desired(7) }).replicas).toBe(7);
  });

  test("the replicas don't fall while cut-off pods come back: they would go before they serve", () => {
    const some = [...pods("on", 6), ...pods("new", 1, pending), ...pods("cut", 3, cutoff)];
    const planned = plan({ pods: some, desired: desired(7) });
    expect(planned.transitions).toHaveLength(1);
    expect(planned.replicas).toBe(10);
  });

  test("paused: nothing but gates of new pods", () => {
    const planned = plan({
      pods: [...fleet, pod("new-0", { ...starting, gate: undefined })],
      desired: desired(2),
      paused: true,
    });
    expect(planned).toMatchObject({ transitions: [], replicas: 9, held: { reason: "Paused" } });
    expect(planned.gates).toEqual([{ pod: "new-0", online: true }]);
  });

  test.each([
    { allowedScalingDirection: "Up" as const, back: 1, out: 0 },
    { allowedScalingDirection: "Down" as const, back: 0, out: 1 },
    { allowedScalingDirection: "Neither" as const, back: 0, out: 0 },
  ])("direction $allowedScalingDirection", ({ allowedScalingDirection, back, out }) => {
    expect(changes({ pods: fleet, desired: desired(7, 1), allowedScalingDirection })).toHaveLength(back);
    expect(changes({ pods: fleet, desired: desired(5, 3), allowedScalingDirection })).toHaveLength(out);
  });
});

describe("gates", () => {
  test("never True before the thaw", () => {
    const waking = (reason: string, frozen = false) =>
      pod("ice-0", { ready: false, gate: false, containersReady: false, standby: { frozen, reason } });
    expect(plan({ pods: [waking("Image", true)] }).gates).toEqual([]);
    expect(plan({ pods: [waking("Resuming")] }).gates).toEqual([]);
    expect(plan({ pods: [waking("Online")] }).gates).toEqual([{ pod: "ice-0", online: true }]);
    expect(plan({ pods: [waking("StandbyFailed")] }).gates).toEqual([{ pod: "ice-0", online: true }]);
  });

  test("a pod that runs again counts until the kubelet has asked it: no second one wakes for it", () => {
    const back = (facts: object) =>
      pod("ice-0", { ready: false, containersReady: false, standby: { frozen: false, reason: "Online" }, ...facts });
    const others = [...pods("on", 2), pod("cold-0", { state: "Standby" })];
    expect(changes({ pods: [...others, back({ isBack: true })], desired: desired(3, 0, 1) })).toEqual([]);
    // One that is not ready for another reason serves nobody.
    expect(changes({ pods: [...others, back({})], desired: desired(3, 0, 1) })).toEqual(["cold-0>O"]);
  });

  test("how long the kubelet may take is its readiness probes' to say", () => {
    const delay = (...probes: object[]) =>
      readinessDelayMs({ metadata: {}, spec: { containers: probes.map((readinessProbe) => ({ readinessProbe })) } });
    expect(readinessDelayMs({ metadata: {} })).toBe(5000);
    expect(delay({}, { periodSeconds: 1, timeoutSeconds: 1, successThreshold: 1 })).toBe(16_000);
    expect(delay({ periodSeconds: 20, timeoutSeconds: 5, successThreshold: 2 })).toBe(55_000);
  });

  test("a thaw that nobody reports ends by the gate alone", () => {
    const silent = pod("ice-0", {
      ready: false,
      gate: false,
      standby: { frozen: true, reason: "Image" },
      wakeOverdue: true,
    });
    expect(plan({ pods: [silent] }).gates).toEqual([{ pod: "ice-0", online: true }]);
  });

  test("False with the label of Cutoff, in the same plan", () => {
    const planned = plan({ pods: pods("on", 2), desired: desired(1, 1) });
    expect(planned.gates).toEqual([{ pod: planned.transitions[0].pod, online: false }]);
  });

  test("pods without the gate have none to set", () => {
    expect(plan({ pods: pods("old", 3, { gated: false, gate: undefined }) }).gates).toEqual([]);
  });
});

describe("StatefulSets", () => {
  const parallel = { kind: "StatefulSetParallel" as const };
  const ordered = { kind: "StatefulSetOrderedReady" as const };

  test("Parallel: the highest ordinals leave, the lowest come back", () => {
    expect(changes({ ...parallel, pods: pods("w", 6), desired: desired(4, 2) })).toEqual(["w-5>C", "w-4>C"]);
    const out = [...pods("w", 4), ...pods("w", 2, cutoff, 4)];
    expect(changes({ ...parallel, pods: out, desired: desired(5, 1) })).toEqual(["w-4>O"]);
  });

  test("Parallel: no deletion costs, as nobody reads them there", () => {
    expect(plan({ ...parallel, pods: pods("w", 6), desired: desired(4, 2) }).deletionCosts).toEqual([]);
  });

  test("Parallel: a cut-off pod below one that serves changes places with it, the one that comes back first", () => {
    const some = [...pods("w", 4), pod("w-4", cutoff), pod("w-5")];
    expect(plan({ ...parallel, pods: some, desired: desired(5, 1) }).transitions).toEqual([
      { pod: "w-4", from: "Cutoff", to: "Online", reason: "OutOfOrder" },
    ]);
    expect(changes({ ...parallel, pods: pods("w", 6), desired: desired(5, 1) })).toEqual(["w-5>C"]);
  });

  test("OrderedReady: one Cutoff, the top ordinal, no Standby, and it says so", () => {
    const planned = plan({ ...ordered, pods: pods("w", 6), desired: desired(3, 2, 1) });
    expect(planned.transitions.map(({ pod: name, to }) => [name, to])).toEqual([["w-5", "Cutoff"]]);
    expect(planned.held).toMatchObject({
      reason: "OrderedReady",
      message: expect.stringContaining("podManagementPolicy: Parallel"),
    });
  });

  test("OrderedReady: none is cut off while another is not ready", () => {
    expect(
      changes({ ...ordered, pods: [pod("w-0"), pod("w-1", starting), pod("w-2")], desired: desired(1, 1) }),
    ).toEqual([]);
  });

  test("OrderedReady: lower by one, and not at all while one below the top is not ready", () => {
    expect(plan({ ...ordered, pods: pods("w", 6), desired: desired(3) }).replicas).toBe(5);
    const blocked = [pod("w-0"), pod("w-1", starting), ...pods("w", 4, {}, 2)];
    expect(plan({ ...ordered, pods: blocked, desired: desired(3) }).replicas).toBe(6);
  });

  test("OrderedReady: whoever wants more ordinals, or an update, gets the cut-off pod back first", () => {
    const some = [...pods("w", 5), pod("w-5", cutoff)];
    expect(changes({ ...ordered, pods: some, desired: desired(5, 2) })).toEqual(["w-5>O"]);
    expect(changes({ ...ordered, pods: some, desired: desired(5, 1), rolloutRunning: true })).toEqual(["w-5>O"]);
  });
});
