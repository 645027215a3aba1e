import { conditions, observedGeneration } from "../conditions.ts";
import { goDuration, replicas, scaleTargetRef, time } from "../fields/fields.ts";
import { metrics } from "../fields/metrics.ts";
import { prediction } from "../fields/prediction.ts";
import { crons } from "../fields/windows.ts";
import type { FromSchema, Schema, Written } from "../schema.ts";
import type { ApiObject } from "./object.ts";

/** Algorithms that forecast loads; `Forecast` weighs experts by their own past, the others are published ones. */
export const forecastAlgorithms = ["Forecast", "RobustSTL", "RobustTrend", "Proactive", "NHPP", "SNTSF"] as const;

/** Algorithms that the controllers make a portrait by, the default of each type first. */
export const madeAlgorithms = { Predictive: forecastAlgorithms, Reactive: ["KubeHPA"], Burst: ["Burst"] } as const;

/** Algorithms of ours; any other name needs `externalGeneratorName`. */
export const algorithmTypes = [...Object.values(madeAlgorithms).flat(), "ExternalJob", "External"] as const;
export type AlgorithmType = (typeof algorithmTypes)[number];

/** Whether an algorithm forecasts loads, as a Predictive portrait needs. */
export function isForecastAlgorithm(type: string): boolean {
  return (forecastAlgorithms as readonly string[]).includes(type);
}

const opaque = { type: "object", "x-kubernetes-preserve-unknown-fields": true } as const satisfies Schema;

