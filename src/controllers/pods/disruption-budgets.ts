import { matches, type Requirement, type Selector } from "../../api/values/label-selector.ts";
import type { KubeObject } from "../../kube/client/resource.ts";
import type { DisruptionBudget } from "../../pods/not-ready-room.ts";

/** A label selector as objects write it. */
export interface ObjectSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    readonly values?: readonly string[];
  }[];
}

/** The fields of a PodDisruptionBudget that are read. */
export interface Budget extends KubeObject {
  readonly spec?: DisruptionBudget["spec"] & { readonly selector?: ObjectSelector | null };
  readonly status?: DisruptionBudget["status"];
}

/** The budgets that select at least one of these pods. */
export function budgetsOf(budgets: readonly Budget[], pods: readonly KubeObject[]): Budget[] {
  const labels = pods.map(({ metadata }) => new Map(Object.entries(metadata.labels ?? {})));
  return budgets.filter(({ spec }) => {
    // In policy/v1 no selector means no pod, and an empty one every pod.
    if (!spec?.selector) return false;
    const selector = selectorOf(spec.selector);
    return labels.some((each) => matches(selector, each));
  });
}

function selectorOf({ matchLabels = {}, matchExpressions = [] }: ObjectSelector): Selector {
  return [
    ...Object.entries(matchLabels).map(
      ([key, value]): Requirement => ({ operator: "In", key, values: new Set([value]) }),
    ),
    ...matchExpressions.map(
      ({ key, operator, values = [] }): Requirement =>
        operator === "In" || operator === "NotIn" ? { operator, key, values: new Set(values) } : { operator, key },
    ),
  ];
}
