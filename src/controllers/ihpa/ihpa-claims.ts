import type { Cause } from "../../api/cause.ts";
import type { Condition } from "../../api/conditions.ts";
import type { Decision } from "../../decide/decision.ts";
import type { Claim } from "../status/set-condition.ts";
import { rivalryOf } from "./blocking-cause.ts";
import { trustClaim } from "./forecast-accuracy.ts";
import type { IhpaInput } from "./ihpa-input.ts";
import { actingHpa } from "./managed-hpa.ts";
import { unsupportedParts } from "./unsupported-spec.ts";

/** All conditions of an IHPA. What cannot be known is Unknown, with the reason of the blocking cause. */
export function claimsOf(input: IhpaInput, blocking: Cause | undefined): Claim[] {
  const { ihpa } = input;
  const { scaleMode, paused, scaleTargetRef } = ihpa.spec;
  const unready = blocking ?? silenceOf(input);
  const inert = unready ?? unreadNumberOf(input);
  return [
    claim("Ready", !inert, inert?.reason ?? "AsExpected", inert?.message ?? input.decision!.message),
    claim(
      "AbleToScale",
      !blocking,
      blocking?.reason ?? "AsExpected",
      blocking?.message ?? `${scaleTargetRef.kind} ${scaleTargetRef.name} can be scaled`,
    ),
    scaleMode === "Preview"
      ? claim("ScalingActive", false, "Preview", previewMessage(input))
      : claim(
          "ScalingActive",
          !inert,
          inert?.reason ?? "AsExpected",
          inert?.message ?? "the desired replica count is in effect",
        ),
    limitedClaim(input.decision, unready),
    claim(
      "Paused",
      paused,
      paused ? "Paused" : "AsExpected",
      paused ? "scaling is paused: spec.paused is true" : "not paused",
    ),
    fallbackClaim(input, unready),
    ...stepClaims(input),
    ...portraitClaims(input),
    ...hpaClaims(input, blocking),
    ...supportClaims(input),
  ];
}

type Status = Claim["status"];

function claim(type: string, holds: boolean | Status, reason: string, message: string): Claim {
  const status = typeof holds === "string" ? holds : holds ? "True" : "False";
  return { type, status, reason, message: message.slice(0, 1024) };
}

/** Why there is no decision to rely on: no metric has a live value or a forecast, and no schedule applies. */
function silenceOf({ decision, loadFaults }: IhpaInput): Cause | undefined {
  if (decision !== undefined && decision.total !== null && decision.reason !== "NothingKnown") return undefined;
  const said = decision?.message ?? "no provider has a valid proposal yet";
  const [fault] = loadFaults;
  return fault
    ? { reason: fault.reason, message: `${said}; ${fault.message}` }
    : { reason: "NoValidPortraitValue", message: said };
}

/** Why the decision has no effect: the HPA that should follow it cannot read the external metric, as when no server answers. */
function unreadNumberOf({ ihpa, hpas }: IhpaInput): Cause | undefined {
  if (ihpa.spec.hpa === "None" || ihpa.spec.scaleMode === "Preview") return undefined;
  const hpa = actingHpa(ihpa, hpas);
  const active = hpa?.status?.conditions?.find(({ type }) => type === "ScalingActive");
  if (active?.status !== "False" || active.reason !== "FailedGetExternalMetric") return undefined;
  return {
    reason: active.reason,
    message: `HPA ${hpa!.metadata.name} cannot read the external metric, so the target keeps its size: ${active.message ?? active.reason}`,
  };
}

function limitedClaim(decision: Decision | undefined, unready: Cause | undefined): Claim {
  if (decision === undefined || decision.total === null)
    return claim("ScalingLimited", "Unknown", unready!.reason, "there is no decision to limit");
  if (decision.reason === "MinReplicas") return claim("ScalingLimited", true, "TooFewReplicas", decision.message);
  if (decision.reason === "MaxReplicas") return claim("ScalingLimited", true, "TooManyReplicas", decision.message);
  return claim("ScalingLimited", false, "WithinRange", "the desired replica count is within the limits");
}

