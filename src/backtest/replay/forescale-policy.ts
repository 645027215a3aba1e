import { replicasMetric } from "../../api/labels.ts";
import type { Decision, DecisionTick } from "../../decide/decision.ts";
import type { LoadForecast } from "../../decide/demand/load-forecast.ts";
import { createRecommender } from "../../decide/recommender.ts";
import { createHpa } from "../../hpa/hpa.ts";
import type { MetricReading } from "../../hpa/metric-replicas.ts";
import { lagMs, tickMs } from "../workload.ts";
import type { Policy } from "./cluster.ts";
import { managedHpaModel } from "./managed-hpa-model.ts";
import { learntPart, type ReplayInputs } from "./replay-inputs.ts";

/**
 * Forescale as the controller runs it: the same recommender, its number read by an HPA and its pod states carried out. A Managed HPA
 * follows the number exactly; an Attached one goes by Kubernetes' defaults. `paused` and `Preview` are left out: the question is what
 * it would do.
 *
 * @param forecast the forecast of one of the replay's demands that is known at a moment
 * @param onDecision called with every decision and the tick that it was made for
 * @throws RangeError for a metric whose target does not tell what one pod carries
 */
export function forescalePolicy(
  inputs: ReplayInputs,
  forecast: (metric: string, timeMs: number) => LoadForecast | undefined,
  onDecision: (decision: Decision, tick: DecisionTick) => void = () => {},
): Policy {
  const { workload, limits, span, metrics, capacity } = inputs;
  const spec = { ...workload.spec, paused: false, scaleMode: "Auto" as const };
  const recommender = createRecommender(spec, {
    histories: new Map(metrics.map(({ name, load }) => [name, learntPart(load, span)])),
    forecast,
    hasForecasts: true,
    tickMs,
    syncSeconds: tickMs / 1000,
    podTargets: workload.podTargets,
    ...(capacity?.demand && { demand: capacity.demand }),
  });
  const follower = managedHpaModel(limits);
  const hpa = createHpa(spec.hpa === "Attached" ? { ...limits, metrics: follower.metrics } : follower);
  return ({ tick, nowMs, syncMs, online, starting, cutoff, standby, startupSeconds }) => {
    const observed: DecisionTick = {
      timeMs: nowMs,
      loads: new Map(metrics.map(({ name, atTick }) => [name, Number.isNaN(atTick[tick]) ? null : atTick[tick]])),
      lagMs,
      replicas: { online, cutoff, standby, starting },
      startupSeconds,
    };
    const decision = recommender.decide(observed);
    onDecision(decision, observed);
    const { total, desired } = decision;
    const read: MetricReading =
      total === null ? { kind: "Missing", why: `${replicasMetric} has expired` } : { kind: "Values", values: [total] };
    const present = online + starting + cutoff + standby;
    const { replicas } = hpa.step(syncMs, [read], { spec: present, status: present, ready: online });
    return desired === undefined ? replicas : { replicas, desired };
  };
}
