import { replicasMetric } from "../../api/labels.ts";
import type { Decision } from "../../decide/decision.ts";
import { createDemandPath } from "../../decide/demand/capacity-demand.ts";
import type { LoadForecast } from "../../decide/demand/load-forecast.ts";
import { createHpa } from "../../hpa/hpa.ts";
import type { MetricReading } from "../../hpa/metric-replicas.ts";
import { createSchedule } from "../../portrait/schedule.ts";
import { lagMs, tickMs } from "../workload.ts";
import type { Policy } from "./cluster.ts";
import { followerHpa } from "./managed-hpa-model.ts";
import { learntPart, type Scene } from "./replay-inputs.ts";

/**
 * Forescale as the controller runs it: the same decision path, the number read by an HPA. A Managed HPA follows it exactly;
 * an Attached one goes by Kubernetes' defaults. `paused` is left out: the question is what it would do.
 *
 * @param outlook the forecast of one of the scene's demands that is known at a moment
 * @param onDecision told of every decision
 * @throws RangeError for a metric whose target does not tell what one pod carries
 */
export function forescalePolicy(
  scene: Scene,
  outlook: (metric: string, timeMs: number) => LoadForecast | undefined,
  onDecision: (decision: Decision) => void = () => {},
): Policy {
  const { workload, limits, span, metrics, capacity } = scene;
  const spec = { ...workload.spec, paused: false };
  const path = createDemandPath(
    spec,
    {
      schedule: createSchedule(spec),
      histories: new Map(metrics.map(({ name, load }) => [name, learntPart(load, span)])),
      outlook,
      hasOutlooks: true,
      tickMs,
      syncSeconds: tickMs / 1000,
      podTargets: workload.podTargets,
    },
    capacity?.demand,
  );
  const follower = followerHpa(limits);
  const hpa = createHpa(spec.hpa === "Attached" ? { ...limits, metrics: follower.metrics } : follower);
  return ({ tick, nowMs, syncMs, online, starting, startupSeconds }) => {
    const decision = path.decide({
      timeMs: nowMs,
      loads: new Map(metrics.map(({ name, atTick }) => [name, Number.isNaN(atTick[tick]) ? null : atTick[tick]])),
      lagMs,
      replicas: { online, cutoff: 0, standby: 0, starting },
      startupSeconds,
    });
    onDecision(decision);
    const { total } = decision;
    const read: MetricReading =
      total === null ? { kind: "Missing", why: `${replicasMetric} has expired` } : { kind: "Values", values: [total] };
    const present = online + starting;
    return hpa.step(syncMs, [read], { spec: present, status: present, ready: online }).replicas;
  };
}
