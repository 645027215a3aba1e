import type { PodInState } from "../../../src/pods/pod-in-state.ts";

/** A pod in service, as the tests want it. */
export function pod(name: string, facts: Partial<PodInState> = {}): PodInState {
  const ordinal = /-(\d+)$/.exec(name)?.[1];
  const isOut = facts.state !== undefined && facts.state !== "Online";
  return {
    name,
    uid: `uid-${name}`,
    state: "Online",
    gated: true,
    gate: !isOut,
    sidecar: true,
    ready: !isOut,
    containersReady: facts.state !== "Standby",
    phase: "Running",
    scheduled: true,
    node: "node-a",
    ...(ordinal !== undefined && { ordinal: Number(ordinal) }),
    createdMs: 0,
    readySinceMs: 1000,
    restarts: 0,
    refusesStandby: false,
    ...(facts.state === "Standby" && { standby: { frozen: true, reason: "Image" } }),
    ...facts,
  };
}

/** `count` pods alike, named by number from `first`. */
export function pods(prefix: string, count: number, facts: Partial<PodInState> = {}, first = 0): PodInState[] {
  return Array.from({ length: count }, (_, index) => pod(`${prefix}-${first + index}`, facts));
}
