import type { ObjectMeta } from "../../api/kinds/object.ts";
import { group, type Kind, kinds, version } from "../../api/kinds.ts";

/** What every object of the API has. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** Name of an object within its resource; `namespace` is "" for cluster-scoped ones. */
export interface ObjectKey {
  readonly namespace: string;
  readonly name: string;
}

/** A resource of the API: what a URL needs. `group` is "" for the core group. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Resources that Kubernetes brings and Forescale uses. */
export const resources = {
  namespaces: { group: "", version: "v1", plural: "namespaces", kind: "Namespace", namespaced: false },
  pods: { group: "", version: "v1", plural: "pods", kind: "Pod", namespaced: true },
  configMaps: { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", namespaced: true },
  limitRanges: { group: "", version: "v1", plural: "limitranges", kind: "LimitRange", namespaced: true },
  secrets: { group: "", version: "v1", plural: "secrets", kind: "Secret", namespaced: true },
  deployments: { group: "apps", version: "v1", plural: "deployments", kind: "Deployment", namespaced: true },
  replicaSets: { group: "apps", version: "v1", plural: "replicasets", kind: "ReplicaSet", namespaced: true },
  statefulSets: { group: "apps", version: "v1", plural: "statefulsets", kind: "StatefulSet", namespaced: true },
  horizontalPodAutoscalers: {
    group: "autoscaling",
    version: "v2",
    plural: "horizontalpodautoscalers",
    kind: "HorizontalPodAutoscaler",
    namespaced: true,
  },
  nodes: { group: "", version: "v1", plural: "nodes", kind: "Node", namespaced: false },
  podDisruptionBudgets: {
    group: "policy",
    version: "v1",
    plural: "poddisruptionbudgets",
    kind: "PodDisruptionBudget",
    namespaced: true,
  },
  leases: { group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease", namespaced: true },
  events: { group: "events.k8s.io", version: "v1", plural: "events", kind: "Event", namespaced: true },
  apiServices: {
    group: "apiregistration.k8s.io",
    version: "v1",
    plural: "apiservices",
    kind: "APIService",
    namespaced: false,
  },
  customResourceDefinitions: {
    group: "apiextensions.k8s.io",
    version: "v1",
    plural: "customresourcedefinitions",
    kind: "CustomResourceDefinition",
    namespaced: false,
  },
  tokenReviews: {
    group: "authentication.k8s.io",
    version: "v1",
    plural: "tokenreviews",
    kind: "TokenReview",
    namespaced: false,
  },
  subjectAccessReviews: {
    group: "authorization.k8s.io",
    version: "v1",
    plural: "subjectaccessreviews",
    kind: "SubjectAccessReview",
    namespaced: false,
  },
} as const satisfies Record<string, Resource>;

/** The resource of a kind of ours. */
export function resourceOf(kind: Kind): Resource {
  const { plural, namespaced } = kinds[kind];
  return { group, version, plural, kind, namespaced };
}

/** `apps/v1`, or `v1` for the core group. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** The group and version in an `apiVersion`. */
export function splitApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/**
 * The URL path of a collection, an object or its subresource.
 *
 * @param key without a name it is the collection; without a namespace, that of all namespaces
 * @throws TypeError when a part is not one path segment, such as `..` or one with a slash
 */
export function pathOf(resource: Resource, key: Partial<ObjectKey> = {}, subresource?: string): string {
  const parts = resource.group === "" ? ["api", resource.version] : ["apis", resource.group, resource.version];
  if (resource.namespaced && key.namespace) parts.push("namespaces", key.namespace);
  parts.push(resource.plural);
  if (key.name !== undefined) {
    if (resource.namespaced && !key.namespace)
      throw new TypeError(`${resource.plural} "${key.name}" needs a namespace`);
    parts.push(key.name);
  }
  if (subresource !== undefined) parts.push(subresource);
  return `/${parts.map(segment).join("/")}`;
}

function segment(part: string): string {
  if (part === "" || part === "." || part === ".." || part.includes("/"))
    throw new TypeError(`"${part}" cannot be part of an object's path`);
  return encodeURIComponent(part);
}

/** How messages name an object: `deployments.apps shop/web`. */
export function describe(resource: Resource, key: Partial<ObjectKey> = {}): string {
  const kind = resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
  const name = [key.namespace, key.name].filter(Boolean).join("/");
  return name === "" ? kind : `${kind} ${name}`;
}

/** An object's key. */
export function keyOf(object: KubeObject): ObjectKey {
  return { namespace: object.metadata.namespace ?? "", name: object.metadata.name };
}

/** A key as one string, `namespace/name` or `name`: for queues, maps and logs. */
export function formatKey(key: ObjectKey): string {
  return key.namespace === "" ? key.name : `${key.namespace}/${key.name}`;
}

/** The inverse of `formatKey`. */
export function parseKey(text: string): ObjectKey {
  const slash = text.indexOf("/");
  return slash < 0 ? { namespace: "", name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}
