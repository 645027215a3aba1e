import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import type { Log } from "../kube/log.ts";
import { Reflector } from "../kube/reflector.ts";
import { type KubeObject, resources } from "../kube/resource.ts";
import type { LimitRangeItem } from "../pods/inject-limits.ts";

interface LimitRange extends KubeObject {
  readonly spec?: { readonly limits?: readonly LimitRangeItem[] };
}

/** What the cluster's LimitRanges demand, from memory: every creation of a pod waits for the answer. */
export interface LimitRanges {
  /** Items of all LimitRanges of a namespace. */
  of(namespace: string): readonly LimitRangeItem[];
  /** Ends when the signal is aborted. */
  readonly done: Promise<void>;
}

export interface LimitRangesOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export function watchLimitRanges({ client, clock, log, signal }: LimitRangesOptions): LimitRanges {
  const reflector = new Reflector<LimitRange>({ client, clock, log, resource: resources.limitRanges, resyncMs: 0 });
  return {
    of: (namespace) => reflector.cache.list(namespace).flatMap(({ spec }) => spec?.limits ?? []),
    done: reflector.start(signal),
  };
}
