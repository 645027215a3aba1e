import { type Behavior, type ScaleEvent, scaleDownLimit, scaleUpLimit } from "./behavior.ts";
import {
  type HpaMetric,
  type MetricProposal,
  type MetricReading,
  proposeForMetric,
  type ReplicaCounts,
} from "./metric-replicas.ts";

export interface HpaSpec {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly metrics: readonly HpaMetric[];
  /** Where absent, the HPA goes by its older rules: at most double (or 4) a sync, down after the cluster's window. */
  readonly behavior?: Behavior;
  /** The cluster's `--horizontal-pod-autoscaler-tolerance`; 0.1 where absent. */
  readonly tolerance?: number;
  /** The cluster's `--horizontal-pod-autoscaler-downscale-stabilization`; 300 s where absent. */
  readonly downscaleStabilizationSeconds?: number;
}

/** What bound the HPA's number. */
export type HpaReason =
  | "DesiredWithinRange"
  | "Tolerance"
  | "MinReplicas"
  | "MaxReplicas"
  | "ScaleUpLimit"
  | "ScaleDownLimit"
  | "ScaleUpStabilized"
  | "ScaleDownStabilized"
  | "MetricMissing"
  | "ScalingDisabled";

export interface HpaRecommendation {
  /** The largest proposal; undefined where the HPA keeps the present size, as metrics are missing. */
  readonly replicas: number | undefined;
  /** Name of the metric that proposed it. */
  readonly metric: string | undefined;
  readonly reason: "DesiredWithinRange" | "Tolerance" | "MetricMissing";
  readonly proposals: readonly { readonly name: string; readonly proposal: MetricProposal }[];
}

const defaultTolerance = 0.1;

/**
 * What an HPA's metrics ask for, before limits and stabilisation: the largest proposal. A metric that is missing blocks only a
 * scale-down; with all of them missing the size stays.
 *
 * @param readings one for each of the spec's metrics, in order
 * @see k8s.io/kubernetes pkg/controller/podautoscaler/horizontal.go, computeReplicasForMetrics (1.35)
 */
export function recommend(spec: HpaSpec, readings: readonly MetricReading[], counts: ReplicaCounts): HpaRecommendation {
  const cluster = spec.tolerance ?? defaultTolerance;
  const tolerances = {
    up: spec.behavior?.scaleUp?.tolerance ?? cluster,
    down: spec.behavior?.scaleDown?.tolerance ?? cluster,
  };
  const proposals: { name: string; proposal: MetricProposal }[] = [];
  let best: Extract<MetricProposal, { kind: "Proposed" }> | undefined;
  let bestName: string | undefined;
  let someInvalid = false;
  for (let k = 0; k < spec.metrics.length; k++) {
    const { name } = spec.metrics[k];
    const proposal = proposeForMetric(spec.metrics[k], readings[k] ?? missing, counts, tolerances);
    proposals.push({ name, proposal });
    if (proposal.kind === "Invalid") someInvalid = true;
    else if (best === undefined || proposal.replicas > best.replicas) [best, bestName] = [proposal, name];
  }
  if (best === undefined || (someInvalid && best.replicas < counts.spec))
    return { replicas: undefined, metric: undefined, reason: "MetricMissing", proposals };
  const reason = best.isWithinTolerance ? "Tolerance" : "DesiredWithinRange";
  return { replicas: best.replicas, metric: bestName, reason, proposals };
}

/** Drops what was up to and at a moment; entries stand in order of time. */
function forget(entries: { readonly timeMs: number }[], untilMs: number): void {
  while (entries.length > 0 && entries[0].timeMs <= untilMs) entries.shift();
}

const missing: MetricReading = { kind: "Missing", why: "no reading was given" };

export interface HpaStep {
  /** What the HPA writes to the target's spec.replicas. */
  readonly replicas: number;
  readonly reason: HpaReason;
  readonly recommendation: HpaRecommendation | undefined;
}

export interface Hpa {
  /** One sync. Times must not go back. Windows and policies remember what earlier syncs said and did. */
  step(nowMs: number, readings: readonly MetricReading[], counts: ReplicaCounts): HpaStep;
}

