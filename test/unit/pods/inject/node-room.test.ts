import { expect, test } from "vitest";
import { NodeRooms, type PlacedPod } from "../../../../src/pods/inject/node-room.ts";

const node = { cpu: "1", memory: "1Gi" };
const pod = (
  uid: string,
  cpu: string,
  more: Partial<PlacedPod> & { memory?: string; node?: string } = {},
): PlacedPod => ({
  metadata: { uid },
  spec: {
    nodeName: more.node ?? "a",
    containers: [{ name: "main", resources: { requests: { cpu, memory: more.memory ?? "64Mi" } } }],
    ...more.spec,
  },
  status: more.status,
});
const full = { main: { cpu: "400m", memory: "64Mi" } };
const rooms = (pods: readonly PlacedPod[]) =>
  new NodeRooms(
    () => pods,
    (name) => (name === "a" ? node : undefined),
  );

test("a pod that asks for more fits as long as its node's pods leave room", () => {
  const frozen = pod("frozen", "10m");
  expect(rooms([frozen, pod("other", "600m")]).take(frozen, full)).toBe(true);
  expect(rooms([frozen, pod("other", "601m")]).take(frozen, full)).toBe(false);
  expect(rooms([frozen, pod("other", "900m", { node: "b" })]).take(frozen, full)).toBe(true);
  expect(rooms([frozen]).take(frozen, { main: { cpu: "400m", memory: "2Gi" } })).toBe(false);
});

test("room is promised once", () => {
  const [one, two] = [pod("one", "10m"), pod("two", "10m")];
  const both = rooms([one, two, pod("other", "500m")]);
  expect(both.take(one, full)).toBe(true);
  expect(both.take(two, full)).toBe(false);
});

test("what a pod was given counts until it has given it back, and pods that have ended count no more", () => {
  const frozen = pod("frozen", "10m");
  const allocatedResources = { cpu: "700m", memory: "64Mi" };
  const shrinking = pod("other", "10m", { status: { containerStatuses: [{ name: "main", allocatedResources }] } });
  expect(rooms([frozen, shrinking]).take(frozen, full)).toBe(false);
  expect(rooms([frozen, pod("done", "700m", { status: { phase: "Succeeded" } })]).take(frozen, full)).toBe(true);
});

test("sidecars count beside containers, other init containers where they ask for more than all", () => {
  const frozen = pod("frozen", "10m");
  const withInit = (init: NonNullable<NonNullable<PlacedPod["spec"]>["initContainers"]>[number]) =>
    pod("other", "500m", {
      spec: {
        nodeName: "a",
        initContainers: [init],
        containers: [{ name: "main", resources: { requests: { cpu: "500m" } } }],
      },
    });
  const sidecar = { name: "sidecar", restartPolicy: "Always", resources: { requests: { cpu: "101m" } } };
  expect(rooms([frozen, withInit(sidecar)]).take(frozen, full)).toBe(false);
  expect(rooms([frozen, withInit({ name: "init", resources: { requests: { cpu: "101m" } } })]).take(frozen, full)).toBe(
    true,
  );
  expect(rooms([frozen, withInit({ name: "init", resources: { requests: { cpu: "601m" } } })]).take(frozen, full)).toBe(
    false,
  );
});

test("nothing is foretold of a node that is not known", () => {
  const frozen = pod("frozen", "10m", { node: "b" });
  expect(rooms([frozen]).take(frozen, full)).toBe(false);
  const unplaced: PlacedPod = { metadata: {}, spec: { containers: [] } };
  expect(rooms([unplaced]).take(unplaced, full)).toBe(false);
});
