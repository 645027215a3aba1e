import type { ReplicaProfile } from "../../api/kinds/replica-profile.ts";
import { onlineGate, podStateLabel, standbyModeAnnotation, trafficAnnotation } from "../../api/labels.ts";
import type { ScalingConstraints } from "../../decide/decision.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import type { Scale, ScaleTarget } from "../../kube/client/scale.ts";
import type { Log } from "../../kube/log.ts";
import type { Fence } from "../../kube/loop/leader-election.ts";
import type { Cache } from "../../kube/watch/cache.ts";
import { NodeRooms } from "../../pods/inject/node-room.ts";
import { notReadyRoom } from "../../pods/not-ready-room.ts";
import { isFrozen, type PodInState } from "../../pods/pod-in-state.ts";
import type { PodSorter } from "../../pods/pod-order.ts";
import { activityOf } from "../../pods/pod-state.ts";
import type { StandbyMode } from "../../pods/sidecar-protocol.ts";
import type { Transition, TransitionPlan } from "../../pods/transition.ts";
import { planTransitions } from "../../pods/transitions.ts";
import { type Budget, budgetsOf } from "./disruption-budgets.ts";
import type { ExternalPods } from "./external-pods.ts";
import type { ExternalTraffic } from "./external-traffic.ts";
import type { Node } from "./node.ts";
import { PodMemories } from "./pod-memory.ts";
import { PodResizer } from "./pod-resizer.ts";
import { inParallel, type PodMarks, PodWriter, writesAtOnce } from "./pod-writer.ts";
import { askAgainMs, externalFaults } from "./program-answer.ts";
import { readWorkload } from "./rollout.ts";
import type { Pod } from "./workload-pods.ts";

export interface PodStatesOptions {
  readonly client: KubeClient;
  readonly fence: Fence;
  readonly caches: { readonly nodes: Cache<Node>; readonly budgets: Cache<Budget>; readonly pods: Cache<Pod> };
  /** External programs that sort pods, and want them in states. */
  readonly externals: Pick<ExternalPods, "order" | "states">;
  /** External programs that put pods into rotation, and take them out. */
  readonly traffic: Pick<ExternalTraffic, "carryOut" | "change">;
  readonly log: Log;
  readonly now: () => number;
}

/** Result of reconciling a workload's pods. */
export interface PodStatesOutcome {
  readonly plan: TransitionPlan;
  /** Pods that can't wake: their node has no room for their requests. */
  readonly stuck: readonly string[];
  /** What external programs failed to do; undefined where none is named. */
  readonly externalFaults?: readonly string[];
  /** What steps towards a decision depend on. */
  readonly constraints: ScalingConstraints;
  /** Look again after this, whatever happens. */
  readonly recheckAfterMs?: number;
}

/** Whether a pod takes part in pod states. */
export function hasPodState({ metadata, spec }: Pod): boolean {
  const isGated = spec?.readinessGates?.some(({ conditionType }) => conditionType === onlineGate);
  return isGated === true || metadata.labels?.[podStateLabel] !== undefined;
}

/** A workload whose pods should get the states that a profile wants. */
export interface ReconcilePodsRequest {
  readonly profile: ReplicaProfile;
  readonly target: ScaleTarget;
  readonly scale: Scale;
  /** All of the workload's pods. */
  readonly pods: readonly Pod[];
  /** Whether another scaler keeps spec.replicas above the profile's sum. */
  readonly isKept: boolean;
}

/**
 * Gives pods the states that a profile wants: labels, gates, deletion costs and requests. Level-based: each call reads what is
 * there, does what comes next, and may be repeated at any moment.
 */
export class PodStates {
  readonly #options: PodStatesOptions;
  readonly #writer: PodWriter;
  readonly #memories = new PodMemories();
  readonly #resizer: PodResizer;

  constructor(options: PodStatesOptions) {
    this.#options = options;
    this.#writer = new PodWriter(options);
    this.#resizer = new PodResizer({ writer: this.#writer, memories: this.#memories, log: options.log });
  }

  /** The pod is gone. */
  forget(pod: Pod): void {
    this.#memories.forget(pod);
  }

