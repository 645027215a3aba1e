import type { FromSchema, Schema } from "./schema.ts";

/** How the served number came about; the same words in conditions, Events, metric labels, the CLI and the console. */
export const rungs = ["Fresh", "Coasting", "Reactive", "Held", "Expired"] as const;
export type Rung = (typeof rungs)[number];

/** Condition types of each kind, with what `True` says. */
export const conditionTypes = {
  IntelligentHorizontalPodAutoscaler: {
    Ready: "The autoscaler decides and its decision can take effect.",
    ScalingActive: "A number is served and, outside Preview, acts on the target.",
    ScalingLimited: "The number wanted was cut to minReplicas, maxReplicas or bounds.",
    AbleToScale: "The target exists and has a scale subresource that nothing else owns.",
    ScaledToZero: "The target has no replicas because we wanted none.",
    GrayProgressing: "A change is under way in steps.",
    Stable: "The stability checkers allow changes to continue; absent where none has been asked.",
    Paused: "spec.paused keeps the present replicas.",
    Fallback: "The number comes from a rung below Fresh; the reason is the rung.",
    ForecastReady: "There is a forecast that is still valid.",
    ForecastTrusted: "The forecast has earned its use, by backtest and by its live accuracy.",
    HPAActive: "The native HPA that acts on our number reports ScalingActive.",
    MetricsAPIOwned: "external.metrics.k8s.io is answered by Forescale.",
    SpecSupported: "All that the spec asks for is carried out; where absent, it is.",
  },
  HorizontalPortrait: {
    PortraitGenerated: "status.portraitData is the portrait of the present spec.",
    ForecastReady: "There is a forecast that is still valid.",
    ForecastTrusted: "The forecast has earned its use, by backtest and by its live accuracy.",
  },
  ReplicaProfile: {
    Applied: "Every step towards the counts wanted has been made.",
    Ensured: "The counts wanted are the counts there are.",
    ExternalReached: "The external programs that the spec names answer; absent where it names none.",
  },
  MetricSource: {
    Ready: "The source answered a request with the credentials given.",
    Default: "Metrics that name no source use this one.",
  },
} as const;

export type ConditionType<K extends keyof typeof conditionTypes> = keyof (typeof conditionTypes)[K] & string;

/** Reasons of conditions and Events. A rung is also a reason, of `Fallback`. */
export const reasons = [
  ...rungs,
  "AsExpected",
  "Paused",
  "Preview",
  "InvalidSpec",
  "TargetNotFound",
  "TargetNotScalable",
  "TargetOwnedByAnother",
  "AmbiguousSelector",
  "NoValidPortraitValue",
  "WithinRange",
  "TooFewReplicas",
  "TooManyReplicas",
  "DesiredReplicasZero",
  "NoGrayChange",
  "GrayChange",
  "ChecksPassed",
  "CheckFailed",
  "CheckUnknown",
  "CoolingDown",
  "ExternalNotReached",
  "ForecastPublished",
  "ForecastRejected",
  "HistoryTooShort",
  "NotPredictable",
  "NotAccurate",
  "BacktestPassed",
  "BacktestFailed",
  "Burst",
  "SourceNotFound",
  "SourceUnreachable",
  "SourceRefused",
  "SourceReached",
  "NoMetrics",
  "FailedGetExternalMetric",
  "HPANotFound",
  "APIServiceTakenOver",
  "ExternalGenerator",
  "AlgorithmNotSupported",
  "FieldNotSupported",
  "ForecastUnderWay",
  "DefaultTaken",
] as const;
export type Reason = (typeof reasons)[number];

/** metav1.Condition. */
export const condition = {
  type: "object",
  description: "One condition, as in metav1.Condition.",
  required: ["type", "status", "lastTransitionTime", "reason", "message"],
  properties: {
    type: {
      type: "string",
      maxLength: 316,
      pattern: "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
      description: "What the condition is about, in CamelCase.",
    },
    status: { type: "string", enum: ["True", "False", "Unknown"], description: "Whether it holds." },
    observedGeneration: {
      type: "integer",
      format: "int64",
      minimum: 0,
      description: "metadata.generation that the condition was decided on.",
    },
    lastTransitionTime: { type: "string", format: "date-time", description: "When status last changed." },
    reason: {
      type: "string",
      minLength: 1,
      maxLength: 1024,
      pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
      description: "Why, as one word for programs.",
    },
    message: { type: "string", maxLength: 32768, description: "Why, for people." },
  },
} as const satisfies Schema;

export type Condition = FromSchema<typeof condition>;

/** The list of conditions that every status carries. */
export const conditions = {
  type: "array",
  maxItems: 32,
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
  description: "The latest observations, one a type.",
  items: condition,
} as const satisfies Schema;

export const observedGeneration = {
  type: "integer",
  format: "int64",
  minimum: 0,
  description: "metadata.generation that this status was decided on.",
} as const satisfies Schema;
