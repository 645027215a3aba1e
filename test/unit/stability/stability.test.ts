import { describe, expect, test } from "vitest";
import type { MetricSpec } from "../../../src/api/fields/metrics.ts";
import { checkMetrics } from "../../../src/stability/check-metrics.ts";
import { checkRegression } from "../../../src/stability/check-regression.ts";
import {
  type CheckerReading,
  type CheckResult,
  decideStability,
  type StabilityState,
} from "../../../src/stability/stability.ts";

const passed: CheckResult = { kind: "Passed" };
const failed: CheckResult = { kind: "Failed", message: "errors rise" };
const unknown: CheckResult = { kind: "Unknown", message: "no answer" };

function checker(
  result: CheckResult,
  stabilizationAction: "Pause" | "Rollback" = "Rollback",
  name = "a",
): CheckerReading {
  return { name, stabilizationAction, coolDownSeconds: 60, result };
}

/** The actions at each second that is given, one checker. */
function actions(results: readonly (readonly [second: number, result: CheckResult])[], action?: "Pause" | "Rollback") {
  let state: StabilityState | undefined;
  return results.map(([second, result]) => {
    const decision = decideStability(state, [checker(result, action)], second * 1000);
    state = decision.state;
    return `${decision.action}/${decision.reason}`;
  });
}

describe("checkers", () => {
  test("without checkers, or when all pass, changes go on", () => {
    expect(decideStability(undefined, [], 0).action).toBe("GoOn");
    expect(decideStability(undefined, [checker(passed)], 0).action).toBe("GoOn");
  });

  test("a failed checker acts until it has passed for its cool-down", () => {
    expect(
      actions([
        [0, passed],
        [10, failed],
        [20, failed],
        [30, passed],
        [79, passed],
        [80, passed],
      ]),
    ).toEqual([
      "GoOn/ChecksPassed",
      "Rollback/CheckFailed",
      "Rollback/CheckFailed",
      "Rollback/CoolingDown",
      "Rollback/CoolingDown",
      "GoOn/ChecksPassed",
    ]);
    expect(
      actions(
        [
          [0, failed],
          [10, passed],
        ],
        "Pause",
      ),
    ).toEqual(["Pause/CheckFailed", "Pause/CoolingDown"]);
  });

  test("an Unknown checker pauses changes and rolls nothing back", () => {
    expect(
      actions([
        [0, unknown],
        [10, unknown],
        [20, passed],
      ]),
    ).toEqual(["Pause/CheckUnknown", "Pause/CheckUnknown", "GoOn/ChecksPassed"]);
  });

  test("a checker that failed and is Unknown since then has not passed: its cool-down begins once it does", () => {
    expect(
      actions([
        [0, failed],
        [50, unknown],
        [100, passed],
        [115, passed],
        [160, passed],
      ]).map((each) => each.split("/")[0]),
    ).toEqual(["Rollback", "Rollback", "Rollback", "GoOn", "GoOn"]);
  });

  test("a checker that failed and is Unknown since then reports both", () => {
    const first = decideStability(undefined, [checker(failed)], 0);
    const second = decideStability(first.state, [checker(unknown)], 1000);
    expect(second.message).toBe("a failed: errors rise; now its result is unknown: no answer");
    const third = decideStability(second.state, [checker(unknown)], 2000);
    expect(third.message).toBe(second.message);
  });

  test("Rollback wins over Pause, and the message names the checker", () => {
    const decision = decideStability(undefined, [checker(failed, "Pause", "a"), checker(failed, "Rollback", "b")], 0);
    expect(decision).toMatchObject({ action: "Rollback", message: "b failed: errors rise" });
  });

  test("the state of a removed checker is dropped", () => {
    const { state } = decideStability(undefined, [checker(failed)], 0);
    expect(decideStability(state, [checker(passed, "Pause", "other")], 1000)).toMatchObject({
      action: "GoOn",
      state: { trips: [] },
    });
  });
});

