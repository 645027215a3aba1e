import type { ObjectMeta, OwnerReference } from "./kinds/object.ts";
import type { Kind } from "./kinds.ts";

/** An object that others can belong to. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: ObjectMeta;
}

/** The reference that makes an object its owner's: the garbage collector deletes the two together. */
export function ownerReferenceTo({ apiVersion, kind, metadata: { name, uid } }: Owner): OwnerReference {
  return { apiVersion, kind, name, uid: uid!, controller: true, blockOwnerDeletion: true };
}

/** Whether an object belongs to this very owner, not to an earlier one of the same name. */
export function isOwnedBy({ ownerReferences = [] }: ObjectMeta, owner: Owner): boolean {
  return ownerReferences.some(({ uid }) => uid === owner.metadata.uid);
}

/** The name of the owner of a kind; undefined where an object has none. */
export function ownerName({ ownerReferences = [] }: ObjectMeta, kind: Kind): string | undefined {
  return ownerReferences.find((owner) => owner.kind === kind)?.name;
}
