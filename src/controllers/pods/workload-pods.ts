import { deletionCostAnnotation, prefix, standbyCondition } from "../../api/labels.ts";
import { matches, parseSelector } from "../../api/values/label-selector.ts";
import { readQuantity } from "../../api/values/quantity.ts";
import type { KubeObject } from "../../kube/client/resource.ts";
import type { PlacedPod } from "../../pods/inject/node-room.ts";
import type { PodObjectInState } from "../../pods/pod-in-state.ts";
import { activityOf } from "../../pods/pod-state.ts";
import type { ResizablePod } from "../../pods/requests.ts";
import type { PodRequests } from "../workload/metric-query.ts";

type Spec<P extends { readonly spec?: object }> = NonNullable<P["spec"]>;
type Container<P extends { readonly spec?: { readonly containers?: readonly unknown[] } }> = NonNullable<
  Spec<P>["containers"]
>[number];

/** The fields of a pod that the controllers keep. */
export interface Pod extends KubeObject {
  readonly spec?: Omit<Spec<ResizablePod> & Spec<PlacedPod> & Spec<PodObjectInState>, "containers"> & {
    readonly containers?: readonly (Container<ResizablePod> & Container<PlacedPod> & Container<PodObjectInState>)[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly qosClass?: string;
    readonly podIP?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason?: string;
      /** Kept of our own condition only. */
      readonly message?: string;
      readonly lastTransitionTime?: string | null;
    }[];
    readonly containerStatuses?: readonly {
      readonly name?: string;
      readonly restartCount: number;
      readonly state?: { readonly running?: { readonly startedAt?: string | null } };
      readonly allocatedResources?: Readonly<Record<string, string>>;
    }[];
  };
}

/** Drops what no controller reads, which is most of a pod. */
export function slimPod({ metadata, spec, status }: Pod): Pod {
  const { name, namespace, uid, resourceVersion, labels, creationTimestamp, deletionTimestamp } = metadata;
  const annotations = Object.fromEntries(
    Object.entries(metadata.annotations ?? {}).filter(
      ([key]) => key === deletionCostAnnotation || key.startsWith(`${prefix}/`),
    ),
  );
  // Owners are dropped: revisions are known by labels, and a pod's owner is a ReplicaSet, not the Deployment.
  return {
    metadata: { name, namespace, uid, resourceVersion, labels, annotations, creationTimestamp, deletionTimestamp },
    spec: {
      nodeName: spec?.nodeName,
      readinessGates: spec?.readinessGates?.map(({ conditionType }) => ({ conditionType })),
      initContainers: spec?.initContainers?.map(({ name, restartPolicy, resources }) => ({
        name,
        ...(restartPolicy && { restartPolicy }),
        ...(resources?.requests && { resources: { requests: resources.requests } }),
      })),
      containers: spec?.containers?.map(({ name, readinessProbe, resources, resizePolicy }) => ({
        name,
        ...(readinessProbe && {
          readinessProbe: {
            periodSeconds: readinessProbe.periodSeconds,
            timeoutSeconds: readinessProbe.timeoutSeconds,
            successThreshold: readinessProbe.successThreshold,
          },
        }),
        resources: { requests: resources?.requests },
        ...(resizePolicy && { resizePolicy }),
      })),
    },
    status: {
      phase: status?.phase,
      qosClass: status?.qosClass,
      podIP: status?.podIP,
      conditions: status?.conditions?.map(({ type, status, reason, message, lastTransitionTime }) => ({
        type,
        status,
        ...(reason !== undefined && { reason }),
        ...(type === standbyCondition && message !== undefined && { message }),
        lastTransitionTime,
      })),
      containerStatuses: status?.containerStatuses?.map(({ name, restartCount, state, allocatedResources }) => ({
        name,
        restartCount,
        state: { running: state?.running && { startedAt: state.running.startedAt } },
        ...(allocatedResources && { allocatedResources }),
      })),
    },
  };
}

/** Number of pods by state. */
export interface PodCounts {
  readonly online: number;
  readonly cutoff: number;
  readonly standby: number;
  readonly starting: number;
  /** Of those on standby: not frozen yet, as their sidecars report. */
  readonly freezing: number;
}

/** Counts a workload's pods, without those that are being deleted or have ended. */
export function countPods(pods: readonly Pod[]): PodCounts {
  const counts = { online: 0, cutoff: 0, standby: 0, starting: 0, freezing: 0 };
  for (const pod of pods) {
    const activity = activityOf(pod);
    if (activity === "Gone") continue;
    counts[activity.toLowerCase() as keyof PodCounts]++;
    const standby = pod.status?.conditions?.find(({ type }) => type === standbyCondition);
    if (activity === "Standby" && standby?.status !== "True") counts.freezing++;
  }
  return counts;
}

/**
 * The pods that a scale's selector selects.
 * @param selector as the scale subresource returns it; "" selects none
 */
export function selectPods(pods: readonly Pod[], selector: string): Pod[] {
  if (selector === "") return [];
  const parsed = parseSelector(selector);
  return pods.filter(({ metadata }) => matches(parsed, new Map(Object.entries(metadata.labels ?? {}))));
}

/** What one pod of the workload requests: the newest one, as a rollout changes it. Undefined without pods. */
export function requestsOf(pods: readonly Pod[]): PodRequests | undefined {
  if (pods.length === 0) return undefined;
  const newest = pods.reduce((best, pod) =>
    (pod.metadata.creationTimestamp ?? "") > (best.metadata.creationTimestamp ?? "") ? pod : best,
  );
  return (resource, container) => {
    const amounts = (newest.spec?.containers ?? [])
      .filter(({ name }) => container === undefined || name === container)
      .flatMap(({ resources }) => resources?.requests?.[resource] ?? []);
    return amounts.length === 0 ? undefined : amounts.reduce((sum, amount) => sum + readQuantity(amount), 0);
  };
}
