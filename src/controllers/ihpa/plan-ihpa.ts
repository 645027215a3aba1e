import type { Cause } from "../../api/cause.ts";
import { algorithmOf, type HorizontalPortraitSpecWritten } from "../../api/kinds/horizontal-portrait.ts";
import type {
  IntelligentHorizontalPodAutoscaler,
  IntelligentHorizontalPodAutoscalerStatus,
} from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { ReplicaProfileSpecWritten } from "../../api/kinds/replica-profile.ts";
import { apiVersion, type Kind } from "../../api/kinds.ts";
import { ihpaLabel, portraitName, portraitTypeLabel } from "../../api/labels.ts";
import { ownerReferenceTo } from "../../api/owner-reference.ts";
import type { Decision } from "../../decide/decision.ts";
import type { KubeObject } from "../../kube/client/resource.ts";
import { stamp } from "../../kube/times.ts";
import { replicasAt } from "../../portrait/predictive.ts";
import { type Claim, withClaims } from "../status/set-condition.ts";
import { blockingCauseOf, isRivalry } from "./blocking-cause.ts";
import { accuracyStatus } from "./forecast-accuracy.ts";
import { claimsOf } from "./ihpa-claims.ts";
import type { IhpaInput } from "./ihpa-input.ts";
import { actingHpa, managedHpa, replicasMetricEntry } from "./managed-hpa.ts";

/** The objects that should exist. Undefined: none should; `Keep`: leave it as it is, whether it exists or not. */
export interface Plan {
  readonly hpa: KubeObject | "Keep" | undefined;
  readonly profile: KubeObject | "Keep" | undefined;
  readonly portraits: readonly KubeObject[] | "Keep";
  readonly status: IntelligentHorizontalPodAutoscalerStatus;
  readonly claims: readonly Claim[];
}

/**
 * From the observed input to the objects that should exist. In Preview nothing that scales exists. Where another object scales the
 * target, what scales is deleted; a blocking cause that passes, such as an invalid spec, deletes nothing.
 */
export function planIhpa(input: IhpaInput): Plan {
  const { ihpa, decision } = input;
  const blocking = blockingCauseOf(input);
  const claims = claimsOf(input, blocking);
  const isPassing = blocking !== undefined && !isRivalry(blocking);
  const mayAct = ihpa.spec.scaleMode === "Auto" && (blocking === undefined || isPassing);
  const hpa = isPassing ? "Keep" : managedHpa(ihpa, input.limits, input.exactHpa);
  const profile = isPassing || !decision?.desired ? "Keep" : profileOf(ihpa, decision.desired);
  return {
    hpa: mayAct && ihpa.spec.hpa === "Managed" ? hpa : undefined,
    profile: mayAct ? profile : undefined,
    portraits: blocking === undefined ? portraitsOf(ihpa) : "Keep",
    status: statusOf(input, blocking, claims),
    claims,
  };
}

function portraitsOf(ihpa: IntelligentHorizontalPodAutoscaler): KubeObject[] {
  const { name, namespace } = ihpa.metadata;
  return ihpa.spec.portraitProviders.flatMap(({ dynamic }) => {
    if (!dynamic) return [];
    // The algorithm is written out, so that a portrait shows how it is made; an external generator has its own default.
    const algorithm =
      dynamic.externalGeneratorName === undefined
        ? { ...dynamic.algorithm, type: algorithmOf(dynamic) }
        : dynamic.algorithm;
    const spec: HorizontalPortraitSpecWritten = {
      ...dynamic,
      ...(algorithm && { algorithm }),
      scaleTargetRef: ihpa.spec.scaleTargetRef,
      metrics: dynamic.metrics ?? ihpa.spec.metrics,
      prediction: ihpa.spec.prediction,
    };
    return [
      child(ihpa, "HorizontalPortrait", {
        metadata: {
          name: portraitName(name, dynamic.portraitType),
          namespace,
          labels: { [ihpaLabel]: name, [portraitTypeLabel]: dynamic.portraitType },
        },
        spec,
      }),
    ];
  });
}

