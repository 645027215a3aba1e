import { conditions, observedGeneration, rungs } from "../conditions.ts";
import { capacity, capacityStatus } from "../fields/capacity.ts";
import { external, percentage, replicas, scaleTargetRef, time } from "../fields/fields.ts";
import { checkerMetrics, metricProperties, metrics } from "../fields/metrics.ts";
import { prediction } from "../fields/prediction.ts";
import { bounds, crons, standbySchedule } from "../fields/windows.ts";
import type { FromSchema, Schema, Written } from "../schema.ts";
import { accuracy, portraitProperties, portraitRules } from "./horizontal-portrait.ts";
import type { ApiObject } from "./object.ts";
import { replicaProfileBehavior } from "./replica-profile.ts";

const provider = {
  type: "object",
  required: ["type"],
  description: "One provider of proposals.",
  properties: {
    type: { type: "string", enum: ["Static", "Cron", "Dynamic"], description: "Which field holds the rest." },
    priority: {
      type: "integer",
      format: "int32",
      minimum: -1000000,
      maximum: 1000000,
      default: 0,
      description: "The valid proposal of the highest priority wins; among equals, the largest.",
    },
    static: {
      type: "object",
      required: ["replicas"],
      description: "Always the same number.",
      properties: { replicas: replicas("Number of replicas.") },
    },
    cron: { type: "object", required: ["crons"], description: "Numbers for windows of time.", properties: { crons } },
    dynamic: {
      type: "object",
      required: ["portraitType"],
      description: "A portrait that follows metrics; it becomes a HorizontalPortrait of its own.",
      properties: portraitProperties,
      "x-kubernetes-validations": portraitRules,
    },
  },
  "x-kubernetes-validations": [
    {
      rule: "has(self.static) == (self.type == 'Static') && has(self.cron) == (self.type == 'Cron') && has(self.dynamic) == (self.type == 'Dynamic')",
      message: "give exactly the field that the provider's type names: static, cron or dynamic",
    },
  ],
} as const satisfies Schema;

export type PortraitProvider = FromSchema<typeof provider>;

const grayStrategy = {
  type: "object",
  required: ["grayState", "changeIntervalSeconds", "changePercent"],
  description: "Changes in steps, with checks between them; where absent, a change happens at once.",
  properties: {
    grayState: {
      type: "string",
      enum: ["Online", "Cutoff", "Standby", "Deleted"],
      description:
        "State of pods during the change: Online when scaling up; Cutoff, Standby or Deleted when scaling down.",
    },
    changeIntervalSeconds: {
      type: "integer",
      format: "int32",
      minimum: 1,
      maximum: 86400,
      description: "Time between two steps.",
    },
    changePercent: {
      type: "integer",
      format: "int32",
      minimum: 1,
      maximum: 100,
      description: "Share of the whole change that is made in each step.",
    },
    observationSeconds: {
      type: "integer",
      format: "int32",
      minimum: 0,
      maximum: 604800,
      default: 0,
      description: "How long pods stay in grayState after the last step.",
    },
  },
} as const satisfies Schema;

export type GrayStrategy = FromSchema<typeof grayStrategy>;

function scaling(description: string) {
  return {
    type: "object",
    description,
    properties: {
      disabled: { type: "boolean", default: false, description: "Whether this direction is forbidden." },
      grayStrategy,
      stabilizationWindowSeconds: {
        type: "integer",
        format: "int32",
        minimum: 0,
        maximum: 3600,
        description:
          "Time over which the safest number wins: the largest one downwards, the smallest one upwards. Where absent, up at once and down at the decision's own pace.",
      },
    },
  } as const satisfies Schema;
}

const behavior = {
  type: "object",
  default: {},
  description: "How a change is carried out.",
  properties: {
    scaleUp: {
      ...scaling("Upwards."),
      "x-kubernetes-validations": [
        {
          rule: "!has(self.grayStrategy) || self.grayStrategy.grayState == 'Online'",
          message: "scaling up in steps goes through Online only; set scaleUp.grayStrategy.grayState to Online",
        },
      ],
    },
    scaleDown: {
      ...scaling("Downwards."),
      "x-kubernetes-validations": [
        {
          rule: "!has(self.grayStrategy) || self.grayStrategy.grayState != 'Online'",
          message:
            "scaling down in steps leaves Online; set scaleDown.grayStrategy.grayState to Cutoff, Standby or Deleted",
        },
      ],
    },
    replicaProfile: replicaProfileBehavior,
  },
} as const satisfies Schema;

export type Behavior = FromSchema<typeof behavior>;

function regressionQuery<const D extends string>(description: D) {
  return {
    type: "object",
    required: ["query"],
    description,
    properties: { source: metricProperties.source, query: metricProperties.query },
  } as const satisfies Schema;
}

