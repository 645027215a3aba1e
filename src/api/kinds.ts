/** API group of every kind of ours. */
export const group = "autoscaling.forescale.io";
export const version = "v1alpha1";
export const apiVersion = `${group}/${version}` as const;

/** What discovery and the CRDs say of each kind. */
export const kinds = {
  IntelligentHorizontalPodAutoscaler: {
    plural: "intelligenthorizontalpodautoscalers",
    singular: "intelligenthorizontalpodautoscaler",
    shortNames: ["ihpa"],
    namespaced: true,
  },
  HorizontalPortrait: {
    plural: "horizontalportraits",
    singular: "horizontalportrait",
    shortNames: ["hp"],
    namespaced: true,
  },
  ReplicaProfile: {
    plural: "replicaprofiles",
    singular: "replicaprofile",
    shortNames: ["rp"],
    namespaced: true,
  },
  MetricSource: {
    plural: "metricsources",
    singular: "metricsource",
    shortNames: ["msrc"],
    namespaced: false,
  },
} as const;

export type Kind = keyof typeof kinds;

export function isKind(kind: string): kind is Kind {
  return Object.hasOwn(kinds, kind);
}

/** Path of the collection of a kind: of one namespace where it is given, else of the whole cluster. */
export function listPath(kind: Kind, namespace?: string): string {
  const { plural, namespaced } = kinds[kind];
  const middle = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `/apis/${apiVersion}${middle}/${plural}`;
}

/** Path of one object. @throws TypeError when a namespaced kind gets no namespace */
export function objectPath(kind: Kind, name: string, namespace?: string): string {
  if (kinds[kind].namespaced && namespace === undefined) throw new TypeError(`a ${kind} needs a namespace: ${name}`);
  return `${listPath(kind, namespace)}/${encodeURIComponent(name)}`;
}
