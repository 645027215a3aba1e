import type { Attributes } from "../http/request-attributes.ts";
import { type Refusal, refuse } from "../http/status.ts";
import type { Identity } from "./identity.ts";
import type { ReviewCache } from "./review-cache.ts";

/** Whether access is granted. */
export interface AccessVerdict {
  readonly isAllowed: boolean;
}

/** Decides on access, by the API server's word or by a rule of one's own. A throw means that the answer is unknown. */
export type AccessReviewer = (identity: Identity, attributes: Attributes) => Promise<AccessVerdict>;

export interface AuthorizerOptions {
  readonly review: AccessReviewer;
  readonly verdicts: ReviewCache<AccessVerdict>;
}

/** The group that may do everything, as in the API server itself. */
export const mastersGroup = "system:masters";

// Probes carry no credentials; the webhooks' caller, the API server, carries none either unless it is configured to.
const openPaths: ReadonlySet<string> = new Set(["/healthz", "/livez", "/readyz"]);
const openPosts: ReadonlySet<string> = new Set(["/validate", "/mutate"]);

/** Whether a request needs no grant. */
export function isOpen(attributes: Attributes): boolean {
  if (attributes.kind !== "Path") return false;
  const { verb, path } = attributes;
  return verb === "post" ? openPosts.has(path) : openPaths.has(path);
}

/** Authorisation: `system:masters` may, open paths are open, the rest is reviewed. Undefined is a grant. */
export function createAuthorizer({ review, verdicts }: AuthorizerOptions) {
  return function authorize(
    identity: Identity,
    attributes: Attributes,
  ): Refusal | undefined | Promise<Refusal | undefined> {
    if (isOpen(attributes) || identity.groups.includes(mastersGroup)) return undefined;
    const key = `${accessKey(attributes)}\n${identity.key}`;
    const known = verdicts.peek(key);
    if (known) return known.isAllowed ? undefined : forbidden(identity, attributes);
    return verdicts
      .ask(key, () => review(identity, attributes))
      .then(
        ({ isAllowed }) => (isAllowed ? undefined : forbidden(identity, attributes)),
        () => refuse(500, "the API server could not be asked whether this is allowed; try again"),
      );
  };
}

export type Authorizer = ReturnType<typeof createAuthorizer>;

function accessKey(attributes: Attributes): string {
  return attributes.kind === "Path"
    ? JSON.stringify([attributes.verb, attributes.path])
    : JSON.stringify([
        attributes.verb,
        attributes.version,
        attributes.namespace,
        attributes.resource,
        attributes.name,
        attributes.subresource,
      ]);
}

/** The refusal in the API server's own words. */
export function forbidden(identity: Identity, attributes: Attributes): Refusal {
  const who = `User ${JSON.stringify(identity.user)} cannot ${attributes.verb}`;
  if (attributes.kind === "Path") return refuse(403, `forbidden: ${who} path ${JSON.stringify(attributes.path)}`, {});
  const { group, resource, subresource, namespace, name } = attributes;
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  return refuse(
    403,
    `${resource}.${group}${name === "" ? "" : ` ${JSON.stringify(name)}`} is forbidden: ${who} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}`,
    { ...(name !== "" && { name }), group, kind: resource },
  );
}
