import type { DecisionReason } from "../decision.ts";
import type { MetricDemand } from "../metric/metric-demand.ts";
import { podsText, type Rule, type RuleState, type Situation, type Verdict } from "./rule.ts";

/** A metric without any value may not let the number fall, as the HPA's own missing metrics may not. */
export const metricMissing: Rule = {
  name: "MetricMissing",
  apply({ isDynamic, demands, present }, state) {
    const missing = namesOf(demands, ({ kind }) => kind === "Unknown");
    if (missing.length === 0) return { saw: "every metric has a value" };
    return atLeast(present, state, isDynamic, "MetricMissing", `${missing.join(", ")} has no value`);
  },
};

/** A source that is silent for the moment may not let the number fall: its last value is no news. */
export const sourceSilent: Rule = {
  name: "SourceSilent",
  apply({ isDynamic, demands, before }, state) {
    const silent = quietMetrics(demands);
    if (silent.length === 0) return { saw: "every source answers" };
    return atLeast(before.stabilized?.replicas, state, isDynamic, "SourceSilent", `${silent.join(", ")} is late`);
  },
};

/** A source that has just come back may raise the number, but not lower it yet. */
export const sourceRecovering: Rule = {
  name: "SourceRecovering",
  apply({ isDynamic, recovering, before }, state) {
    if (recovering.length === 0) return { saw: "no source came back a moment ago" };
    const saw = `${recovering.join(", ")} came back a moment ago`;
    return atLeast(before.stabilized?.replicas, state, isDynamic, "SourceRecovering", saw);
  },
};

/** Metrics that had a value a moment ago and have none now. */
export function quietMetrics(demands: Situation["demands"]): string[] {
  return namesOf(demands, (demand) => demand.kind === "Live" && demand.silentMs > 0);
}

/** Keeps a number made from metrics at `least`. */
function atLeast(
  least: number | undefined,
  { replicas }: RuleState,
  isDynamic: boolean,
  reason: DecisionReason,
  saw: string,
): Verdict {
  if (!isDynamic || replicas === null || least === undefined || replicas >= least) return { saw };
  return { saw: `${saw}, so ${podsText(least)} are kept`, change: { replicas: least, requested: least, reason } };
}

function namesOf(demands: Situation["demands"], holds: (demand: MetricDemand) => boolean): string[] {
  return [...demands].filter(([, demand]) => holds(demand)).map(([name]) => name);
}
