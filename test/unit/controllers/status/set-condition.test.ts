import fc from "fast-check";
import { expect, test } from "vitest";
import { type Claim, transitions, withClaims } from "../../../../src/controllers/status/set-condition.ts";

const claim = (status: Claim["status"], reason = "AsExpected"): Claim => ({
  type: "Ready",
  status,
  reason,
  message: "m",
});
const early = "2026-01-01T00:00:00Z";
const late = "2026-01-02T00:00:00Z";

test.each([
  { name: "a first claim begins now", before: undefined, after: claim("True"), since: late },
  { name: "the same status keeps its time", before: claim("True"), after: claim("True"), since: early },
  { name: "another reason alone keeps its time", before: claim("True"), after: claim("True", "Preview"), since: early },
  { name: "another status begins now", before: claim("True"), after: claim("False"), since: late },
])("$name", ({ before, after, since }) => {
  const held = before && withClaims(undefined, [before], 1, early);
  expect(withClaims(held, [after], 2, late)).toEqual([{ ...after, observedGeneration: 2, lastTransitionTime: since }]);
});

test.each([
  { name: "new", before: undefined, after: claim("True"), count: 1 },
  { name: "the same", before: claim("True"), after: claim("True"), count: 0 },
  { name: "another message", before: claim("True"), after: { ...claim("True"), message: "other" }, count: 0 },
  { name: "another reason", before: claim("True"), after: claim("True", "Paused"), count: 1 },
  { name: "another status", before: claim("True"), after: claim("Unknown"), count: 1 },
])("a transition is a change of status or reason: $name", ({ before, after, count }) => {
  expect(transitions(before && withClaims(undefined, [before], 1, early), [after])).toHaveLength(count);
});

test("repeated claims change nothing", () => {
  const claims = fc.uniqueArray(
    fc.record({
      type: fc.constantFrom("Ready", "Paused", "Fallback", "HPAActive"),
      status: fc.constantFrom("True" as const, "False" as const, "Unknown" as const),
      reason: fc.constantFrom("AsExpected", "Held"),
      message: fc.string(),
    }),
    { selector: ({ type }) => type },
  );
  fc.assert(
    fc.property(claims, claims, (first, second) => {
      const held = withClaims(withClaims(undefined, first, 1, early), second, 1, late);
      expect(withClaims(held, second, 1, "2026-01-03T00:00:00Z")).toEqual(held);
      expect(transitions(held, second)).toEqual([]);
      expect(held.map(({ type }) => type)).toEqual(second.map(({ type }) => type));
    }),
  );
});
