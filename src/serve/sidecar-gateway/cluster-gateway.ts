import type { ObjectMeta } from "../../api/kinds/object.ts";
import { injectLabel, prefix, serverManager, standbyCondition } from "../../api/labels.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { isKubeError } from "../../kube/client/kube-error.ts";
import { formatKey, type KubeObject, keyOf, parseKey, resources } from "../../kube/client/resource.ts";
import type { Log } from "../../kube/log.ts";
import type { Clock } from "../../kube/loop/clock.ts";
import { WorkQueue } from "../../kube/loop/work-queue.ts";
import type { KubeMetrics } from "../../kube/metrics.ts";
import { Reflector } from "../../kube/watch/reflector.ts";
import { type SidecarReport, tokenAudience } from "../../pods/sidecar-protocol.ts";
import {
  desiredStateOf,
  isOtherSidecar,
  type StandbyClaim,
  type StandbyPod,
  standbyClaim,
} from "../../pods/standby-condition.ts";
import type { PostReview } from "../access/reviews.ts";
import { createGateway, type Gateway } from "./gateway.ts";
import type { GatewayMetrics } from "./gateway-metrics.ts";
import { reviewPodTokens } from "./pod-tokens.ts";

/** What the gateway keeps of a pod. */
export interface GatewayPod extends KubeObject, StandbyPod {
  readonly metadata: ObjectMeta;
  readonly status?: Omit<NonNullable<StandbyPod["status"]>, "conditions"> & {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason?: string;
      readonly message?: string;
      readonly lastTransitionTime?: string;
    }[];
  };
}

export interface ClusterGatewayOptions {
  readonly client: KubeClient;
  readonly post: PostReview;
  readonly authorities: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: GatewayMetrics;
  readonly kubeMetrics?: KubeMetrics;
  readonly signal: AbortSignal;
}

export interface ClusterGateway {
  readonly gateway: Gateway;
  readonly hasSynced: boolean;
  /** Ends when the signal is aborted. */
  readonly done: Promise<void>;
}

/** Starts the gateway of a cluster: desired states come from a watch of the pods, reports become their conditions. */
export function startGateway(options: ClusterGatewayOptions): ClusterGateway {
  const { client, clock, log, signal } = options;
  const pods = new Reflector<GatewayPod>({
    client,
    clock,
    log,
    metrics: options.kubeMetrics,
    resource: resources.pods,
    labelSelector: `${injectLabel}=standby`,
    transform: slim,
    resyncMs: 0,
  });
  /** The last report of each pod, until its condition says so. */
  const reported = new Map<string, { readonly uid: string; readonly report: SidecarReport; readonly atMs: number }>();
  const written = new Map<string, StandbyClaim>();

  const gateway = createGateway({
    reviewToken: reviewPodTokens(options.post, tokenAudience),
    authorities: options.authorities,
    metrics: options.metrics,
    clock,
    log,
    desiredStateOf({ namespace, name, uid }) {
      const pod = pods.cache.get({ namespace, name });
      return pod?.metadata.uid === uid ? desiredStateOf(pod) : undefined;
    },
    onReport({ namespace, name, uid }, report) {
      const key = formatKey({ namespace, name });
      reported.set(key, { uid, report, atMs: clock.wallMs() });
      queue.add(key);
    },
  });
  const queue = new WorkQueue({
    name: "sidecar-reports",
    handle: writeCondition,
    concurrency: 16,
    longestBackoffMs: 10_000,
    clock,
    metrics: options.kubeMetrics,
    log,
  });
  pods.onChange(({ type, object }) => {
    const key = keyOf(object);
    if (type === "Deleted") for (const memory of [reported, written]) memory.delete(formatKey(key));
    gateway.refresh(key.namespace, key.name);
  });
  signal.addEventListener("abort", () => queue.shutdown(), { once: true });

  async function writeCondition(key: string): Promise<undefined> {
    const said = reported.get(key);
    const pod = pods.cache.get(parseKey(key));
    if (!said || pod?.metadata.uid !== said.uid) return;
    const claim = standbyClaim(said.report);
    const before = pod.status?.conditions?.find(({ type }) => type === standbyCondition);
    // The watch may lag behind what was written here, and another replica may have written since.
    const isSame = [before, written.get(key) ?? before].every(
      (each) => each?.status === claim.status && each.reason === claim.reason && each.message === claim.message,
    );
    if (!isSame) {
      const lastTransitionTime =
        before?.status === claim.status && before.lastTransitionTime
          ? before.lastTransitionTime
          : `${new Date(said.atMs).toISOString().slice(0, 19)}Z`;
      const { namespace, name, uid } = { ...pod.metadata };
      try {
        await client.patch(
          resources.pods,
          keyOf(pod),
          "Apply",
          {
            apiVersion: "v1",
            kind: "Pod",
            metadata: { name, namespace, uid },
            status: { conditions: [{ type: standbyCondition, ...claim, lastTransitionTime }] },
          },
          { subresource: "status", fieldManager: serverManager, force: true, exempt: true },
        );
        written.set(key, claim);
      } catch (error) {
        if (!isKubeError(error, "NotFound", "Conflict")) throw error; // gone, or another pod by that name
      }
    }
    if (reported.get(key) === said) reported.delete(key);
    return undefined;
  }

  return {
    gateway,
    get hasSynced() {
      return pods.hasSynced;
    },
    done: pods.start(signal),
  };
}

/** Thousands of pods are held: only what desired states and conditions need. */
function slim({ metadata, spec, status }: GatewayPod): GatewayPod {
  const { name, namespace, uid, resourceVersion, deletionTimestamp, labels, annotations } = metadata;
  const others = (spec?.initContainers ?? [])
    .filter(isOtherSidecar)
    .map(({ name, restartPolicy }) => ({ name, restartPolicy }));
  return {
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion,
      ...(deletionTimestamp && { deletionTimestamp }),
      labels: ours(labels),
      annotations: ours(annotations),
    },
    ...(others.length > 0 && { spec: { initContainers: others } }),
    status: {
      conditions: status?.conditions?.filter(({ type }) => isOurs(type)),
      ...(others.length > 0 && {
        initContainerStatuses: status?.initContainerStatuses?.map(({ name, containerID }) => ({ name, containerID })),
      }),
    },
  };
}

const isOurs = (key: string) => key.startsWith(`${prefix}/`);

function ours(all: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(all).filter(([key]) => isOurs(key)));
}
