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
import { isFrozen, type PodInState, readinessDelayMs, readPodInState } from "../../pods/pod-in-state.ts";
import type { PodSorter } from "../../pods/pod-order.ts";
import { activityOf } from "../../pods/pod-state.ts";
import {
  isEmpty,
  loweredRequests,
  type PodRequests,
  presentRequests,
  requestChanges,
  requestsBefore,
  resizeState,
} from "../../pods/requests.ts";
import { type StandbyMode, standbyModes } from "../../pods/sidecar-protocol.ts";
import { planTransitions, type Transition, type TransitionPlan } from "../../pods/transitions.ts";
import { type Budget, budgetsOf } from "./disruption-budgets.ts";
import { askAgainMs, type ExternalPods } from "./external-pods.ts";
import type { Node } from "./node.ts";
import { inParallel, type PodMarks, PodWriter } from "./pod-writer.ts";
import { readWorkload } from "./rollout.ts";
import type { Pod } from "./workload-pods.ts";

export interface PodStatesOptions {
  readonly client: KubeClient;
  readonly fence: Fence;
  readonly caches: { readonly nodes: Cache<Node>; readonly budgets: Cache<Budget>; readonly pods: Cache<Pod> };
  /** Programs outside that sort pods, and take them into rotation and out of it. */
  readonly externals: Pick<ExternalPods, "order" | "states" | "carryOut" | "tell">;
  readonly log: Log;
  readonly now: () => number;
}

/** What came of bringing pods about. */
export interface PodStatesOutcome {
  readonly plan: TransitionPlan;
  /** Pods whose waking was refused: their node has no room for what they asked for before. */
  readonly stuck: readonly string[];
  /** What programs outside failed to do; undefined where none is named. */
  readonly externalFaults?: readonly string[];
  /** What steps towards a decision depend on. */
  readonly constraints: ScalingConstraints;
  /** Look again after this, whatever happens. */
  readonly recheckAfterMs?: number;
}

/** Whether a pod has anything to do with pod states. */
export function hasPodState({ metadata, spec }: Pod): boolean {
  const isGated = spec?.readinessGates?.some(({ conditionType }) => conditionType === onlineGate);
  return isGated === true || metadata.labels?.[podStateLabel] !== undefined;
}

const writesAtOnce = 24;
/** A kubelet that says nothing for so long is not waited for: serving comes before booking. */
const longestGrantMs = 3000;
/** A pod that refused to be frozen is asked again after this. */
const refusedForMs = 5 * 60_000;
/** A pod that could not have its requests back is asked again after this: room often comes within seconds, as others go to rest. */
const firstWaitForRoomMs = 5000;
/** A pod that was told to wake and is still frozen gets its gate, which wakes it by another way. */
const wakeOverdueMs = 10_000;

/** What is remembered of one pod while it changes; after a restart it is learnt again. */
interface Memory {
  /** Since when it is asked to wake. */
  wakingMs?: number;
  /** Since when it runs again; until it is Ready, or should long have been. */
  wokeMs?: number;
  /** Since when its old requests are asked for. */
  growingMs?: number;
  /** Whether its node has room for them: the kubelet, which looks about once a second, need not be waited for. */
  hasRoom?: boolean;
  refusedUntilMs?: number;
  /** How long that was: each wait in a row is twice as long as the one before, at most `refusedForMs`. */
  waitForRoomMs?: number;
  /** Until when it is not asked again to be frozen: what it said stands no longer than the wish that it answered. */
  refusesStandbyUntilMs?: number;
  /** Whether this pod can't be resized in place at all: it keeps what it asks for. */
  isFixed?: boolean;
}

/**
 * Brings pods into the states that a profile wants: labels, gates, deletion costs and requests. Level-based: each call reads what is
 * there, does what comes next, and may be repeated at any moment.
 */
export class PodStates {
  readonly #options: PodStatesOptions;
  readonly #writer: PodWriter;
  readonly #memory = new Map<string, Memory>();

  constructor(options: PodStatesOptions) {
    this.#options = options;
    this.#writer = new PodWriter(options);
  }

  /** Nothing is remembered of a pod that is gone. */
  forget({ metadata }: Pod): void {
    if (metadata.uid !== undefined) this.#memory.delete(metadata.uid);
  }

