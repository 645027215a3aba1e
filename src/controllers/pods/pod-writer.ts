import {
  deletionCostAnnotation,
  onlineGate,
  podStateLabel,
  requestsAnnotation,
  standbyModeAnnotation,
  trafficAnnotation,
} from "../../api/labels.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { isKubeError } from "../../kube/client/kube-error.ts";
import { type KubeObject, keyOf, resources } from "../../kube/client/resource.ts";
import type { Fence } from "../../kube/loop/leader-election.ts";
import { stamp } from "../../kube/times.ts";
import type { PodInState } from "../../pods/pod-in-state.ts";
import { type PodRequests, resizePatch } from "../../pods/requests.ts";
import type { StandbyMode } from "../../pods/sidecar-protocol.ts";
import type { Pod } from "./workload-pods.ts";

/** Labels and annotations to write on a pod: what is left out stays, `undefined` removes it. */
export interface PodMarks {
  readonly state?: PodInState["state"];
  readonly deletionCost?: number | undefined;
  readonly standbyMode?: StandbyMode | undefined;
  readonly requests?: PodRequests | undefined;
  /** The external program that took it out of rotation. */
  readonly trafficController?: string | undefined;
}

/** Writes pods. Each write names the pod's uid, so that it cannot change a successor of the same name. */
export class PodWriter {
  readonly #client: KubeClient;
  readonly #fence: Fence;
  readonly #now: () => number;

  constructor({ client, fence, now }: { client: KubeClient; fence: Fence; now: () => number }) {
    this.#client = client;
    this.#fence = fence;
    this.#now = now;
  }

  /** Puts a pod into rotation, or takes it out. */
  async setGate(pod: Pod, online: boolean, message: string): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const body = { metadata: { name, namespace, uid }, ...this.#gate(online, message) };
    // Strategic: conditions are merged by type, so that the kubelet's stay.
    await this.#patch(pod, "Strategic", body, "status");
  }

  /**
   * Marks a pod and puts it into rotation or takes it out, in one write: that halves the requests when a hundred pods come back, and
   * no reader sees one without the other.
   */
  async markAndSetGate(pod: Pod, marks: PodMarks, online: boolean, message: string): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const metadata = { name, namespace, uid, ...metadataOf(marks) };
    const written = await this.#patch(pod, "Strategic", { metadata, ...this.#gate(online, message) }, "status");
    // The status subresource accepts labels and annotations too; where it does not, they are written separately.
    const label = written?.metadata.labels?.[podStateLabel] ?? "Online";
    if (written && marks.state !== undefined && label !== marks.state) await this.mark(pod, marks);
  }

  #gate(online: boolean, message: string): object {
    const condition = {
      type: onlineGate,
      status: online ? "True" : "False",
      reason: online ? "Online" : "OutOfRotation",
      message,
      lastTransitionTime: stamp(this.#now()),
    };
    return { status: { conditions: [condition] } };
  }

  async mark(pod: Pod, marks: PodMarks): Promise<void> {
    await this.#patch(pod, "Merge", { metadata: { uid: pod.metadata.uid, ...metadataOf(marks) } });
  }

  /**
   * Changes a pod's requests in place.
   *
   * @returns undefined when it was accepted, else why it never will be: the node, the version or missing rights
   */
  async resize(pod: Pod, requests: PodRequests): Promise<string | undefined> {
    const { uid } = pod.metadata;
    try {
      await this.#patch(pod, "Strategic", { metadata: { uid }, ...resizePatch(requests) }, "resize");
      return undefined;
    } catch (error) {
      if (isKubeError(error, "Invalid", "Forbidden")) return error.message;
      throw error;
    }
  }

  /** @returns the pod as written; undefined where it is gone */
  async #patch(
    pod: Pod,
    type: "Strategic" | "Merge",
    body: object,
    subresource?: string,
  ): Promise<KubeObject | undefined> {
    this.#fence.check();
    try {
      // Exempt from the rate limit: pods wait for this, or users do.
      return await this.#client.patch(resources.pods, keyOf(pod), type, body, { subresource, exempt: true });
    } catch (error) {
      // The pod is gone, or another one has its name: the watch will report it.
      if (!isKubeError(error, "NotFound", "Conflict")) throw error;
      return undefined;
    }
  }
}

function metadataOf(marks: PodMarks): object {
  const text = (value: unknown) =>
    value === undefined ? null : typeof value === "object" ? JSON.stringify(value) : String(value);
  const annotations = {
    ...("deletionCost" in marks && { [deletionCostAnnotation]: text(marks.deletionCost) }),
    ...("standbyMode" in marks && { [standbyModeAnnotation]: text(marks.standbyMode) }),
    ...("trafficController" in marks && { [trafficAnnotation]: text(marks.trafficController) }),
    ...("requests" in marks && { [requestsAnnotation]: text(marks.requests) }),
  };
  const labels = marks.state && { [podStateLabel]: marks.state === "Online" ? null : marks.state };
  return { annotations, ...(labels && { labels }) };
}

/** Pods that are written at the same time. */
export const writesAtOnce = 24;

/** Runs at most `most` actions at a time; all are tried, then the first failure is thrown. */
export async function inParallel<T>(items: readonly T[], most: number, act: (item: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const item = items[next++];
      await act(item).catch((error) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
