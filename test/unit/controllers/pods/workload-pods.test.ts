import fc from "fast-check";
import { expect, test } from "vitest";
import { countPods, requestsOf, selectPods, slimPod } from "../../../../src/controllers/pods/workload-pods.ts";
import { readPodInState } from "../../../../src/pods/pod-in-state.ts";
import { iso, podOf } from "../objects.ts";

test("pods are counted by state; those that are being deleted or have ended are not counted", () => {
  const pods = [
    podOf("a", 60),
    podOf("b", undefined),
    podOf("c", 60, { labels: { app: "web", "forescale.io/pod-state": "Cutoff" } }),
    podOf("d", undefined, { labels: { app: "web", "forescale.io/pod-state": "Standby" } }),
    podOf("e", 60, { deletionTimestamp: iso() }),
    podOf("f", undefined, { phase: "Failed" }),
    podOf("g", undefined, { phase: "Succeeded" }),
  ];
  expect(countPods(pods)).toEqual({ online: 1, cutoff: 1, standby: 1, starting: 1, freezing: 1 });
});

test.each([
  { selector: "app=web", names: ["a", "b"] },
  { selector: "app=web,tier in (front)", names: ["b"] },
  { selector: "app!=web", names: ["c"] },
  { selector: "", names: [] },
])("the selector $selector selects $names", ({ selector, names }) => {
  const pods = [
    podOf("a", 60),
    podOf("b", 60, { labels: { app: "web", tier: "front" } }),
    podOf("c", 60, { labels: { app: "other" } }),
  ];
  expect(selectPods(pods, selector).map(({ metadata }) => metadata.name)).toEqual(names);
});

test("requests are those of the newest pod", () => {
  const requests = requestsOf([podOf("old", 60, { cpu: "500m" }), podOf("new", 5, { cpu: "2", createdAgo: 10 })])!;
  expect(requests("cpu")).toBe(2);
  expect(requests("memory")).toBe(64 * 2 ** 20);
  expect(requests("cpu", "main")).toBe(2);
  expect(requests("cpu", "other")).toBeUndefined();
  expect(requests("gpu")).toBeUndefined();
  expect(requestsOf([])).toBeUndefined();
});

test("the sidecar's message is kept, and the reason why the webhook lowered a pod's requests", () => {
  const pod = podOf("a", 1, { phase: "Running" });
  const told = { type: "forescale.io/standby", status: "False", reason: "Refused", message: "Busy: in use" };
  const slim = slimPod({
    ...pod,
    metadata: { ...pod.metadata, annotations: { "forescale.io/not-injected": "only the gate" } },
    status: { ...pod.status, conditions: [told, { type: "Ready", status: "True", message: "of no use" }] },
  });
  expect(readPodInState(slim)).toMatchObject({ notInjected: "only the gate", standby: { message: "Busy: in use" } });
  expect(JSON.stringify(slim)).not.toContain("of no use");
});

test("a slimmed pod keeps every field that is read", () => {
  const states = fc.record({
    ready: fc.option(fc.nat(500), { nil: undefined }),
    phase: fc.constantFrom("Running", "Failed", "Pending"),
    isGoing: fc.boolean(),
  });
  fc.assert(
    fc.property(states, ({ ready, phase, isGoing }) => {
      const pod = podOf("a", ready, { phase, ...(isGoing && { deletionTimestamp: iso() }) });
      const whole = {
        ...pod,
        metadata: { ...pod.metadata, annotations: { large: "x".repeat(5000) } },
        status: { ...pod.status, hostIP: "10.0.0.1" },
      };
      const slim = slimPod(whole);
      expect(JSON.stringify(slim).length).toBeLessThan(1000);
      expect(countPods([slim])).toEqual(countPods([whole]));
      expect(selectPods([slim], "app=web")).toHaveLength(1);
      expect(requestsOf([slim])!("cpu")).toBe(0.5);
    }),
  );
});
