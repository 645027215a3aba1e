import { type WatchEvent, watchEvents } from "../watch/watch-stream.ts";
import { type Call, Caller, type CallOptions, type ClientOptions, type Query } from "./caller.ts";
import { errorOfStatus, isKubeError, KubeError } from "./kube-error.ts";
import { type Connection, type ConnectionOptions, loadConnection } from "./kubeconfig.ts";
import { apiVersionOf, describe, type KubeObject, keyOf, type ObjectKey, pathOf, type Resource } from "./resource.ts";

export type { Call, CallOptions, ClientOptions } from "./caller.ts";

export interface Selection {
  /** One namespace; where absent, all. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only `metadata` of each object (PartialObjectMetadata). */
  readonly metadataOnly?: boolean;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Of the whole list, the same on each page: where a watch goes on. */
  readonly resourceVersion: string;
}

export interface WriteOptions extends CallOptions {
  readonly subresource?: string;
  readonly fieldManager?: string;
  /** The server answers as if, and stores nothing. */
  readonly dryRun?: boolean;
}

/** How a patch is meant; `Apply` is server-side apply and needs a field manager. */
export type PatchType = "Apply" | "Merge" | "Strategic" | "Json";

export interface PatchOptions extends WriteOptions {
  /** Server-side apply only: take fields over from their managers. */
  readonly force?: boolean;
}

export interface RemoveOptions extends CallOptions {
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly propagationPolicy?: "Background" | "Foreground" | "Orphan";
}

const contentTypes: Record<PatchType, string> = {
  Apply: "application/apply-patch+yaml",
  Merge: "application/merge-patch+json",
  Strategic: "application/strategic-merge-patch+json",
  Json: "application/json-patch+json",
};

const pageLimit = 500;

/** Finds the cluster as kubectl does and gives a client for it. @throws KubeError `Configuration` */
export async function connect(options: ConnectionOptions & ClientOptions): Promise<KubeClient> {
  return new KubeClient(await loadConnection(options), options);
}

/**
 * Calls to one API server: JSON in and out, rate-limited, retried where that is safe, each failure a `KubeError`.
 * Safe to share; it holds nothing but idle connections.
 */
export class KubeClient {
  readonly connection: Connection;
  readonly #caller: Caller;

  constructor(connection: Connection, options: ClientOptions = {}) {
    this.connection = connection;
    this.#caller = new Caller(connection, options);
  }

  async get<T extends KubeObject>(
    resource: Resource,
    key: ObjectKey,
    options: CallOptions & { readonly subresource?: string } = {},
  ): Promise<T> {
    return this.call<T>({ ...options, ...this.#target("get", resource, key, options.subresource) });
  }

  /** Like `get`, but `undefined` where there is no such object. */
  async find<T extends KubeObject>(resource: Resource, key: ObjectKey, options?: CallOptions): Promise<T | undefined> {
    try {
      return await this.get<T>(resource, key, options);
    } catch (error) {
      if (isKubeError(error, "NotFound")) return undefined;
      throw error;
    }
  }

  /** All objects of a selection. Read by pages; one consistent moment unless it takes longer than the server keeps. */
  async list<T extends KubeObject>(resource: Resource, selection: Selection = {}, options: CallOptions = {}) {
    const items: T[] = [];
    let resourceVersion = "";
    for await (const page of this.pages<T>(resource, selection, options)) {
      for (const item of page.items) items.push(item);
      resourceVersion = page.resourceVersion;
    }
    return { items, resourceVersion } satisfies Page<T>;
  }

  /**
   * The pages of a list, at most 500 objects each, with kind and apiVersion set on every object.
   *
   * @throws KubeError `Gone` when the continuation expired between two pages: what was read is then to be thrown away
   */
  async *pages<T extends KubeObject>(
    resource: Resource,
    selection: Selection = {},
    options: CallOptions = {},
  ): AsyncGenerator<Page<T>> {
    const { namespace, metadataOnly, labelSelector, fieldSelector } = selection;
    let next: string | undefined;
    do {
      const answer: {
        items?: T[] | null;
        metadata?: { resourceVersion?: string; continue?: string };
      } = await this.call({
        ...options,
        ...this.#target("list", resource, { namespace }),
        query: { labelSelector, fieldSelector, limit: pageLimit, continue: next },
        accept: metadataOnly ? "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" : undefined,
      });
      if (typeof answer.metadata?.resourceVersion !== "string")
        throw new KubeError("BadAnswer", `list ${describe(resource)}: the answer is not a list`);
      const items = (answer.items ?? []).map((item) => named(resource, item));
      yield { items, resourceVersion: answer.metadata.resourceVersion };
      next = answer.metadata.continue || undefined;
    } while (next !== undefined);
  }

  /**
   * Watches a selection from a resourceVersion on, with bookmarks, until the server ends the stream (after
   * `timeoutSeconds`, or earlier when it must). The rate limit does not count watches: they are as many as caches.
   *
   * @param onStart called when the server has accepted the watch
   * @throws KubeError on any failure, `Gone` when the resourceVersion is too old; the signal's reason when aborted
   */
  async watch(
    resource: Resource,
    selection: Selection & { readonly resourceVersion: string; readonly timeoutSeconds: number },
    onEvent: (event: WatchEvent) => void,
    options: { readonly signal: AbortSignal; readonly onStart?: () => void },
  ): Promise<void> {
    const { namespace, metadataOnly, labelSelector, fieldSelector, resourceVersion, timeoutSeconds } = selection;
    const object = describe(resource, { namespace });
    const call: Call = {
      ...this.#target("watch", resource, { namespace }),
      query: { watch: true, allowWatchBookmarks: true, resourceVersion, timeoutSeconds, labelSelector, fieldSelector },
      accept: metadataOnly ? "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" : undefined,
    };
    await this.#caller.stream(call, options.signal, async (response) => {
      options.onStart?.();
      for await (const event of watchEvents(response, object)) {
        if (event.type === "ERROR") throw errorOfStatus(event.object?.code ?? 500, event.object, "watch", object);
        onEvent(event.type === "BOOKMARK" ? event : { ...event, object: named(resource, event.object) });
      }
    });
  }

