import { ihpaLabel } from "../api/labels.ts";
import { formatKey, type KubeObject, keyOf } from "../kube/client/resource.ts";
import type { WorkQueue } from "../kube/loop/work-queue.ts";
import type { Reflector } from "../kube/watch/reflector.ts";
import { hasPodState } from "./pods/pod-states.ts";
import type { WatchedKinds } from "./watched-kinds.ts";
import type { Wired } from "./wiring.ts";

/** Adds keys to the queues as watched objects change: an object's own key, and those of objects that depend on it. */
export function wakeOnChanges(
  watched: WatchedKinds,
  {
    queues,
    profileController,
    podStates,
    externals,
  }: Pick<Wired, "queues" | "profileController" | "podStates" | "externals">,
): void {
  const feed = <T extends KubeObject>(reflector: Reflector<T>, to: WorkQueue) =>
    reflector.onChange(({ object }) => to.add(formatKey(keyOf(object))));
  feed(watched.ihpas, queues.ihpas);
  feed(watched.portraits, queues.portraits);
  feed(watched.profiles, queues.profiles);
  feed(watched.sources, queues.sources);

  watched.profiles.onChange(({ type, object }) => {
    if (type !== "Deleted") return;
    externals.forget(formatKey(keyOf(object)));
    const { namespace = "" } = object.metadata;
    // Another profile of the same workload may have waited for this.
    const { name } = object.spec.scaleTargetRef;
    for (const other of watched.profiles.cache.list(namespace))
      if (other.spec.scaleTargetRef.name === name) queues.profiles.add(formatKey(keyOf(other)));
    for (const pod of watched.pods.cache.list(namespace)) if (hasPodState(pod)) queues.pods.add(formatKey(keyOf(pod)));
  });
  watched.pods.onChange(({ type, object }) => {
    if (type === "Deleted") podStates.forget(object);
    if (!hasPodState(object) && !profileController.isReported(object)) return;
    const profile = profileController.profileOf(object);
    if (profile === undefined || profile === "Unknown") queues.pods.add(formatKey(keyOf(object)));
    else queues.profiles.add(profile);
  });
  watched.portraits.onChange(({ object }) => wakeOwner(object, queues.ihpas));
  watched.hpas.onChange(({ object }) => {
    wakeOwner(object, queues.ihpas);
    wakeOwner(object, queues.profiles);
  });
}

/** Wakes the object that an object was made for: the IHPA, or the ReplicaProfile, which has its IHPA's name. */
function wakeOwner({ metadata }: KubeObject, queue: WorkQueue): void {
  const name = metadata.labels?.[ihpaLabel];
  if (name !== undefined) queue.add(formatKey({ namespace: metadata.namespace ?? "", name }));
}
