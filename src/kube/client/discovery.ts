import { type Clock, systemClock } from "../loop/clock.ts";
import type { KubeClient } from "./client.ts";
import { isKubeError, KubeError } from "./kube-error.ts";
import { type Resource, splitApiVersion } from "./resource.ts";

/** A resource as the server describes it. */
export interface Mapping extends Resource {
  /** Subresources by name, such as `scale` and `status`. */
  readonly subresources: ReadonlySet<string>;
}

interface ResourceList {
  readonly resources?: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
}

// A kind that is missing is looked for again, but not at every reconcile of every object that names it.
const missingForMs = 10_000;
// CRDs change seldom; `forget` is for those that did.
const knownForMs = 600_000;

/** From `apiVersion` and `kind` to the resource that serves them, asked once per group and version. */
export class Discovery {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #groups = new Map<
    string,
    { readonly atMs: number; readonly kinds: Promise<ReadonlyMap<string, Mapping>> }
  >();

  constructor(client: KubeClient, clock: Clock = systemClock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** @throws KubeError `NotFound` when the cluster does not have the kind */
  async mapping(apiVersion: string, kind: string): Promise<Mapping> {
    let found = (await this.#kinds(apiVersion, knownForMs)).get(kind);
    found ??= (await this.#kinds(apiVersion, missingForMs)).get(kind);
    if (found) return found;
    const object = `${apiVersion} ${kind}`;
    throw new KubeError(
      "NotFound",
      `the cluster has no kind ${kind} in ${apiVersion}; check the spelling, or install its CustomResourceDefinition`,
      { object },
    );
  }

  /** Something that was mapped is not there any more: asks anew at the next call, at most every 10 s. */
  forget(apiVersion: string): void {
    const held = this.#groups.get(apiVersion);
    if (held && this.#clock.monotonicMs() - held.atMs >= missingForMs) this.#groups.delete(apiVersion);
  }

  #kinds(apiVersion: string, atMostMs: number): Promise<ReadonlyMap<string, Mapping>> {
    const held = this.#groups.get(apiVersion);
    if (held && this.#clock.monotonicMs() - held.atMs < atMostMs) return held.kinds;
    const kinds = this.#ask(apiVersion);
    const entry = { atMs: this.#clock.monotonicMs(), kinds };
    this.#groups.set(apiVersion, entry);
    kinds.catch(() => {
      if (this.#groups.get(apiVersion) === entry) this.#groups.delete(apiVersion);
    });
    return kinds;
  }

  async #ask(apiVersion: string): Promise<ReadonlyMap<string, Mapping>> {
    const { group, version } = splitApiVersion(apiVersion);
    const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    if (!/^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[a-z0-9]+$/.test(apiVersion))
      throw new KubeError("NotFound", `"${apiVersion}" is not an apiVersion; write it as group/version`);
    let list: ResourceList;
    try {
      list = await this.#client.call<ResourceList>({
        path,
        verb: "discover",
        object: apiVersion,
        resource: "discovery",
      });
    } catch (error) {
      if (isKubeError(error, "NotFound")) return new Map();
      throw error;
    }
    const kinds = new Map<string, Mapping & { subresources: Set<string> }>();
    const byPlural = new Map<string, { subresources: Set<string> }>();
    for (const { name: plural, kind, namespaced } of list.resources ?? []) {
      if (plural.includes("/")) continue;
      const mapping = { group, version, plural, kind, namespaced, subresources: new Set<string>() };
      kinds.set(kind, mapping);
      byPlural.set(plural, mapping);
    }
    for (const { name } of list.resources ?? []) {
      const [plural, subresource] = name.split("/");
      if (subresource) byPlural.get(plural)?.subresources.add(subresource);
    }
    return kinds;
  }
}
