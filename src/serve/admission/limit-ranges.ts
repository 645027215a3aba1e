import type { KubeClient } from "../../kube/client/client.ts";
import { type KubeObject, resources } from "../../kube/client/resource.ts";
import type { Log } from "../../kube/log.ts";
import type { Clock } from "../../kube/loop/clock.ts";
import { Reflector } from "../../kube/watch/reflector.ts";
import type { LimitRangeItem } from "../../pods/inject/limit-ranges.ts";

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
