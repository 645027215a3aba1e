import { expect, test } from "vitest";
import { createSchedule } from "../../../../src/portrait/schedule.ts";
import { MemorySnapshot } from "../../../../src/serve/metrics-api/snapshot.ts";
import { handClock, ihpaOf, portraitOf } from "../serve-world.ts";

const hour = 3_600_000;

function setUp() {
  const clock = handClock();
  const snapshot = new MemorySnapshot(clock, createSchedule);
  const decided = (ageMs = 0, name = "web") =>
    ihpaOf(name, { decision: { time: new Date(clock.wallMs() - ageMs).toISOString() } });
  return { clock, snapshot, decided, age: () => snapshot.ihpa("default", "web")?.decisionAgeMs };
}

test("a decision's age is what has passed since, by a clock that never jumps", () => {
  const { clock, snapshot, decided, age } = setUp();
  snapshot.setIhpa(decided(5000));
  clock.advance(10_000);
  expect(age()).toBe(15_000);
  clock.jump(hour);
  expect(age()).toBe(15_000);
  clock.jump(-2 * hour);
  expect(age()).toBe(15_000);
});

test("after a jump of the wall clock a new decision is as young as the last sight allows", () => {
  const { clock, snapshot, decided, age } = setUp();
  snapshot.setIhpa(decided());
  clock.advance(30_000);
  const next = decided();
  clock.jump(hour); // ours jumps; the controller's does not
  snapshot.setIhpa(next);
  expect(age()).toBe(30_000);
});

test("a decision from the future is new, not younger than that", () => {
  const { snapshot, decided, age } = setUp();
  snapshot.setIhpa(decided(-hour));
  expect(age()).toBe(0);
});

test("the same decision seen again does not grow young", () => {
  const { clock, snapshot, decided, age } = setUp();
  const ihpa = decided();
  snapshot.setIhpa(ihpa);
  clock.advance(60_000);
  snapshot.setIhpa({ ...ihpa, metadata: { ...ihpa.metadata, labels: { edited: "yes" } } });
  expect(age()).toBe(60_000);
});

test("an object of the same name that was made anew has nothing of the old one", () => {
  const { clock, snapshot, decided, age } = setUp();
  snapshot.setIhpa(decided());
  snapshot.setTarget("default", "web", 7);
  clock.advance(10_000);
  const anew = decided(hour);
  snapshot.setIhpa({ ...anew, metadata: { ...anew.metadata, uid: "another" } });
  expect(age()).toBe(hour);
  expect(snapshot.ihpa("default", "web")?.target).toBeUndefined();
});

test("portraits are found by owner or label, and leave with their object", () => {
  const { snapshot, decided } = setUp();
  snapshot.setIhpa(decided());
  const predictive = portraitOf("web", "Predictive", {});
  const reactive = portraitOf("other", "Reactive", {});
  const owner = {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "IntelligentHorizontalPodAutoscaler",
    uid: "u",
  };
  snapshot.setPortrait(predictive);
  snapshot.setPortrait({
    ...reactive,
    metadata: { ...reactive.metadata, ownerReferences: [{ ...owner, name: "web" }] },
  });
  const names = () => snapshot.ihpa("default", "web")?.portraits.map(({ metadata }) => metadata.name);
  expect(names()).toEqual(["web-predictive", "other-reactive"]);
  snapshot.setPortrait(reactive); // changed hands
  expect(names()).toEqual(["web-predictive"]);
  snapshot.deletePortrait("default", "web-predictive");
  expect(names()).toEqual([]);
});

test("one namespace never shows another's objects", () => {
  const { snapshot, decided } = setUp();
  const web = decided();
  snapshot.setIhpa({ ...web, metadata: { ...web.metadata, namespace: "other" } });
  snapshot.setPortrait(portraitOf("web", "Predictive", {}));
  expect(snapshot.ihpa("default", "web")).toBeUndefined();
  expect(snapshot.ihpa("other", "web")?.portraits).toEqual([]);
  expect(snapshot.names("default")).toEqual([]);
  expect(snapshot.names("other")).toEqual(["web"]);
});

test("names follow what comes and goes", () => {
  const { snapshot, decided } = setUp();
  for (const name of ["b", "a"]) snapshot.setIhpa(decided(0, name));
  expect(snapshot.names("default")).toEqual(["a", "b"]);
  snapshot.deleteIhpa("default", "a");
  expect(snapshot.names("default")).toEqual(["b"]);
  expect(snapshot.size).toBe(1);
});

test("a rival is another object in the namespace on the same workload, however its version is written", () => {
  const { snapshot } = setUp();
  snapshot.setIhpa(ihpaOf("web"));
  const on = (name: string, scaleTargetRef: object, namespace = "default") =>
    ihpaOf(name, { spec: { scaleTargetRef: scaleTargetRef as never }, metadata: { namespace } });
  const same = { apiVersion: "apps/v1beta2", kind: "Deployment", name: "web" };
  expect(snapshot.rival(on("second", same))).toBe("web");
  expect(snapshot.rival(on("second", { kind: "Deployment", name: "web" }))).toBe("web");
  expect(snapshot.rival(on("web", same))).toBeUndefined();
  expect(snapshot.rival(on("second", { ...same, kind: "StatefulSet" }))).toBeUndefined();
  expect(snapshot.rival(on("second", same, "other"))).toBeUndefined();
});

test("only targets of decisions that grow old are asked for, and none of Previews", () => {
  const { clock, snapshot, decided } = setUp();
  snapshot.setIhpa(decided());
  snapshot.setIhpa(
    ihpaOf("looking", { spec: { scaleMode: "Preview" }, decision: { time: new Date(0).toISOString() } }),
  );
  const aging = () => [...snapshot.aging()].map(({ metadata }) => metadata.name);
  expect(aging()).toEqual([]);
  clock.advance(61_000);
  expect(aging()).toEqual(["web"]);
});

test("a window that can't be read leaves the spec's own limits", () => {
  const { snapshot } = setUp();
  const bounds = [{ name: "odd", timeZone: "Mars/Olympus", start: "0 8 * * *", end: "0 9 * * *", minReplicas: 5 }];
  snapshot.setIhpa(ihpaOf("web", { spec: { bounds } as never, decision: {} }));
  expect(snapshot.ihpa("default", "web")?.schedule).toBeUndefined();
});