  /** @returns undefined where no pod takes part in pod states */
  async reconcilePods(request: ReconcilePodsRequest): Promise<PodStatesOutcome | undefined> {
    const { profile, target, scale, isKept } = request;
    const { client, caches, externals, traffic, now } = this.#options;
    const { spec } = profile;
    const { podSorter, podStates, podTrafficController, keepAvailable } = spec.behavior;
    const pods = request.pods.filter((pod) => activityOf(pod) !== "Gone");
    const nowMs = now();
    const inState = pods.map((pod) => inTraffic(this.#read(pod, nowMs), pod, podTrafficController.type));
    const desired = { online: spec.onlineReplicas, cutoff: spec.cutoffReplicas, standby: spec.standbyReplicas };
    if (!inState.some(({ gated, state }) => gated || state !== "Online") && desired.cutoff + desired.standby === 0)
      return undefined;

    const { kind, rolloutRunning, strategy } = await readWorkload(client, target, pods);
    const budgets = budgetsOf(caches.budgets.list(profile.metadata.namespace!), pods);
    const room = notReadyRoom({ kind, replicas: scale.replicas, budgets, keepAvailable, strategy });
    const order = podSorter.external && externals.order(profile, podSorter.external, inState);
    const states = podStates.external && externals.states(profile, podStates.external, inState);
    const isAnswerMissing = order?.isAsking || (states !== undefined && states.answer === undefined);
    const wanted = planTransitions({
      pods: inState,
      desired,
      specReplicas: scale.replicas,
      kind,
      rolloutRunning,
      paused: spec.paused,
      isKept,
      // Until the programs have answered it is not known which pods leave.
      allowedScalingDirection: isAnswerMissing
        ? withoutDown(spec.allowedScalingDirection)
        : spec.allowedScalingDirection,
      notReadyRoom: room.room,
      notReadyReason: room.reason,
      sorter: this.#sorter(podSorter.type, order?.answer),
      ...(states?.answer && { external: states.answer }),
      nowMs,
    });

    const byName = new Map(pods.map((pod) => [pod.metadata.name, pod]));
    const { plan, fault } = await traffic.carryOut(wanted, byName, profile);
    await this.#carryOut(plan, byName, { mode: spec.standbyMode, program: podTrafficController.external?.name }, nowMs);
    await this.#resizer.fit(pods, inState, plan.transitions);

    const stuck = inState.filter(({ wakeRefused }) => wakeRefused).map(({ name }) => name);
    const isReturning = inState.some((pod) => pod.isBack || (isFrozen(pod) && pod.state === "Online"));
    const isMoving = isReturning || plan.transitions.length > 0;
    // The end of a rollout shows only on the workload object, which is not watched.
    const isWaiting = plan.held?.reason === "RolloutUnderWay" || fault !== undefined;
    const recheckAfterMs = isMoving || isWaiting || stuck.length > 0 ? 1000 : askAgainMs(order, states);
    const hasExternals = [podSorter, podStates, podTrafficController].some(({ external }) => external !== undefined);
    const constraints = {
      rolloutRunning,
      stuck: stuck.length,
      ...(room.room !== undefined && { notReadyRoom: room.room }),
    };
    return {
      plan,
      stuck,
      constraints,
      ...(hasExternals && { externalFaults: externalFaults({ order, states, traffic: fault }) }),
      ...(recheckAfterMs !== undefined && { recheckAfterMs }),
    };
  }

  /** Puts a pod that no profile controls into service, with all its requests: nothing else would ever set its gate. */
  async release(pod: Pod): Promise<void> {
    const nowMs = this.#options.now();
    const inState = this.#read(pod, nowMs);
    const program = pod.metadata.annotations?.[trafficAnnotation];
    if (!inState.gated && inState.state === "Online" && program === undefined) return;
    if (inState.state !== "Online") {
      this.#memories.of(pod).wakingMs ??= nowMs;
      await this.#writer.mark(pod, { state: "Online", deletionCost: undefined, standbyMode: undefined });
    }
    const isThawed = !isFrozen(inState) || inState.wakeOverdue;
    if (program !== undefined && isThawed) {
      const { namespace, name } = pod.metadata;
      const { done, fault } = await this.#options.traffic.change({ name: program }, namespace!, [
        { pod, online: true },
      ]);
      if (!done.has(name)) throw new Error(`pod ${namespace}/${name} stays out of rotation: ${fault}`);
      await this.#writer.markAndSetGate(
        pod,
        { trafficController: undefined },
        true,
        "no ReplicaProfile controls this pod",
      );
    } else if (inState.gated && inState.gate !== true && isThawed)
      await this.#writer.setGate(pod, true, "no ReplicaProfile controls this pod");
    await this.#resizer.restore(pod);
  }

  #read(pod: Pod, nowMs: number): PodInState {
    const { nodes } = this.#options.caches;
    const zoneOf = (node: string) =>
      nodes.get({ namespace: "", name: node })?.metadata.labels?.["topology.kubernetes.io/zone"];
    return this.#memories.read(pod, zoneOf, nowMs);
  }

  #sorter(type: "WorkloadDefault" | "Cost" | "External", order: readonly string[] | undefined): PodSorter {
    if (type === "External") return order ? { type, order } : { type: "WorkloadDefault" };
    if (type === "WorkloadDefault") return { type };
    const cordoned = this.#options.caches.nodes.list().filter(({ spec }) => spec?.unschedulable === true);
    return { type, nodesToEmpty: cordoned.map(({ metadata }) => metadata.name).toSorted() };
  }

  /** Pods that come back change first; each pod's label is written with its gate, so that a stop in between leaves no contradiction. */
  async #carryOut(
    plan: TransitionPlan,
    pods: ReadonlyMap<string, Pod>,
    { mode, program }: { readonly mode: StandbyMode | undefined; readonly program: string | undefined },
    nowMs: number,
  ): Promise<void> {
    const transitions = new Map(plan.transitions.map((each) => [each.pod, each]));
    const costs = new Map(plan.deletionCosts.map(({ pod, cost }) => [pod, cost]));
    const gates = new Map(plan.gates.map(({ pod, online }) => [pod, online]));
    const names = [...new Set([...transitions.keys(), ...gates.keys(), ...costs.keys()])];
    const { nodes, pods: everybody } = this.#options.caches;
    const allocatable = (name: string) => nodes.get({ namespace: "", name })?.status?.allocatable;
    const rooms = new NodeRooms(() => everybody.list(), allocatable);
    await inParallel(names, writesAtOnce, async (name) => {
      const pod = pods.get(name)!;
      const transition = transitions.get(name);
      const isWaking = transition !== undefined && transition.from === "Standby" && transition.to !== "Standby";
      if (isWaking && !(await this.#resizer.mayWake(pod, rooms, nowMs))) return;
      const gate = gates.get(name);
      const taker = gate === false ? program : undefined;
      const hasTaker = pod.metadata.annotations?.[trafficAnnotation] !== undefined;
      const marks: PodMarks = {
        ...((taker !== undefined || (hasTaker && gate === true)) && { trafficController: taker }),
        ...(transition && { state: transition.to }),
        ...(costs.has(name) && { deletionCost: costs.get(name) }),
        ...(transition?.to === "Standby" && mode && { standbyMode: mode }),
        ...(isWaking && pod.metadata.annotations?.[standbyModeAnnotation] && { standbyMode: undefined }),
      };
      const hasMarks = Object.keys(marks).length > 0;
      if (gate !== undefined && hasMarks)
        await this.#writer.markAndSetGate(pod, marks, gate, gateMessage(gate, transition));
      else if (gate !== undefined) await this.#writer.setGate(pod, gate, gateMessage(gate, transition));
      else if (hasMarks) await this.#writer.mark(pod, marks);
      if (isWaking) this.#memories.of(pod).wakingMs = nowMs;
    });
  }
}

/** A pod whose traffic an external program controls needs no gate: the condition says what the program has done. */
function inTraffic(inState: PodInState, { metadata }: Pod, type: "ReadinessGate" | "External"): PodInState {
  if (type !== "External" && metadata.annotations?.[trafficAnnotation] === undefined) return inState;
  return { ...inState, gated: true, ready: inState.ready && inState.gate !== false };
}

function withoutDown(
  allowed: ReplicaProfile["spec"]["allowedScalingDirection"],
): ReplicaProfile["spec"]["allowedScalingDirection"] {
  return allowed === "Both" || allowed === "Up" ? "Up" : "Neither";
}

function gateMessage(online: boolean, transition: Transition | undefined): string {
  if (transition) return `${transition.from} → ${transition.to}: ${transition.reason}`;
  return online ? "serves" : "taken out of rotation";
}