function profileOf(ihpa: IntelligentHorizontalPodAutoscaler, desired: NonNullable<Decision["desired"]>): KubeObject {
  const { scaleUp, scaleDown, replicaProfile } = ihpa.spec.behavior;
  const [up, down] = [!scaleUp?.disabled, !scaleDown?.disabled];
  const spec: ReplicaProfileSpecWritten = {
    scaleTargetRef: ihpa.spec.scaleTargetRef,
    onlineReplicas: desired.online,
    cutoffReplicas: desired.cutoff,
    standbyReplicas: desired.standby,
    ...(ihpa.spec.standby && { standbyMode: ihpa.spec.standby.mode }),
    paused: ihpa.spec.paused,
    allowedScalingDirection: up ? (down ? "Both" : "Up") : down ? "Down" : "Neither",
    behavior: replicaProfile,
  };
  const { name, namespace } = ihpa.metadata;
  return child(ihpa, "ReplicaProfile", { metadata: { name, namespace, labels: { [ihpaLabel]: name } }, spec });
}

function child(
  ihpa: IntelligentHorizontalPodAutoscaler,
  kind: Kind,
  object: { metadata: KubeObject["metadata"]; spec: object },
): KubeObject {
  const metadata = { ...object.metadata, ownerReferences: [ownerReferenceTo(ihpa)] };
  return { apiVersion, kind, ...object, metadata };
}

function statusOf(
  input: IhpaInput,
  blocking: Cause | undefined,
  claims: readonly Claim[],
): IntelligentHorizontalPodAutoscalerStatus {
  const { ihpa, nowMs, scale, decision } = input;
  const now = stamp(nowMs);
  const before = ihpa.status;
  const current = "reason" in scale ? undefined : scale.replicas;
  const predictive = input.portraits.find(({ spec }) => spec.portraitType === "Predictive");
  const stands = decision !== undefined && blocking === undefined;
  const hpa = actingHpa(ihpa, input.hpas);
  const value =
    stands && decision.desired
      ? { provider: decision.provider ?? decision.reason, replicas: decision.desired.online }
      : undefined;
  const isNewValue = value && value.replicas !== before?.currentPortraitValue?.replicas;
  const previous = isNewValue ? before?.currentPortraitValue : before?.previousPortraitValue;
  const measured = predictive?.status?.accuracy;
  const accuracy = decision?.accuracy?.isCompared
    ? accuracyStatus(decision.accuracy, measured, now)
    : predictive && (before?.accuracy ?? measured);
  const portrait = predictive?.status?.portraitData;
  const forecastReplicas =
    portrait && decision ? replicasAt(portrait, nowMs + decision.lead.seconds * 1000) : undefined;
  const lastScaleTime =
    current !== undefined && before?.currentReplicas !== undefined && current !== before.currentReplicas
      ? now
      : before?.lastScaleTime;
  return {
    observedGeneration: ihpa.metadata.generation,
    ...(current !== undefined && { currentReplicas: current }),
    ...(stands && decision.total !== null && { desiredReplicas: decision.total }),
    ...(forecastReplicas !== undefined && { forecastReplicas }),
    ...(stands && {
      decision: {
        time: stamp(decision.timeMs),
        ...(decision.desired ?? { online: 0, cutoff: 0, standby: 0 }),
        total: decision.total ?? 0,
        rung: decision.rung,
        reason: decision.reason,
        message: decision.message.slice(0, 1024),
        ...(decision.provider && { provider: decision.provider }),
        load: decision.loads.map(({ name, value }) => ({ name, value })),
      },
      lead: { ...decision.lead, seconds: Math.round(decision.lead.seconds * 10) / 10 },
    }),
    ...(stands && decision.change && { gray: grayOf(decision.change) }),
    ...(accuracy && { accuracy }),
    ...(input.capacity && { capacity: input.capacity }),
    hpa: {
      mode: ihpa.spec.hpa,
      ...(hpa && { name: hpa.metadata.name }),
      ...(ihpa.spec.hpa !== "None" && { toleranceBand: ihpa.spec.hpa === "Managed" && input.exactHpa ? "0%" : "10%" }),
      ...(ihpa.spec.hpa === "Attached" && { metric: JSON.stringify(replicasMetricEntry(ihpa.metadata.name)) }),
    },
    ...(previous && { previousPortraitValue: previous }),
    ...(value && { currentPortraitValue: value }),
    ...(lastScaleTime && { lastScaleTime }),
    conditions: withClaims(before?.conditions, claims, ihpa.metadata.generation, now),
  };
}

function grayOf({ direction, from, to, percent, stepMs }: NonNullable<Decision["change"]>) {
  return { direction, from, to, grayPercent: percent, lastUpdateTime: stamp(stepMs) };
}
