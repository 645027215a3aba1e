import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isServing, type PodInState } from "../../../src/pods/pod-in-state.ts";
import type { TransitionInput } from "../../../src/pods/transition.ts";
import { planTransitions } from "../../../src/pods/transitions.ts";
import { pod, pods } from "./pods.ts";

type State = PodInState["state"];
const cutoff = { state: "Cutoff" } as const;
const desired = (online: number, out = 0, standby = 0) => ({ online, cutoff: out, standby });

function plan(
  some: readonly PodInState[],
  external: Record<string, State>,
  input: Partial<TransitionInput> & Pick<TransitionInput, "desired">,
) {
  return planTransitions({
    pods: some,
    specReplicas: some.length,
    kind: "ReplicaSet",
    rolloutRunning: false,
    paused: false,
    allowedScalingDirection: "Both",
    sorter: { type: "WorkloadDefault" },
    external: new Map(Object.entries(external)),
    nowMs: 3_600_000,
    ...input,
  });
}
/** Changes as `a>C`: the pod's name and the first letter of its new state. */
const changes = (...input: Parameters<typeof plan>) =>
  plan(...input)
    .transitions.map(({ pod: name, to }) => `${name}>${to[0]}`)
    .toSorted();

describe("an external program says which pods are in which state", () => {
  const four = pods("web", 4);

  test("those that it names leave, as many as are wanted out of service", () => {
    expect(changes(four, { "web-1": "Cutoff", "web-3": "Cutoff" }, { desired: desired(2, 2) })).toEqual([
      "web-1>C",
      "web-3>C",
    ]);
    expect(
      changes(four, { "web-0": "Cutoff", "web-1": "Cutoff", "web-2": "Cutoff" }, { desired: desired(3, 1) }),
    ).toHaveLength(1);
  });

  test("where it names none, none leaves; pods that are not there change nothing", () => {
    expect(changes(four, {}, { desired: desired(2, 2) })).toEqual([]);
    expect(changes(four, { other: "Cutoff" }, { desired: desired(2, 2) })).toEqual([]);
  });

  test("pods that are missing in service come back whatever it says", () => {
    const some = [...four, pod("cut-0", cutoff), pod("cut-1", cutoff)];
    expect(changes(some, { "cut-0": "Cutoff", "web-1": "Cutoff" }, { desired: desired(6) })).toEqual([
      "cut-0>O",
      "cut-1>O",
    ]);
  });

  test("it exchanges one pod for another: that one comes back first", () => {
    const some = [...four, pod("cut-0", { ...cutoff, gate: false })];
    const external = { "cut-0": "Online", "web-2": "Cutoff" } as const;
    expect(changes(some, external, { desired: desired(4, 1) })).toEqual(["cut-0>O"]);
    const back = [...four, pod("cut-0")];
    expect(changes(back, external, { desired: desired(4, 1) })).toEqual(["web-2>C"]);
  });

  test("a pod is frozen from Cutoff, once it is out of rotation, and only where it can be", () => {
    const ready = pod("cut-0", { ...cutoff, gate: true, ready: true });
    const out = pod("cut-1", { ...cutoff, gate: false });
    const plain = pod("cut-2", { ...cutoff, gate: false, sidecar: false });
    const refuses = pod("cut-3", { ...cutoff, gate: false, refusesStandby: true });
    const some = [...four, ready, out, plain, refuses];
    const external = Object.fromEntries(some.map(({ name }) => [name, "Standby" as const]));
    expect(changes(some, external, { desired: desired(4, 2, 2) })).toEqual(["cut-1>S"]);
  });

  test("a StatefulSet, a rollout, a pause and one direction alone have the last word", () => {
    const external = { "web-0": "Cutoff" } as const;
    const out = { desired: desired(3, 1) };
    expect(changes(four, external, { ...out, kind: "StatefulSetParallel" })).toEqual(["web-3>C"]);
    expect(changes(four, external, { ...out, rolloutRunning: true })).toEqual([]);
    expect(changes(four, external, { ...out, paused: true })).toEqual([]);
    expect(changes(four, external, { ...out, allowedScalingDirection: "Up" })).toEqual([]);
    expect(changes(four, external, { ...out, notReadyRoom: 0 })).toEqual([]);
  });

  test("whatever it says, those wanted in service are left there, and no more are out than wanted", () => {
    const state = fc.constantFrom<State>("Online", "Cutoff", "Standby");
    const one = fc.record({
      state,
      gated: fc.boolean(),
      sidecar: fc.boolean(),
      refusesStandby: fc.boolean(),
      external: fc.option(state),
    });
    const room = fc.option(fc.nat(6), { nil: undefined });
    fc.assert(
      fc.property(
        fc.array(one, { maxLength: 10 }),
        fc.nat(8),
        fc.nat(4),
        fc.nat(4),
        room,
        (all, online, out, standby, notReadyRoom) => {
          const some = all.map(({ external: _, ...facts }, index) => pod(`p-${index}`, facts));
          const external = Object.fromEntries(
            all.flatMap(({ external }, index) => (external ? [[`p-${index}`, external]] : [])),
          );
          const wanted = desired(online, out, standby);
          const { transitions } = plan(some, external, {
            desired: wanted,
            ...(notReadyRoom !== undefined && { notReadyRoom }),
          });
          const leaving = transitions.filter(({ from }) => from === "Online");
          expect(leaving.length).toBeLessThanOrEqual(Math.max(0, some.filter(isServing).length - online));
          const outBefore = some.filter(({ state: is }) => is !== "Online").length;
          const places = Math.min(out + standby, notReadyRoom ?? Number.POSITIVE_INFINITY);
          expect(leaving.length).toBeLessThanOrEqual(Math.max(0, places - outBefore));
          for (const { pod: name, to } of transitions) {
            const { gated, sidecar, refusesStandby, state: from } = some.find((each) => each.name === name)!;
            if (to !== "Online") expect(gated || from !== "Online").toBe(true);
            if (to === "Standby") expect([from, sidecar, refusesStandby]).toEqual(["Cutoff", true, false]);
          }
        },
      ),
    );
  });
});
