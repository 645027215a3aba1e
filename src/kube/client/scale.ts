import { type Clock, systemClock } from "../loop/clock.ts";
import type { CallOptions, KubeClient } from "./client.ts";
import { Discovery, type Mapping } from "./discovery.ts";
import { isKubeError, KubeError } from "./kube-error.ts";
import { formatKey, type KubeObject } from "./resource.ts";

/** What a `scaleTargetRef` names, with its namespace. */
export interface ScaleTarget {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** A workload's size. */
export interface Scale {
  /** `spec.replicas`: what is wanted. */
  readonly replicas: number;
  /** `status.replicas`: what was counted. */
  readonly statusReplicas: number;
  /** The pods' label selector as text; "" when the workload gives none. */
  readonly selector: string;
  readonly resourceVersion: string;
  readonly uid: string;
}

interface ScaleObject extends KubeObject {
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly replicas?: number; readonly selector?: string };
}

/** Reads and writes the scale subresource of any kind that has one. */
export class Scales {
  readonly #client: KubeClient;
  readonly #discovery: Discovery;

  constructor(client: KubeClient, clock: Clock = systemClock) {
    this.#client = client;
    this.#discovery = new Discovery(client, clock);
  }

  /** @throws KubeError `NotFound` (no such kind or object), `NotScalable` */
  async read(target: ScaleTarget, options: CallOptions = {}): Promise<Scale> {
    return this.#withMapping(target, async (mapping) =>
      scaleOf(await this.#client.get<ScaleObject>(mapping, target, { ...options, subresource: "scale" }), target),
    );
  }

  /**
   * Sets `spec.replicas`.
   *
   * @param resourceVersion of the scale that the decision was made on: `Conflict` when it changed meanwhile
   */
  async write(
    target: ScaleTarget,
    replicas: number,
    options: CallOptions & { readonly resourceVersion?: string; readonly fieldManager?: string } = {},
  ): Promise<Scale> {
    if (!Number.isInteger(replicas) || replicas < 0 || replicas > 2 ** 31 - 1)
      throw new RangeError(`${describeTarget(target)} cannot have ${replicas} replicas`);
    const { resourceVersion, ...rest } = options;
    const body = { ...(resourceVersion && { metadata: { resourceVersion } }), spec: { replicas } };
    return this.#withMapping(target, async (mapping) =>
      scaleOf(
        await this.#client.patch<ScaleObject>(mapping, target, "Merge", body, { ...rest, subresource: "scale" }),
        target,
      ),
    );
  }

  async #withMapping<T>(target: ScaleTarget, use: (mapping: Mapping) => Promise<T>): Promise<T> {
    const mapping = await this.#discovery.mapping(target.apiVersion, target.kind);
    if (!mapping.subresources.has("scale")) {
      this.#discovery.forget(target.apiVersion); // A CRD may be given one later.
      throw new KubeError(
        "NotScalable",
        `${describeTarget(target)}: ${target.kind} has no scale subresource; name a Deployment, a StatefulSet or another kind that has one`,
        { object: describeTarget(target) },
      );
    }
    try {
      return await use(mapping);
    } catch (error) {
      // Gone is the object or the whole kind: the next call will know.
      if (isKubeError(error, "NotFound")) this.#discovery.forget(target.apiVersion);
      throw error;
    }
  }
}

function scaleOf(object: ScaleObject, target: ScaleTarget): Scale {
  const { resourceVersion, uid } = object.metadata;
  // Every server sends spec, with replicas left out for 0.
  if (!object.spec || resourceVersion === undefined || uid === undefined)
    throw new KubeError("BadAnswer", `${describeTarget(target)}: the scale subresource did not answer with a Scale`);
  return {
    replicas: object.spec.replicas ?? 0,
    statusReplicas: object.status?.replicas ?? 0,
    selector: object.status?.selector ?? "",
    resourceVersion,
    uid,
  };
}

function describeTarget(target: ScaleTarget): string {
  return `${target.kind} ${formatKey(target)}`;
}
