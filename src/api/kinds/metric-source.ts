import { conditions, observedGeneration } from "../conditions.ts";
import { duration, time } from "../fields/fields.ts";
import type { FromSchema, Schema, Written } from "../schema.ts";
import type { ApiObject } from "./object.ts";

function secretKey<const D extends string>(description: D) {
  return {
    type: "object",
    required: ["namespace", "name", "key"],
    description,
    "x-kubernetes-map-type": "atomic",
    properties: {
      namespace: {
        type: "string",
        minLength: 1,
        maxLength: 63,
        pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description: "Namespace of the Secret.",
      },
      name: {
        type: "string",
        minLength: 1,
        maxLength: 253,
        pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description: "Name of the Secret.",
      },
      key: {
        type: "string",
        minLength: 1,
        maxLength: 253,
        pattern: "^[-._A-Za-z0-9]+$",
        description: "Key within the Secret.",
      },
    },
  } as const satisfies Schema;
}

export type SecretKeyRef = FromSchema<ReturnType<typeof secretKey>>;

export const metricSourceSpec = {
  type: "object",
  required: ["type"],
  description: "Where the history of metrics is, and on which terms it may be read.",
  properties: {
    type: {
      type: "string",
      enum: ["Prometheus", "Resource", "Custom", "External", "SLS", "HTTP"],
      description:
        "Prometheus: any store that speaks its API. Resource, Custom, External: the metrics APIs, with the embedded history store. SLS: Alibaba Cloud's log service. HTTP: any JSON endpoint.",
    },
    default: {
      type: "boolean",
      default: false,
      description: "Whether metrics that name no source use this one; of several, the oldest holds.",
    },
    url: {
      type: "string",
      minLength: 8,
      maxLength: 2048,
      description: "Address of the store, without credentials; for Prometheus the part before `/api/v1`.",
      "x-kubernetes-validations": [
        {
          rule: "self.matches('^https?://[^\\\\s]+$')",
          message: "the url begins with http:// or https:// and holds no blank; write it as http://HOST:PORT",
        },
        {
          rule: "!self.matches('^https?://[^/?#]*@')",
          message: "the url has a user or a password in it; take them out and name a Secret in credentials",
        },
      ],
    },
    credentials: {
      type: "object",
      description: "Secrets to log in with; they are sent to url only.",
      properties: {
        bearerToken: secretKey("Token sent as `Authorization: Bearer`."),
        username: secretKey("User name, with password."),
        password: secretKey("Password, with username."),
        clientCertificate: secretKey("Client certificate in PEM, with clientKey."),
        clientKey: secretKey("Private key in PEM, with clientCertificate."),
        accessKeyID: secretKey("Access key of SLS, with accessKeySecret."),
        accessKeySecret: secretKey("Secret of the access key, with accessKeyID."),
      },
      "x-kubernetes-validations": [
        {
          rule: "has(self.username) == has(self.password)",
          message: "username and password belong together; give both or neither",
        },
        {
          rule: "has(self.clientCertificate) == has(self.clientKey)",
          message: "clientCertificate and clientKey belong together; give both or neither",
        },
        {
          rule: "has(self.accessKeyID) == has(self.accessKeySecret)",
          message: "accessKeyID and accessKeySecret belong together; give both or neither",
        },
        {
          rule: "!(has(self.bearerToken) && has(self.username))",
          message: "bearerToken and username both fill the Authorization header; give one of them",
        },
      ],
    },
    certificateAuthority: secretKey("CA in PEM that signed the store's certificate; where absent, the system's."),
    headers: {
      type: "object",
      maxProperties: 16,
      additionalProperties: { type: "string", maxLength: 1024, pattern: "^[ -~]*$" },
      description: "Headers sent with each request, such as a tenant's `X-Scope-OrgID`; never a credential.",
      "x-kubernetes-validations": [
        {
          rule: "self.all(name, !(name in ['__proto__', 'constructor', 'prototype']))",
          message: "the keys __proto__, constructor and prototype are reserved; choose another key",
        },
        {
          rule: "self.all(name, name.matches('^[A-Za-z0-9-]+$') && !(name.lowerAscii() in ['authorization', 'proxy-authorization', 'cookie', 'host', 'content-length', 'connection', 'transfer-encoding']))",
          message:
            "a header is letters, digits and dashes, and carries no credential; name a Secret in credentials instead",
        },
      ],
    },
    tenancy: {
      type: "object",
      default: {},
      description: "What a workload may read from the source.",
      properties: {
        rule: {
          type: "string",
          enum: ["EnforceLabel", "None"],
          default: "EnforceLabel",
          description:
            "EnforceLabel adds the workload's namespace as a label to every selector of a query; None trusts all who may use the source.",
        },
        label: {
          type: "string",
          minLength: 1,
          maxLength: 128,
          pattern: "^[a-zA-Z_][a-zA-Z0-9_]*$",
          default: "namespace",
          description: "Label that holds the namespace.",
        },
        namespaces: {
          type: "array",
          maxItems: 256,
          "x-kubernetes-list-type": "set",
          description: "Namespaces that may use the source; where absent, all.",
          items: { type: "string", minLength: 1, maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" },
        },
      },
    },
    step: duration("Step at which history is read.", "1m", {
      min: "5s",
      minSeconds: 5,
      max: "1h",
      maxSeconds: 3600,
    }),
    lag: duration("Time until a sample can be trusted to be there.", "30s", {
      min: "0s",
      minSeconds: 0,
      max: "1h",
      maxSeconds: 3600,
    }),
    timeout: duration("Longest time for one request.", "10s", {
      min: "1s",
      minSeconds: 1,
      max: "2m",
      maxSeconds: 120,
    }),
    sls: {
      type: "object",
      required: ["project", "metricStore"],
      description: "Where in SLS; needed when type is SLS.",
      properties: {
        project: { type: "string", minLength: 1, maxLength: 128, pattern: "^[-a-z0-9]+$", description: "Project." },
        metricStore: {
          type: "string",
          minLength: 1,
          maxLength: 128,
          pattern: "^[-_a-zA-Z0-9]+$",
          description: "Metric store.",
        },
      },
    },
    http: {
      type: "object",
      required: ["valuePath"],
      description: "How to read the answer; needed when type is HTTP.",
      properties: {
        valuePath: {
          type: "string",
          minLength: 1,
          maxLength: 256,
          pattern: "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$",
          description: "Path of the number in the JSON answer, such as `data.load`.",
        },
      },
    },
  },
  "x-kubernetes-validations": [
    {
      rule: "has(self.url) == (self.type in ['Prometheus', 'SLS', 'HTTP'])",
      message: "Prometheus, SLS and HTTP need url; Resource, Custom and External are the cluster's own and take none",
    },
    {
      rule: "has(self.sls) == (self.type == 'SLS') && has(self.http) == (self.type == 'HTTP')",
      message: "give exactly the field that the source's type names: SLS needs sls, HTTP needs http, others neither",
    },
  ],
} as const satisfies Schema;

export const metricSourceStatus = {
  type: "object",
  description: "Whether the source answers.",
  properties: {
    observedGeneration,
    lastReachedTime: time("When the source last answered."),
    conditions,
  },
} as const satisfies Schema;

export type MetricSourceSpec = FromSchema<typeof metricSourceSpec>;
export type MetricSourceStatus = FromSchema<typeof metricSourceStatus>;
export type MetricSource = ApiObject<"MetricSource", MetricSourceSpec, MetricSourceStatus>;
export type MetricSourceSpecWritten = Written<typeof metricSourceSpec>;
