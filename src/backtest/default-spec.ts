import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readManifest } from "../api/validation/read-manifest.ts";

/**
 * The spec of a workload without a manifest: one metric named `load`, forecast and observation, whichever asks for more.
 *
 * @param more fields of the spec that are set or replaced
 * @throws ManifestError where the API server would refuse them
 */
export function defaultSpec(more: object = {}): IntelligentHorizontalPodAutoscalerSpec {
  const manifest = {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "IntelligentHorizontalPodAutoscaler",
    metadata: { name: "backtest", namespace: "default" },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "backtest" },
      minReplicas: 1,
      maxReplicas: 200,
      metrics: [
        {
          name: "load",
          type: "External",
          external: { metric: { name: "load" }, target: { type: "AverageValue", averageValue: "1" } },
        },
      ],
      portraitProviders: ["Predictive", "Reactive"].map((portraitType) => ({
        type: "Dynamic",
        priority: 1,
        dynamic: { portraitType },
      })),
      ...more,
    },
  };
  return readManifest(JSON.stringify(manifest), { kind: "IntelligentHorizontalPodAutoscaler" }).object.spec;
}
