import {
  deletionCostAnnotation,
  injectLabel,
  notInjectedAnnotation,
  onlineGate,
  podStateLabel,
  standbyCondition,
} from "../api/labels.ts";
import { sidecarName } from "./inject/sidecar-layout.ts";

/** A pod as the state machine sees it. Pods that are being deleted or have ended are none of these. */
export interface PodInState {
  readonly name: string;
  readonly uid: string;
  /** What is wanted of it: its label. */
  readonly state: "Online" | "Cutoff" | "Standby";
  /** Whether it has the readiness gate, without which it can't be taken out of rotation. */
  readonly gated: boolean;
  /** Whether its label asks the webhook for the gate: without one, the webhook was not reached when the pod was made. */
  readonly asksForGate?: boolean;
  /** Why the webhook gave it less than its label asks for. */
  readonly notInjected?: string;
  /** The gate as it stands; undefined where it has not been set yet. */
  readonly gate?: boolean;
  readonly sidecar: boolean;
  /** What the kubelet says: containers and gates. */
  readonly ready: boolean;
  /** Whether the containers alone are ready. */
  readonly containersReady: boolean;
  readonly phase: "Pending" | "Running" | "Unknown";
  readonly scheduled: boolean;
  readonly node?: string;
  readonly zone?: string;
  /** Number of a StatefulSet's pod. */
  readonly ordinal?: number;
  /** `controller.kubernetes.io/pod-deletion-cost` as it stands; undefined where there is none that can be read. */
  readonly cost?: number;
  readonly createdMs: number;
  readonly readySinceMs?: number;
  /** Of its container that was restarted most. */
  readonly restarts: number;
  /** What the sidecar's stream last said: the condition `forescale.io/standby`. */
  readonly standby?: { readonly frozen: boolean; readonly reason: string; readonly message?: string };
  /** Whether it said no to being frozen, and is not to be asked again yet. */
  readonly refusesStandby: boolean;
  /** Whether it can't wake now, as its node has no room. */
  readonly wakeRefused?: boolean;
  /** Whether it was asked to wake long ago and has not reported since: then the gate alone must wake it. */
  readonly wakeOverdue?: boolean;
  /** Whether its application has just been woken, and the kubelet may not have asked it yet whether it is ready. */
  readonly isBack?: boolean;
}

/** What is read of a pod object; a pod of the API has it. */
export interface PodObjectInState {
  readonly metadata: {
    readonly name?: string;
    readonly uid?: string;
    readonly creationTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly nodeName?: string;
    readonly readinessGates?: readonly { readonly conditionType: string }[];
    readonly initContainers?: readonly { readonly name: string }[];
    readonly containers?: readonly {
      readonly readinessProbe?: {
        readonly periodSeconds?: number;
        readonly timeoutSeconds?: number;
        readonly successThreshold?: number;
      };
    }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason?: string;
      readonly message?: string;
      readonly lastTransitionTime?: string | null;
    }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
  };
}

const refusals = ["Refused", "StandbyFailed", "Restarted"];
const underWay = ["Draining", "Freezing", "Resuming"];

/**
 * Reads a pod.
 *
 * @param zoneOf zone of a node, where known
 */
export function readPodInState(pod: PodObjectInState, zoneOf?: (node: string) => string | undefined): PodInState {
  const { metadata, spec, status } = pod;
  const condition = (wanted: string) => status?.conditions?.find(({ type }) => type === wanted);
  const isTrue = (type: string) => condition(type)?.status === "True";
  const label = metadata.labels?.[podStateLabel];
  const gate = condition(onlineGate);
  const standby = condition(standbyCondition);
  const ready = condition("Ready");
  const node = spec?.nodeName || undefined;
  const zone = node === undefined ? undefined : zoneOf?.(node);
  const ordinal = /-(\d+)$/.exec(metadata.name ?? "")?.[1];
  const notInjected = metadata.annotations?.[notInjectedAnnotation];
  const cost = metadata.annotations?.[deletionCostAnnotation];
  const readySinceMs = ready?.status === "True" ? Date.parse(ready.lastTransitionTime ?? "") : Number.NaN;
  return {
    name: metadata.name!,
    uid: metadata.uid!,
    state: label === "Cutoff" || label === "Standby" ? label : "Online",
    gated: spec?.readinessGates?.some(({ conditionType }) => conditionType === onlineGate) ?? false,
    ...(["gate", "standby"].includes(metadata.labels?.[injectLabel] ?? "") && { asksForGate: true }),
    ...(notInjected !== undefined && { notInjected }),
    ...(gate && { gate: gate.status === "True" }),
    sidecar: spec?.initContainers?.some(({ name }) => name === sidecarName) ?? false,
    ready: isTrue("Ready"),
    containersReady: isTrue("ContainersReady"),
    phase: status?.phase === "Running" || status?.phase === "Unknown" ? status.phase : "Pending",
    scheduled: node !== undefined,
    ...(node !== undefined && { node }),
    ...(zone !== undefined && { zone }),
    ...(ordinal !== undefined && { ordinal: Number(ordinal) }),
    ...(cost !== undefined && /^-?\d{1,10}$/.test(cost) && { cost: Number(cost) }),
    createdMs: Date.parse(metadata.creationTimestamp ?? "") || 0,
    ...(Number.isFinite(readySinceMs) && { readySinceMs }),
    restarts: Math.max(0, ...(status?.containerStatuses ?? []).map(({ restartCount }) => restartCount)),
    ...(standby && {
      standby: { frozen: standby.status === "True", reason: standby.reason ?? "", message: standby.message },
    }),
    refusesStandby: standby?.status === "False" && refusals.includes(standby.reason ?? ""),
  };
}

/** Whether its application is frozen, or on its way there or back. */
export function isFrozen({ standby }: PodInState): boolean {
  return standby !== undefined && (standby.frozen || underWay.includes(standby.reason));
}

/** Whether it serves, or will within about a second without anybody's doing: not one that has still to start. */
export function isServing(pod: PodInState): boolean {
  if (pod.ready) return pod.state === "Online" || !pod.gated;
  if (pod.state !== "Online" || !pod.gated || pod.phase !== "Running") return false;
  return pod.containersReady || isFrozen(pod) || pod.isBack === true;
}

/** The kubelet's own work between a probe that passes and Ready, on a busy node. */
const kubeletSeconds = 5;

/** How long a pod that can serve may take to be Ready: the kubelet asks only so often, and needs a moment itself. */
export function readinessDelayMs({ spec }: PodObjectInState): number {
  const delays = (spec?.containers ?? []).flatMap(({ readinessProbe }) => {
    if (readinessProbe === undefined) return [];
    const { periodSeconds = 10, timeoutSeconds = 1, successThreshold = 1 } = readinessProbe;
    return [(periodSeconds + timeoutSeconds) * successThreshold];
  });
  return (Math.max(0, ...delays) + kubeletSeconds) * 1000;
}
