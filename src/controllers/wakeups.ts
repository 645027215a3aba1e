import { ihpaLabel } from "../api/labels.ts";
import { formatKey, type KubeObject, keyOf, parseKey } from "../kube/client/resource.ts";
import type { Next, WorkQueue } from "../kube/loop/work-queue.ts";
import type { Cache } from "../kube/watch/cache.ts";
import type { Reflector } from "../kube/watch/reflector.ts";
import type { ExternalPods } from "./pods/external-pods.ts";
import { hasPodState, type PodStates } from "./pods/pod-states.ts";
import type { Pod } from "./pods/workload-pods.ts";
import type { ReplicaProfileController } from "./replica-profile/replica-profile-controller.ts";
import { newcomersMs } from "./tick.ts";
import type { WatchedObjects } from "./watched-objects.ts";

export interface WakeupOptions {
  readonly watched: WatchedObjects;
  readonly queues: Readonly<Record<"ihpas" | "portraits" | "profiles" | "sources" | "pods", WorkQueue>>;
  readonly profiles: ReplicaProfileController;
  readonly podStates: PodStates;
  readonly externals: ExternalPods;
}

/** Queues the objects to reconcile when an object changes: itself, and those that depend on it. */
export function connectWakeups({ watched, queues, profiles, podStates, externals }: WakeupOptions): void {
  const feed = <T extends KubeObject>(reflector: Reflector<T>, to: WorkQueue) =>
    reflector.onChange(({ object }) => to.add(formatKey(keyOf(object))));
  feed(watched.ihpas, queues.ihpas);
  feed(watched.portraits, queues.portraits);
  feed(watched.profiles, queues.profiles);
  feed(watched.sources, queues.sources);
  watched.profiles.onChange(({ type, object }) => {
    if (type !== "Deleted") return;
    externals.forget(formatKey(keyOf(object)));
    // Another profile of the same workload may have waited for this deletion.
    const { name } = object.spec.scaleTargetRef;
    for (const other of watched.profiles.cache.list(object.metadata.namespace ?? ""))
      if (other.spec.scaleTargetRef.name === name) queues.profiles.add(formatKey(keyOf(other)));
    for (const pod of watched.pods.cache.list(object.metadata.namespace ?? ""))
      if (hasPodState(pod)) queues.pods.add(formatKey(keyOf(pod)));
  });
  watched.pods.onChange(({ type, object }) => {
    if (type === "Deleted") podStates.forget(object);
    if (!hasPodState(object) && !profiles.mayHaveExternalTraffic(object)) return;
    const profile = profiles.profileOf(object);
    if (profile === undefined || profile === "Unknown") queues.pods.add(formatKey(keyOf(object)));
    else queues.profiles.add(profile);
  });
  // An IHPA depends on its portraits and its HPA.
  watched.portraits.onChange(({ object }) => wakeOwner(object, queues.ihpas));
  watched.hpas.onChange(({ object }) => {
    wakeOwner(object, queues.ihpas);
    wakeOwner(object, queues.profiles);
  });
}

/** Reconciles a pod that has a gate: without a profile it is put back into service. */
export function podReleaser(
  pods: Cache<Pod>,
  profiles: Pick<ReplicaProfileController, "profileOf">,
  podStates: Pick<PodStates, "release">,
): (key: string) => Promise<Next> {
  return async (key) => {
    const pod = pods.get(parseKey(key));
    const profile = pod && profiles.profileOf(pod);
    if (profile === "Unknown") return { recheckAfterMs: newcomersMs };
    if (pod && profile === undefined) await podStates.release(pod);
    return {};
  };
}

function wakeOwner({ metadata }: KubeObject, queue: WorkQueue): void {
  const name = metadata.labels?.[ihpaLabel];
  // A profile has its IHPA's name.
  if (name !== undefined) queue.add(formatKey({ namespace: metadata.namespace ?? "", name }));
}
