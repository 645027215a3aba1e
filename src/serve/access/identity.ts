/** Who asks, as authentication established it. */
export interface Identity {
  readonly user: string;
  readonly uid: string;
  readonly groups: readonly string[];
  /** Lower-case keys; several values a key. */
  readonly extra: ReadonlyMap<string, readonly string[]>;
  /** The same for equal identities, different for others: for caches. */
  readonly key: string;
}

export const authenticatedGroup = "system:authenticated";
const unauthenticatedGroup = "system:unauthenticated";

/** An identity that presented valid credentials: it belongs to `system:authenticated`. */
export function identityOf(
  user: string,
  groups: readonly string[],
  extra: ReadonlyMap<string, readonly string[]> = new Map(),
  uid = "",
): Identity {
  const isMarked = groups.includes(authenticatedGroup) || groups.includes(unauthenticatedGroup);
  const all = isMarked ? groups : [...groups, authenticatedGroup];
  return { user, uid, groups: all, extra, key: JSON.stringify([user, uid, all, [...extra]]) };
}

/** Whoever shows no credentials at all. Failed ones never become this. */
export const anonymous: Identity = identityOf("system:anonymous", [unauthenticatedGroup]);