/** An HPA that keeps its own windows, as the controller keeps them in memory. */
export function createHpa(spec: HpaSpec): Hpa {
  const downSeconds = spec.downscaleStabilizationSeconds ?? 300;
  const { behavior, minReplicas, maxReplicas } = spec;
  const upWindowMs = (behavior?.scaleUp?.stabilizationWindowSeconds ?? 0) * 1000;
  const downWindowMs = (behavior?.scaleDown?.stabilizationWindowSeconds ?? downSeconds) * 1000;
  const longestWindowMs = Math.max(upWindowMs, downWindowMs);
  const said: { timeMs: number; replicas: number }[] = [];
  let isFirst = true;
  const done: ScaleEvent[] = [];

  /** @returns the recommendation, held against its own past */
  const stabilise = (nowMs: number, wanted: number, current: number) => {
    forget(said, nowMs - longestWindowMs);
    let [lowest, highest] = [wanted, wanted];
    for (const { timeMs, replicas } of said) {
      if (timeMs > nowMs - upWindowMs && replicas < lowest) lowest = replicas;
      if (timeMs > nowMs - downWindowMs && replicas > highest) highest = replicas;
    }
    said.push({ timeMs: nowMs, replicas: wanted });
    return behavior === undefined ? highest : Math.min(Math.max(current, lowest), highest);
  };

  const limit = (nowMs: number, wanted: number, current: number): { replicas: number; reason: HpaReason } => {
    if (behavior === undefined) {
      const doubled = Math.max(2 * current, 4);
      if (wanted < minReplicas) return { replicas: minReplicas, reason: "MinReplicas" };
      if (wanted > Math.min(maxReplicas, doubled))
        return maxReplicas > doubled
          ? { replicas: doubled, reason: "ScaleUpLimit" }
          : { replicas: maxReplicas, reason: "MaxReplicas" };
      return { replicas: wanted, reason: "DesiredWithinRange" };
    }
    if (wanted > current) {
      const most = scaleUpLimit(behavior.scaleUp ?? {}, current, done, nowMs);
      if (wanted > Math.min(maxReplicas, most))
        return maxReplicas > most
          ? { replicas: most, reason: "ScaleUpLimit" }
          : { replicas: maxReplicas, reason: "MaxReplicas" };
    } else if (wanted < current) {
      const fewest = scaleDownLimit(behavior.scaleDown ?? {}, current, done, nowMs);
      if (wanted < Math.max(minReplicas, fewest))
        return minReplicas < fewest
          ? { replicas: fewest, reason: "ScaleDownLimit" }
          : { replicas: minReplicas, reason: "MinReplicas" };
    }
    return { replicas: wanted, reason: "DesiredWithinRange" };
  };

  const decide = (nowMs: number, readings: readonly MetricReading[], counts: ReplicaCounts): HpaStep => {
    const current = counts.spec;
    const recommendation = undefined;
    if (current === 0 && minReplicas !== 0) return { replicas: 0, reason: "ScalingDisabled", recommendation };
    if (current > maxReplicas) return { replicas: maxReplicas, reason: "MaxReplicas", recommendation };
    if (current < minReplicas) return { replicas: minReplicas, reason: "MinReplicas", recommendation };
    const asked = recommend(spec, readings, counts);
    if (asked.replicas === undefined) return { replicas: current, reason: "MetricMissing", recommendation: asked };
    const stable = stabilise(nowMs, asked.replicas, current);
    const limited = limit(nowMs, stable, current);
    let reason: HpaReason = asked.reason;
    if (limited.reason !== "DesiredWithinRange") reason = limited.reason;
    else if (stable !== asked.replicas)
      reason = asked.replicas >= current ? "ScaleUpStabilized" : "ScaleDownStabilized";
    return { replicas: limited.replicas, reason, recommendation: asked };
  };

  return {
    step(nowMs, readings, counts) {
      // A controller that starts takes the size it finds for a recommendation: nothing shrinks within the first window.
      if (isFirst) said.push({ timeMs: nowMs, replicas: counts.spec });
      isFirst = false;
      const step = decide(nowMs, readings, counts);
      const change = step.replicas - counts.spec;
      const longestMs = 1800_000; // the longest period that the API allows
      forget(done, nowMs - longestMs);
      if (change !== 0 && behavior !== undefined) done.push({ timeMs: nowMs, change });
      return step;
    },
  };
}
