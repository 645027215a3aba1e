import type { ScaleTargetRef } from "../../api/fields/fields.ts";
import { type MetricSpec, metricName, metricTarget } from "../../api/fields/metrics.ts";
import { readQuantity } from "../../api/values/quantity.ts";

/** What a pod or one of its containers requests of a resource, in base units (cores, bytes); undefined where it requests none. */
export type PodRequests = (resource: string, container?: string) => number | undefined;

/** The PromQL query for a metric of a workload. */
export interface LoadQuery {
  readonly query: string;
  /** Whether the query gives one series per pod, labelled `pod`, rather than the workload's total. */
  readonly isPerPod: boolean;
  /** How far a value looks back: the window of the query's rate, 0 for a level. */
  readonly lookbackMs: number;
}

/** The window of generated rates: eight scrapes of the usual 15 s. */
const rateWindowMs = 120_000;

/**
 * The query for a workload's load by one metric: the user's own, which gives the total, else one made from the metric.
 * User input is always quoted in PromQL.
 *
 * @returns undefined where Prometheus has no usual name for such a metric
 */
export function loadQuery(spec: MetricSpec, target: ScaleTargetRef, namespace: string): LoadQuery | undefined {
  const total = (query: string): LoadQuery => ({ query, isPerPod: false, lookbackMs: 0 });
  if (spec.query !== undefined) return total(spec.query);
  const pods = `namespace=${quoted(namespace)},pod=~${quoted(podPattern(target))}`;
  switch (spec.type) {
    case "External":
      return total(`sum(${selectorOf(spec.external!.metric, [])})`);
    case "Pods":
      return { query: `sum by (pod) (${selectorOf(spec.pods!.metric, [pods])})`, isPerPod: true, lookbackMs: 0 };
    case "Object": {
      const { kind, name } = spec.object!.describedObject;
      const about = `namespace=${quoted(namespace)},${labelName(kind.toLowerCase())}=${quoted(name)}`;
      return total(`sum(${selectorOf(spec.object!.metric, [about])})`);
    }
    case "Resource":
      return usageOf(spec.resource!.name, `${pods},container!=""`);
    case "ContainerResource": {
      const { name, container } = spec.containerResource!;
      return usageOf(name, `${pods},container=${quoted(container)}`);
    }
  }
}

/** The number of a workload's ready pods, from kube-state-metrics. */
export function readyPodsQuery(target: ScaleTargetRef, namespace: string): string {
  return `sum(kube_pod_status_ready{condition="true",namespace=${quoted(namespace)},pod=~${quoted(podPattern(target))}})`;
}

/** What one pod should carry, in the metric's unit; or why that is not known. */
export function podTarget(
  spec: MetricSpec,
  requests: PodRequests | undefined,
): { readonly value: number } | { readonly why: string } {
  const name = metricName(spec);
  const target = metricTarget(spec);
  if (target?.type === "AverageValue") return { value: readQuantity(target.averageValue!) };
  if (target?.type === "Utilization") {
    const resource = spec.resource?.name ?? spec.containerResource?.name ?? "";
    if (requests === undefined)
      return { why: `metric ${name} has a Utilization target, but there is no pod yet whose requests can be read` };
    const request = requests(resource, spec.containerResource?.container);
    if (request === undefined || request <= 0)
      return {
        why: `metric ${name} has a Utilization target, but the pods request no ${resource}; add a request or give averageValue`,
      };
    return { value: (request * target.averageUtilization!) / 100 };
  }
  return {
    why: `metric ${name} has a Value target, which does not say what one pod carries; use target: {type: AverageValue, averageValue: …}`,
  };
}

/** cAdvisor's names: a rate for CPU, a level for memory. */
function usageOf(resource: string, matchers: string): LoadQuery | undefined {
  const perPod = (series: string, lookbackMs: number) => ({
    query: `sum by (pod) (${series})`,
    isPerPod: true,
    lookbackMs,
  });
  if (resource === "cpu")
    return perPod(`rate(container_cpu_usage_seconds_total{${matchers}}[${rateWindowMs / 1000}s])`, rateWindowMs);
  if (resource === "memory") return perPod(`container_memory_working_set_bytes{${matchers}}`, 0);
  return undefined;
}

function selectorOf(metric: NonNullable<MetricSpec["external"]>["metric"], more: readonly string[]): string {
  const matchers = [
    `__name__=${quoted(metric.name)}`,
    ...more,
    ...Object.entries(metric.selector?.matchLabels ?? {}).map(([key, value]) => `${labelName(key)}=${quoted(value)}`),
    ...(metric.selector?.matchExpressions ?? []).map(matcherOf),
  ];
  return `{${matchers.join(",")}}`;
}

function matcherOf({
  key,
  operator,
  values = [],
}: {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}): string {
  const any = quoted(values.map(literal).join("|"));
  const matchers = { In: `=~${any}`, NotIn: `!~${any}`, Exists: '!=""', DoesNotExist: '=""' };
  return labelName(key) + matchers[operator];
}

/** Characters of the suffixes that Kubernetes generates: no vowels, and no digits that look like letters. */
const madeUp = "[b-df-hj-np-tv-xz24-9]";
/** The generated part of a name never begins after this many characters: longer names are cut there. */
const longestPodNameBase = 58;
const longestTemplateHash = 10;

/**
 * A regular expression for the names of a workload's pods, as its controller makes them. PromQL anchors it at both ends, so
 * `web` does not take the pods of `web-api`.
 */
export function podPattern({ kind, name }: ScaleTargetRef): string {
  const suffix = `${madeUp}{5}`;
  if (kind === "StatefulSet") return `${literal(name)}-[0-9]+`;
  if (kind === "ReplicaSet" && name.length < longestPodNameBase) return `${literal(name)}-${suffix}`;
  const isCut = name.length + 1 + longestTemplateHash + 1 > longestPodNameBase;
  if (isCut) return `${literal(name.slice(0, longestPodNameBase - 1))}[-a-z0-9]*${suffix}`;
  const hash = `${madeUp}{1,${longestTemplateHash}}-`;
  // Unknown kinds create their pods themselves, or through ReplicaSets as a Deployment does.
  return `${literal(name)}-${kind === "Deployment" ? hash : `(${hash})?`}${suffix}`;
}

/** Prometheus labels have no dots, dashes or slashes; exporters replace them by underscores. */
function labelName(key: string): string {
  return key.replaceAll(/[^a-zA-Z0-9_]/g, "_").replace(/^[0-9]/, "_$&");
}

/** Text as a regular expression that matches just that. */
function literal(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
