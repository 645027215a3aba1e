import { isFrozen, type PodInState } from "../../../src/pods/pod-in-state.ts";
import { isNumbered, type WorkloadKind } from "../../../src/pods/pod-order.ts";
import { replicaSetRanking } from "../../../src/pods/replica-set-ranking.ts";
import type { TransitionPlan } from "../../../src/pods/transition.ts";
import { pod } from "./pods.ts";

/** What new pods are like: they refuse to be frozen where `refuses`, without anybody knowing before they are asked. */
export interface Nature {
  readonly gated: boolean;
  readonly sidecar: boolean;
  readonly refuses: boolean;
}

/**
 * A workload with its controller, the kubelet and the sidecars, each of which acts when external to: the real orders of making and deleting,
 * everything else as simple as can be.
 */
export class SimulatedWorkload {
  readonly kind: WorkloadKind;
  specReplicas: number;
  nowMs = 0;
  readonly #pods = new Map<string, PodInState>();
  readonly #refusing = new Set<string>();
  readonly #natures: readonly Nature[];
  #made = 0;

  /** @param natures of the pods in the order in which they are made, again and again */
  constructor(kind: WorkloadKind, replicas: number, natures: readonly Nature[]) {
    this.kind = kind;
    this.specReplicas = replicas;
    this.#natures = natures;
    this.settle();
  }

  get pods(): PodInState[] {
    return [...this.#pods.values()];
  }

  /** Everybody acts until nothing is left to do. */
  settle(): void {
    for (let round = 0; round < 300; round++) {
      const before = this.pods;
      this.workloadController();
      for (const { name } of this.pods) {
        this.kubelet(name);
        this.sidecar(name);
      }
      const after = this.pods;
      if (after.length === before.length && after.every((each, index) => each === before[index])) return;
    }
    throw new Error("the simulated workload does not settle");
  }

  /** Makes or deletes one pod. */
  workloadController(): void {
    this.nowMs += 1000;
    const pods = this.pods;
    if (isNumbered(this.kind)) this.#statefulSet(pods);
    else if (pods.length < this.specReplicas) this.#make(`pod${this.#made}`);
    else if (pods.length > this.specReplicas) this.#pods.delete(replicaSetRanking(pods, this.nowMs)[0].name);
  }

  #statefulSet(pods: readonly PodInState[]): void {
    const waits = this.kind === "StatefulSetOrderedReady";
    for (let ordinal = 0; ordinal < this.specReplicas; ordinal++) {
      const there = this.#pods.get(`w-${ordinal}`);
      if (!there) this.#make(`w-${ordinal}`);
      if (!there || (waits && !there.ready)) return;
    }
    const top = pods.toSorted((a, b) => b.ordinal! - a.ordinal!)[0];
    if (top && top.ordinal! >= this.specReplicas) this.#pods.delete(top.name);
  }

  #make(name: string): void {
    const { gated, sidecar, refuses } = this.#natures[this.#made++ % this.#natures.length];
    const uid = `uid-${this.#made}`;
    if (refuses) this.#refusing.add(uid);
    const fresh = {
      ready: false,
      containersReady: false,
      gate: undefined,
      phase: "Pending",
      scheduled: false,
    } as const;
    const times = { createdMs: this.nowMs, readySinceMs: undefined, node: undefined };
    this.#pods.set(name, pod(name, { ...fresh, ...times, uid, gated, sidecar }));
  }

  kill(name: string): void {
    this.#pods.delete(name);
  }

  /** One step of a pod's life: scheduled, running, containers ready; readiness follows containers and gate. */
  kubelet(name: string): void {
    const now = this.#pods.get(name);
    if (!now) return;
    const { scheduled, phase, gated, gate } = now;
    const containersReady = scheduled && phase === "Running" && !isFrozen(now);
    const ready = containersReady && (!gated || gate === true);
    this.#change(now, {
      scheduled: true,
      node: now.node ?? `node-${this.#made % 3}`,
      phase: scheduled ? "Running" : "Pending",
      containersReady,
      ready,
      readySinceMs: ready ? (now.readySinceMs ?? this.nowMs) : undefined,
    });
  }

  /** Freezes or thaws by one step, as label and gate ask. */
  sidecar(name: string): void {
    const now = this.#pods.get(name);
    if (!now?.sidecar || now.phase !== "Running") return;
    const isWanted = now.state === "Standby" && now.gate === false;
    if (isWanted && this.#refusing.has(now.uid))
      this.#change(now, { refusesStandby: true, standby: { frozen: false, reason: "Refused" } });
    else if (isWanted) this.#change(now, { standby: { frozen: true, reason: "Image" } });
    else if (now.standby?.frozen) this.#change(now, { standby: { frozen: false, reason: "Resuming" } });
    else if (now.standby?.reason === "Resuming") this.#change(now, { standby: { frozen: false, reason: "Online" } });
  }

  /** Carries out the parts of a plan that `isDone` lets through; parts on pods that are gone are lost. */
  carryOut(plan: TransitionPlan, isDone: () => boolean): void {
    const change = (name: string, facts: Partial<PodInState>) => {
      const now = this.#pods.get(name);
      if (now && isDone()) this.#change(now, facts);
    };
    for (const { pod: name, to } of plan.transitions) change(name, { state: to });
    for (const { pod: name, online } of plan.gates) change(name, { gate: online });
    for (const { pod: name, cost } of plan.deletionCosts) change(name, { cost });
    if (isDone()) this.specReplicas = plan.replicas;
  }

  #change(now: PodInState, facts: Partial<PodInState>): void {
    const next = { ...now, ...facts };
    if (JSON.stringify(next) !== JSON.stringify(now)) this.#pods.set(now.name, next);
  }
}
