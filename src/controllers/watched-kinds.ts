import type { HorizontalPortrait } from "../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { MetricSource } from "../api/kinds/metric-source.ts";
import type { ReplicaProfile } from "../api/kinds/replica-profile.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { type KubeObject, type Resource, resourceOf, resources } from "../kube/client/resource.ts";
import type { Log } from "../kube/log.ts";
import type { KubeMetrics } from "../kube/metrics.ts";
import { Reflector } from "../kube/watch/reflector.ts";
import type { HorizontalPodAutoscaler } from "./ihpa/managed-hpa.ts";
import type { Budget } from "./pods/disruption-budgets.ts";
import { type Node, slimNode } from "./pods/node.ts";
import { type Pod, slimPod } from "./pods/workload-pods.ts";

export interface WatchOptions {
  readonly client: KubeClient;
  readonly metrics: KubeMetrics;
  readonly log: Log;
}

/** One watched cache for each kind that controllers read. */
export type WatchedKinds = ReturnType<typeof watchKinds>;

/** Starts to watch every kind that controllers read; all watches end with the signal. */
export function watchKinds(options: WatchOptions, signal: AbortSignal) {
  const watch = <T extends KubeObject>(resource: Resource, transform?: (object: T) => T) => {
    const reflector = new Reflector<T>({ ...options, resource, transform });
    void reflector.start(signal);
    return reflector;
  };
  return {
    ihpas: watch<IntelligentHorizontalPodAutoscaler>(resourceOf("IntelligentHorizontalPodAutoscaler")),
    portraits: watch<HorizontalPortrait>(resourceOf("HorizontalPortrait")),
    profiles: watch<ReplicaProfile>(resourceOf("ReplicaProfile")),
    sources: watch<MetricSource>(resourceOf("MetricSource")),
    hpas: watch<HorizontalPodAutoscaler>(resources.horizontalPodAutoscalers),
    pods: watch<Pod>(resources.pods, slimPod),
    nodes: watch<Node>(resources.nodes, slimNode),
    budgets: watch<Budget>(resources.podDisruptionBudgets),
  };
}
