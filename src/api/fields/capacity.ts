import type { FromSchema, Schema } from "../schema.ts";
import { quantity, withinReach } from "./metrics.ts";

/** What a capacity model can be. */
export const capacityModels = ["Auto", "PerPod", "LinearWithBase", "Residual", "Queueing"] as const;

/** What several loads that size a workload together are called, as a metric in pods. */
export const jointLoad = "capacity";

const name = {
  type: "string",
  minLength: 1,
  maxLength: 63,
  pattern: "^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$",
} as const satisfies Schema;

const source = {
  type: "string",
  minLength: 1,
  maxLength: 253,
  pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
  description: "Name of the MetricSource that has the history; where absent, the default one.",
} as const satisfies Schema;

function query<const D extends string>(description: D) {
  return { type: "string", minLength: 1, maxLength: 4096, description } as const satisfies Schema;
}

function percentile<const D extends string>(description: D) {
  return { type: "integer", format: "int32", minimum: 50, maximum: 99, description } as const satisfies Schema;
}

/** How pods follow from the load, learnt from the workload's past. */
export const capacity = {
  type: "object",
  required: ["loads"],
  description:
    "How pods follow from the load, learnt daily from the workload's own past; where absent, each metric's target is what one pod carries. While nothing good enough could be learnt, the targets hold and status.capacity says why.",
  properties: {
    model: {
      type: "string",
      enum: capacityModels,
      default: "Auto",
      description:
        "PerPod: the metrics' targets. LinearWithBase: usage rises in proportion, above what an idle pod uses. Residual: usage rises along a curve of each load. Queueing: response time rises as pods fill up. Auto: of those whose fields are given, the simplest that does best on days held back.",
    },
    loads: {
      type: "array",
      minItems: 1,
      maxItems: 4,
      "x-kubernetes-list-type": "atomic",
      description:
        "Names of the metrics in spec.metrics that drive the workload, such as its requests a second. Several of them size it together rather than each alone.",
      items: name,
      "x-kubernetes-validations": [
        {
          rule: "self.all(one, self.exists_one(other, other == one))",
          message: "a load is named twice; keep one of the two",
        },
      ],
    },
    usage: {
      type: "object",
      required: ["name"],
      description: "The resource usage that the load causes.",
      properties: {
        name: {
          ...name,
          description: "Name of the metric; `cpu` (cores) and `memory` (bytes) need no query.",
        },
        source,
        query: query("Query that gives the usage of all pods together as one series."),
        target: { ...quantity, description: 'Usage that is right for one pod, such as `"700m"` of CPU.' },
      },
      "x-kubernetes-validations": [
        {
          rule: `!has(self.target) || (${withinReach("self.target")})`,
          message: 'a target must be above 0 and at most 9e12; give what one pod should use, such as "700m"',
        },
        {
          rule: "has(self.query) || self.name in ['cpu', 'memory']",
          message: "only cpu and memory need no query; give the query that totals this usage over all pods",
        },
      ],
    },
    responseTime: {
      type: "object",
      required: ["name", "query"],
      description: "How long requests take, in seconds.",
      properties: {
        name: { ...name, description: "Name of the metric." },
        source,
        query: query("Query that gives the response time of the whole workload in seconds, as one series."),
        percentile: percentile("Percentile of requests that the query tells of; where absent, it gives their mean."),
      },
    },
    objective: {
      type: "object",
      required: ["responseTime"],
      description: "The response time to keep, such as 95 % of requests within 200 ms.",
      properties: {
        percentile: percentile("Percentile of requests that keep it; where absent, the mean does."),
        responseTime: {
          type: "string",
          minLength: 2,
          maxLength: 8,
          pattern: "^[0-9]+(\\.[0-9]+)?(ms|s)$",
          description: "Longest response time, such as `200ms` or `1.5s`.",
          "x-kubernetes-validations": [
            {
              rule: "!self.matches('^[0.]+(ms|s)$')",
              message: "a response time must be above 0; give one such as 200ms",
            },
          ],
        },
      },
    },
    pods: {
      type: "object",
      default: {},
      description: "How many pods served, in the past.",
      properties: {
        name: { ...name, default: "pods", description: "Name of the metric." },
        source,
        query: query(
          "Query that gives the number of ready pods as one series; where absent, it is made for kube-state-metrics.",
        ),
      },
    },
  },
  "x-kubernetes-validations": [
    {
      rule: "has(self.responseTime) == has(self.objective)",
      message: "responseTime and objective belong together: give the metric and what it should keep to",
    },
    {
      rule: "self.model == 'PerPod' || self.model == 'Queueing' || (has(self.usage) && has(self.usage.target)) || (self.model == 'Auto' && has(self.objective))",
      message:
        "the model has nothing to learn from; give usage with its target, or, for Auto and Queueing, responseTime and objective",
    },
    {
      rule: "self.model != 'Queueing' || (has(self.objective) && size(self.loads) == 1)",
      message: "Queueing takes one load, in requests a second, with responseTime and objective",
    },
  ],
} as const satisfies Schema;

export type Capacity = FromSchema<typeof capacity>;

/** What was learnt of the capacity, in an autoscaler's status. */
export const capacityStatus = {
  type: "object",
  required: ["model", "message"],
  description: "The capacity model in use, and how well it fits.",
  properties: {
    model: {
      type: "string",
      enum: capacityModels.slice(1) as ["PerPod", "LinearWithBase", "Residual", "Queueing"],
      description: "The model; PerPod where none was good enough, and the metrics' targets hold.",
    },
    r2: {
      type: "number",
      description: "Share of the variance explained, on days held back; below 0 where worse than their mean.",
    },
    error: {
      type: "number",
      minimum: 0,
      description: "Absolute error as a share of what was measured (WAPE), on days held back.",
    },
    samples: { type: "integer", format: "int64", minimum: 0, description: "Moments learnt from." },
    rangeSeen: {
      type: "array",
      maxItems: 4,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      description: "Range of the load per pod in the history; beyond it the model extrapolates.",
      items: {
        type: "object",
        required: ["name", "lowest", "highest"],
        description: "The range of one load.",
        properties: {
          name: { type: "string", maxLength: 253, description: "Name of the load." },
          lowest: { type: "number", description: "Smallest load per pod." },
          highest: { type: "number", description: "Largest load per pod." },
        },
      },
    },
    extrapolated: {
      type: "boolean",
      description: "Whether the present size rests on more load, in total or per pod, than the history has.",
    },
    fittedAt: { type: "string", format: "date-time", description: "When it was learnt." },
    message: { type: "string", maxLength: 1024, description: "What was learnt, or why nothing was, for people." },
  },
} as const satisfies Schema;

export type CapacityStatus = FromSchema<typeof capacityStatus>;

/** Seconds of an objective's `responseTime`. @throws RangeError for text of another form */
export function responseTimeOf(text: string): number {
  const [, count, unit] = /^([0-9]+(?:\.[0-9]+)?)(ms|s)$/.exec(text) ?? [];
  if (unit === undefined) throw new RangeError(`"${text}" is no response time; give one such as 200ms or 1.5s`);
  return unit === "ms" ? Number(`${count}e-3`) : Number(count);
}
