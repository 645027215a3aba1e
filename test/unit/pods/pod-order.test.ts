import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planDeletionCosts } from "../../../src/pods/deletion-costs.ts";
import type { PodInState } from "../../../src/pods/pod-in-state.ts";
import { leaveOrder, type PodSorter } from "../../../src/pods/pod-order.ts";
import { replicaSetRanking } from "../../../src/pods/replica-set-ranking.ts";
import { planTransitions } from "../../../src/pods/transitions.ts";
import { pod, pods } from "./pods.ts";

const nowMs = 100_000_000;
const names = (ranked: readonly PodInState[]) => ranked.map(({ name }) => name);

describe("a ReplicaSet's own ranking", () => {
  // Each row: the first goes before the second, whatever the uid says.
  test.each<{ name: string; first: Partial<PodInState>; second: Partial<PodInState> }>([
    { name: "not scheduled before scheduled", first: { scheduled: false, cost: 9 }, second: { cost: -9 } },
    {
      name: "Pending before Running, whatever they cost",
      first: { phase: "Pending", cost: 9 },
      second: { ready: false, cost: -9 },
    },
    { name: "not ready before ready, whatever they cost", first: { ready: false, cost: 9 }, second: { cost: -9 } },
    { name: "the cheaper", first: { cost: -1 }, second: {} },
    {
      name: "the one ready for a shorter time, in powers of two",
      first: { readySinceMs: nowMs - 1000 },
      second: { readySinceMs: nowMs - 9000 },
    },
    { name: "the one restarted more often", first: { restarts: 2 }, second: { restarts: 1 } },
    { name: "the younger", first: { createdMs: nowMs - 1000 }, second: { createdMs: nowMs - 9000 } },
    { name: "the uid, where ages are alike", first: { createdMs: nowMs - 1000 }, second: { createdMs: nowMs - 1001 } },
  ])("$name", ({ first, second }) => {
    const [a, b] = [pod("a", { uid: "1", ...first }), pod("b", { uid: "2", ...second })];
    expect(names(replicaSetRanking([b, a], nowMs))).toEqual(["a", "b"]);
    if (first.createdMs === undefined || second.createdMs === nowMs - 9000) {
      const [c, d] = [pod("a", { uid: "2", ...first }), pod("b", { uid: "1", ...second })];
      expect(names(replicaSetRanking([d, c], nowMs))).toEqual(["a", "b"]);
    }
  });

  test("doubled up on one node before alone on another", () => {
    const some = [pod("a", { node: "x" }), pod("b", { node: "y" }), pod("c", { node: "y" })];
    expect(names(replicaSetRanking(some, nowMs)).at(-1)).toBe("a");
  });
});

describe("Cost", () => {
  const order = (some: readonly PodInState[], nodesToEmpty?: string[]) =>
    names(leaveOrder(some, "ReplicaSet", { type: "Cost", nodesToEmpty }, nowMs));

  test("nodes that are to be emptied first, in their order", () => {
    const some = [pod("a", { node: "x" }), pod("b", { node: "y" }), pod("c", { node: "z" })];
    expect(order(some, ["z", "y"])).toEqual(["c", "b", "a"]);
  });

  test("zones stay even: each next one from the zone with most left", () => {
    const zoneOf = (name: string) => (name.startsWith("a") ? "east" : "west");
    const some = [...pods("a", 4), ...pods("b", 2)].map((each) => ({ ...each, zone: zoneOf(each.name) }));
    const left = order(some).slice(2);
    expect(left.filter((name) => name.startsWith("a"))).toHaveLength(2);
    expect(left.slice(2).map(zoneOf).toSorted()).toEqual(["east", "west"]);
  });

  test("the node with fewest of the pods, so that it becomes empty", () => {
    const some = [pod("a", { node: "x" }), pod("b", { node: "x" }), pod("c", { node: "y" })];
    expect(order(some)[0]).toBe("c");
  });

  test("on a node: restarted most, then youngest", () => {
    const some = [pod("a", { createdMs: 1 }), pod("b", { createdMs: 2 }), pod("c", { restarts: 1 })];
    expect(order(some)).toEqual(["c", "b", "a"]);
  });
});

test("External: the order given, and those that it does not name last", () => {
  const sorter: PodSorter = { type: "External", order: ["c", "gone", "a"] };
  expect(names(leaveOrder([pod("a"), pod("b"), pod("c")], "ReplicaSet", sorter, nowMs))).toEqual(["c", "a", "b"]);
});

test("a StatefulSet's pods leave from the highest ordinal, whoever sorts", () => {
  const sorter: PodSorter = { type: "External", order: ["w-1", "w-0"] };
  expect(names(leaveOrder(pods("w", 12), "StatefulSetParallel", sorter, nowMs)).slice(0, 3)).toEqual([
    "w-11",
    "w-10",
    "w-9",
  ]);
});