  /**
   * @param all the workload's pods
   * @param isKept whether somebody else keeps spec.replicas above the wish
   * @returns undefined where no pod has anything to do with pod states
   */
  async reconcilePods(
    profile: ReplicaProfile,
    target: ScaleTarget,
    scale: Scale,
    all: readonly Pod[],
    isKept = false,
  ): Promise<PodStatesOutcome | undefined> {
    const pods = all.filter((pod) => activityOf(pod) !== "Gone");
    const { client, caches, now } = this.#options;
    const { spec } = profile;
    const nowMs = now();
    const { externals } = this.#options;
    const { podSorter, podStates, podTrafficController } = spec.behavior;
    const inState = pods.map((pod) => this.#inTraffic(this.#read(pod, nowMs), pod, podTrafficController.type));
    const wish = { online: spec.onlineReplicas, cutoff: spec.cutoffReplicas, standby: spec.standbyReplicas };
    if (!inState.some(({ gated, state }) => gated || state !== "Online") && wish.cutoff + wish.standby === 0)
      return undefined;
    const { kind, rolloutRunning, strategy } = await readWorkload(client, target, pods);
    const room = notReadyRoom({
      kind,
      replicas: scale.replicas,
      budgets: budgetsOf(caches.budgets.list(profile.metadata.namespace!), pods),
      keepAvailable: spec.behavior.keepAvailable,
      strategy,
    });
    const known = podSorter.external && externals.order(profile, podSorter.external, inState);
    const told = podStates.external && externals.states(profile, podStates.external, inState);
    const isUnreported = known?.isAsking || (told !== undefined && told.answer === undefined);
    const wished = planTransitions({
      pods: inState,
      wish,
      specReplicas: scale.replicas,
      kind,
      rolloutRunning,
      paused: spec.paused,
      isKept,
      // Who leaves is not said yet.
      allowedScalingDirection: isUnreported ? withoutDown(spec.allowedScalingDirection) : spec.allowedScalingDirection,
      notReadyRoom: room.room,
      notReadyReason: room.reason,
      sorter: this.#sorter(podSorter.type, known?.answer),
      ...(told?.answer && { told: told.answer }),
      nowMs,
    });
    const mode = spec.standbyMode;
    const byName = new Map(pods.map((pod) => [pod.metadata.name, pod]));
    const { plan, fault } = await externals.carryOut(wished, byName, profile);
    await this.#carryOut(plan, byName, { mode, program: podTrafficController.external?.name }, nowMs);
    await this.#fitRequests(pods, inState, plan.transitions);
    const stuck = inState.filter(({ wakeRefused }) => wakeRefused).map(({ name }) => name);
    const isReturning = inState.some((pod) => pod.isBack || (isFrozen(pod) && pod.state === "Online"));
    const isMoving = isReturning || plan.transitions.length > 0;
    // The end of a rollout shows on its object alone, which nobody watches.
    const isWaiting = plan.held?.reason === "RolloutUnderWay" || fault !== undefined;
    const recheckAfterMs = isMoving || isWaiting || stuck.length > 0 ? 1000 : askAgainMs(known, told);
    const externalFaults = [
      ...(known?.fault
        ? [`podSorter: ${known.fault}; ${known.answer ? "its last order" : "the workload's own order"} holds`]
        : []),
      ...(told?.fault
        ? [`podStates: ${told.fault}; ${told.answer ? "its last answer holds" : "no pod leaves service"}`]
        : []),
      ...(fault === undefined ? [] : [`podTrafficController: ${fault}; what it has not done waits`]),
    ];
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
      ...(hasExternals && { externalFaults }),
      ...(recheckAfterMs !== undefined && { recheckAfterMs }),
    };
  }

