import type { FromSchema, Schema } from "../schema.ts";

/** A Kubernetes quantity as it is written: a whole number, or text such as `"500m"`, `"1.5"`, `"2Gi"`. */
export const quantity = {
  anyOf: [{ type: "integer" }, { type: "string" }],
  "x-kubernetes-int-or-string": true,
  maxLength: 32,
  pattern:
    "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$",
} as const satisfies Schema;

const target = {
  type: "object",
  required: ["type"],
  description: "The target value.",
  properties: {
    type: {
      type: "string",
      enum: ["Utilization", "Value", "AverageValue"],
      description: "Which of the fields beside it holds the target.",
    },
    value: { ...quantity, description: "Target of the metric as a whole." },
    averageValue: { ...quantity, description: "Target per pod." },
    averageUtilization: {
      type: "integer",
      format: "int32",
      minimum: 1,
      description: "Target per pod, in percent of what the pods request.",
    },
  },
  "x-kubernetes-validations": [
    {
      rule: "has(self.value) == (self.type == 'Value') && has(self.averageValue) == (self.type == 'AverageValue') && has(self.averageUtilization) == (self.type == 'Utilization')",
      message:
        "give exactly the field that the target's type names: Value takes value, AverageValue takes averageValue, Utilization takes averageUtilization",
    },
  ],
} as const satisfies Schema;

export type MetricTarget = FromSchema<typeof target>;

const labelValue = { type: "string", maxLength: 63 } as const satisfies Schema;
const labelKey = {
  type: "string",
  minLength: 1,
  maxLength: 317,
  pattern: "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
} as const satisfies Schema;

const selector = {
  type: "object",
  description: "Labels that the metric must have.",
  "x-kubernetes-map-type": "atomic",
  properties: {
    matchLabels: {
      type: "object",
      maxProperties: 32,
      additionalProperties: labelValue,
      description: "Value by label key.",
      "x-kubernetes-validations": [
        {
          rule: "self.all(key, !(key in ['__proto__', 'constructor', 'prototype']))",
          message: "the keys __proto__, constructor and prototype are reserved; choose another key",
        },
      ],
    },
    matchExpressions: {
      type: "array",
      maxItems: 32,
      "x-kubernetes-list-type": "atomic",
      description: "Requirements, all of which must hold.",
      items: {
        type: "object",
        required: ["key", "operator"],
        description: "One requirement.",
        properties: {
          key: { ...labelKey, description: "Label key." },
          operator: {
            type: "string",
            enum: ["In", "NotIn", "Exists", "DoesNotExist"],
            description: "How key and values relate.",
          },
          values: {
            type: "array",
            maxItems: 32,
            "x-kubernetes-list-type": "atomic",
            items: labelValue,
            description: "Values, for In and NotIn.",
          },
        },
      },
    },
  },
} as const satisfies Schema;

const metric = {
  type: "object",
  required: ["name"],
  description: "Which metric.",
  properties: {
    name: {
      type: "string",
      minLength: 1,
      maxLength: 253,
      description: "Name of the metric, in lower case, as clients of the metrics APIs lower-case it anyway.",
      "x-kubernetes-validations": [
        {
          rule: "self.matches('^[a-z0-9_][a-z0-9_.:@|-]*$')",
          message:
            "a metric's name is of lower-case letters, digits and _ . : @ | -, without a slash; where the store has another name, give that one in query",
        },
      ],
    },
    selector,
  },
} as const satisfies Schema;

const resourceName = {
  type: "string",
  minLength: 1,
  maxLength: 63,
  pattern: "^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$",
  description: "Name of the resource, such as `cpu` or `memory`.",
} as const satisfies Schema;

const entryName = {
  rule: "self.matches('^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$')",
  message:
    "the name of an entry is of lower-case letters, digits and - _ . between them, without a slash, as it becomes a label's value; choose such a name",
} as const;

/** Fields of a metric: autoscaling/v2's, with a name, a source, a query and an operator. */
export const metricProperties = {
  name: {
    type: "string",
    minLength: 1,
    maxLength: 63,
    "x-kubernetes-validations": [entryName],
    description:
      "Name of this entry, its own within the list; where absent, the name of the resource or metric. It is the value of the label `forescale.io/metric`.",
  },
  type: {
    type: "string",
    enum: ["Object", "Pods", "Resource", "ContainerResource", "External"],
    description: "Kind of metric; the field of the same name, in lower camel case, holds the rest.",
  },
  resource: {
    type: "object",
    required: ["name", "target"],
    description: "A resource that the pods use.",
    properties: { name: resourceName, target },
  },
  containerResource: {
    type: "object",
    required: ["name", "container", "target"],
    description: "A resource that one container of the pods uses.",
    properties: {
      name: resourceName,
      container: {
        type: "string",
        minLength: 1,
        maxLength: 63,
        pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description: "Name of the container.",
      },
      target,
    },
  },
  pods: {
    type: "object",
    required: ["metric", "target"],
    description: "A metric that each pod has.",
    properties: { metric, target },
  },
  object: {
    type: "object",
    required: ["describedObject", "metric", "target"],
    description: "A metric of one Kubernetes object, such as an Ingress.",
    properties: {
      describedObject: {
        type: "object",
        required: ["kind", "name"],
        description: "The object, in the same namespace.",
        properties: {
          apiVersion: { type: "string", maxLength: 253, description: "Group and version of the kind." },
          kind: { type: "string", minLength: 1, maxLength: 63, description: "Kind of the object." },
          name: { type: "string", minLength: 1, maxLength: 253, description: "Name of the object." },
        },
      },
      metric,
      target,
    },
  },
  external: {
    type: "object",
    required: ["metric", "target"],
    description: "A metric of something outside the cluster's objects, such as a queue or a gateway.",
    properties: { metric, target },
  },
  operator: {
    type: "string",
    enum: ["==", ">", "<", ">=", "<="],
    description: "How a stability checker compares: `actual operator target`.",
  },
  source: {
    type: "string",
    minLength: 1,
    maxLength: 253,
    pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
    description: "Name of the MetricSource that has the history; where absent, the default one.",
  },
  query: {
    type: "string",
    minLength: 1,
    maxLength: 4096,
    description:
      "Query that gives the workload's total as one series, in the source's language (PromQL for Prometheus); where absent, it is made from the metric. The source's tenancy rule is applied to it.",
  },
} as const;

