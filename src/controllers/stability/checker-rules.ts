import { type MetricSpec, metricName, metricTarget } from "../../api/fields/metrics.ts";
import type { MeasuredRule } from "../../stability/check-metrics.ts";
import type { PodRequests } from "../workload/metric-query.ts";
import type { LiveLoad } from "../workload/metric-subject.ts";

/**
 * A checker's rule with its measured value, in the terms of its target: the workload's total for Value, the share of each pod in
 * service for AverageValue, and that in percent of the pods' requests for Utilization.
 *
 * @param load the workload's total; undefined where it has not been read yet
 * @param online pods in service
 */
export function measuredRule(
  rule: MetricSpec,
  load: LiveLoad | undefined,
  online: number,
  requests: PodRequests | undefined,
): MeasuredRule {
  const without = (fault: string): MeasuredRule => ({ rule, value: undefined, fault });
  const total = load?.value ?? undefined;
  if (total === undefined) return without(load?.fault?.message ?? "it has not been read yet");
  const type = metricTarget(rule)?.type;
  if (type === "Value") return { rule, value: total };
  if (online === 0) return without("no pod is in service");
  if (type === "AverageValue") return { rule, value: total / online };
  const resource = rule.resource?.name ?? rule.containerResource?.name ?? metricName(rule);
  const request = requests?.(resource, rule.containerResource?.container);
  if (request === undefined || request <= 0) return without(`the pods request no ${resource}`);
  return { rule, value: (100 * total) / (request * online) };
}