const stabilityChecker = {
  type: "object",
  required: ["type", "stabilizationAction"],
  description: "One check of a change.",
  properties: {
    type: {
      type: "string",
      enum: ["Metrics", "Regression", "External"],
      description:
        "Metrics: rules on metrics. Regression: compares with the time before the change. External: asks an external program.",
    },
    stabilizationAction: {
      type: "string",
      enum: ["Pause", "Rollback"],
      description:
        "What to do when the check fails. Pause: no further step, and no pod is removed. Rollback: every pod that is out of service, frozen ones too, comes back at once, and then as Pause. A check that can't be asked pauses.",
    },
    coolDownSeconds: {
      type: "integer",
      format: "int32",
      minimum: 0,
      maximum: 86400,
      default: 0,
      description: "How long the check must pass again before changes continue.",
    },
    metrics: {
      type: "object",
      required: ["metrics"],
      description: "Rules on metrics.",
      properties: { metrics: checkerMetrics },
    },
    regression: {
      type: "object",
      description:
        "What must not get worse with a change: the median since its last step against that before its first.",
      properties: {
        errorRate: regressionQuery("Share of requests that fail, from 0 to 1, as one series."),
        responseTime: regressionQuery("Response time in seconds, such as a high quantile, as one series."),
        tolerance: {
          ...percentage,
          default: "20%",
          description: "Largest rise that still passes, as a share of the value before the change.",
        },
      },
      "x-kubernetes-validations": [
        {
          rule: "has(self.errorRate) || has(self.responseTime)",
          message: "a regression check needs a metric; give errorRate, responseTime or both",
        },
      ],
    },
    external,
  },
  "x-kubernetes-validations": [
    {
      rule: "has(self.metrics) == (self.type == 'Metrics') && has(self.regression) == (self.type == 'Regression') && has(self.external) == (self.type == 'External')",
      message: "give exactly the field that the checker's type names: metrics, regression or external",
    },
  ],
} as const satisfies Schema;

const knownPortraits = "['Predictive', 'Reactive', 'Burst']";

export const intelligentHorizontalPodAutoscalerSpec = {
  type: "object",
  required: ["scaleTargetRef", "maxReplicas"],
  description: "What to scale, within which limits, and which providers propose.",
  properties: {
    scaleTargetRef,
    paused: {
      type: "boolean",
      default: false,
      description: "Whether scaling is paused: the target keeps its replicas.",
    },
    minReplicas: { ...replicas("Fewest replicas."), default: 1 },
    maxReplicas: { ...replicas("Most replicas; not below minReplicas."), minimum: 1 },
    scaleMode: {
      type: "string",
      enum: ["Auto", "Preview"],
      default: "Auto",
      description: "Auto scales the workload; Preview makes and shows all decisions, and changes nothing.",
    },
    hpa: {
      type: "string",
      enum: ["Managed", "Attached", "None"],
      default: "Managed",
      description:
        "Managed: Forescale owns a native HPA that follows its number. Attached: your own HPA follows it by one metric line that the status shows. None: there is no HPA; Forescale sets the target's replicas itself, through its ReplicaProfile.",
    },
    portraitProviders: {
      type: "array",
      minItems: 1,
      maxItems: 16,
      "x-kubernetes-list-type": "atomic",
      default: [
        { type: "Dynamic", priority: 0, dynamic: { portraitType: "Predictive" } },
        { type: "Dynamic", priority: 0, dynamic: { portraitType: "Reactive" } },
      ],
      description:
        "Providers that propose replicas; where absent, a predictive and a reactive provider of equal priority.",
      items: provider,
      "x-kubernetes-validations": [
        {
          rule: `${knownPortraits}.all(kind, self.filter(one, has(one.dynamic) && one.dynamic.portraitType == kind).size() <= 1)`,
          message: "two dynamic providers have the same portraitType; keep one of each",
        },
      ],
    },
    metrics: {
      ...metrics,
      description:
        "Metrics of every dynamic provider that names none of its own; the one that asks for most pods wins.",
    },
    prediction,
    capacity,
    bounds,
    standby: {
      type: "object",
      description: "The hot pool: frozen pods that can serve again in about a second.",
      properties: {
        minReplicas: {
          ...replicas(
            "Standby pods kept at all times, beside those in service, as far as maxReplicas leaves room for them to serve.",
          ),
          default: 0,
        },
        mode: {
          type: "string",
          enum: ["Image", "Swap"],
          default: "Image",
          description: "Image needs no privilege and allows requests to shrink; Swap moves memory to the node's swap.",
        },
        schedule: standbySchedule,
      },
    },
    behavior,
    stabilityCheckers: {
      type: "array",
      maxItems: 8,
      "x-kubernetes-list-type": "atomic",
      description: "Checks that pause or roll back a change in steps.",
      items: stabilityChecker,
    },
  },
  "x-kubernetes-validations": [
    {
      rule: "self.minReplicas <= self.maxReplicas",
      message: "minReplicas is above maxReplicas; lower minReplicas or raise maxReplicas",
    },
    {
      rule: "has(self.metrics) && size(self.metrics) > 0 || self.portraitProviders.all(one, !has(one.dynamic) || has(one.dynamic.externalGeneratorName) || (has(one.dynamic.metrics) && size(one.dynamic.metrics) > 0) || (has(one.dynamic.algorithm) && one.dynamic.algorithm.type in ['ExternalJob', 'External']))",
      message: "a dynamic provider needs metrics; give spec.metrics, or metrics of the provider's own",
    },
    {
      rule: "!has(self.bounds) || self.bounds.all(one, (!has(one.maxReplicas) || one.maxReplicas >= self.minReplicas) && (!has(one.minReplicas) || one.minReplicas <= self.maxReplicas))",
      message: "a bound lies outside spec.minReplicas and spec.maxReplicas; widen those or narrow the bound",
    },
  ],
} as const satisfies Schema;