function fallbackClaim({ decision, loadFaults }: IhpaInput, unready: Cause | undefined): Claim {
  if (decision === undefined) return claim("Fallback", "Unknown", unready!.reason, "there is no decision");
  if (decision.reason === "Paused") return claim("Fallback", false, "Paused", "scaling is paused: spec.paused is true");
  if (decision.rung === "Fresh") {
    const basis = decision.loads.length > 0 ? "live values and forecast are fresh" : "the decision uses no metrics";
    return claim("Fallback", false, "Fresh", basis);
  }
  const why = loadFaults[0] ? `; ${loadFaults[0].message}` : "";
  return claim("Fallback", true, decision.rung, decision.message + why);
}

/** Progress of a gray change and results of stability checkers, where the spec asks for them. */
function stepClaims({ ihpa, decision }: IhpaInput): Claim[] {
  const { behavior, stabilityCheckers = [] } = ihpa.spec;
  const { change, stability, message = "" } = decision ?? {};
  const claims: Claim[] = [];
  if (behavior.scaleUp?.grayStrategy || behavior.scaleDown?.grayStrategy)
    claims.push(
      change
        ? claim("GrayProgressing", true, "GrayChange", message)
        : claim("GrayProgressing", false, "NoGrayChange", "no gray change is in progress"),
    );
  if (stabilityCheckers.length > 0 && stability)
    claims.push(claim("Stable", stability.action === "GoOn", stability.reason, stability.message));
  return claims;
}

/** The predictive portrait's conditions about its forecast, repeated on the IHPA. */
function portraitClaims({ ihpa, portraits, decision }: IhpaInput): Claim[] {
  const predictive = portraits.find(({ spec }) => spec.portraitType === "Predictive");
  if (!predictive) return [];
  const said = (type: string, { status }: { status?: { conditions?: readonly Condition[] } } = predictive) => {
    const condition = status?.conditions?.find((each) => each.type === type);
    return condition && claim(type, condition.status, condition.reason, condition.message);
  };
  const ready =
    said("ForecastReady") ?? claim("ForecastReady", "Unknown", "ForecastUnderWay", "the first forecast is being made");
  // While there is no forecast, as in an outage, the last verdict stands; without any verdict there is no condition.
  const trusted = decision?.accuracy?.isCompared
    ? trustClaim(decision.accuracy)
    : (said("ForecastTrusted", ihpa) ?? said("ForecastTrusted"));
  return trusted ? [ready, trusted] : [ready];
}

function hpaClaims({ ihpa, hpas }: IhpaInput, blocking: Cause | undefined): Claim[] {
  if (ihpa.spec.hpa === "None" || ihpa.spec.scaleMode === "Preview") return [];
  const hpa = actingHpa(ihpa, hpas);
  if (!hpa && ihpa.spec.hpa === "Managed")
    // While something blocks the IHPA, no HPA is created.
    return blocking ? [] : [claim("HPAActive", "Unknown", "HPANotFound", "the HPA is being created")];
  if (!hpa)
    return [
      claim(
        "HPAActive",
        false,
        "HPANotFound",
        "no HPA of this target uses this IHPA's metric; add the entry in status.hpa.metric to the spec.metrics of your HPA",
      ),
    ];
  const active = hpa.status?.conditions?.find(({ type }) => type === "ScalingActive");
  if (!active)
    return [claim("HPAActive", "Unknown", "NoMetrics", `HPA ${hpa.metadata.name} has not reported its status yet`)];
  return [claim("HPAActive", active.status === "True", active.reason || "AsExpected", active.message ?? "")];
}

/** Present only while the spec asks for something unsupported. */
function supportClaims({ ihpa }: IhpaInput): Claim[] {
  const missing = unsupportedParts(ihpa.spec);
  if (missing.length === 0) return [];
  return [claim("SpecSupported", false, missing[0].reason, missing.map(({ message }) => message).join("; "))];
}

function previewMessage(input: IhpaInput): string {
  const { ihpa, decision, scale } = input;
  const have = "reason" in scale ? undefined : scale.replicas;
  const total = decision?.total ?? undefined;
  if (total === undefined) return "Preview: nothing is changed; there is no decision yet";
  const would = have === undefined || have === total ? `would stay at ${total}` : `would go from ${have} to ${total}`;
  const rivalry = rivalryOf(input);
  const but = rivalry ? `; before Auto can work: ${rivalry.message}` : "";
  return `Preview: nothing is changed; ${ihpa.spec.scaleTargetRef.name} ${would} replicas${but}`;
}
