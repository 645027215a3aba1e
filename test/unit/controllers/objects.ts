import type { MetricSpec } from "../../../src/api/fields/metrics.ts";
import {
  type HorizontalPortrait,
  type HorizontalPortraitStatus,
  horizontalPortraitSpec,
} from "../../../src/api/kinds/horizontal-portrait.ts";
import {
  type IntelligentHorizontalPodAutoscaler,
  type IntelligentHorizontalPodAutoscalerSpecWritten,
  intelligentHorizontalPodAutoscalerSpec,
} from "../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import {
  type MetricSource,
  type MetricSourceSpecWritten,
  metricSourceSpec,
} from "../../../src/api/kinds/metric-source.ts";
import { apiVersion } from "../../../src/api/kinds.ts";
import { ihpaLabel } from "../../../src/api/labels.ts";
import { applyDefaults } from "../../../src/api/validation/defaults.ts";
import type { PodRecord } from "../../../src/collect/pods/pod-windows.ts";
import { type HorizontalPodAutoscaler, replicasMetricEntry } from "../../../src/controllers/ihpa/managed-hpa.ts";
import type { Pod } from "../../../src/controllers/pods/workload-pods.ts";

export const nowMs = Date.UTC(2026, 0, 5, 12);
export const iso = (agoSeconds = 0) => new Date(nowMs - agoSeconds * 1000).toISOString().replace(".000Z", "Z");

export const target = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };

export const loadMetric: MetricSpec = {
  name: "load",
  type: "External",
  external: { metric: { name: "load" }, target: { type: "AverageValue", averageValue: "10" } },
};
export const cpuMetric: MetricSpec = {
  name: "cpu",
  type: "Resource",
  resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } },
};

type Spec = Partial<IntelligentHorizontalPodAutoscalerSpecWritten>;

/** An autoscaler as the API server gives it, defaults filled in. */
export function ihpaOf(
  spec: Spec = {},
  more: Partial<Pick<IntelligentHorizontalPodAutoscaler, "status">> & { metadata?: object } = {},
): IntelligentHorizontalPodAutoscaler {
  return {
    apiVersion,
    kind: "IntelligentHorizontalPodAutoscaler",
    metadata: { name: "shop", namespace: "store", uid: "ihpa-1", generation: 3, ...more.metadata },
    spec: applyDefaults(intelligentHorizontalPodAutoscalerSpec, {
      scaleTargetRef: target,
      minReplicas: 2,
      maxReplicas: 20,
      metrics: [loadMetric],
      ...spec,
    }),
    ...(more.status && { status: more.status }),
  };
}

export function portraitOf(
  portraitType: "Predictive" | "Reactive" | "Burst",
  status?: HorizontalPortraitStatus,
  metadata: object = {},
): HorizontalPortrait {
  return {
    apiVersion,
    kind: "HorizontalPortrait",
    metadata: {
      name: `shop-${portraitType.toLowerCase()}`,
      namespace: "store",
      uid: `portrait-${portraitType}`,
      generation: 1,
      labels: { [ihpaLabel]: "shop" },
      ownerReferences: [{ apiVersion, kind: "IntelligentHorizontalPodAutoscaler", name: "shop", uid: "ihpa-1" }],
      ...metadata,
    },
    spec: applyDefaults(horizontalPortraitSpec, { scaleTargetRef: target, portraitType, metrics: [loadMetric] }),
    ...(status && { status }),
  };
}

/** An HPA of the target: ours with `owner`, following our number with `follows`. */
export function hpaOf(
  name: string,
  { owner, follows = false, scalingActive }: { owner?: string; follows?: boolean; scalingActive?: string } = {},
): HorizontalPodAutoscaler {
  return {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: {
      name,
      namespace: "store",
      uid: `hpa-${name}`,
      ...(owner && {
        ownerReferences: [{ apiVersion, kind: "IntelligentHorizontalPodAutoscaler", name: "shop", uid: owner }],
      }),
    },
    spec: {
      scaleTargetRef: target,
      metrics: follows ? ([replicasMetricEntry("shop")] as HorizontalPodAutoscaler["spec"]["metrics"]) : [],
    },
    ...(scalingActive && {
      status: {
        conditions: [
          {
            type: "ScalingActive",
            status: scalingActive,
            ...(scalingActive === "True"
              ? { reason: "ValidMetricFound", message: "ok" }
              : { reason: "FailedGetExternalMetric", message: "no answer" }),
          },
        ],
      },
    }),
  };
}

export function sourceOf(
  name: string,
  spec: Partial<MetricSourceSpecWritten> = {},
  metadata: object = {},
): MetricSource {
  return {
    apiVersion,
    kind: "MetricSource",
    metadata: {
      name,
      uid: `source-${name}`,
      generation: 1,
      resourceVersion: "1",
      creationTimestamp: iso(),
      ...metadata,
    },
    spec: applyDefaults(metricSourceSpec, { type: "Prometheus", url: "http://10.0.0.1:9090", ...spec }),
  };
}

/** A pod, Ready since so many seconds; `undefined` for one that is not Ready. */
export function podOf(
  name: string,
  readySince: number | undefined,
  {
    labels = { app: "web" },
    createdAgo = 600,
    cpu = "500m",
    ...more
  }: {
    labels?: Record<string, string>;
    createdAgo?: number;
    cpu?: string;
    deletionTimestamp?: string;
    phase?: string;
  } = {},
): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "store",
      uid: `uid-${name}`,
      resourceVersion: "7",
      labels,
      creationTimestamp: iso(createdAgo),
      ...(more.deletionTimestamp && { deletionTimestamp: more.deletionTimestamp }),
    },
    spec: { containers: [{ name: "main", resources: { requests: { cpu, memory: "64Mi" } } }] },
    status: {
      phase: more.phase ?? "Running",
      conditions: [
        {
          type: "Ready",
          status: readySince === undefined ? "False" : "True",
          lastTransitionTime: iso(readySince ?? createdAgo),
        },
      ],
      containerStatuses: [{ restartCount: 0, state: { running: { startedAt: iso(createdAgo - 1) } } }],
    },
  };
}

/** A pod's record: Ready since so many seconds, its start seen. */
export function recordOf(name: string, readySince: number | undefined, more: Partial<PodRecord> = {}): PodRecord {
  const createdMs = nowMs - 1000 * (readySince === undefined ? 5 : readySince + 20);
  return {
    uid: `uid-${name}`,
    namespace: "store",
    name,
    createdMs,
    scheduledMs: undefined,
    ready: readySince === undefined ? [] : [{ fromMs: nowMs - readySince * 1000, toMs: Infinity }],
    startupSeconds: readySince === undefined ? undefined : 20,
    endedMs: undefined,
    ...more,
  };
}