describe("a Metrics checker", () => {
  const rule = (operator: MetricSpec["operator"], target: object): MetricSpec => ({
    type: "External",
    operator,
    external: { metric: { name: "errors" }, target: target as never },
  });

  test.each<{ operator: MetricSpec["operator"]; value: number; kind: CheckResult["kind"] }>([
    { operator: ">", value: 5, kind: "Passed" },
    { operator: ">", value: 5.1, kind: "Failed" },
    { operator: ">=", value: 5, kind: "Failed" },
    { operator: "<", value: 5, kind: "Passed" },
    { operator: "<", value: 4.9, kind: "Failed" },
    { operator: "<=", value: 5, kind: "Failed" },
    { operator: "==", value: 5, kind: "Failed" },
    { operator: "==", value: 4, kind: "Passed" },
    { operator: undefined, value: 6, kind: "Failed" },
  ])("$value must not be $operator 5: $kind", ({ operator, value, kind }) => {
    expect(checkMetrics([{ rule: rule(operator, { type: "Value", value: "5" }), value }]).kind).toBe(kind);
  });

  test("compares each type of target in its own terms", () => {
    expect(checkMetrics([{ rule: rule(">", { type: "AverageValue", averageValue: "500m" }), value: 0.6 }]).kind).toBe(
      "Failed",
    );
    const cpu: MetricSpec = {
      type: "Resource",
      operator: ">",
      resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 90 } },
    };
    expect(checkMetrics([{ rule: cpu, value: 95 }])).toEqual({
      kind: "Failed",
      message: "cpu is 95, and must not be > 90",
    });
  });

  test("is Unknown with a rule without a value, unless another rule is broken", () => {
    const missing = { rule: rule(">", { type: "Value", value: "5" }), value: undefined, fault: "the source is silent" };
    expect(checkMetrics([missing])).toEqual({ kind: "Unknown", message: "errors has no value: the source is silent" });
    expect(checkMetrics([missing, { ...missing, value: 9 }]).kind).toBe("Failed");
  });
});

describe("the regression check", () => {
  const samples = (values: readonly number[], fromSecond: number) =>
    values.map((value, index) => ({ timeMs: (fromSecond + index * 15) * 1000, value }));
  const calm = [10, 11, 9, 10, 12, 10, 11, 9];
  const check = (before: readonly number[], since: readonly number[], more: object = {}) =>
    checkRegression({
      name: "response time",
      samples: [...samples(before, 0), ...samples(since, 1001)],
      beganMs: 900_000,
      stepMs: 1_000_000,
      nowMs: 1_000_000 + (since.length + 1) * 15_000,
      tolerance: 0.2,
      slack: 0,
      ...more,
    }).kind;

  test("passes at the same level, or within the tolerance", () => {
    expect(check(calm, calm)).toBe("Passed");
    expect(
      check(
        calm,
        calm.map((value) => value * 1.15),
      ),
    ).toBe("Passed");
  });

  test("fails clearly above", () => {
    expect(
      check(
        calm,
        calm.map((value) => value * 1.5),
      ),
    ).toBe("Failed");
  });

  test("passes for a service that was as bad before", () => {
    expect(check([10, 50, 10, 50, 10, 50, 10, 10], [15, 14, 50])).toBe("Passed");
  });

  test("passes for a rise of almost no errors", () => {
    expect(check([0, 0, 0, 0], [0.0005, 0.0004, 0.0005], { slack: 0.001 })).toBe("Passed");
    expect(check([0, 0, 0, 0], [0.02, 0.01, 0.02], { slack: 0.001 })).toBe("Failed");
  });

  test("passes too early after a step; is Unknown after a long silence, and without samples from before", () => {
    expect(check(calm, [30])).toBe("Passed");
    expect(check(calm, [30], { nowMs: 1_130_000 })).toBe("Unknown");
    expect(check([], calm)).toBe("Unknown");
  });
});