const portraitValue = {
  type: "object",
  required: ["provider", "replicas"],
  description: "A proposal that was chosen.",
  properties: {
    provider: { type: "string", maxLength: 253, description: "Who proposed." },
    replicas: replicas("How many online replicas."),
    expireTime: time("Until when the proposal holds; where absent, without end."),
  },
} as const satisfies Schema;

const decision = {
  type: "object",
  required: ["time", "online", "cutoff", "standby", "total", "rung", "reason"],
  description: "The last decision, renewed at least every 30 s.",
  properties: {
    time: time("When it was made."),
    online: replicas("Pods wanted in service."),
    cutoff: replicas("Pods wanted out of rotation."),
    standby: replicas("Pods wanted frozen."),
    total: replicas("Sum of the three: the number that is served."),
    rung: { type: "string", enum: rungs, description: "How the number was derived, best first." },
    reason: { type: "string", maxLength: 1024, description: "Why this number, as one word for programs." },
    message: { type: "string", maxLength: 1024, description: "Why, for people." },
    provider: { type: "string", maxLength: 253, description: "Provider whose proposal was chosen." },
    load: {
      type: "array",
      maxItems: 8,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      description: "Load that the decision is sized for, per metric: what `forescale-load` serves.",
      items: {
        type: "object",
        required: ["name", "value"],
        description: "The load of one metric.",
        properties: {
          name: { type: "string", maxLength: 253, description: "Name of the metric." },
          value: { type: "number", description: "The workload's total, in the metric's unit." },
        },
      },
    },
  },
} as const satisfies Schema;

export const intelligentHorizontalPodAutoscalerStatus = {
  type: "object",
  description: "What was decided, why, and how well it goes.",
  properties: {
    observedGeneration,
    currentReplicas: replicas("spec.replicas of the target as last seen."),
    desiredReplicas: replicas("Replicas wanted in all."),
    forecastReplicas: replicas("Replicas that the forecast asks for at the end of the lead."),
    decision,
    lead: {
      type: "object",
      required: ["seconds", "source"],
      description: "How far ahead pods are asked for.",
      properties: {
        seconds: { type: "number", minimum: 0, description: "The lead." },
        source: {
          type: "string",
          enum: ["Measured", "Configured", "Default"],
          description: "Where it comes from; Default until pods have been measured.",
        },
        samples: { type: "integer", format: "int64", minimum: 0, description: "Pods measured." },
      },
    },
    accuracy,
    capacity: capacityStatus,
    gray: {
      type: "object",
      required: ["grayPercent", "lastUpdateTime"],
      description: "A change in steps that is under way.",
      properties: {
        direction: { type: "string", enum: ["Up", "Down"], description: "Whether pods are added or removed." },
        from: replicas("Pods in service before it."),
        to: replicas("Pods in service at its end."),
        grayPercent: {
          type: "integer",
          format: "int32",
          minimum: 0,
          maximum: 100,
          description: "How much of the change has been made.",
        },
        lastUpdateTime: time("When the last step was made."),
      },
    },
    hpa: {
      type: "object",
      required: ["mode"],
      description: "The native HPA that acts.",
      properties: {
        mode: { type: "string", enum: ["Managed", "Attached", "None"], description: "Who owns it." },
        name: { type: "string", maxLength: 253, description: "Its name." },
        toleranceBand: {
          type: "string",
          maxLength: 64,
          description: "Largest change that this cluster's HPA ignores, such as `10%`; `0%` where it ignores none.",
        },
        metric: {
          type: "string",
          maxLength: 2048,
          description: "The metric entry to add to your own HPA, in Attached mode.",
        },
      },
    },
    previousPortraitValue: portraitValue,
    currentPortraitValue: portraitValue,
    lastScaleTime: time("When the number of replicas last changed."),
    conditions,
  },
} as const satisfies Schema;

export type IntelligentHorizontalPodAutoscalerSpec = FromSchema<typeof intelligentHorizontalPodAutoscalerSpec>;
export type IntelligentHorizontalPodAutoscalerStatus = FromSchema<typeof intelligentHorizontalPodAutoscalerStatus>;
export type IntelligentHorizontalPodAutoscaler = ApiObject<
  "IntelligentHorizontalPodAutoscaler",
  IntelligentHorizontalPodAutoscalerSpec,
  IntelligentHorizontalPodAutoscalerStatus
>;
/** What an applier writes. */
export type IntelligentHorizontalPodAutoscalerSpecWritten = Written<typeof intelligentHorizontalPodAutoscalerSpec>;
export type Decision = FromSchema<typeof decision>;
export type StabilityChecker = FromSchema<typeof stabilityChecker>;
