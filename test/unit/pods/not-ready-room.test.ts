import { expect, test } from "vitest";
import { type NotReadyRoomInput, notReadyRoom } from "../../../src/pods/not-ready-room.ts";

const budget = (desiredHealthy: number, more: object = {}) => ({
  metadata: { name: "shop", generation: 1 },
  status: { observedGeneration: 1, expectedPods: 10, desiredHealthy },
  ...more,
});

test.each<{ name: string; input: Partial<NotReadyRoomInput>; room: number | undefined; reason: RegExp }>([
  { name: "nothing limits it", input: {}, room: undefined, reason: /no PodDisruptionBudget/ },
  {
    name: "a budget, less the one eviction that a drain needs",
    input: { budgets: [budget(8)] },
    room: 1,
    reason: /shop wants 8 of 10/,
  },
  { name: "the tightest of two budgets", input: { budgets: [budget(8), budget(5)] }, room: 1, reason: /8 of 10/ },
  { name: "a budget that allows nothing", input: { budgets: [budget(10)] }, room: 0, reason: /10 of 10/ },
  {
    name: "a budget that lets unready pods go",
    input: { budgets: [budget(8, { spec: { unhealthyPodEvictionPolicy: "AlwaysAllow" } })] },
    room: undefined,
    reason: /no PodDisruptionBudget/,
  },
  {
    name: "a budget whose status is of an older spec",
    input: { budgets: [budget(8, { metadata: { name: "shop", generation: 2 } })] },
    room: 0,
    reason: /not been worked out/,
  },
  {
    name: "a budget without status",
    input: { budgets: [{ metadata: { name: "shop" } }] },
    room: 0,
    reason: /worked out/,
  },
  {
    name: "Available is kept: a quarter by default",
    input: { keepAvailable: true },
    room: 2,
    reason: /at most 2 of 10/,
  },
  {
    name: "Available is kept: a share of its own, rounded down",
    input: { keepAvailable: true, strategy: { rollingUpdate: { maxUnavailable: "39%" } } },
    room: 3,
    reason: /at most 3/,
  },
  {
    name: "Available is kept: none may be unavailable",
    input: { keepAvailable: true, strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } },
    room: 0,
    reason: /at most 0/,
  },
  {
    name: "Available is kept: neither surge nor unavailable leaves one, as a rollout could not go on",
    input: { keepAvailable: true, strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 0 } } },
    room: 1,
    reason: /at most 1/,
  },
  {
    name: "Recreate is never Available meanwhile",
    input: { keepAvailable: true, strategy: { type: "Recreate" } },
    room: undefined,
    reason: /no Pod/,
  },
  {
    name: "StatefulSets have no such condition",
    input: { kind: "StatefulSetParallel", keepAvailable: true },
    room: undefined,
    reason: /no Pod/,
  },
  { name: "OrderedReady stands one", input: { kind: "StatefulSetOrderedReady" }, room: 1, reason: /OrderedReady/ },
])("$name", ({ input, room, reason }) => {
  const found = notReadyRoom({ kind: "ReplicaSet", replicas: 10, budgets: [], keepAvailable: false, ...input });
  expect(found).toEqual({ room, reason: expect.stringMatching(reason) });
});