  create<T extends KubeObject>(resource: Resource, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace } = keyOf(object);
    const target = this.#target("create", resource, { namespace }, undefined, describe(resource, keyOf(object)));
    return this.call<T>({ ...options, ...target, method: "POST", query: writeQuery(options), body: object });
  }

  /** Conditional on the object's resourceVersion where it has one: `Conflict` when it changed meanwhile. */
  replace<T extends KubeObject>(resource: Resource, object: T, options: WriteOptions = {}): Promise<T> {
    const target = this.#target("update", resource, keyOf(object), options.subresource);
    return this.call<T>({ ...options, ...target, method: "PUT", query: writeQuery(options), body: object });
  }

  patch<T extends KubeObject>(
    resource: Resource,
    key: ObjectKey,
    type: PatchType,
    body: unknown,
    options: PatchOptions = {},
  ): Promise<T> {
    return this.call<T>({
      ...options,
      ...this.#target(type === "Apply" ? "apply" : "patch", resource, key, options.subresource),
      method: "PATCH",
      contentType: contentTypes[type],
      query: { ...writeQuery(options), force: options.force || undefined },
      body,
    });
  }

  /** Deletes an object. @returns false when there was none */
  async remove(resource: Resource, key: ObjectKey, options: RemoveOptions = {}): Promise<boolean> {
    const { preconditions, propagationPolicy = "Background" } = options;
    const body = { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy, preconditions };
    try {
      await this.call({ ...options, ...this.#target("delete", resource, key), method: "DELETE", body });
      return true;
    } catch (error) {
      if (isKubeError(error, "NotFound")) return false;
      throw error;
    }
  }

  /** One call by path. @returns the parsed JSON; the text where the answer is not JSON; `undefined` for an empty one */
  call<T>(call: Call): Promise<T> {
    return this.#caller.call(call);
  }

  /** Closes connections that carry no request. */
  dropIdleConnections(): void {
    this.#caller.dropIdleConnections();
  }

  #target(verb: string, resource: Resource, key: Partial<ObjectKey>, subresource?: string, object?: string) {
    return {
      verb,
      path: pathOf(resource, key, subresource),
      object: (object ?? describe(resource, key)) + (subresource ? ` (${subresource})` : ""),
      resource: describe(resource),
    };
  }
}

/** Items of a built-in list carry no kind, and metadata-only ones that of the projection: all get their own. */
function named<T extends KubeObject>(resource: Resource, object: T): T {
  return object.kind === resource.kind
    ? object
    : { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function writeQuery({ fieldManager, dryRun }: WriteOptions): Query {
  return { fieldManager, dryRun: dryRun ? "All" : undefined };
}
