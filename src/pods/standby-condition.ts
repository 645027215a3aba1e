import { onlineGate, podStateLabel, standbyModeAnnotation } from "../api/labels.ts";
import { sidecarName } from "./inject/sidecar-layout.ts";
import type { DesiredState, SidecarReport, StandbyMode } from "./sidecar-protocol.ts";
import { standbyModes } from "./sidecar-protocol.ts";

interface InitContainer {
  readonly name: string;
  readonly restartPolicy?: string;
}

/** The part of a pod that its desired state is read from. */
export interface StandbyPod {
  readonly metadata: {
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly initContainers?: readonly InitContainer[] };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly initContainerStatuses?: readonly { readonly name: string; readonly containerID?: string }[];
  };
}

/**
 * What a pod's sidecar is to bring about. Frozen only where the label asks for it and the gate says that the pod is out
 * of rotation; a pod that is being deleted must run, to hear of it.
 */
export function desiredStateOf(pod: StandbyPod): DesiredState {
  const { metadata, status } = pod;
  const gate = status?.conditions?.find(({ type }) => type === onlineGate);
  const isAsked = metadata.labels?.[podStateLabel] === "Standby" && gate?.status === "False";
  if (!isAsked || metadata.deletionTimestamp !== undefined) return { type: "want", state: "Online" };
  const mode = metadata.annotations?.[standbyModeAnnotation] as StandbyMode;
  const beside = otherSidecars(pod);
  return {
    type: "want",
    state: "Standby",
    ...(standbyModes.includes(mode) && { mode }),
    ...(beside.length > 0 && { beside }),
  };
}

/** A native sidecar but ours: it serves the application, and is not of it. */
export function isOtherSidecar({ name, restartPolicy }: InitContainer): boolean {
  return restartPolicy === "Always" && name !== sidecarName;
}

/** Their containers' ids. */
function otherSidecars({ spec, status }: StandbyPod): string[] {
  const names = new Set(spec?.initContainers?.filter(isOtherSidecar).map(({ name }) => name));
  return (status?.initContainerStatuses ?? []).flatMap(({ name, containerID = "" }) => {
    const id = containerID.slice(containerID.lastIndexOf("/") + 1);
    return names.has(name) && id !== "" ? [id] : [];
  });
}

/** The condition `forescale.io/standby` without its time. */
export interface StandbyClaim {
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

/** What a sidecar's report says on its pod. */
export function standbyClaim({ state, mode = "FreezeOnly", savedBytes, reason, message }: SidecarReport): StandbyClaim {
  const why = [reason, message].filter(Boolean).join(": ");
  switch (state) {
    case "Standby": {
      const given = savedBytes ? `${(savedBytes / 2 ** 20).toFixed(0)} MiB of memory given back` : "memory kept";
      const said = message ? `frozen, ${given}; ${message}` : `frozen, ${given}`;
      return { status: "True", reason: mode, message: said };
    }
    case "Online":
      return { status: "False", reason: "Online", message: message ?? "the application runs" };
    case "Draining":
      return { status: "False", reason: "Draining", message: message ?? "waits for open connections to end" };
    case "Freezing":
      return { status: "False", reason: "Freezing", message: message ?? "the application is being frozen" };
    case "Resuming":
      return { status: "False", reason: "Resuming", message: message ?? "the application is being brought back" };
    case "Refused":
      return { status: "False", reason: "Refused", message: why || "the sidecar refused without saying why" };
    case "Failed":
      return { status: "False", reason: "StandbyFailed", message: why || "freezing failed; the application runs on" };
    case "Restarted":
      return { status: "False", reason: "Restarted", message: why || "in doubt, so the container was restarted" };
  }
}
