import { type MetricSpec, metricName, metricTarget } from "../../api/fields/metrics.ts";
import { madeAlgorithms } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readQuantity } from "../../api/values/quantity.ts";
import { type MetricDemand, wholePods } from "../metric/metric-demand.ts";
import type { Proposal } from "./select-proposal.ts";

/** A provider whose portrait we make ourselves. */
export interface DynamicProvider {
  readonly provider: "Predictive" | "Reactive" | "Burst";
  readonly priority: number;
  readonly metrics: readonly string[];
  /** Fall too small to act on, as a share of the present pods, for a Reactive provider that decides alone. */
  readonly tolerance: number;
}

/**
 * The dynamic providers that we make ourselves, the metrics that they use, and what one pod carries of each.
 *
 * @throws RangeError for a metric whose target does not tell what one pod carries
 */
export function readProviders(
  spec: IntelligentHorizontalPodAutoscalerSpec,
  podTargets: ReadonlyMap<string, number> | undefined,
): { providers: DynamicProvider[]; targets: Map<string, number> } {
  const providers: DynamicProvider[] = [];
  const targets = new Map<string, number>();
  for (const { dynamic, priority } of spec.portraitProviders ?? []) {
    if (dynamic === undefined || dynamic.externalGeneratorName !== undefined) continue;
    const { portraitType, algorithm } = dynamic;
    const made: readonly string[] = madeAlgorithms[portraitType];
    if (algorithm !== undefined && !made.includes(algorithm.type)) continue;
    const specs: readonly MetricSpec[] = dynamic.metrics?.length ? dynamic.metrics : (spec.metrics ?? []);
    for (const metric of specs) targets.set(metricName(metric), podTargetOf(metric, podTargets));
    const tolerance = Number(algorithm?.kubeHPA?.tolerance ?? 0.1);
    providers.push({ provider: portraitType, priority: priority ?? 0, metrics: specs.map(metricName), tolerance });
  }
  return { providers, targets };
}

/** Metrics that providers of a kind use. */
export function metricsUsedBy(
  providers: readonly DynamicProvider[],
  kind: DynamicProvider["provider"],
): ReadonlySet<string> {
  return new Set(providers.flatMap(({ provider, metrics }) => (provider === kind ? metrics : [])));
}

function podTargetOf(metric: MetricSpec, podTargets: ReadonlyMap<string, number> | undefined): number {
  const name = metricName(metric);
  const target = metricTarget(metric);
  const value = podTargets?.get(name) ?? (target?.averageValue === undefined ? NaN : readQuantity(target.averageValue));
  if (value > 0 && Number.isFinite(value)) return value;
  throw new RangeError(
    `metric ${name} does not tell what one pod carries; give its target as {type: AverageValue, averageValue: …}`,
  );
}

/** What a dynamic provider proposes: the largest that its metrics ask for; undefined where none of them is known. */
export function propose(
  { provider, priority, metrics, tolerance }: DynamicProvider,
  demands: ReadonlyMap<string, MetricDemand>,
  present: number,
  all: readonly DynamicProvider[],
): Proposal | undefined {
  let replicas = Number.NEGATIVE_INFINITY;
  for (const name of metrics) {
    const demand = demands.get(name);
    if (demand === undefined || demand.kind === "Unknown") continue;
    if (provider === "Predictive" || demand.kind === "Silent") replicas = Math.max(replicas, demand.wanted);
    else {
      // The tolerance damps the falls of a number that follows the load alone (beside a forecast, the hold does that). Rises it
      // lets pass, unlike the HPA's own: nothing may be below what is observed.
      const isAlone = !all.some((other) => other.provider === "Predictive");
      const isNear = isAlone && demand.observed <= present && demand.observed >= (1 - tolerance) * present;
      replicas = Math.max(replicas, isNear ? present : wholePods(demand.observed));
    }
  }
  return Number.isFinite(replicas) ? { provider, priority, replicas } : undefined;
}

/**
 * What Burst providers propose: pods for the burst under way. They only raise: where the others' choice is larger, one of higher
 * priority stays silent. Without any other proposal they propose what is observed.
 */
export function burstProposals(
  all: readonly DynamicProvider[],
  demands: ReadonlyMap<string, MetricDemand>,
  others: Proposal | undefined,
): Proposal[] {
  return all.flatMap(({ provider, priority, metrics }) => {
    if (provider !== "Burst") return [];
    let replicas = Number.NEGATIVE_INFINITY;
    for (const name of metrics) {
      const demand = demands.get(name);
      if (demand?.kind === "Live") replicas = Math.max(replicas, demand.burst ?? replicas);
      if (others === undefined && demand?.kind === "Live") replicas = Math.max(replicas, wholePods(demand.observed));
      if (others === undefined && demand?.kind === "Silent") replicas = Math.max(replicas, demand.wanted);
    }
    const lowers = others !== undefined && priority > others.priority && replicas < others.replicas;
    return Number.isFinite(replicas) && !lowers ? [{ provider, priority, replicas }] : [];
  });
}
