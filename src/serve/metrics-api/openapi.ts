import { externalMetricsGroup, externalMetricsPath, externalMetricsVersion } from "../names.ts";

const string = { type: "string" } as const;

const value = {
  type: "object",
  description: "The value of an external metric.",
  required: ["metricName", "metricLabels", "timestamp", "value"],
  properties: {
    metricName: { ...string, description: "Name of the metric." },
    metricLabels: {
      type: "object",
      additionalProperties: string,
      description: "Which IHPA the value belongs to, and by which rung and reason it came about.",
    },
    timestamp: { ...string, format: "date-time", description: "When the value was decided." },
    window: { type: "integer", format: "int64", description: "Not used: the value is no average over time." },
    value: { ...string, description: "The value, a Quantity." },
  },
};

/** Schemas by name; `reference` makes the pointer to another one. */
function schemas(reference: (name: string) => object) {
  return {
    ExternalMetricValue: value,
    ExternalMetricValueList: {
      type: "object",
      description: "One value for each IHPA that the selector matches.",
      required: ["items"],
      properties: {
        apiVersion: string,
        kind: string,
        metadata: { type: "object" },
        items: { type: "array", items: reference("ExternalMetricValue") },
      },
      "x-kubernetes-group-version-kind": [
        { group: externalMetricsGroup, version: externalMetricsVersion, kind: "ExternalMetricValueList" },
      ],
    },
  };
}

const path = `${externalMetricsPath}/namespaces/{namespace}/{metric}`;
const pathParameters = ["namespace", "metric"];
const queryParameters = ["labelSelector"];
const operation = {
  description: "Reads the values of an external metric.",
  operationId: "listExternalMetrics",
  tags: [`${externalMetricsGroup}_${externalMetricsVersion}`],
};
const info = { title: "Forescale", version: externalMetricsVersion };

/** The OpenAPI v2 document. */
export const openApiV2 = {
  swagger: "2.0",
  info,
  paths: {
    [path]: {
      get: {
        ...operation,
        produces: ["application/json"],
        parameters: [
          ...pathParameters.map((name) => ({ name, in: "path", required: true, ...string })),
          ...queryParameters.map((name) => ({ name, in: "query", ...string })),
        ],
        responses: { "200": { description: "OK", schema: { $ref: "#/definitions/ExternalMetricValueList" } } },
      },
    },
  },
  definitions: schemas((name) => ({ $ref: `#/definitions/${name}` })),
};

/** The OpenAPI v3 document of the group-version. */
export const openApiV3 = {
  openapi: "3.0.0",
  info,
  paths: {
    [path]: {
      get: {
        ...operation,
        parameters: [
          ...pathParameters.map((name) => ({ name, in: "path", required: true, schema: string })),
          ...queryParameters.map((name) => ({ name, in: "query", schema: string })),
        ],
        responses: {
          "200": {
            description: "OK",
            content: { "application/json": { schema: { $ref: "#/components/schemas/ExternalMetricValueList" } } },
          },
        },
      },
    },
  },
  components: { schemas: schemas((name) => ({ $ref: `#/components/schemas/${name}` })) },
};