const typeNamesField = {
  rule: "has(self.resource) == (self.type == 'Resource') && has(self.containerResource) == (self.type == 'ContainerResource') && has(self.pods) == (self.type == 'Pods') && has(self.object) == (self.type == 'Object') && has(self.external) == (self.type == 'External')",
  message: "give exactly the field that the metric's type names: resource, containerResource, pods, object or external",
} as const;

const uniqueNames = {
  rule: "self.all(one, !has(one.name) || self.exists_one(other, has(other.name) && other.name == one.name))",
  message: "two metrics have the same name; give each its own",
} as const;

/** Targets may be neither zero, below zero, nor beyond what the HPA can count in thousandths. */
export function withinReach(path: string): string {
  return `isQuantity(string(${path})) && quantity(string(${path})).isGreaterThan(quantity('0')) && quantity(string(${path})).compareTo(quantity('9e12')) <= 0`;
}

function targetWithinReach(type: "pods" | "object" | "external" | "resource" | "containerResource") {
  const at = `self.${type}.target`;
  return {
    rule: `!has(self.${type}) || ((!has(${at}.averageValue) || (${withinReach(`${at}.averageValue`)})) && (!has(${at}.value) || (${withinReach(`${at}.value`)})))`,
    message: 'a target must be above 0 and at most 9e12; give what is right for one pod, such as "100" or "500m"',
  };
}

/** One metric that sizes the workload: autoscaling/v2's MetricSpec with a name, a source and a query. */
const sizingMetric = {
  type: "object",
  required: ["type"],
  description: "One metric: autoscaling/v2's MetricSpec with a name, a source and a query.",
  properties: metricProperties,
  "x-kubernetes-validations": [
    typeNamesField,
    targetWithinReach("resource"),
    targetWithinReach("containerResource"),
    targetWithinReach("pods"),
    targetWithinReach("object"),
    targetWithinReach("external"),
    {
      rule: "!has(self.external) || self.external.target.type == 'AverageValue'",
      message:
        "an External metric takes an AverageValue target, as Value is multiplied by ready pods; give target: {type: AverageValue, averageValue: what one pod should carry}",
    },
    {
      rule: "!has(self.pods) || self.pods.target.type == 'AverageValue'",
      message: "a Pods metric takes an AverageValue target; give target: {type: AverageValue, averageValue: …}",
    },
    {
      rule: "(!has(self.resource) || self.resource.target.type != 'Value') && (!has(self.containerResource) || self.containerResource.target.type != 'Value')",
      message: "a resource takes a Utilization or AverageValue target; give averageUtilization or averageValue",
    },
    {
      rule: "!has(self.object) || self.object.target.type != 'Utilization'",
      message: "an Object metric takes a Value or AverageValue target; give value or averageValue",
    },
  ],
} as const satisfies Schema;

export type MetricSpec = FromSchema<typeof sizingMetric>;

/** The metrics that size a workload, at most eight. */
export const metrics = {
  type: "array",
  maxItems: 8,
  "x-kubernetes-list-type": "atomic",
  description: "Metrics that size the workload; the one that asks for most pods wins.",
  items: sizingMetric,
  "x-kubernetes-validations": [uniqueNames],
} as const satisfies Schema;

/** Metrics that a stability checker watches: any target, compared by `operator`. */
export const checkerMetrics = {
  type: "array",
  minItems: 1,
  maxItems: 8,
  "x-kubernetes-list-type": "atomic",
  description:
    "Rules; each is broken when `actual operator target` holds. Without an operator it is broken above its target.",
  items: {
    type: "object",
    required: ["type"],
    description: "One rule: a metric, an operator and a target.",
    properties: metricProperties,
    "x-kubernetes-validations": [typeNamesField],
  },
  "x-kubernetes-validations": [uniqueNames],
} as const satisfies Schema;

/** Name of an entry: its own, else that of its resource or metric. */
export function metricName(spec: MetricSpec): string {
  const { name, resource, containerResource, pods, object, external } = spec;
  return (
    name ??
    resource?.name ??
    containerResource?.name ??
    pods?.metric.name ??
    object?.metric.name ??
    external?.metric.name ??
    spec.type.toLowerCase()
  );
}

/** Target of an entry, wherever its type keeps it. */
export function metricTarget(spec: MetricSpec): MetricTarget | undefined {
  return (spec.resource ?? spec.containerResource ?? spec.pods ?? spec.object ?? spec.external)?.target;
}
