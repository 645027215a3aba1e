import type { Log } from "../../kube/log.ts";
import type { NodeRooms } from "../../pods/inject/node-room.ts";
import { type PodInState, readPodInState } from "../../pods/pod-in-state.ts";
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
import type { Transition } from "../../pods/transition.ts";
import type { PodMemories } from "./pod-memory.ts";
import { inParallel, type PodWriter, writesAtOnce } from "./pod-writer.ts";
import type { Pod } from "./workload-pods.ts";

/** Longest wait for a kubelet to grant a resize: serving matters more than exact requests. */
const longestGrantMs = 3000;
/** A pod whose node had no room for its requests is asked again after this: room often comes within seconds, as others are frozen. */
const firstWaitForRoomMs = 5000;
const longestWaitForRoomMs = 5 * 60_000;

/** Lowers the requests of frozen pods, and gives them back before the pods wake. */
export class PodResizer {
  readonly #writer: Pick<PodWriter, "mark" | "resize">;
  readonly #memories: PodMemories;
  readonly #log: Log;

  constructor({ writer, memories, log }: { writer: PodWriter; memories: PodMemories; log: Log }) {
    this.#writer = writer;
    this.#memories = memories;
    this.#log = log;
  }

  /** Whether a frozen pod has its requests back, or need not wait for them; requests them where that was not done. */
  async mayWake(pod: Pod, rooms: NodeRooms, nowMs: number): Promise<boolean> {
    const before = requestsBefore(pod);
    if (before === undefined) return true;
    const memory = this.#memories.of(pod);
    const changes = requestChanges(pod, before);
    if (memory.isFixed) return true;
    if (!isEmpty(changes)) {
      memory.growingMs = nowMs;
      memory.hasRoom = rooms.take(pod, before);
      // No need to wait where a resize is impossible, or sure to be granted.
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
        // While a resize is deferred the scheduler reserves the larger requests, and other pods could not use the room.
        memory.waitForRoomMs = Math.min(longestWaitForRoomMs, 2 * (memory.waitForRoomMs ?? firstWaitForRoomMs / 2));
        memory.refusedUntilMs = nowMs + memory.waitForRoomMs;
        memory.growingMs = undefined;
        this.#log.info("a frozen pod can't wake: its node has no room for its requests", {
          pod: `${pod.metadata.namespace}/${pod.metadata.name}`,
          state,
        });
        await this.#resize(pod, loweredRequests(pod, modeInUse(pod), before));
        return false;
    }
  }

  /** Lowers the requests of pods that are frozen, and restores those of pods that run; pods in transition are left alone. */
  async fit(pods: readonly Pod[], inState: readonly PodInState[], transitions: readonly Transition[]): Promise<void> {
    const moving = new Set(transitions.map(({ pod }) => pod));
    const byName = new Map(inState.map((each) => [each.name, each]));
    await inParallel(pods, writesAtOnce, async (pod) => {
      const { name } = pod.metadata;
      const { state, standby } = byName.get(name)!;
      if (moving.has(name)) return;
      if (state === "Standby" && standby?.frozen) await this.#lower(pod);
      else if (state !== "Standby") await this.restore(pod);
    });
  }

  /** Gives a pod back the requests that it had before it was frozen. */
  async restore(pod: Pod): Promise<void> {
    const before = requestsBefore(pod);
    if (before === undefined) return;
    const changes = requestChanges(pod, before);
    if (!isEmpty(changes)) await this.#resize(pod, changes);
    else if (resizeState(pod, before) === "Granted") await this.#writer.mark(pod, { requests: undefined });
  }

  async #lower(pod: Pod): Promise<void> {
    const known = requestsBefore(pod);
    const before = known ?? presentRequests(pod);
    const changes = requestChanges(pod, loweredRequests(pod, modeInUse(pod), before));
    if (isEmpty(changes)) return;
    // Recorded before they are lowered: otherwise there would be no record of what to restore.
    if (known === undefined) await this.#writer.mark(pod, { requests: before });
    await this.#resize(pod, changes);
  }

  /** @returns whether the API server accepted it; a pod that can't be resized is not tried again */
  async #resize(pod: Pod, changes: PodRequests): Promise<boolean> {
    const memory = this.#memories.of(pod);
    if (memory.isFixed) return false;
    const why = await this.#writer.resize(pod, changes);
    if (why === undefined) return true;
    memory.isFixed = true;
    const { namespace, name } = pod.metadata;
    this.#log.warn("a pod can't be resized in place; it keeps its requests", {
      pod: `${namespace}/${name}`,
      error: why,
    });
    return false;
  }
}

/** The mode in which a pod is frozen, as its condition says. */
function modeInUse(pod: Pod): StandbyMode {
  const { standby } = readPodInState(pod);
  return standbyModes.find((mode) => mode === standby?.reason) ?? "FreezeOnly";
}
