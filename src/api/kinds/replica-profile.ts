import { conditions, observedGeneration } from "../conditions.ts";
import { external, replicas, scaleTargetRef } from "../fields/fields.ts";
import type { FromSchema, Schema, Written } from "../schema.ts";
import type { ApiObject } from "./object.ts";

export const podStates = ["Online", "Cutoff", "Standby", "Deleted"] as const;
export type PodState = (typeof podStates)[number];

const externalPresent = {
  rule: "has(self.external) == (self.type == 'External')",
  message: "type External needs the field external, and no other type takes it",
} as const;

/** Which pods go first, and how a pod is taken out of rotation. */
export const replicaProfileBehavior = {
  type: "object",
  default: {},
  description: "Which pods change state first, and how traffic is kept from a pod.",
  properties: {
    podSorter: {
      type: "object",
      default: { type: "WorkloadDefault" },
      description: "Order in which pods leave. A StatefulSet always drops its highest ordinals.",
      properties: {
        type: {
          type: "string",
          enum: ["WorkloadDefault", "Cost", "External"],
          default: "WorkloadDefault",
          description:
            "WorkloadDefault: the workload controller's own order. Cost: pods of cordoned nodes first, then such that zones stay even and nodes become empty, the most restarted and the youngest first. External: the order that an external program gives.",
        },
        external,
      },
      "x-kubernetes-validations": [externalPresent],
    },
    podTrafficController: {
      type: "object",
      default: { type: "ReadinessGate" },
      description: "What takes a pod in and out of rotation.",
      properties: {
        type: {
          type: "string",
          enum: ["ReadinessGate", "External"],
          default: "ReadinessGate",
          description: "The readiness gate `forescale.io/online`, or an external program.",
        },
        external,
      },
      "x-kubernetes-validations": [externalPresent],
    },
    podStates: {
      type: "object",
      default: { type: "Planned" },
      description: "What decides which pods are in which state.",
      properties: {
        type: {
          type: "string",
          enum: ["Planned", "External"],
          default: "Planned",
          description:
            "Planned: by the order of podSorter. External: an external program chooses the state of each pod, within the desired numbers; while it does not answer, no pod leaves service. Not for StatefulSets, which drop their highest ordinals.",
        },
        external,
      },
      "x-kubernetes-validations": [externalPresent],
    },
    keepAvailable: {
      type: "boolean",
      default: false,
      description:
        "Whether pods out of service stay so few that a Deployment's condition Available holds: within maxUnavailable of its strategy. PodDisruptionBudgets limit them always, unless they have unhealthyPodEvictionPolicy: AlwaysAllow.",
    },
  },
} as const satisfies Schema;

export const replicaProfileSpec = {
  type: "object",
  // Not by default 0: who wants one pod frozen would lose all that serve.
  required: ["scaleTargetRef", "onlineReplicas"],
  description: "Pods wanted in each state.",
  properties: {
    scaleTargetRef,
    onlineReplicas: replicas("Pods that serve traffic. The workload's replicas become the sum of the three."),
    cutoffReplicas: { ...replicas("Pods that run, out of rotation."), default: 0 },
    standbyReplicas: { ...replicas("Pods that are frozen, their memory given back."), default: 0 },
    standbyMode: {
      type: "string",
      enum: ["Image", "Swap"],
      description: "How frozen pods give their memory back, tried first; where absent, the sidecar's own choice.",
    },
    paused: { type: "boolean", default: false, description: "Whether changes of state are paused." },
    allowedScalingDirection: {
      type: "string",
      enum: ["Both", "Neither", "Up", "Down"],
      default: "Both",
      description: "Directions in which the online pods may change.",
    },
    behavior: replicaProfileBehavior,
  },
} as const satisfies Schema;

export const replicaProfileStatus = {
  type: "object",
  description: "Pods there are in each state.",
  properties: {
    observedGeneration,
    onlineReplicas: replicas("Pods that serve traffic."),
    cutoffReplicas: replicas("Pods that run, out of rotation."),
    standbyReplicas: replicas("Pods that are frozen or on their way there."),
    conditions,
  },
} as const satisfies Schema;

export type ReplicaProfileSpec = FromSchema<typeof replicaProfileSpec>;
export type ReplicaProfileStatus = FromSchema<typeof replicaProfileStatus>;
export type ReplicaProfile = ApiObject<"ReplicaProfile", ReplicaProfileSpec, ReplicaProfileStatus>;
export type ReplicaProfileSpecWritten = Written<typeof replicaProfileSpec>;
