import { formatKey, type KubeObject, keyOf, type ObjectKey } from "../client/resource.ts";

/** What happened to an object of a cache. `Updated` comes with the same object twice at a resync. */
export type Change<T> =
  | { readonly type: "Added"; readonly object: T }
  | { readonly type: "Updated"; readonly object: T; readonly old: T }
  | { readonly type: "Deleted"; readonly object: T };

/** The values under which an object is found; none, and the index does not hold it. */
export type IndexBy<T> = (object: T) => readonly string[];

export interface CacheOptions<T> {
  readonly indexes?: Readonly<Record<string, IndexBy<T>>>;
  /** Told when an index function throws; the object is then stored without that index. */
  readonly onFault?: (object: T, error: unknown) => void;
  /** Freeze what is stored, to its depth, so that a writer is found at once. For tests: it costs time per object. */
  readonly freeze?: boolean;
}

/**
 * Objects of one resource in memory, with indexes. What it gives out is read-only: everybody gets the same object.
 * Filled by a reflector, or by a test with `replace`.
 */
export class Cache<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #freeze: boolean;

  constructor({ indexes = {}, freeze = false, onFault }: CacheOptions<T> = {}) {
    this.#freeze = freeze;
    for (const [name, declared] of Object.entries(indexes)) {
      // One odd object must not keep the others out of the cache.
      const by: IndexBy<T> = (object) => {
        try {
          return declared(object);
        } catch (error) {
          onFault?.(object, error);
          return [];
        }
      };
      this.#indexes.set(name, { by, keys: new Map() });
    }
    this.#indexes.set(namespaceIndex, { by: (object) => [keyOf(object).namespace], keys: new Map() });
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: ObjectKey): T | undefined {
    return this.#objects.get(formatKey(key));
  }

  /** The objects of a namespace, or all of them; in no order. */
  list(namespace?: string): T[] {
    return namespace === undefined ? [...this.#objects.values()] : this.byIndex(namespaceIndex, namespace);
  }

  /** The objects that an index has under a value. @throws RangeError for an index that was not declared */
  byIndex(index: string, value: string): T[] {
    const found = this.#indexes.get(index);
    if (!found) throw new RangeError(`the cache has no index "${index}"`);
    return [...(found.keys.get(value) ?? [])].map((key) => this.#objects.get(key)!);
  }

  /**
   * Makes the cache hold exactly these objects.
   *
   * @returns what changed: nothing for an object whose resourceVersion is the same; a deletion and an addition for
   *   one that was deleted and made again meanwhile
   */
  replace(objects: Iterable<T>): Change<T>[] {
    const changes: Change<T>[] = [];
    const seen = new Set<string>();
    for (const object of objects) {
      seen.add(formatKey(keyOf(object)));
      const held = this.get(keyOf(object));
      if (held && sameVersion(held, object)) continue;
      changes.push(...this.set(object));
    }
    for (const [key, object] of this.#objects) if (!seen.has(key)) changes.push(...this.delete(object));
    return changes;
  }

  /** Stores the newest state of an object. */
  set(object: T): Change<T>[] {
    const key = formatKey(keyOf(object));
    const old = this.#objects.get(key);
    const stored = this.#freeze ? deepFreeze(object) : object;
    if (old) this.#unindex(key, old);
    this.#objects.set(key, stored);
    for (const index of this.#indexes.values())
      for (const value of index.by(stored)) {
        const keys = index.keys.get(value);
        if (keys) keys.add(key);
        else index.keys.set(value, new Set([key]));
      }
    if (!old) return [{ type: "Added", object: stored }];
    if (old.metadata.uid === stored.metadata.uid) return [{ type: "Updated", object: stored, old }];
    return [
      { type: "Deleted", object: old },
      { type: "Added", object: stored },
    ];
  }

  /** Forgets an object; the change carries its last known state, `object` where that is newer. */
  delete(object: T): Change<T>[] {
    const key = formatKey(keyOf(object));
    const old = this.#objects.get(key);
    if (!old) return [];
    this.#unindex(key, old);
    this.#objects.delete(key);
    return [{ type: "Deleted", object: this.#freeze ? deepFreeze(object) : object }];
  }

  #unindex(key: string, object: T): void {
    for (const index of this.#indexes.values())
      for (const value of index.by(object)) {
        const keys = index.keys.get(value);
        if (keys?.delete(key) && keys.size === 0) index.keys.delete(value);
      }
  }
}

interface Index<T> {
  readonly by: IndexBy<T>;
  readonly keys: Map<string, Set<string>>;
}

// No index that a caller declares can have this name by accident.
const namespaceIndex = "\u0000namespace";

function sameVersion(a: KubeObject, b: KubeObject): boolean {
  return (
    a.metadata.uid === b.metadata.uid &&
    a.metadata.resourceVersion !== undefined &&
    a.metadata.resourceVersion === b.metadata.resourceVersion
  );
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const each of Object.values(value)) deepFreeze(each);
  return Object.freeze(value);
}
