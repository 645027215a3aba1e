import { formatKey, type KubeObject, keyOf } from "../../kube/client/resource.ts";

/**
 * The status that was last written of each object. A cache hears of it a moment later, and what was said already would be said
 * again. The status is ours alone: whoever else writes it is overruled by the next write.
 */
export class StatusOverlay<S> {
  readonly #last = new Map<string, { readonly uid: string | undefined; readonly status: S }>();

  /** The object's status as it is known to be. */
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
