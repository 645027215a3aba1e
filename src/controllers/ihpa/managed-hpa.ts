import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { ihpaLabel, managedHpaName, replicasMetric } from "../../api/labels.ts";
import { isOwnedBy, ownerReferenceTo } from "../../api/owner-reference.ts";
import type { KubeObject } from "../../kube/client/resource.ts";

/** The fields of autoscaling/v2 that are read. */
export interface HorizontalPodAutoscaler extends KubeObject {
  readonly spec: {
    readonly scaleTargetRef: { readonly apiVersion?: string; readonly kind: string; readonly name: string };
    readonly metrics?: readonly {
      readonly type: string;
      readonly external?: {
        readonly metric: {
          readonly name: string;
          readonly selector?: { readonly matchLabels?: Record<string, string> };
        };
      };
    }[];
  };
  readonly status?: {
    readonly desiredReplicas?: number;
    readonly lastScaleTime?: string;
    readonly conditions?: readonly { type: string; status: string; reason?: string; message?: string }[];
  };
}

/** The metric entry by which an HPA follows an IHPA. */
export function replicasMetricEntry(ihpa: string): object {
  return {
    type: "External",
    external: {
      metric: { name: replicasMetric, selector: { matchLabels: { [ihpaLabel]: ihpa } } },
      target: { type: "AverageValue", averageValue: "1" },
    },
  };
}

/**
 * The HPA that a Managed IHPA owns: it follows the served replica count at once and exactly. All damping is in that count, so the HPA's
 * own policies never bind and it has no stabilization.
 *
 * @param limits the widest that spec and bounds ever allow: the decision itself keeps to those that hold now
 * @param exact whether this cluster knows a tolerance per HPA (Kubernetes 1.35 and later)
 */
export function managedHpa(
  ihpa: IntelligentHorizontalPodAutoscaler,
  limits: { readonly minReplicas: number; readonly maxReplicas: number },
  exact: boolean,
): KubeObject & { spec: object } {
  const { name, namespace } = ihpa.metadata;
  const { disabled: upDisabled } = ihpa.spec.behavior.scaleUp ?? {};
  const { disabled: downDisabled } = ihpa.spec.behavior.scaleDown ?? {};
  // A period of 15 s is the HPA's sync period; the largest value that the API accepts never binds.
  const policies = [{ type: "Percent", value: 2_000_000_000, periodSeconds: 15 }];
  const direction = (disabled: boolean | undefined) => ({
    stabilizationWindowSeconds: 0,
    ...(exact && { tolerance: "0" }),
    ...(disabled ? { selectPolicy: "Disabled" } : { selectPolicy: "Max" }),
    policies,
  });
  return {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: {
      name: managedHpaName(name),
      namespace,
      labels: { [ihpaLabel]: name, "app.kubernetes.io/managed-by": "forescale" },
      ownerReferences: [ownerReferenceTo(ihpa)],
    },
    spec: {
      scaleTargetRef: ihpa.spec.scaleTargetRef,
      // Without the HPAScaleToZero feature an HPA accepts no minimum of 0.
      minReplicas: Math.max(1, limits.minReplicas),
      maxReplicas: limits.maxReplicas,
      metrics: [replicasMetricEntry(name)],
      behavior: { scaleUp: direction(upDisabled), scaleDown: direction(downDisabled) },
    },
  };
}

/** Whether an HPA uses an IHPA's metric. */
export function follows(hpa: HorizontalPodAutoscaler, ihpa: string): boolean {
  return (hpa.spec.metrics ?? []).some(
    ({ external }) =>
      external?.metric.name === replicasMetric && external.metric.selector?.matchLabels?.[ihpaLabel] === ihpa,
  );
}

/** The HPA that applies an IHPA's decisions: its own, or the user's that uses its metric; undefined where none does. */
export function actingHpa(
  ihpa: IntelligentHorizontalPodAutoscaler,
  hpas: readonly HorizontalPodAutoscaler[],
): HorizontalPodAutoscaler | undefined {
  if (ihpa.spec.scaleMode === "Preview" || ihpa.spec.hpa === "None") return undefined;
  return hpas.find((hpa) =>
    ihpa.spec.hpa === "Managed" ? isOwnedBy(hpa.metadata, ihpa) : follows(hpa, ihpa.metadata.name),
  );
}

/** The limits of the HPA: the widest that spec and bounds ever allow, as the decision itself keeps to those that hold now. */
export function widestLimits({ spec }: IntelligentHorizontalPodAutoscaler): {
  minReplicas: number;
  maxReplicas: number;
} {
  const floors = (spec.bounds ?? []).flatMap(({ minReplicas }) => minReplicas ?? []);
  const caps = (spec.bounds ?? []).flatMap(({ maxReplicas }) => maxReplicas ?? []);
  return { minReplicas: Math.min(spec.minReplicas, ...floors), maxReplicas: Math.max(spec.maxReplicas, ...caps) };
}
