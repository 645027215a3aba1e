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

/** Trouble that passes within two ticks, or this time, as in every start-up, is no news. */
const longestLastingMs = 30_000;

/** What was told of one condition, and since when it has been in trouble that was not told of. */
interface ReportedCondition {
  /** The reason of the trouble that was told, or `Well`; undefined before anything was. */
  what: string | undefined;
  troubledSinceMs: number | undefined;
}

/** Tells people of an IHPA's transitions: what stands in the way at once, trouble that comes and goes when it lasts. */
export class IhpaEvents {
  readonly #events: Pick<EventRecorder, "record">;
  readonly #lastingMs: number;
  readonly #told = new Map<string, Map<string, ReportedCondition>>();

  /** @param tickMs time between two decisions */
  constructor(events: Pick<EventRecorder, "record">, tickMs: number) {
    this.#events = events;
    this.#lastingMs = Math.min(2 * tickMs, longestLastingMs);
  }

  /** @param key `namespace/name` */
  forget(key: string): void {
    this.#told.delete(key);
  }

  /** To be asked at each tick, whether status is written or not. `seen.ihpa` has the status written last. */
  tell({ ihpa, decision, nowMs }: IhpaInput, { claims, status }: Plan): void {
    const before = ihpa.status;
    for (const claim of claims) {
      const { type } = claim;
      // An blocking is somebody's to remove; a number that is missing may come by itself.
      const isPatient = type === "Fallback" || type === "HPAActive" || (type === "Ready" && decision !== undefined);
      if (isPatient) this.#tellPatiently(ihpa, claim, before?.conditions, nowMs);
      else if (type === "Ready") {
        Object.assign(this.#stateOf(ihpa, claim, before?.conditions, nowMs), {
          what: claim.reason,
          troubledSinceMs: undefined,
        } satisfies ReportedCondition);
        if (isNew(claim, before?.conditions)) this.#record(ihpa, claim);
      } else if (
        (type === "ForecastTrusted" || type === "SpecSupported" || type === "Stable") &&
        isNew(claim, before?.conditions)
      )
        this.#record(ihpa, claim);
    }
    this.#tellNumber(ihpa, before, status, decision?.message ?? "");
  }

  #tellPatiently(
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
      // Nobody was told of a fallback that could be left.
      if (was !== "Well" && (claim.type !== "Fallback" || was !== undefined)) this.#record(ihpa, claim);
      return;
    }
    if (state.what === claim.reason) return;
    state.troubledSinceMs ??= nowMs;
    if (nowMs - state.troubledSinceMs < this.#lastingMs) return;
    state.what = claim.reason;
    state.troubledSinceMs = undefined;
    this.#record(ihpa, claim);
  }

  /** After a restart, what stands in the status has been told, unless it is too new. */
  #stateOf(
    ihpa: IntelligentHorizontalPodAutoscaler,
    { type }: Claim,
    before: readonly Condition[] | undefined,
    nowMs: number,
  ): ReportedCondition {
    const key = formatKey(keyOf(ihpa));
    let states = this.#told.get(key);
    if (!states) {
      states = new Map();
      this.#told.set(key, states);
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

  #record(ihpa: IntelligentHorizontalPodAutoscaler, claim: Claim): void {
    const { type, status, reason, message } = claim;
    const isFallback = type === "Fallback";
    // A condition's AsExpected says nothing beside an Event's other columns.
    const named = reason === "AsExpected" ? type : reason;
    this.#events.record({
      regarding: ihpa,
      type: isTrouble(claim) ? "Warning" : "Normal",
      reason: isFallback ? (isTrouble(claim) ? "FallbackEntered" : "FallbackLeft") : named,
      action: isFallback ? "Decide" : "Reconcile",
      note: isFallback ? `${reason}: ${message}` : `${type} is ${status}: ${message}`,
    });
  }

  #tellNumber(
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