  /** A pod with a gate that no profile speaks for serves, with all that it asked for: nobody else would ever set its gate. */
  async release(pod: Pod): Promise<void> {
    const nowMs = this.#options.now();
    const inState = this.#read(pod, nowMs);
    const program = pod.metadata.annotations?.[trafficAnnotation];
    if (!inState.gated && inState.state === "Online" && program === undefined) return;
    if (inState.state !== "Online") {
      this.#remember(pod).wakingMs ??= nowMs;
      await this.#writer.mark(pod, { state: "Online", deletionCost: undefined, standbyMode: undefined });
    }
    const isThawed = !isFrozen(inState) || inState.wakeOverdue;
    if (program !== undefined && isThawed) {
      const { namespace, name } = pod.metadata;
      const { done, fault } = await this.#options.externals.tell({ name: program }, namespace!, [
        { pod, online: true },
      ]);
      if (!done.has(name)) throw new Error(`pod ${namespace}/${name} stays out of rotation: ${fault}`);
      await this.#writer.markAndSetGate(pod, { trafficController: undefined }, true, "no profile wants it out");
    } else if (inState.gated && inState.gate !== true && isThawed)
      await this.#writer.setGate(pod, true, "no profile wants it out");
    await this.#restoreRequests(pod);
  }

  /** A pod whose traffic a program outside controls needs no gate: the condition says what the program has done. */
  #inTraffic(inState: PodInState, { metadata }: Pod, type: "ReadinessGate" | "External"): PodInState {
    if (type !== "External" && metadata.annotations?.[trafficAnnotation] === undefined) return inState;
    return { ...inState, gated: true, ready: inState.ready && inState.gate !== false };
  }

  #read(pod: Pod, nowMs: number): PodInState {
    const { zoneOf } = this;
    const inState = readPodInState(pod, zoneOf);
    if (inState.refusesStandby) this.#remember(pod).refusesStandbyUntilMs ??= nowMs + refusedForMs;
    const memory = this.#memory.get(inState.uid);
    if (memory === undefined) return inState;
    if (inState.state === "Online" && !isFrozen(inState)) {
      if (memory.wakingMs !== undefined) memory.wokeMs = nowMs;
      memory.wakingMs = undefined;
    }
    // One that was killed in doubt starts anew, which takes as long as any start.
    const isWell = inState.state === "Online" && !inState.ready && inState.standby?.reason === "Online";
    const isBack = memory.wokeMs !== undefined && isWell && nowMs - memory.wokeMs < readinessDelayMs(pod);
    if (!isBack) memory.wokeMs = undefined;
    const refusesStandby = (memory.refusesStandbyUntilMs ?? 0) > nowMs;
    if (!refusesStandby) memory.refusesStandbyUntilMs = undefined;
    const isOverdue = memory.wakingMs !== undefined && nowMs - memory.wakingMs > wakeOverdueMs;
    return {
      ...inState,
      refusesStandby,
      ...((memory.refusedUntilMs ?? 0) > nowMs && { wakeRefused: true }),
      ...(isOverdue && inState.state === "Online" && { wakeOverdue: true }),
      ...(isBack && { isBack }),
    };
  }

  readonly zoneOf = (node: string): string | undefined =>
    this.#options.caches.nodes.get({ namespace: "", name: node })?.metadata.labels?.["topology.kubernetes.io/zone"];

  #sorter(type: "WorkloadDefault" | "Cost" | "External", order: readonly string[] | undefined): PodSorter {
    if (type === "External") return order ? { type, order } : { type: "WorkloadDefault" };
    if (type === "WorkloadDefault") return { type };
    const cordoned = this.#options.caches.nodes.list().filter(({ spec }) => spec?.unschedulable === true);
    return { type, nodesToEmpty: cordoned.map(({ metadata }) => metadata.name).toSorted() };
  }

  /** Pods come back first, then the others change; each pod's label with its gate, so that a stop between leaves no contradiction. */
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
      if (isWaking && !(await this.#mayWake(pod, rooms, nowMs))) return;
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
      if (isWaking) this.#remember(pod).wakingMs = nowMs;
    });
  }

  /** Whether a frozen pod has its requests back, or need not wait for them; asks for them where nobody has. */
  async #mayWake(pod: Pod, rooms: NodeRooms, nowMs: number): Promise<boolean> {
    const before = requestsBefore(pod);
    if (before === undefined) return true;
    const memory = this.#remember(pod);
    const changes = requestChanges(pod, before);
    if (memory.isFixed) return true;
    if (!isEmpty(changes)) {
      memory.growingMs = nowMs;
      memory.hasRoom = rooms.take(pod, before);
      // What can't be asked for is not waited for, nor what is sure to be given.
      return !(await this.#resize(pod, changes)) || memory.hasRoom;
    }
    const state = resizeState(pod, before);
    switch (state) {
      case "Granted":
        memory.growingMs = undefined;
        memory.waitForRoomMs = undefined;
        return true;
      case "Pending":
        memory.growingMs ??= nowMs;
        return memory.hasRoom === true || nowMs - memory.growingMs > longestGrantMs;
      case "Deferred":
      case "Infeasible":
        // While it is deferred the scheduler books the wish, and other pods could not use the room.
        memory.waitForRoomMs = Math.min(refusedForMs, 2 * (memory.waitForRoomMs ?? firstWaitForRoomMs / 2));
        memory.refusedUntilMs = nowMs + memory.waitForRoomMs;
        memory.growingMs = undefined;
        this.#options.log.info("a frozen pod's node has no room for its requests", {
          pod: `${pod.metadata.namespace}/${pod.metadata.name}`,
          state,
        });
        await this.#resize(pod, loweredRequests(pod, modeInUse(pod), before));
        return false;
    }
  }

  /** Frozen pods ask for less, pods that run for what they asked for before. */
  async #fitRequests(
    pods: readonly Pod[],
    inState: readonly PodInState[],
    transitions: readonly Transition[],
  ): Promise<void> {
    const moving = new Set(transitions.map(({ pod }) => pod));
    const byName = new Map(inState.map((each) => [each.name, each]));
    await inParallel(pods, writesAtOnce, async (pod) => {
      const { name } = pod.metadata;
      const { state, standby } = byName.get(name)!;
      if (moving.has(name)) return;
      if (state === "Standby" && standby?.frozen) await this.#lowerRequests(pod);
      else if (state !== "Standby") await this.#restoreRequests(pod);
    });
  }

  async #lowerRequests(pod: Pod): Promise<void> {
    const known = requestsBefore(pod);
    const before = known ?? presentRequests(pod);
    const changes = requestChanges(pod, loweredRequests(pod, modeInUse(pod), before));
    if (isEmpty(changes)) return;
    // Written down first: lowered without this, nobody would know what to ask for again.
    if (known === undefined) await this.#writer.mark(pod, { requests: before });
    await this.#resize(pod, changes);
  }

  /** @returns whether it was taken; one that was not is not tried again */
  async #resize(pod: Pod, changes: PodRequests): Promise<boolean> {
    const memory = this.#remember(pod);
    if (memory.isFixed) return false;
    const why = await this.#writer.resize(pod, changes);
    if (why === undefined) return true;
    memory.isFixed = true;
    const { namespace, name } = pod.metadata;
    this.#options.log.warn("a pod can't be resized in place; it keeps what it asks for", {
      pod: `${namespace}/${name}`,
      error: why,
    });
    return false;
  }

  async #restoreRequests(pod: Pod): Promise<void> {
    const before = requestsBefore(pod);
    if (before === undefined) return;
    const changes = requestChanges(pod, before);
    if (!isEmpty(changes)) await this.#resize(pod, changes);
    else if (resizeState(pod, before) === "Granted") await this.#writer.mark(pod, { requests: undefined });
  }

  #remember({ metadata }: Pod): Memory {
    const known = this.#memory.get(metadata.uid!);
    if (known) return known;
    const memory: Memory = {};
    this.#memory.set(metadata.uid!, memory);
    return memory;
  }
}

function withoutDown(
  allowed: ReplicaProfile["spec"]["allowedScalingDirection"],
): ReplicaProfile["spec"]["allowedScalingDirection"] {
  return allowed === "Both" || allowed === "Up" ? "Up" : "Neither";
}

function gateMessage(online: boolean, transition: Transition | undefined): string {
  if (transition) return `${transition.from} → ${transition.to}: ${transition.reason}`;
  return online ? "serves" : "out of rotation on purpose";
}

/** How a frozen pod's memory was given back, as its condition says. */
function modeInUse(pod: Pod): StandbyMode {
  const { standby } = readPodInState(pod);
  return standbyModes.find((mode) => mode === standby?.reason) ?? "FreezeOnly";
}
