import type { Rung } from "../../api/conditions.ts";
import type { HorizontalPortrait } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { largestServed } from "../../api/values/quantity.ts";
import { longestHoldMs } from "../../decide/decision.ts";
import { type Proposal, selectProposal } from "../../decide/providers/select-proposal.ts";
import { replicasAt } from "../../portrait/predictive.ts";
import type { Schedule, ScheduleSpec } from "../../portrait/schedule.ts";

/** Reads the calendar of a spec, and of a portrait that is one. @throws RangeError when a window can't be read */
export type ReadSchedule = (spec: ScheduleSpec) => (timeMs: number) => Schedule;

/** All that the served number depends on, as one server replica has it in memory. */
export interface ServedInputs {
  readonly ihpa: IntelligentHorizontalPodAutoscaler;
  /** The portraits that belong to the IHPA. */
  readonly portraits: readonly HorizontalPortrait[];
  /** What the spec's calendar says of a moment; absent where it can't be read, and then the spec's own limits hold. */
  readonly schedule?: (timeMs: number) => Schedule;
  /** Replicas of a portrait of type Cron at a moment. */
  readonly cronReplicas?: (portrait: HorizontalPortrait, timeMs: number) => number | undefined;
  /** Time since `status.decision.time`, by a clock that does not jump; undefined when there is no decision. */
  readonly decisionAgeMs: number | undefined;
  /** The target's scale, read in the background once a decision is stale. */
  readonly target?: { readonly replicas: number; readonly ageMs: number };
}

/** What the external metrics API answers for one IHPA. */
export type Served =
  | {
      readonly kind: "Number";
      /** From 0 to 9e12, which a Quantity and the HPA's arithmetic hold. */
      readonly value: number;
      readonly rung: Exclude<Rung, "Expired">;
      /** Why, as one word for programs. */
      readonly reason: string;
      /** How old what the number rests on is. */
      readonly ageMs: number;
    }
  | {
      readonly kind: "NotFound" | "Unavailable";
      readonly rung: Rung | undefined;
      readonly reason: string;
      readonly message: string;
    };

/** Up to this age a decision is as good as new: the controller renews it every 30 s. */
export const freshMs = 90_000;
/** A decision is about to be stale: time to have read the target's scale. */
export const agingMs = 60_000;
/** A target's scale that was read longer ago may have been changed by the HPA since. */
const targetStaleMs = 30_000;

/**
 * The number that `forescale-replicas` serves: the decision's total while it is fresh; with the controllers gone, the
 * larger of the last total and what the published portraits ask for now, so that scale-ups happen and scale-downs hold;
 * then the target's present `spec.replicas` for 30 minutes; then nothing.
 *
 * @param nowMs wall clock, for the portraits' times
 */
export function servedReplicas(inputs: ServedInputs, nowMs: number): Served {
  const refused = whyNotServed(inputs);
  if (refused) return refused;
  const decision = inputs.ihpa.status!.decision!;
  const ageMs = inputs.decisionAgeMs!;
  const limited = (replicas: number) => clamp(inputs, replicas, nowMs);
  if (ageMs <= freshMs) {
    if (decision.rung === "Expired") return expired(`the controller has no valid number: ${decision.reason}`);
    return number(limited(decision.total), decision.rung, decision.reason, ageMs);
  }
  const asked = selectProposal(publishedProposals(inputs, nowMs), nowMs);
  if (asked) {
    const isRise = asked.replicas > decision.total && !inputs.ihpa.spec.behavior?.scaleUp?.disabled;
    const replicas = isRise ? asked.replicas : decision.total;
    return number(limited(replicas), "Coasting", isRise ? "PortraitAhead" : "DecisionHeld", ageMs);
  }
  return held(inputs, nowMs, limited);
}

/**
 * The number that `forescale-load` serves for one of `spec.metrics`: the load that the decision is sized for, on the
 * same ladder; Held is the load that keeps the target's present `spec.replicas`.
 *
 * @param metric `spec.metrics[].name`
 */
export function servedLoad(inputs: ServedInputs, metric: string, nowMs: number): Served {
  const refused = whyNotServed(inputs);
  if (refused) return refused;
  const { ihpa, decisionAgeMs } = inputs;
  const decision = ihpa.status!.decision!;
  const ageMs = decisionAgeMs!;
  const decided = decision.load?.find(({ name }) => name === metric)?.value;
  if (decided === undefined || !Number.isFinite(decided) || decided < 0)
    return unavailable("NoMetrics", `the last decision says nothing of the load "${metric}"`);
  if (ageMs <= freshMs) {
    if (decision.rung === "Expired") return expired(`the controller has no valid number: ${decision.reason}`);
    return number(decided, decision.rung, decision.reason, ageMs);
  }
  const forecasts = ihpa.spec.paused
    ? []
    : inputs.portraits.flatMap((portrait) =>
        isValid(portrait, nowMs) ? (loadNow(inputs, portrait, metric, nowMs) ?? []) : [],
      );
  if (forecasts.length > 0) {
    const highest = Math.max(...forecasts);
    return number(Math.max(decided, highest), "Coasting", highest > decided ? "ForecastAhead" : "DecisionHeld", ageMs);
  }
  // A load that keeps each pod at its share: present replicas × what the decision took one pod for.
  const perPod = decision.total > 0 ? decided / decision.total : undefined;
  if (perPod === undefined)
    return expired("the last decision wanted no pods, so it does not tell what one of them serves");
  return held(inputs, nowMs, (replicas) => replicas * perPod);
}

