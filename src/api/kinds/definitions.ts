import { apiVersion, group, type Kind, kinds, version } from "../kinds.ts";
import type { Schema } from "../schema.ts";
import { horizontalPortraitSpec, horizontalPortraitStatus } from "./horizontal-portrait.ts";
import {
  intelligentHorizontalPodAutoscalerSpec,
  intelligentHorizontalPodAutoscalerStatus,
} from "./intelligent-horizontal-pod-autoscaler.ts";
import { metricSourceSpec, metricSourceStatus } from "./metric-source.ts";
import { replicaProfileSpec, replicaProfileStatus } from "./replica-profile.ts";

/** A column of `kubectl get`; those of priority 1 are shown by `-o wide` only. */
export interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "boolean" | "date";
  readonly jsonPath: string;
  readonly description: string;
  readonly priority?: 1;
}

/** What a kind is: one paragraph, two schemas and its columns. */
export interface Definition {
  readonly description: string;
  readonly spec: Schema;
  readonly status: Schema;
  readonly columns: readonly Column[];
}

const age: Column = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Time since the object was made.",
};
const target: Column = {
  name: "Target",
  type: "string",
  jsonPath: ".spec.scaleTargetRef.name",
  description: "The workload to scale.",
};

function statusOf(type: string, name: string, description: string): Column {
  return { name, type: "string", jsonPath: `.status.conditions[?(@.type=="${type}")].status`, description };
}

