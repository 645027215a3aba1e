import type { Condition } from "../../api/conditions.ts";
import type {
  IntelligentHorizontalPodAutoscaler,
  IntelligentHorizontalPodAutoscalerStatus,
} from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { formatKey, keyOf } from "../../kube/client/resource.ts";
import type { EventRecorder } from "../../kube/loop/events.ts";
import { type Claim, transitions } from "../status/set-condition.ts";
import type { IhpaInput } from "./ihpa-input.ts";
import type { Plan } from "./plan-ihpa.ts";

/** Trouble that passes within two ticks or this time, as at every start, gets no Event. */
const longestLastingMs = 30_000;

/** What the last Event said of one condition, and since when there has been trouble without an Event. */
interface ReportedCondition {
  /** The reason in the last Event, or `Well`; undefined before the first. */
  what: string | undefined;
  troubledSinceMs: number | undefined;
}

/** Records Events for an IHPA's transitions: blocking causes at once, trouble that comes and goes only once it lasts. */
export class IhpaEvents {
  readonly #events: Pick<EventRecorder, "record">;
  readonly #lastingMs: number;
  readonly #states = new Map<string, Map<string, ReportedCondition>>();

  /** @param tickMs time between two decisions */
  constructor(events: Pick<EventRecorder, "record">, tickMs: number) {
    this.#events = events;
    this.#lastingMs = Math.min(2 * tickMs, longestLastingMs);
  }

  /** @param key `namespace/name` */
  forget(key: string): void {
    this.#states.delete(key);
  }

  /** Called at each tick, whether status is written or not. `input.ihpa` has the status written last. */
  record({ ihpa, decision, nowMs }: IhpaInput, { claims, status }: Plan): void {
    const before = ihpa.status;
    for (const claim of claims) {
      const { type } = claim;
      // Somebody has to remove a blocking cause; a missing decision may come by itself.
      const isPatient = type === "Fallback" || type === "HPAActive" || (type === "Ready" && decision !== undefined);
      if (isPatient) this.#recordPatiently(ihpa, claim, before?.conditions, nowMs);
      else if (type === "Ready") {
        Object.assign(this.#stateOf(ihpa, claim, before?.conditions, nowMs), {
          what: claim.reason,
          troubledSinceMs: undefined,
        } satisfies ReportedCondition);
        if (isNew(claim, before?.conditions)) this.#recordClaim(ihpa, claim);
      } else if (
        (type === "ForecastTrusted" || type === "SpecSupported" || type === "Stable") &&
        isNew(claim, before?.conditions)
      )
        this.#recordClaim(ihpa, claim);
    }
    this.#recordNumber(ihpa, before, status, decision?.message ?? "");
  }

  #recordPatiently(
    ihpa: IntelligentHorizontalPodAutoscaler,
    claim: Claim,
    before: readonly Condition[] | undefined,
    nowMs: number,
  ): void {
    const state = this.#stateOf(ihpa, claim, before, nowMs);
    if (claim.status === "Unknown" || !isTrouble(claim)) state.troubledSinceMs = undefined;
    if (claim.status === "Unknown") return;
    if (!isTrouble(claim)) {
      const was = state.what;
      state.what = "Well";
      // A fallback without an Event needs none for its end.
      if (was !== "Well" && (claim.type !== "Fallback" || was !== undefined)) this.#recordClaim(ihpa, claim);
      return;
    }
    if (state.what === claim.reason) return;
    state.troubledSinceMs ??= nowMs;
    if (nowMs - state.troubledSinceMs < this.#lastingMs) return;
    state.what = claim.reason;
    state.troubledSinceMs = undefined;
    this.#recordClaim(ihpa, claim);
  }

  /** After a restart, what the status says is taken to have had its Event, unless it is too new. */
  #stateOf(
    ihpa: IntelligentHorizontalPodAutoscaler,
    { type }: Claim,
    before: readonly Condition[] | undefined,
    nowMs: number,
  ): ReportedCondition {
    const key = formatKey(keyOf(ihpa));
    let states = this.#states.get(key);
    if (!states) {
      states = new Map();
      this.#states.set(key, states);
    }
    let state = states.get(type);
    if (!state) {
      state = { what: undefined, troubledSinceMs: undefined };
      const condition = before?.find((each) => each.type === type);
      if (condition && condition.status !== "Unknown") {
        const sinceMs = Date.parse(condition.lastTransitionTime);
        if (!isTrouble(condition)) state.what = "Well";
        else if (nowMs - sinceMs >= this.#lastingMs) state.what = condition.reason;
        else state.troubledSinceMs = sinceMs;
      }
      states.set(type, state);
    }
    return state;
  }

  #recordClaim(ihpa: IntelligentHorizontalPodAutoscaler, claim: Claim): void {
    const { type, status, reason, message } = claim;
    const isFallback = type === "Fallback";
    // AsExpected as an Event's reason would not tell which condition it is about.
    const named = reason === "AsExpected" ? type : reason;
    this.#events.record({
      regarding: ihpa,
      type: isTrouble(claim) ? "Warning" : "Normal",
      reason: isFallback ? (isTrouble(claim) ? "FallbackEntered" : "FallbackLeft") : named,
      action: isFallback ? "Decide" : "Reconcile",
      note: isFallback ? `${reason}: ${message}` : `${type} is ${status}: ${message}`,
    });
  }

  #recordNumber(
    ihpa: IntelligentHorizontalPodAutoscaler,
    before: IntelligentHorizontalPodAutoscalerStatus | undefined,
    after: IntelligentHorizontalPodAutoscalerStatus,
    message: string,
  ): void {
    const [had, has] = [before?.desiredReplicas, after.desiredReplicas];
    if (has === undefined || had === has) return;
    this.#events.record({
      regarding: ihpa,
      type: "Normal",
      reason: "DesiredReplicasChanged",
      action: "Decide",
      note: `${had ?? "none"} → ${has}: ${message}`,
    });
  }
}

function isTrouble({ type, status }: Pick<Claim, "type" | "status">): boolean {
  return status === (type === "Fallback" ? "True" : "False");
}

function isNew(claim: Claim, before: readonly Condition[] | undefined): boolean {
  return claim.status !== "Unknown" && transitions(before, [claim]).length > 0;
}
