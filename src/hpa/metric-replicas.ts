import { toMilli } from "./milli.ts";

/** One metric of an HPA, its target as numbers. */
export type HpaMetric =
  | { readonly type: "External" | "Object"; readonly name: string; readonly target: AverageValue | Value }
  | { readonly type: "Pods"; readonly name: string; readonly target: AverageValue }
  | { readonly type: "Resource"; readonly name: string; readonly target: AverageValue | Utilization };

interface AverageValue {
  readonly type: "AverageValue";
  readonly averageValue: number;
}
interface Value {
  readonly type: "Value";
  readonly value: number;
}
interface Utilization {
  readonly type: "Utilization";
  /** Percent of what the pods request. */
  readonly averageUtilization: number;
}

/** What one pod uses, for Pods and Resource metrics. */
export interface PodReading {
  /** Ignored: on its way out or failed. Unready: in its first readiness, its CPU says nothing yet. */
  readonly state: "Ready" | "Unready" | "Ignored";
  /** Usage; undefined where the metrics API has none. */
  readonly usage: number | undefined;
  /** What the pod requests, for Utilization. */
  readonly request?: number;
}

export type MetricReading =
  | { readonly kind: "Values"; readonly values: readonly number[] }
  | { readonly kind: "Pods"; readonly pods: readonly PodReading[] }
  | { readonly kind: "Missing"; readonly why: string };

export interface ReplicaCounts {
  /** The target's spec.replicas. */
  readonly spec: number;
  /** status.replicas: pods that exist; a rollout's surge counts. */
  readonly status: number;
  /** Pods that are Ready. */
  readonly ready: number;
}

/** Changes of the ratio, as fractions, that are not acted on. */
export interface Tolerances {
  readonly up: number;
  readonly down: number;
}

export type MetricProposal =
  | {
      readonly kind: "Proposed";
      readonly replicas: number;
      /** Usage over target; 1 is just right. */
      readonly ratio: number;
      readonly isWithinTolerance: boolean;
    }
  | { readonly kind: "Invalid"; readonly why: string };

/**
 * Replicas that one metric proposes, by the arithmetic of kube-controller-manager 1.35.
 *
 * @see k8s.io/kubernetes pkg/controller/podautoscaler/replica_calculator.go
 */
export function proposeForMetric(
  metric: HpaMetric,
  reading: MetricReading,
  counts: ReplicaCounts,
  tolerances: Tolerances,
): MetricProposal {
  if (reading.kind === "Missing") return { kind: "Invalid", why: reading.why };
  if (metric.type === "Pods" || metric.type === "Resource") {
    if (reading.kind !== "Pods") return { kind: "Invalid", why: `${metric.name} has no readings of pods` };
    return proposeForPods(metric, reading.pods, counts, tolerances);
  }
  if (reading.kind !== "Values" || reading.values.length === 0)
    return { kind: "Invalid", why: `no metrics returned for ${metric.name}` };
  const usage = reading.values.reduce((sum, value) => sum + toMilli(value), 0);
  const { target } = metric;
  return target.type === "AverageValue"
    ? proposeForTotal(usage, toMilli(target.averageValue), counts, tolerances)
    : proposeForValue(usage, toMilli(target.value), counts, tolerances);
}

/** A total against a target per pod: ready pods play no part, and inside the tolerance status.replicas comes back, not spec. */
function proposeForTotal(usage: number, target: number, counts: ReplicaCounts, tolerances: Tolerances): MetricProposal {
  const ratio = usage / (target * counts.status);
  if (usage < 0) return proposed(mostReplicas, ratio, false); // taken for an overflow
  if (isWithin(ratio, tolerances)) return proposed(counts.status, ratio, true);
  return proposed(Math.ceil(usage / target), ratio, false);
}

