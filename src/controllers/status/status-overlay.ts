import { formatKey, type KubeObject, keyOf } from "../../kube/client/resource.ts";

/**
 * The status last written of each object. The cache sees a write only later; until then, what was just reported would be reported
 * again. No other writer counts: the next write overrules it.
 */
export class StatusOverlay<S> {
  readonly #last = new Map<string, { readonly uid: string | undefined; readonly status: S }>();

  /** The object's present status: the one last written, else the cached one. */
  of(object: KubeObject & { readonly status?: S }): S | undefined {
    const last = this.#last.get(formatKey(keyOf(object)));
    return last !== undefined && last.uid === object.metadata.uid ? last.status : object.status;
  }

  note(object: KubeObject, status: S): void {
    this.#last.set(formatKey(keyOf(object)), { uid: object.metadata.uid, status });
  }

  /** @param key `namespace/name` */
  forget(key: string): void {
    this.#last.delete(key);
  }
}
