import type { PodNumbers } from "../../decide/steps/staged-replicas.ts";
import { tickMs } from "../workload.ts";
import type { ReplayInputs } from "./replay-inputs.ts";
import { syncDelayMs } from "./replay-inputs.ts";
import { type Score, Scoreboard } from "./scoreboard.ts";
import { SimulatedDeployment } from "./simulated-deployment.ts";

/** What a policy sees of its own deployment at a tick. */
export interface TickView {
  /** Number of the tick, from 0. */
  readonly tick: number;
  readonly nowMs: number;
  /** When the HPA syncs, half a tick later. */
  readonly syncMs: number;
  readonly online: number;
  /** Pods that are created or waking, and do not serve yet. */
  readonly starting: number;
  readonly cutoff: number;
  readonly standby: number;
  /** Whole seconds of pods that became ready since the last tick. */
  readonly startupSeconds: readonly number[];
}

/** Replicas, with the states that pods are brought to first. */
export interface ReplicasByState {
  readonly replicas: number;
  readonly desired: PodNumbers;
}

/** Says at each tick how many replicas are written at the HPA's sync, and in which states. Called once a tick, in order. */
export type Policy = (view: TickView) => number | ReplicasByState;

/** A policy's replay: what it came to, and its pods at each tick. */
export interface Run extends Score {
  /** How often its size changed. */
  readonly actions: number;
  /** Of `podHours`, those of frozen pods. */
  readonly standbyPodHours: number;
  readonly pods: Int32Array;
}

/**
 * Runs a policy through the model of the cluster: new pods serve after the start-up time, pods that do not serve yet go
 * first. Each tick is scored before the policy acts.
 */
export function runPolicy(inputs: ReplayInputs, policy: Policy): Run {
  const { needed, oracle, span, startupMs, ticks } = inputs;
  const deployment = new SimulatedDeployment(Math.max(1, oracle[0] ?? 1), startupMs);
  const board = new Scoreboard();
  const pods = new Int32Array(ticks);
  let standbyPodHours = 0;
  for (let tick = 0; tick < ticks; tick++) {
    const nowMs = span.replayFromMs + tick * tickMs;
    const startupSeconds = deployment.advance(nowMs);
    const { online, starting, cutoff, standby, total } = deployment;
    pods[tick] = total;
    board.add(total, online, needed[tick], tickMs / 1000);
    standbyPodHours += (standby * tickMs) / 3_600_000;
    const syncMs = nowMs + syncDelayMs;
    const asked = policy({ tick, nowMs, syncMs, online, starting, cutoff, standby, startupSeconds });
    if (typeof asked === "number") deployment.scale(asked, syncMs);
    else {
      deployment.moveTo(asked.desired, nowMs);
      deployment.scale(asked.replicas, syncMs);
    }
  }
  return { ...board.score, actions: board.actions, standbyPodHours, pods };
}

/** Scores sizes that need no cluster: pods that were asked for in time serve. */
export function scoreSizes({ needed, ticks }: ReplayInputs, size: (tick: number) => number): Run {
  const board = new Scoreboard();
  const pods = Int32Array.from({ length: ticks }, (_, tick) => size(tick));
  for (let tick = 0; tick < ticks; tick++) board.add(pods[tick], pods[tick], needed[tick], tickMs / 1000);
  return { ...board.score, actions: board.actions, standbyPodHours: 0, pods };
}
