import { isFrozen, type PodInState, readinessDelayMs, readPodInState } from "../../pods/pod-in-state.ts";
import type { Pod } from "./workload-pods.ts";

/** What is remembered of one pod while it changes; after a restart it is observed again. */
export interface PodMemory {
  /** Since when it is asked to wake. */
  wakingMs?: number;
  /** Since when it runs again; cleared once it is Ready, or overdue. */
  wokeMs?: number;
  /** Since when its former requests have been requested again. */
  growingMs?: number;
  /** Whether its node has room for them: then there is no need to wait for the kubelet, which looks about once a second. */
  hasRoom?: boolean;
  refusedUntilMs?: number;
  /** How long that was: each wait in a row is twice as long as the one before. */
  waitForRoomMs?: number;
  /** Until when it is not asked again to be frozen: its refusal stands no longer than the request that it answered. */
  refusesStandbyUntilMs?: number;
  /** Whether this pod can't be resized in place at all: it keeps its requests. */
  isFixed?: boolean;
}

/** A pod that refused to be frozen is asked again after this. */
const refusedForMs = 5 * 60_000;
/** A pod that is still frozen this long after it was asked to wake gets its gate, which wakes it by another way. */
const wakeOverdueMs = 10_000;

/** The memory of pods that change, by uid; pods are read together with it. */
export class PodMemories {
  readonly #memories = new Map<string, PodMemory>();

  /** The memory of a pod, for reading and writing. */
  of({ metadata }: Pod): PodMemory {
    const known = this.#memories.get(metadata.uid!);
    if (known) return known;
    const memory: PodMemory = {};
    this.#memories.set(metadata.uid!, memory);
    return memory;
  }

  /** The pod is gone. */
  forget({ metadata }: Pod): void {
    if (metadata.uid !== undefined) this.#memories.delete(metadata.uid);
  }

  /** A pod as the object shows it, with what only the memory knows: how long it has been waking, and what it refused. */
  read(pod: Pod, zoneOf: (node: string) => string | undefined, nowMs: number): PodInState {
    const inState = readPodInState(pod, zoneOf);
    if (inState.refusesStandby) this.of(pod).refusesStandbyUntilMs ??= nowMs + refusedForMs;
    const memory = this.#memories.get(inState.uid);
    if (memory === undefined) return inState;
    if (inState.state === "Online" && !isFrozen(inState)) {
      if (memory.wakingMs !== undefined) memory.wokeMs = nowMs;
      memory.wakingMs = undefined;
    }
    // A pod that was killed while it was frozen starts anew, which takes as long as any start.
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
}
