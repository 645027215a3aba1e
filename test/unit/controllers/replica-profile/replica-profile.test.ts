import fc from "fast-check";
import { expect, test } from "vitest";
import { replicaProfileSpec } from "../../../../src/api/kinds/replica-profile.ts";
import { applyDefaults } from "../../../../src/api/validation/defaults.ts";
import { replicasWanted } from "../../../../src/controllers/replica-profile/replica-profile-controller.ts";
import { target } from "../objects.ts";

type Written = Partial<Parameters<typeof applyDefaults<typeof replicaProfileSpec>>[1]>;
const profile = (spec: Written) =>
  applyDefaults(replicaProfileSpec, { scaleTargetRef: target, onlineReplicas: 5, ...spec });

test.each<{ name: string; spec: Written; present: number; set: number }>([
  { name: "up", spec: {}, present: 3, set: 5 },
  { name: "down", spec: {}, present: 9, set: 5 },
  { name: "there already", spec: {}, present: 5, set: 5 },
  { name: "paused", spec: { paused: true }, present: 3, set: 3 },
  { name: "the sum of all states", spec: { cutoffReplicas: 2, standbyReplicas: 1 }, present: 3, set: 8 },
  { name: "up where only down is allowed", spec: { allowedScalingDirection: "Down" }, present: 3, set: 3 },
  { name: "down where only down is allowed", spec: { allowedScalingDirection: "Down" }, present: 9, set: 5 },
  { name: "down where only up is allowed", spec: { allowedScalingDirection: "Up" }, present: 9, set: 9 },
  { name: "up where only up is allowed", spec: { allowedScalingDirection: "Up" }, present: 3, set: 5 },
  { name: "neither", spec: { allowedScalingDirection: "Neither" }, present: 3, set: 3 },
])("$name", ({ spec, present, set }) => {
  expect(replicasWanted(profile(spec), present)).toBe(set);
});

test("replicas that were set as wanted are not changed again", () => {
  const counts = fc.nat(1000);
  const direction = fc.constantFrom("Both" as const, "Up" as const, "Down" as const, "Neither" as const);
  fc.assert(
    fc.property(
      counts,
      counts,
      counts,
      counts,
      direction,
      (onlineReplicas, cutoffReplicas, standbyReplicas, present, allowedScalingDirection) => {
        const spec = profile({ onlineReplicas, cutoffReplicas, standbyReplicas, allowedScalingDirection });
        const set = replicasWanted(spec, present);
        expect(replicasWanted(spec, set)).toBe(set);
      },
    ),
  );
});
