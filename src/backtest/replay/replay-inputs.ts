import { type Demand, demandSeries, type LearnedCapacity, learnFromColumns, perPod } from "../../capacity/demand.ts";
import { interpolate } from "../../series/gaps.ts";
import type { Series } from "../../series/series.ts";
import { lagMs, type ReplayRules, type Span, tickMs, type Workload } from "../workload.ts";
import { loadAt } from "./load.ts";
import { oracleReplicas } from "./oracle.ts";

/** What all policies of a replay see alike: the demand, what is read of it and when, and the cluster's start-up time. */
export interface ReplayInputs {
  readonly workload: Workload;
  readonly span: Span;
  readonly ticks: number;
  readonly startupMs: number;
  readonly limits: { readonly minReplicas: number; readonly maxReplicas: number };
  /** Pods that the load needs at each tick, fractional; 0 where the load is not known: no policy is short there. */
  readonly needed: Float64Array;
  /** Pods that a clairvoyant has at each tick; the first is everyone's start. */
  readonly oracle: Float64Array;
  readonly metrics: readonly ReplayMetric[];
  readonly demands: readonly ReplayDemand[];
  /** What was learnt of the capacity from the past; undefined where the spec asks for none. */
  readonly capacity: LearnedCapacity | undefined;
}

/** What policies read. */
export interface ReplayMetric {
  readonly name: string;
  readonly podTarget: number;
  readonly load: Series;
  /** The metric as Forescale reads it at each tick, in the metric's unit; NaN where there is none. */
  readonly atTick: Float64Array;
  /** The same as the HPA reads it at its sync, in pods by the metric's target. */
  readonly atSync: Float64Array;
}

/** What asks for pods, and is forecast: a metric, or several that size the workload together. */
export interface ReplayDemand {
  readonly name: string;
  /** In the metric's unit; in pods where it is several. */
  readonly load: Series;
  /** Pods for a value of the load; never falls with it, NaN for NaN. */
  pods(value: number): number;
}

/** The HPA's syncs fall between two decisions, as they do in a cluster that keeps no common time. */
export const syncDelayMs = tickMs / 2;

/** Lays the ticks of a replay. The load is linear between the middles of its steps, for all policies. */
export function replayInputsOf(workload: Workload, span: Span, rules: ReplayRules): ReplayInputs {
  const ticks = Math.floor((span.replayUntilMs - span.replayFromMs) / tickMs);
  const at = (k: number) => span.replayFromMs + k * tickMs;
  const metrics = [...workload.loads].map(([name, load]): ReplayMetric => {
    const podTarget = workload.podTargets.get(name)!;
    return {
      name,
      podTarget,
      load,
      atTick: Float64Array.from({ length: ticks }, (_, k) => loadAt(load, at(k) - lagMs)),
      atSync: Float64Array.from({ length: ticks }, (_, k) => loadAt(load, at(k) + syncDelayMs - lagMs) / podTarget),
    };
  });
  const capacity = learntCapacity(workload, span);
  const demands = demandsOf(workload, capacity?.demand);
  const needed = new Float64Array(ticks);
  for (const { load, pods } of demands) {
    // Where nothing was measured, load went on all the same.
    const asked = { ...load, values: interpolate(load.values) };
    for (let k = 0; k < ticks; k++) needed[k] = Math.max(needed[k], pods(loadAt(asked, at(k))) || 0);
  }
  const limits = { minReplicas: workload.spec.minReplicas ?? 1, maxReplicas: workload.spec.maxReplicas };
  const startupMs = rules.startupSeconds * 1000;
  const oracle = oracleReplicas(needed, Math.ceil(startupMs / tickMs)).map((pods) =>
    Math.max(pods, limits.minReplicas),
  );
  return { workload, span, ticks, startupMs, limits, needed, oracle, metrics, demands, capacity };
}

/** The capacity that the spec asks for, learnt as the controller does, from what is known when the replay begins. */
function learntCapacity({ spec, loads, columns }: Workload, span: Span): LearnedCapacity | undefined {
  if (spec.capacity === undefined) return undefined;
  const unused = spec.capacity.loads.find((name) => !loads.has(name));
  if (unused !== undefined) return perPod(`no provider uses the load ${unused}, so its target is used`);
  const past = [...loads, ...(columns ?? [])].map(([name, series]) => [name, learntPart(series, span)] as const);
  return learnFromColumns(spec.capacity, new Map(past));
}

function demandsOf({ loads, podTargets }: Workload, demand: Demand | undefined): ReplayDemand[] {
  const demands: ReplayDemand[] = [];
  for (const [name, load] of loads) {
    const podTarget = podTargets.get(name)!;
    if (!demand?.loads.includes(name)) demands.push({ name, load, pods: (value) => value / podTarget });
  }
  if (demand === undefined) return demands;
  const sized = demand.loads.map((name) => loads.get(name)!);
  return sized.length === 1
    ? [...demands, { name: demand.name, load: sized[0], pods: (value) => demand.pods([value]) }]
    : [...demands, { name: demand.name, load: demandSeries(demand, sized), pods: (value) => value }];
}

/** The history that is known when the replay begins. */
export function learntPart({ startMs, stepMs, values }: Series, { replayFromMs }: Span): Series {
  return { startMs, stepMs, values: values.slice(0, Math.floor((replayFromMs - startMs) / stepMs)) };
}