export const definitions: Readonly<Record<Kind, Definition>> = {
  IntelligentHorizontalPodAutoscaler: {
    description:
      "IntelligentHorizontalPodAutoscaler makes one workload's native HPA predictive: it says what to scale, within which limits, and who proposes.",
    spec: intelligentHorizontalPodAutoscalerSpec,
    status: intelligentHorizontalPodAutoscalerStatus,
    columns: [
      target,
      { name: "Mode", type: "string", jsonPath: ".spec.scaleMode", description: "Auto acts, Preview only shows." },
      { name: "Min", type: "integer", jsonPath: ".spec.minReplicas", description: "Fewest replicas." },
      { name: "Max", type: "integer", jsonPath: ".spec.maxReplicas", description: "Most replicas." },
      { name: "Current", type: "integer", jsonPath: ".status.currentReplicas", description: "Replicas there are." },
      { name: "Desired", type: "integer", jsonPath: ".status.desiredReplicas", description: "Replicas wanted." },
      {
        name: "Forecast",
        type: "integer",
        jsonPath: ".status.forecastReplicas",
        description: "Replicas that the forecast asks for at the end of the lead.",
      },
      {
        name: "Driver",
        type: "string",
        jsonPath: ".status.decision.provider",
        description: "Provider whose proposal was chosen.",
      },
      {
        name: "Rung",
        type: "string",
        jsonPath: ".status.decision.rung",
        description: "How the number was derived; Fresh is best.",
      },
      {
        name: "Decided",
        type: "date",
        jsonPath: ".status.decision.time",
        description: "Age of the last decision; above a minute, no controller is running.",
      },
      statusOf("Ready", "Ready", "Whether the autoscaler decides and can act."),
      {
        name: "Accuracy",
        type: "integer",
        jsonPath: ".status.accuracy.percent",
        description: "Accuracy of the forecast so far, in percent.",
      },
      age,
      {
        name: "Paused",
        type: "boolean",
        jsonPath: ".spec.paused",
        priority: 1,
        description: "Whether scaling is paused: the target keeps its replicas.",
      },
      {
        ...statusOf("Fallback", "Fallback", "Whether the number comes from below a fresh forecast."),
        priority: 1,
      },
      {
        name: "Gray%",
        type: "integer",
        jsonPath: ".status.gray.grayPercent",
        priority: 1,
        description: "How much of a change in steps has been made.",
      },
      {
        ...statusOf("Stable", "Stable", "Whether the stability checkers allow changes to continue."),
        priority: 1,
      },
      {
        name: "HPA",
        type: "string",
        jsonPath: ".status.hpa.name",
        priority: 1,
        description: "The native HPA that acts.",
      },
      {
        name: "LastScale",
        type: "date",
        jsonPath: ".status.lastScaleTime",
        priority: 1,
        description: "Time since the replicas last changed.",
      },
    ],
  },
  HorizontalPortrait: {
    description:
      "HorizontalPortrait holds the replicas that one dynamic provider proposes over time, and the forecast behind them.",
    spec: horizontalPortraitSpec,
    status: horizontalPortraitStatus,
    columns: [
      target,
      { name: "Type", type: "string", jsonPath: ".spec.portraitType", description: "Predictive, Reactive or Burst." },
      {
        name: "Algorithm",
        type: "string",
        jsonPath: ".spec.algorithm.type",
        description: "How the portrait is made.",
      },
      statusOf("PortraitGenerated", "Generated", "Whether the status holds the portrait of the present spec."),
      {
        name: "Accuracy",
        type: "integer",
        jsonPath: ".status.accuracy.percent",
        description: "Accuracy of the forecast so far, in percent.",
      },
      {
        // kubectl prints a date column as the time since; this one lies ahead.
        name: "Expires",
        type: "string",
        jsonPath: ".status.portraitData.expireTime",
        description: "When the portrait stops being valid.",
      },
      age,
    ],
  },
  ReplicaProfile: {
    description: "ReplicaProfile holds how many pods of a workload are wanted in each state, and how many there are.",
    spec: replicaProfileSpec,
    status: replicaProfileStatus,
    columns: [
      target,
      { name: "Online", type: "integer", jsonPath: ".status.onlineReplicas", description: "Pods that serve." },
      { name: "Cutoff", type: "integer", jsonPath: ".status.cutoffReplicas", description: "Pods out of rotation." },
      { name: "Standby", type: "integer", jsonPath: ".status.standbyReplicas", description: "Frozen pods." },
      statusOf("Ensured", "Ensured", "Whether the counts wanted are the counts there are."),
      age,
      {
        name: "Paused",
        type: "boolean",
        jsonPath: ".spec.paused",
        priority: 1,
        description: "Whether changes of state are paused.",
      },
    ],
  },
  MetricSource: {
    description:
      "MetricSource is the administrator's: a store of metrics that workloads name, with its address, its Secrets and its terms.",
    spec: metricSourceSpec,
    status: metricSourceStatus,
    columns: [
      { name: "Type", type: "string", jsonPath: ".spec.type", description: "Kind of store." },
      { name: "Default", type: "boolean", jsonPath: ".spec.default", description: "Used where no source is named." },
      { name: "URL", type: "string", jsonPath: ".spec.url", description: "Address of the store." },
      statusOf("Ready", "Ready", "Whether the store answers."),
      age,
    ],
  },
};

/** Schema of a whole object, with the rule that every kind has. */
export function objectSchema(kind: Kind) {
  const { description, spec, status } = definitions[kind];
  return {
    type: "object",
    required: ["spec"],
    description,
    properties: {
      apiVersion: { type: "string", description: `Always \`${apiVersion}\`.` },
      kind: { type: "string", description: `Always \`${kind}\`.` },
      metadata: { type: "object" },
      spec,
      status,
    },
    "x-kubernetes-validations": [
      {
        rule: "size(self.metadata.name) <= 63",
        message: "metadata.name is longer than 63 characters and so cannot be a label's value; choose a shorter name",
      },
    ],
  } as const satisfies Schema;
}

/** The CustomResourceDefinition of a kind, as it is applied. */
export function customResourceDefinition(kind: Kind) {
  const { plural, singular, shortNames, namespaced } = kinds[kind];
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}`, labels: { "app.kubernetes.io/name": "forescale" } },
    spec: {
      group,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames, categories: ["forescale"] },
      scope: namespaced ? "Namespaced" : "Cluster",
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: definitions[kind].columns,
          schema: { openAPIV3Schema: objectSchema(kind) },
        },
      ],
    },
  };
}
