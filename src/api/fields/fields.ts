import type { FromSchema, Rule, Schema } from "../schema.ts";

/** Keys that a JavaScript program could mistake for its own machinery. */
const reservedKeys: Rule = {
  rule: "self.all(key, !(key in ['__proto__', 'constructor', 'prototype']))",
  message: "the keys __proto__, constructor and prototype are reserved; choose another key",
};

/** Free configuration for something outside Forescale: text by key. */
export const config = {
  type: "object",
  maxProperties: 64,
  additionalProperties: { type: "string", maxLength: 4096 },
  "x-kubernetes-validations": [reservedKeys],
  description: "Settings that are passed on unchanged, text by key.",
} as const satisfies Schema;

/** Plug-in outside Forescale, by name. */
export const external = {
  type: "object",
  required: ["name"],
  description: "The external implementation; needed when type is External.",
  properties: {
    name: {
      type: "string",
      minLength: 1,
      maxLength: 253,
      pattern: "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
      description: "Name of the external implementation.",
    },
    config,
  },
} as const satisfies Schema;

export const scaleTargetRef = {
  type: "object",
  required: ["kind", "name"],
  description: "The workload to scale: any kind with a scale subresource.",
  "x-kubernetes-map-type": "atomic",
  properties: {
    apiVersion: {
      type: "string",
      maxLength: 253,
      pattern: "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z][a-z0-9]*$",
      description: "Group and version of the kind, such as `apps/v1`.",
    },
    kind: {
      type: "string",
      minLength: 1,
      maxLength: 63,
      pattern: "^[A-Z][A-Za-z0-9]*$",
      description: "Kind, such as `Deployment` or `StatefulSet`.",
    },
    name: {
      type: "string",
      minLength: 1,
      maxLength: 253,
      pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
      description: "Name of the object, in the same namespace.",
    },
  },
  "x-kubernetes-validations": [
    {
      rule: "!(self.kind in ['HorizontalPodAutoscaler', 'IntelligentHorizontalPodAutoscaler', 'HorizontalPortrait', 'ReplicaProfile', 'MetricSource', 'ScaledObject'])",
      message:
        "scaleTargetRef names an autoscaler; name the workload that it scales, such as a Deployment or a StatefulSet",
    },
  ],
} as const satisfies Schema;

export type ScaleTargetRef = FromSchema<typeof scaleTargetRef>;

/** A count of pods. */
export function replicas<const D extends string>(description: D) {
  return { type: "integer", format: "int32", minimum: 0, maximum: 100000, description } as const satisfies Schema;
}

/** IANA time zone; that it exists is checked by `validate`, as CEL knows no zones. */
export const timeZone = {
  type: "string",
  minLength: 1,
  maxLength: 64,
  pattern: "^[A-Za-z][A-Za-z0-9_+/-]*$",
  default: "UTC",
  description: "IANA time zone, such as `Europe/Berlin`.",
} as const satisfies Schema;

const secondsOfUnit = "{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}";

/** A whole number and a unit, such as `90s`, `15m`, `24h`, `14d`, `2w`, within limits in seconds. */
export function duration<const D extends string, const F extends string>(
  description: D,
  fallback: F,
  limits: { readonly min: string; readonly minSeconds: number; readonly max: string; readonly maxSeconds: number },
) {
  const seconds = `int(self.substring(0, size(self) - 1)) * ${secondsOfUnit}[self.substring(size(self) - 1)]`;
  return {
    type: "string",
    minLength: 2,
    maxLength: 9,
    pattern: "^[0-9]+[smhdw]$",
    default: fallback,
    description,
    "x-kubernetes-validations": [
      {
        rule: `${seconds} >= ${limits.minSeconds} && ${seconds} <= ${limits.maxSeconds}`,
        message: `give a duration from ${limits.min} to ${limits.max}: a whole number and one of s, m, h, d, w`,
      },
    ],
  } as const satisfies Schema;
}

/** A duration as Go writes it, such as `1m30s` or `500ms`. */
export function goDuration<const D extends string, const F extends string>(description: D, fallback: F) {
  return {
    type: "string",
    minLength: 2,
    maxLength: 32,
    pattern: "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$",
    default: fallback,
    description,
  } as const satisfies Schema;
}

/** A share written as a percentage, such as `0.1%`. */
export const percentage = {
  type: "string",
  minLength: 2,
  maxLength: 12,
  pattern: "^[0-9]+(\\.[0-9]+)?%$",
} as const satisfies Schema;

/** Point in time, RFC 3339. */
export function time<const D extends string>(description: D) {
  return { type: "string", format: "date-time", description } as const satisfies Schema;
}
