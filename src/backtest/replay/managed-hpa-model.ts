import { replicasMetric } from "../../api/labels.ts";
import type { HpaSpec } from "../../hpa/hpa.ts";

/** The HPA that the controller makes for a Managed IHPA: it follows the served number at once and exactly. */
export function managedHpaModel(limits: { readonly minReplicas: number; readonly maxReplicas: number }): HpaSpec {
  const direction = {
    stabilizationWindowSeconds: 0,
    tolerance: 0,
    policies: [{ type: "Percent", value: 2_000_000_000, periodSeconds: 15 }],
  } as const;
  return {
    ...limits,
    metrics: [{ type: "External", name: replicasMetric, target: { type: "AverageValue", averageValue: 1 } }],
    behavior: { scaleUp: direction, scaleDown: direction },
  };
}