const anyPod = fc.record({
  state: fc.constantFrom("Online" as const, "Cutoff" as const, "Standby" as const),
  isReady: fc.boolean(),
  isPending: fc.boolean(),
  node: fc.constantFrom("x", "y", "z"),
  zone: fc.constantFrom("east", "west"),
  createdMs: fc.nat(nowMs),
  restarts: fc.nat(3),
});
const fleets = fc.array(anyPod, { minLength: 1, maxLength: 20 }).map((all) =>
  all.map(({ state, isReady, isPending, ...facts }, index) => {
    if (state !== "Online") return pod(`p${index}`, { state, ...facts });
    const phase = isPending ? ("Pending" as const) : ("Running" as const);
    return pod(`p${index}`, { phase, ready: isReady && !isPending, containersReady: isReady && !isPending, ...facts });
  }),
);
const sorters = fc.constantFrom<PodSorter["type"]>("WorkloadDefault", "Cost", "External");

function sorterOf(type: PodSorter["type"], fleet: readonly PodInState[]): PodSorter {
  return type === "External" ? { type, order: names(fleet.toReversed()) } : { type };
}

test("every sorter names every pod once", () => {
  fc.assert(
    fc.property(fleets, sorters, (fleet, type) => {
      const order = leaveOrder(fleet, "ReplicaSet", sorterOf(type, fleet), nowMs);
      expect(names(order).toSorted()).toEqual(names(fleet).toSorted());
    }),
  );
});

/** What a ReplicaSet deletes once the costs of a plan stand. */
function deleted(
  fleet: readonly PodInState[],
  sorter: PodSorter,
  desired: { cutoff: number; standby: number },
  count: number,
) {
  const order = leaveOrder(fleet, "ReplicaSet", sorter, nowMs);
  const costs = planDeletionCosts({ kind: "ReplicaSet", sorter: sorter.type, order, desired, surplus: count });
  const byName = new Map(costs.map(({ pod: name, cost }) => [name, cost]));
  const marked = fleet.map((each) => (byName.has(each.name) ? { ...each, cost: byName.get(each.name) } : each));
  return { victims: replicaSetRanking(marked, nowMs).slice(0, count), order, marked };
}

test("Pending go first, then cut-off, then starting, then frozen, then those in service, in the sorter's order", () => {
  const classOf = ({ phase, state, ready }: PodInState) =>
    phase === "Pending" ? 0 : state === "Cutoff" ? 1 : state === "Standby" ? 3 : ready ? 4 : 2;
  fc.assert(
    fc.property(fleets, sorters, fc.nat(20), (fleet, type, count) => {
      const sorter = sorterOf(type, fleet);
      const { victims, order } = deleted(fleet, sorter, { cutoff: fleet.length, standby: fleet.length }, count);
      const classes = victims.map(classOf);
      expect(classes).toEqual(classes.toSorted((a, b) => a - b));
      const serving = names(order.filter((each) => classOf(each) === 4));
      const gone = names(victims.filter((each) => classOf(each) === 4));
      if (type !== "WorkloadDefault") expect(gone).toEqual(serving.slice(0, gone.length));
    }),
  );
});

test("frozen pods beyond the pool go before cut-off pods that are still watched", () => {
  const fleet = [...pods("on", 4), ...pods("cut", 2, { state: "Cutoff" }), ...pods("ice", 3, { state: "Standby" })];
  const { victims } = deleted(fleet, { type: "WorkloadDefault" }, { cutoff: 2, standby: 1 }, 2);
  expect(victims.every(({ state }) => state === "Standby")).toBe(true);
});

test("with the marks of Cost the chosen ones go even when nobody knew of a fall: the next few are always marked", () => {
  const fleet = [pod("a", { node: "x" }), ...pods("b", 8, { node: "y" })];
  const input = {
    pods: fleet,
    desired: { online: 9, cutoff: 0, standby: 0 },
    specReplicas: 9,
    kind: "ReplicaSet" as const,
  };
  const more = { rolloutRunning: false, paused: false, allowedScalingDirection: "Both" as const, nowMs };
  const { deletionCosts } = planTransitions({ ...input, ...more, sorter: { type: "Cost", nodesToEmpty: ["x"] } });
  expect(deletionCosts).toEqual([{ pod: "a", cost: expect.any(Number) }]);
  const marked = fleet.map((each) => (each.name === "a" ? { ...each, cost: deletionCosts[0].cost } : each));
  expect(replicaSetRanking(marked, nowMs)[0].name).toBe("a");
});

test("costs that stand are not written again; ours go with what they were for; others' stay", () => {
  const fleet = [
    pod("cut", { state: "Cutoff", cost: -1000 }),
    pod("back", { cost: -1000 }),
    pod("marked", { cost: -1105 }),
    pod("theirs", { cost: 7 }),
  ];
  const costs = planDeletionCosts({
    kind: "ReplicaSet",
    sorter: "WorkloadDefault",
    order: fleet,
    desired: { cutoff: 1, standby: 0 },
    surplus: 0,
  });
  expect(costs).toEqual([
    { pod: "back", cost: undefined },
    { pod: "marked", cost: undefined },
  ]);
});
