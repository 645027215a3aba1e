import { isServing, type PodInState } from "./pod-in-state.ts";
import { isNumbered } from "./pod-order.ts";
import type { ExternalPodStates, Transition, TransitionInput } from "./transition.ts";

/**
 * Changes of state where an external program says which pods are in which state. It does not decide how many serve: pods that are missing
 * in service come back by our own plan, none leaves service beyond the desired number or the room, and none is frozen that can't be.
 * A StatefulSet drops its highest ordinals whatever anybody wants, so there our own plan holds.
 *
 * @param order all pods, first to leave first
 * @param own changes that we would make
 */
export function externalTransitions(
  input: TransitionInput,
  order: readonly PodInState[],
  own: readonly Transition[],
  external: ExternalPodStates,
): readonly Transition[] {
  const { desired, kind, paused, rolloutRunning, allowedScalingDirection: allowed, notReadyRoom } = input;
  if (paused || rolloutRunning || isNumbered(kind)) return own;
  const forced = own.filter((each) => isReturn(each) || each.reason === "StandbyRefused");
  if (forced.some(isReturn)) return forced;
  const wantedOut = desired.cutoff + desired.standby;
  let places = Math.min(wantedOut, notReadyRoom ?? wantedOut) - order.filter(({ state }) => state !== "Online").length;
  let spare = order.filter(isServing).length - desired.online;
  const transitions: Transition[] = [...forced];
  const move = ({ name, state }: PodInState, to: PodInState["state"]) =>
    transitions.push({ pod: name, from: state, to, reason: "ProgramWanted" });
  const isForced = ({ name }: PodInState) => forced.some(({ pod }) => pod === name);
  const isReported = (pod: PodInState) =>
    external.has(pod.name) && external.get(pod.name) !== pod.state && !isForced(pod);
  const differing = order.filter(isReported);
  if (allowed === "Both" || allowed === "Up")
    for (const pod of differing) {
      if (external.get(pod.name) !== "Online" || pod.wakeRefused) continue;
      move(pod, "Online");
      places++;
      spare++;
    }
  const mayLeave = allowed === "Both" || allowed === "Down";
  for (const pod of differing) {
    const to = external.get(pod.name);
    if (to === "Online") continue;
    if (pod.state === "Online") {
      // A pod that comes back has to arrive before another one leaves for it.
      if (!mayLeave || !pod.gated || !pod.ready || places <= 0 || spare <= 0 || transitions.some(isReturn)) continue;
      move(pod, "Cutoff");
      places--;
      spare--;
    } else if (to === "Cutoff") {
      if (!pod.wakeRefused) move(pod, "Cutoff");
    } else if (pod.sidecar && !pod.refusesStandby && pod.gate === false && !pod.ready) move(pod, "Standby");
  }
  return transitions;
}

function isReturn({ to }: Transition): boolean {
  return to === "Online";
}
