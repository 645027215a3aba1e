import type { IntelligentHorizontalPodAutoscaler } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readManifest } from "../api/validation/read-manifest.ts";
import type { Trace } from "./trace.ts";

export const demoNamespace = "demo";
export const minReplicas = 1;
export const maxReplicas = 200;

/** The manifest that a cluster would get for the replayed workload. */
export function manifestText({ metric, podCarries }: Pick<Trace, "metric" | "podCarries">, quantile: string): string {
  return `apiVersion: autoscaling.forescale.io/v1alpha1
kind: IntelligentHorizontalPodAutoscaler
metadata: {name: ${metric}, namespace: ${demoNamespace}, uid: demo, generation: 1}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: ${metric}}
  minReplicas: ${minReplicas}
  maxReplicas: ${maxReplicas}
  scaleMode: Auto
  metrics:
  - name: ${metric}
    type: External
    external: {metric: {name: ${metric}}, target: {type: AverageValue, averageValue: "${podCarries}"}}
  prediction: {quantile: ${JSON.stringify(quantile)}, history: 28d, horizon: 24h}
  portraitProviders:
  - {type: Dynamic, priority: 1, dynamic: {portraitType: Predictive}}
  - {type: Dynamic, priority: 1, dynamic: {portraitType: Reactive}}
`;
}

/** The object, read as the cluster reads it. @throws ManifestError for a quantile that cannot be */
export function demoIhpa(
  trace: Pick<Trace, "metric" | "podCarries">,
  quantile: string,
): IntelligentHorizontalPodAutoscaler {
  return readManifest(manifestText(trace, quantile), { kind: "IntelligentHorizontalPodAutoscaler" }).object;
}