/** Refusals that come before any number. */
function whyNotServed({ ihpa, decisionAgeMs }: ServedInputs): Served | undefined {
  if (ihpa.spec.scaleMode === "Preview")
    return {
      kind: "NotFound",
      rung: undefined,
      reason: "Preview",
      message: "it is in Preview, in which nothing acts; set spec.scaleMode to Auto to serve its number",
    };
  if (ihpa.status?.decision === undefined || decisionAgeMs === undefined)
    return unavailable("NoDecision", "no decision has been made yet; check that the controller runs");
  return undefined;
}

function held(inputs: ServedInputs, nowMs: number, convert: (replicas: number) => number): Served {
  const sinceMs = Math.min(
    inputs.decisionAgeMs! - freshMs,
    ...inputs.portraits.flatMap((portrait) => {
      const endMs = expiresMs(portrait);
      return endMs !== undefined && endMs <= nowMs ? nowMs - endMs : [];
    }),
  );
  if (sinceMs > longestHoldMs)
    return expired("no decision and no valid portrait for more than 30 minutes; check that the controller runs");
  if (inputs.target === undefined || inputs.target.ageMs > targetStaleMs)
    return unavailable("TargetUnknown", "the decision is stale and the target's present replicas are not known yet");
  return number(convert(inputs.target.replicas), "Held", "ControllerSilent", inputs.target.ageMs);
}

/**
 * What the published portraits and the calendar propose now. Nothing while the object is paused, and nothing once the
 * portraits of an object that has dynamic providers are all spent: the calendar alone would then hide that.
 */
function publishedProposals(inputs: ServedInputs, nowMs: number): readonly Proposal[] {
  const { ihpa, portraits, schedule } = inputs;
  if (ihpa.spec.paused) return [];
  const proposals: Proposal[] = [];
  for (const portrait of portraits) {
    const replicas = replicasNow(inputs, portrait, nowMs);
    if (replicas === undefined) continue;
    const { portraitType } = portrait.spec;
    const provider = ihpa.spec.portraitProviders?.find(({ dynamic }) => dynamic?.portraitType === portraitType);
    proposals.push({ provider: portraitType, priority: provider?.priority ?? 0, replicas });
  }
  const isDynamic = ihpa.spec.portraitProviders?.some(({ type }) => type === "Dynamic");
  if (proposals.length > 0 || !isDynamic) proposals.push(...(schedule?.(nowMs).proposals ?? []));
  return proposals;
}

/** Replicas that a portrait asks for now; undefined when it is not valid or says nothing of now. */
function replicasNow(inputs: ServedInputs, portrait: HorizontalPortrait, nowMs: number): number | undefined {
  if (!isValid(portrait, nowMs)) return undefined;
  const data = portrait.status!.portraitData!;
  return data.type === "Cron" ? inputs.cronReplicas?.(portrait, nowMs) : replicasAt(data, nowMs);
}

/** The forecast load now, at the level that the IHPA asks for. */
function loadNow({ ihpa }: ServedInputs, portrait: HorizontalPortrait, metric: string, nowMs: number) {
  const forecast = portrait.status?.forecast?.metrics?.find(({ name }) => name === metric);
  if (!forecast || forecast.levels.length === 0) return undefined;
  const wanted = Number(ihpa.spec.prediction?.quantile ?? 95) / 100;
  // The first level that promises as much, or the highest there is.
  const level = forecast.levels.findIndex((each) => each >= wanted - 1e-9);
  const point = forecast.points.findLast(({ time }) => time * 1000 <= nowMs);
  const value = point?.values.at(level);
  return value !== undefined && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function isValid(portrait: HorizontalPortrait, nowMs: number): boolean {
  if (portrait.status?.portraitData === undefined) return false;
  const endMs = expiresMs(portrait);
  return endMs === undefined || nowMs < endMs;
}

function expiresMs(portrait: HorizontalPortrait): number | undefined {
  const text = portrait.status?.portraitData?.expireTime;
  return text === undefined ? undefined : Date.parse(text);
}

/** Within the limits of now; 0 only where they allow it. */
function clamp({ ihpa: { spec }, schedule }: ServedInputs, replicas: number, nowMs: number): number {
  const { minReplicas = 1, maxReplicas } = schedule?.(nowMs) ?? spec;
  return Math.min(Math.max(replicas, minReplicas), maxReplicas);
}

function number(value: number, rung: Exclude<Rung, "Expired">, reason: string, ageMs: number): Served {
  if (!Number.isFinite(value) || value < 0) return unavailable("InvalidNumber", "the number worked out is not one");
  return { kind: "Number", value: Math.min(value, largestServed), rung, reason, ageMs };
}

function unavailable(reason: string, message: string): Served {
  return { kind: "Unavailable", rung: undefined, reason, message };
}

function expired(message: string): Served {
  return { kind: "Unavailable", rung: "Expired", reason: "Expired", message };
}
