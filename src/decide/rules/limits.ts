import type { Schedule } from "../../portrait/schedule.ts";
import { type Rule, within } from "./rule.ts";
import { quietMetrics } from "./silence.ts";

/** spec.minReplicas and spec.maxReplicas, narrowed by the windows that are open. */
export const limits: Rule = {
  name: "Limits",
  apply({ schedule, isDynamic, demands }, { replicas, reason }) {
    const saw = limitsText(schedule);
    if (replicas === null) return { saw };
    const limited = within(replicas, schedule);
    // While a source is silent its last demand may lie far above the maximum: then it is the silence that keeps the number there.
    const isSilent = (isDynamic && quietMetrics(demands).length > 0) || reason === "SourceSilent";
    if (limited < replicas && isSilent) return { saw, change: { replicas: limited, reason: "SourceSilent" } };
    if (limited === replicas) return { saw };
    return { saw, change: { replicas: limited, reason: limited > replicas ? "MinReplicas" : "MaxReplicas" } };
  },
};

/** A limit that has just changed holds at once, whatever stabilization keeps. */
export const limitsOfStabilized: Rule = {
  name: "LimitsOfStabilized",
  apply({ schedule }, { replicas }) {
    const saw = limitsText(schedule);
    if (replicas === null || within(replicas, schedule) === replicas) return { saw };
    return { saw, change: { replicas: within(replicas, schedule) } };
  },
};

function limitsText({ minReplicas, maxReplicas }: Schedule): string {
  return `from ${minReplicas} to ${maxReplicas} now`;
}
