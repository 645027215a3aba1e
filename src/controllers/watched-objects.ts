import type { HorizontalPortrait } from "../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { MetricSource } from "../api/kinds/metric-source.ts";
import type { ReplicaProfile } from "../api/kinds/replica-profile.ts";
import { type KubeObject, type Resource, resourceOf, resources } from "../kube/client/resource.ts";
import { Reflector, type ReflectorOptions } from "../kube/watch/reflector.ts";
import type { HorizontalPodAutoscaler } from "./ihpa/managed-hpa.ts";
import type { Budget } from "./pods/disruption-budgets.ts";
import { type Node, slimNode } from "./pods/node.ts";
import { type Pod, slimPod } from "./pods/workload-pods.ts";

/** A watched cache for every kind of object that the controllers read. */
export interface WatchedObjects {
  readonly ihpas: Reflector<IntelligentHorizontalPodAutoscaler>;
  readonly portraits: Reflector<HorizontalPortrait>;
  readonly profiles: Reflector<ReplicaProfile>;
  readonly sources: Reflector<MetricSource>;
  readonly hpas: Reflector<HorizontalPodAutoscaler>;
  readonly pods: Reflector<Pod>;
  readonly nodes: Reflector<Node>;
  readonly budgets: Reflector<Budget>;
}

/** Watches all of them until the signal is aborted. */
export function watchObjects(
  options: Omit<ReflectorOptions<KubeObject>, "resource" | "transform">,
  signal: AbortSignal,
): WatchedObjects {
  const reflect = <T extends KubeObject>(resource: Resource, transform?: (object: T) => T) => {
    const reflector = new Reflector<T>({ ...options, resource, ...(transform && { transform }) });
    void reflector.start(signal);
    return reflector;
  };
  return {
    ihpas: reflect<IntelligentHorizontalPodAutoscaler>(resourceOf("IntelligentHorizontalPodAutoscaler")),
    portraits: reflect<HorizontalPortrait>(resourceOf("HorizontalPortrait")),
    profiles: reflect<ReplicaProfile>(resourceOf("ReplicaProfile")),
    sources: reflect<MetricSource>(resourceOf("MetricSource")),
    hpas: reflect<HorizontalPodAutoscaler>(resources.horizontalPodAutoscalers),
    pods: reflect<Pod>(resources.pods, slimPod),
    nodes: reflect<Node>(resources.nodes, slimNode),
    budgets: reflect<Budget>(resources.podDisruptionBudgets),
  };
}

/** Resolves once every cache is filled. */
export async function allSynced(watched: WatchedObjects, signal: AbortSignal): Promise<void> {
  const reflectors: readonly { waitForSync(signal: AbortSignal): Promise<unknown> }[] = Object.values(watched);
  await Promise.all(reflectors.map((each) => each.waitForSync(signal)));
}
