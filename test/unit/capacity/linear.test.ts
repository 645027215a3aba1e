import fc from "fast-check";
import { expect, test } from "vitest";
import { perPodTarget } from "../../../src/capacity/linear.ts";

test("twice the load needs twice the pods", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.001, max: 1e6, noNaN: true }),
      fc.double({ min: 0.001, max: 1e6, noNaN: true }),
      (load, target) => {
        const model = perPodTarget(target);
        expect(model.pods(2 * load)).toBeCloseTo(2 * model.pods(load), 6);
      },
    ),
  );
});

test("a target of zero is refused", () => {
  expect(() => perPodTarget(0)).toThrow("above 0");
});
