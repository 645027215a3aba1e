import { type MetricSpec, metricName, metricTarget } from "../api/fields/metrics.ts";
import { readQuantity } from "../api/values/quantity.ts";
import type { CheckResult } from "./stability.ts";

/** One rule of a Metrics checker, with its measured value. */
export interface MeasuredRule {
  readonly rule: MetricSpec;
  /** In the terms of the rule's target: the total of a Value, the mean of a pod of an AverageValue, percent of requests of a Utilization. */
  readonly value: number | undefined;
  /** Why there is no value. */
  readonly fault?: string;
}

const operators: Readonly<Record<string, (actual: number, target: number) => boolean>> = {
  "==": (actual, target) => actual === target,
  ">": (actual, target) => actual > target,
  "<": (actual, target) => actual < target,
  ">=": (actual, target) => actual >= target,
  "<=": (actual, target) => actual <= target,
};

/**
 * The result of a Metrics checker: Failed where `actual operator target` holds for any rule; Unknown where no rule is broken but one has
 * no value. A rule without an operator is broken above its target.
 */
export function checkMetrics(measured: readonly MeasuredRule[]): CheckResult {
  let unknown: string | undefined;
  for (const { rule, value, fault } of measured) {
    const name = metricName(rule);
    const target = targetOf(rule);
    if (value === undefined || !Number.isFinite(value)) unknown ??= `${name} has no value${fault ? `: ${fault}` : ""}`;
    else if (target === undefined) unknown ??= `${name} has no target to compare with`;
    else {
      const { operator = ">" } = rule;
      if (operators[operator](value, target))
        return { kind: "Failed", message: `${name} is ${short(value)}, and must not be ${operator} ${short(target)}` };
    }
  }
  return unknown === undefined ? { kind: "Passed" } : { kind: "Unknown", message: unknown };
}

function targetOf(rule: MetricSpec): number | undefined {
  const { type, value, averageValue, averageUtilization } = metricTarget(rule) ?? {};
  if (type === "Utilization") return averageUtilization;
  const quantity = type === "Value" ? value : averageValue;
  return quantity === undefined ? undefined : readQuantity(quantity);
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}
