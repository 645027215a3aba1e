import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { prefix } from "../../api/labels.ts";
import type { Fence } from "../loop/leader-election.ts";
import type { KubeMetrics } from "../metrics.ts";
import type { CallOptions, KubeClient } from "./client.ts";
import { isKubeError, KubeError } from "./kube-error.ts";
import {
  apiVersionOf,
  describe,
  formatKey,
  type KubeObject,
  keyOf,
  type ObjectKey,
  type Resource,
} from "./resource.ts";

/** On what is applied under a Lease: the term of the leader that wrote it. */
export const termAnnotation = `${prefix}/leader-term`;

export interface ApplierOptions {
  readonly client: KubeClient;
  /** Owner of the fields applied: one per program. */
  readonly fieldManager: string;
  /** Asked before each write; its term is written on objects. */
  readonly fence?: Fence;
  readonly metrics?: KubeMetrics;
}

export interface ApplyOptions<T> extends CallOptions {
  /** The object as a cache has it now. Without it nothing is ever skipped. */
  readonly cached?: T;
  /** Take over fields of other managers. Only for what is wholly ours: an object that we own, our own status. */
  readonly force?: boolean;
}

/** `Skipped`: not sent, since nothing changed. `Unchanged`: sent, and the server stored nothing. */
export type Applied<T> =
  | { readonly outcome: "Skipped"; readonly object: T }
  | { readonly outcome: "Unchanged" | "Applied"; readonly object: T };

interface LastApply {
  readonly uid: string | undefined;
  readonly wanted: string;
  readonly answered: string;
}

/**
 * Server-side apply under one field manager. What is given is all that the manager wants: a field left out that was
 * there before is removed by the server.
 *
 * An apply is skipped when the same was applied before and those fields still look, in the cache, as the server
 * answered then. Comparing with the answer, not with what was applied, is what makes normalised values ("1000m" read back as "1")
 * come to rest. A new process applies each object once.
 */
export class Applier {
  readonly #options: ApplierOptions;
  readonly #last = new LRUCache<string, LastApply>({ max: 100_000 });

  constructor(options: ApplierOptions) {
    this.#options = options;
  }

  /**
   * Applies an object, making it where there is none.
   *
   * @throws KubeError `Conflict` naming the fields and who has them; `NotLeader`
   */
  apply<T extends KubeObject>(resource: Resource, wanted: T, options: ApplyOptions<T> = {}): Promise<Applied<T>> {
    return this.#apply(resource, wanted, undefined, options);
  }

  /** Applies the status subresource; the rest of `wanted` but its name is left out. @throws as `apply`, and `NotFound` */
  applyStatus<T extends KubeObject>(resource: Resource, wanted: T, options: ApplyOptions<T> = {}): Promise<Applied<T>> {
    const { name, namespace } = wanted.metadata;
    const { status } = wanted as T & { status?: unknown };
    return this.#apply(resource, { metadata: { name, namespace }, status } as unknown as T, "status", options);
  }

  /** The object is gone: nothing is remembered of it. */
  forget(resource: Resource, key: ObjectKey): void {
    for (const subresource of [undefined, "status"]) this.#last.delete(memoryKey(resource, key, subresource));
  }

  async #apply<T extends KubeObject>(
    resource: Resource,
    wanted: T,
    subresource: "status" | undefined,
    { cached, force, ...call }: ApplyOptions<T>,
  ): Promise<Applied<T>> {
    const { client, fieldManager, fence, metrics } = this.#options;
    const count = (outcome: string) => metrics?.applies.inc({ resource: describe(resource), outcome });
    const key = keyOf(wanted);
    const memory = memoryKey(resource, key, subresource);
    const fields = fieldsOf(wanted);
    const wantedHash = digest(fields);
    const last = this.#last.get(memory);
    if (cached && last?.uid === cached.metadata.uid && last?.wanted === wantedHash) {
      if (last.answered === digest(project(cached, fields))) {
        count("Skipped");
        return { outcome: "Skipped", object: cached };
      }
    }

    const term = fence?.check();
    const annotations = { ...wanted.metadata.annotations, [termAnnotation]: String(term) };
    const signed = term !== undefined && subresource === undefined; // A status cannot carry metadata.
    const metadata = signed ? { ...wanted.metadata, annotations } : wanted.metadata;
    const body = { ...wanted, apiVersion: apiVersionOf(resource), kind: resource.kind, metadata };
    try {
      const object = await client.patch<T>(resource, key, "Apply", body, { ...call, subresource, fieldManager, force });
      const answered = digest(project(object, fields));
      this.#last.set(memory, { uid: object.metadata.uid, wanted: wantedHash, answered });
      const same = cached && cached.metadata.resourceVersion === object.metadata.resourceVersion;
      const outcome = same ? "Unchanged" : "Applied";
      count(outcome);
      return { outcome, object };
    } catch (error) {
      this.#last.delete(memory);
      count(isKubeError(error, "Conflict") ? "Conflict" : "Failed");
      throw isKubeError(error, "Conflict") ? explained(error, describe(resource, key), fieldManager) : error;
    }
  }
}

function memoryKey(resource: Resource, key: ObjectKey, subresource: string | undefined): string {
  return `${resource.plural}.${resource.group} ${formatKey(key)} ${subresource ?? ""}`;
}

/** What is wanted, without what only addresses the object or guards the write. */
function fieldsOf(wanted: KubeObject): Record<string, unknown> {
  const { apiVersion: _a, kind: _k, ...rest } = wanted;
  const { resourceVersion: _r, uid: _u, ...metadata } = wanted.metadata;
  return { ...rest, metadata };
}

/** A Conflict of field managers says which fields, and whose they are. */
function explained(error: KubeError, object: string, fieldManager: string): KubeError {
  const causes = (error.details?.causes ?? []).filter((each) => each.reason === "FieldManagerConflict");
  if (causes.length === 0) return error;
  const fields = causes.map((each) => `${each.field} (${each.message})`).join(", ");
  return new KubeError(
    "Conflict",
    `apply ${object}: another writer owns ${fields}; take the field out of what that writer applies, or out of what ${fieldManager} is asked for`,
    { status: error.status, object, reason: error.reason, details: error.details, cause: error },
  );
}

/**
 * The part of `value` that `shape` speaks of. Conditions are matched by type, since other managers may add theirs;
 * any other list of another length is taken whole.
 */
export function project(value: unknown, shape: unknown, field = ""): unknown {
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return value;
    if (field === "conditions")
      return shape.map((each) =>
        project(
          value.find((other) => other?.type === each?.type),
          each,
        ),
      );
    return value.length === shape.length ? shape.map((each, i) => project(value[i], each)) : value;
  }
  if (typeof shape === "object" && shape !== null) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(
      Object.entries(shape)
        .filter(([, each]) => each !== undefined)
        .map(([name, each]) => [name, project((value as Record<string, unknown>)[name], each, name)]),
    );
  }
  return value;
}

function digest(value: unknown): string {
  return hash("sha256", JSON.stringify(value, sorted) ?? "", "base64");
}

/** The order of keys says nothing: the server has its own. */
function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