const algorithm = {
  type: "object",
  required: ["type"],
  description:
    "How the portrait is made; where absent, Forecast for Predictive, KubeHPA for Reactive, Burst for Burst.",
  properties: {
    type: {
      type: "string",
      minLength: 1,
      maxLength: 63,
      pattern: "^[A-Za-z][A-Za-z0-9]*$",
      description: `One of ${algorithmTypes.map((type) => `\`${type}\``).join(", ")}; with externalGeneratorName, any name that the generator knows. ExternalJob is accepted but not supported yet.`,
    },
    kubeHPA: {
      type: "object",
      description: "Settings of the HPA's own algorithm.",
      properties: {
        syncPeriod: goDuration("Time between two evaluations.", "15s"),
        tolerance: {
          type: "string",
          minLength: 1,
          maxLength: 16,
          pattern: "^(0(\\.[0-9]+)?|1(\\.0+)?)$",
          default: "0.1",
          description:
            "Fall of the ratio, as a fraction, that is too small to act on. A rise always counts: the number is never below what is observed.",
        },
        cpuInitializationPeriod: goDuration("Time after a pod's start in which its CPU may be left out.", "5m"),
        initialReadinessDelay: goDuration("Time after a pod's start in which it counts as not yet ready.", "30s"),
      },
    },
    externalJob: {
      type: "object",
      required: ["job", "resultSource"],
      description: "A job of yours that makes the portrait.",
      properties: {
        job: {
          type: "object",
          required: ["type"],
          description: "What runs.",
          properties: {
            type: { type: "string", enum: ["CronJob"], description: "Kind of job." },
            cronJob: {
              type: "object",
              required: ["template"],
              description: "The CronJob.",
              properties: {
                template: {
                  type: "object",
                  description: "Template of the CronJob.",
                  properties: {
                    metadata: { ...opaque, description: "Metadata of the CronJob." },
                    spec: { ...opaque, description: "Spec of the CronJob, as in batch/v1." },
                  },
                },
              },
            },
          },
          "x-kubernetes-validations": [
            { rule: "has(self.cronJob)", message: "job needs the field that its type names; give cronJob" },
          ],
        },
        resultSource: {
          type: "object",
          required: ["type"],
          description: "Where the job writes its result.",
          properties: {
            type: { type: "string", enum: ["ConfigMap"], description: "Kind of result." },
            configMap: {
              type: "object",
              maxProperties: 0,
              description: "The ConfigMap is named after the portrait, with `-result`.",
            },
          },
        },
      },
    },
    config: { ...opaque, description: "Free settings for an external generator's algorithm." },
  },
  "x-kubernetes-validations": [
    {
      rule: "self.type != 'ExternalJob' || has(self.externalJob)",
      message: "algorithm type ExternalJob needs the field externalJob",
    },
  ],
} as const satisfies Schema;

/** What a dynamic provider asks of a portrait; inline in both kinds. */
export const portraitProperties = {
  portraitType: {
    type: "string",
    enum: ["Predictive", "Reactive", "Burst"],
    description: "Predictive: from a forecast. Reactive: from current metrics. Burst: from sudden rises.",
  },
  externalGeneratorName: {
    type: "string",
    minLength: 1,
    maxLength: 253,
    description: "Name of the external program that writes this portrait's status; Forescale then does not write it.",
  },
  metrics,
  algorithm,
} as const;

/** Holds for portraits, wherever they are specified. */
export const portraitRules = [
  {
    rule: `!has(self.algorithm) || has(self.externalGeneratorName) || self.algorithm.type in [${quoted(algorithmTypes)}]`,
    message: `unknown algorithm type; give one of ${algorithmTypes.join(", ")}, or name the externalGeneratorName that knows it`,
  },
  {
    rule: `!has(self.algorithm) || has(self.externalGeneratorName) || (${Object.entries(madeAlgorithms)
      .map(([type, made]) => `self.algorithm.type in [${quoted(made)}] ? self.portraitType == '${type}'`)
      .join(" : ")} : true)`,
    message: `this algorithm makes no portrait of this portraitType; ${Object.entries(madeAlgorithms)
      .map(([type, made]) => `${type} takes ${made.join(", ")}`)
      .join("; ")}; External goes with each`,
  },
] as const;

function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(", ");
}

export const horizontalPortraitSpec = {
  type: "object",
  required: ["scaleTargetRef", "portraitType"],
  description: "What the portrait is of, and how it is made.",
  properties: { scaleTargetRef, ...portraitProperties, prediction },
  "x-kubernetes-validations": portraitRules,
} as const satisfies Schema;

/** How good the forecast has been; shared by both statuses. */
export const accuracy = {
  type: "object",
  description: "How accurate the forecast has been, where it could be compared with the actual load.",
  properties: {
    percent: {
      type: "integer",
      format: "int32",
      minimum: 0,
      maximum: 100,
      description: "100 minus the absolute error in percent of the load (WAPE), at least 0.",
    },
    relativeError: {
      type: "number",
      minimum: 0,
      description: "Error as a share of the error of repeating the last season; below 1 the forecast is better.",
    },
    samples: { type: "integer", format: "int64", minimum: 0, description: "Steps compared." },
    coverage: {
      type: "array",
      maxItems: 32,
      "x-kubernetes-list-type": "atomic",
      description: "Share of actual values at or below each quantile; a calibrated forecast has the two equal.",
      items: {
        type: "object",
        required: ["level", "observed"],
        description: "One quantile.",
        properties: {
          level: { type: "number", minimum: 0, maximum: 1, description: "Quantile, as a fraction." },
          observed: { type: "number", minimum: 0, maximum: 1, description: "Share of steps at or below it." },
          samples: { type: "integer", format: "int64", minimum: 0, description: "Steps compared." },
        },
      },
    },
    verdict: {
      type: "string",
      enum: ["Enable", "KeepObserving", "NotPredictable"],
      description: "What the backtest over the history says.",
    },
    message: { type: "string", maxLength: 1024, description: "Why, for people." },
    updateTime: time("When it was last worked out."),
  },
} as const satisfies Schema;

export type Accuracy = FromSchema<typeof accuracy>;

const portraitData = {
  type: "object",
  required: ["type"],
  description: "The portrait: replicas over time.",
  properties: {
    type: { type: "string", enum: ["Static", "Cron", "TimeSeries"], description: "Which field holds it." },
    static: {
      type: "object",
      required: ["replicas"],
      description: "One number for all time.",
      properties: { replicas: replicas("Number of replicas.") },
    },
    cron: { type: "object", required: ["crons"], description: "Numbers for windows of time.", properties: { crons } },
    timeSeries: {
      type: "object",
      required: ["timeSeries"],
      description: "Numbers from points in time on.",
      properties: {
        timeSeries: {
          type: "array",
          minItems: 1,
          maxItems: 1440,
          "x-kubernetes-list-type": "atomic",
          description: "Change points in order of time; each holds until the next, the last until expireTime.",
          items: {
            type: "object",
            required: ["timestamp", "replicas"],
            description: "One change point.",
            properties: {
              timestamp: {
                type: "integer",
                format: "int64",
                minimum: 0,
                maximum: 253402300799,
                description: "From when on, in seconds since the Unix epoch.",
              },
              replicas: replicas("Number of replicas."),
            },
          },
        },
      },
    },
    expireTime: time("When the portrait stops being valid; where absent, never."),
  },
  "x-kubernetes-validations": [
    {
      rule: "has(self.static) == (self.type == 'Static') && has(self.cron) == (self.type == 'Cron') && has(self.timeSeries) == (self.type == 'TimeSeries')",
      message: "portraitData needs exactly the field that its type names: static, cron or timeSeries",
    },
  ],
} as const satisfies Schema;

export type PortraitData = FromSchema<typeof portraitData>;

const forecast = {
  type: "object",
  required: ["generatedAt"],
  description: "The load forecast behind the portrait, at its change points.",
  properties: {
    generatedAt: time("When it was made."),
    metrics: {
      type: "array",
      maxItems: 8,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      description: "One forecast a metric.",
      items: {
        type: "object",
        required: ["name", "stepSeconds", "levels", "points"],
        description: "The forecast of one metric.",
        properties: {
          name: { type: "string", maxLength: 253, description: "Name of the metric." },
          stepSeconds: { type: "integer", format: "int64", minimum: 1, description: "Length of a step." },
          levels: {
            type: "array",
            maxItems: 16,
            "x-kubernetes-list-type": "atomic",
            description: "Quantiles, as fractions, ascending.",
            items: { type: "number", minimum: 0, maximum: 1 },
          },
          points: {
            type: "array",
            maxItems: 1440,
            "x-kubernetes-list-type": "atomic",
            description: "Change points in order of time; each holds until the next.",
            items: {
              type: "object",
              required: ["time", "values"],
              description: "One change point.",
              properties: {
                time: { type: "integer", format: "int64", minimum: 0, description: "Unix seconds." },
                values: {
                  type: "array",
                  maxItems: 16,
                  "x-kubernetes-list-type": "atomic",
                  description: "The load at each level.",
                  items: { type: "number" },
                },
              },
            },
          },
        },
      },
    },
  },
} as const satisfies Schema;

export const horizontalPortraitStatus = {
  type: "object",
  description: "The portrait, and what is known of it.",
  properties: {
    observedGeneration,
    portraitData,
    forecast,
    accuracy,
    periods: {
      type: "array",
      maxItems: 16,
      "x-kubernetes-list-type": "atomic",
      description: "Periods found in the history, in seconds, strongest first.",
      items: { type: "integer", format: "int64", minimum: 1 },
    },
    conditions,
  },
} as const satisfies Schema;

export type HorizontalPortraitSpec = FromSchema<typeof horizontalPortraitSpec>;
export type HorizontalPortraitStatus = FromSchema<typeof horizontalPortraitStatus>;
export type HorizontalPortrait = ApiObject<"HorizontalPortrait", HorizontalPortraitSpec, HorizontalPortraitStatus>;
/** What an applier writes. */
export type HorizontalPortraitSpecWritten = Written<typeof horizontalPortraitSpec>;
export type PortraitType = HorizontalPortraitSpec["portraitType"];

/** The algorithm that makes a portrait: the one named, else the portrait type's own. */
export function algorithmOf(spec: Pick<HorizontalPortraitSpec, "portraitType" | "algorithm">): AlgorithmType {
  const named = spec.algorithm?.type;
  if (named !== undefined) return algorithmTypes.find((type) => type === named) ?? "External";
  return madeAlgorithms[spec.portraitType][0];
}

/** Why a portrait is neither made by the controllers nor left to others; undefined where all is well. */
export function algorithmFault(
  spec: Pick<HorizontalPortraitSpec, "portraitType" | "algorithm" | "externalGeneratorName">,
): string | undefined {
  const algorithm = algorithmOf(spec);
  const made: readonly string[] = madeAlgorithms[spec.portraitType];
  if (spec.externalGeneratorName !== undefined || algorithm === "External" || made.includes(algorithm))
    return undefined;
  const why = algorithm === "ExternalJob" ? "is not supported yet" : `makes no ${spec.portraitType} portrait`;
  return `algorithm ${algorithm} ${why}, so it proposes nothing; use ${made.join(", ")}, or External with a program of yours that writes the portrait's status`;
}