/** A value against a target of the whole: the ratio multiplies the pods that are ready. */
function proposeForValue(usage: number, target: number, counts: ReplicaCounts, tolerances: Tolerances): MetricProposal {
  const ratio = usage / target;
  if (counts.spec === 0) return proposed(Math.ceil(ratio), ratio, false);
  if (isWithin(ratio, tolerances)) return proposed(counts.spec, ratio, true);
  return proposed(Math.ceil(ratio * counts.ready), ratio, false);
}

function proposeForPods(
  metric: Extract<HpaMetric, { type: "Pods" | "Resource" }>,
  pods: readonly PodReading[],
  counts: ReplicaCounts,
  tolerances: Tolerances,
): MetricProposal {
  const counted = pods.filter((pod) => pod.state !== "Ignored");
  const missing = counted.filter((pod) => pod.usage === undefined);
  const known = counted.filter((pod) => pod.usage !== undefined);
  // Of the plain Pods metrics and of memory the readiness plays no part; of CPU the caller says Unready where it does.
  const unready = known.filter((pod) => pod.state === "Unready");
  const ready = known.filter((pod) => pod.state === "Ready");
  if (ready.length === 0) return { kind: "Invalid", why: `${metric.name}: no metrics of ready pods` };

  const ratioOf = (of: readonly PodReading[]) => usageRatio(metric, of);
  const ratio = ratioOf(ready);
  const isUpWithUnready = unready.length > 0 && ratio > 1;
  if (!isUpWithUnready && missing.length === 0) {
    if (isWithin(ratio, tolerances)) return proposed(counts.spec, ratio, true);
    return proposed(Math.ceil(ratio * ready.length), ratio, false);
  }

  // Carefully: what is missing is thought to use enough not to shrink, and nothing when growing.
  const assumed: PodReading[] = [...ready];
  if (ratio < 1) assumed.push(...missing.map((pod) => ({ ...pod, usage: enough(metric, pod) })));
  else if (ratio > 1) assumed.push(...missing.map((pod) => ({ ...pod, usage: 0 })));
  if (isUpWithUnready) assumed.push(...unready.map((pod) => ({ ...pod, usage: 0 })));
  const careful = ratioOf(assumed);
  if (isWithin(careful, tolerances) || (ratio < 1 && careful > 1) || (ratio > 1 && careful < 1))
    return proposed(counts.spec, careful, true);
  const replicas = Math.ceil(careful * assumed.length);
  const isReversed = (careful < 1 && replicas > counts.spec) || (careful > 1 && replicas < counts.spec);
  return isReversed ? proposed(counts.spec, careful, true) : proposed(replicas, careful, false);
}

/** Usage of pods over their target. Percentages and averages are cut to whole numbers, as the HPA does. */
function usageRatio(
  { target }: Extract<HpaMetric, { type: "Pods" | "Resource" }>,
  pods: readonly PodReading[],
): number {
  const usage = pods.reduce((sum, pod) => sum + toMilli(pod.usage ?? 0), 0);
  if (target.type === "AverageValue") return Math.trunc(usage / pods.length) / toMilli(target.averageValue);
  const requests = pods.reduce((sum, pod) => sum + toMilli(pod.request ?? 0), 0);
  return Math.trunc((usage * 100) / requests) / target.averageUtilization;
}

/** What a pod without metrics is thought to use when the others would allow fewer: its target, at least all that it requests. */
function enough({ target }: Extract<HpaMetric, { type: "Pods" | "Resource" }>, pod: PodReading): number {
  if (target.type === "AverageValue") return target.averageValue;
  return ((pod.request ?? 0) * Math.max(100, target.averageUtilization)) / 100;
}

function isWithin(ratio: number, { up, down }: Tolerances): boolean {
  return 1 - down <= ratio && ratio <= 1 + up;
}

const mostReplicas = 2 ** 31 - 1;

function proposed(replicas: number, ratio: number, isWithinTolerance: boolean): MetricProposal {
  return { kind: "Proposed", replicas: Math.min(replicas, mostReplicas), ratio, isWithinTolerance };
}
