import { injectLabel, notInjectedAnnotation, onlineGate } from "../../api/labels.ts";
import { type ProbeTarget, readProbeTargets, writeProbeTargets } from "../probes.ts";
import type { LimitRangeItem } from "./limit-ranges.ts";
import { append, type Fields, fieldsOf, listOf, type PatchOperation, textOf } from "./pod-fields.ts";
import { rewriteProbes } from "./rewrite-probes.ts";
import { probePort, sidecarEnvironment, sidecarName } from "./sidecar-layout.ts";
import { planSidecar, type SidecarOptions } from "./sidecar-plan.ts";

export interface InjectionOptions {
  /** The namespace that the pod is made in. */
  readonly namespace: string;
  /** Whether a controller is there to set the gate: a gate that is never set keeps a pod out of rotation forever. */
  readonly isGateSet: boolean;
  /** Absent, pods can't go on standby. */
  readonly sidecar?: SidecarOptions;
  /** Items of the namespace's LimitRanges. */
  readonly limits?: readonly LimitRangeItem[];
}

/** What a pod has of ours when it is made. `Refused`: it asked for more than it could have. */
export type InjectionOutcome = "NotAsked" | "Refused" | "Gate" | "GateOnly" | "Standby";

/** What is to be added to a pod. */
export interface Injection {
  readonly outcome: InjectionOutcome;
  /** Empty where the pod has it all. */
  readonly patch: readonly PatchOperation[];
  /** For the person who makes the pod: what it does not get, why, and the remedy. */
  readonly warnings: readonly string[];
}

/** What an annotation tells. */
const longestReason = 1000;
const mirrorAnnotation = "kubernetes.io/config.mirror";

/**
 * What pod states need of a pod, added when it is made: the readiness gate, and for Standby the sidecar. A pod that has
 * it is left as it is, so that asking again changes nothing; what a pod can't have is left out with a warning, and the
 * pod is never refused.
 *
 * @param pod as it came in a review; any JSON value
 */
export function injectPod(pod: unknown, options: InjectionOptions): Injection {
  const injection = planInjection(pod, options);
  // Each warning tells of something that the pod asked for and does not get.
  return injection.warnings.length > 0
    ? withReason(injection, fieldsOf(fieldsOf(pod).metadata).annotations)
    : injection;
}

function planInjection(pod: unknown, options: InjectionOptions): Injection {
  const { metadata, spec: given } = fieldsOf(pod);
  const spec = fieldsOf(given);
  const { labels, annotations } = fieldsOf(metadata);
  const wish = fieldsOf(labels)[injectLabel];
  const isMirror = fieldsOf(annotations)[mirrorAnnotation] !== undefined;
  if (typeof wish !== "string" || wish === "disabled" || isMirror || listOf(spec.containers).length === 0)
    return { outcome: "NotAsked", patch: [], warnings: [] };
  if (wish !== "gate" && wish !== "standby")
    return refused(`${injectLabel}: nothing was added: ${JSON.stringify(wish)} is neither gate nor standby`);

  const known = sidecarOf(spec, options.sidecar);
  const unfit = unfitness(spec, known);
  if (unfit) return refused(`${injectLabel}: nothing was added: the pod ${unfit}`);
  const gates = listOf(spec.readinessGates);
  const hasGate = gates.some(({ conditionType }) => conditionType === onlineGate);
  if (!hasGate && !options.isGateSet)
    return refused(
      `${injectLabel}: nothing was added: no controller of Forescale is there to set the readiness gate; this pod can't be cut off`,
    );
  const gate = append("/spec/readinessGates", spec.readinessGates, hasGate ? [] : [{ conditionType: onlineGate }]);
  if (wish === "gate") return { outcome: "Gate", patch: gate, warnings: [] };

  if (typeof known === "object") {
    const probes = rewriteProbes(spec.containers, known.targets);
    const all = writeProbeTargets([...known.targets, ...probes.targets]);
    const more: PatchOperation[] =
      probes.targets.length === 0 ? [] : [...probes.patch, { op: "replace", path: known.path, value: all }];
    return { outcome: "Standby", patch: [...gate, ...more], warnings: probes.problems.map(standbyWarning) };
  }
  const { patch, problems, notes } = planSidecar(fieldsOf(pod), options.namespace, options.sidecar, options.limits);
  if (problems.length > 0)
    return {
      outcome: "GateOnly",
      patch: gate,
      warnings: problems.map((each) => standbyWarning(`only the readiness gate was added: the pod ${each}`)),
    };
  return { outcome: "Standby", patch: [...gate, ...patch], warnings: notes.map(standbyWarning) };
}

/** A sidecar of ours that a pod has: where its probes stand, and which they are. */
interface KnownSidecar {
  readonly path: string;
  readonly targets: readonly ProbeTarget[];
}

/** @returns "Foreign" for a container of our name that this webhook did not add, undefined for none */
function sidecarOf(spec: Fields, options: SidecarOptions | undefined): KnownSidecar | "Foreign" | undefined {
  const inits = listOf(spec.initContainers);
  const index = inits.findIndex(({ name }) => name === sidecarName);
  if (index < 0) return listOf(spec.containers).some(({ name }) => name === sidecarName) ? "Foreign" : undefined;
  const { image, restartPolicy, env } = inits[index];
  const variables = listOf(env);
  const place = variables.findIndex(({ name }) => name === sidecarEnvironment.probes);
  if (image !== options?.image || restartPolicy !== "Always" || place < 0) return "Foreign";
  try {
    const targets = readProbeTargets(textOf(variables[place].value));
    return { path: `/spec/initContainers/${index}/env/${place}/value`, targets };
  } catch {
    return "Foreign";
  }
}

/** Why a pod can have nothing of ours, with the remedy where there is one. */
function unfitness(spec: Fields, known: ReturnType<typeof sidecarOf>): string | undefined {
  const os = fieldsOf(spec.os).name ?? fieldsOf(spec.nodeSelector)["kubernetes.io/os"];
  if (os === "windows") return "is for Windows; take the label off";
  if (spec.hostPID === true) return "shares the node's processes (hostPID), and only its own may be frozen";
  if (spec.hostNetwork === true) return `shares the node's network (hostNetwork), where port ${probePort} is another's`;
  if (known === "Foreign") return `has a container ${sidecarName} that was not added here; rename or remove it`;
  return undefined;
}

/** Whoever makes a pod of a workload is a controller, which shows no warnings: the pod tells them too. */
function withReason(injection: Injection, annotations: unknown): Injection {
  const reason = injection.warnings.join("; ").slice(0, longestReason);
  if (fieldsOf(annotations)[notInjectedAnnotation] === reason) return injection;
  const hasAny = typeof annotations === "object" && annotations !== null && !Array.isArray(annotations);
  const step: PatchOperation = hasAny
    ? { op: "add", path: `/metadata/annotations/${notInjectedAnnotation.replace("/", "~1")}`, value: reason }
    : { op: "add", path: "/metadata/annotations", value: { [notInjectedAnnotation]: reason } };
  return { ...injection, patch: [...injection.patch, step] };
}

function standbyWarning(text: string): string {
  return `${injectLabel}=standby: ${text}`;
}

function refused(warning: string): Injection {
  return { outcome: "Refused", patch: [], warnings: [warning] };
}
