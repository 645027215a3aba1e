import type { LeadForecast } from "../demand/lead-forecast.ts";
import type { GateVerdict } from "../gate/accuracy-gate.ts";

/** What one metric asks for at a tick, in pods. */
export type MetricDemand = LiveDemand | SilentDemand | UnknownDemand;

/** The source answers, or did so within the last few ticks. */
export interface LiveDemand {
  readonly kind: "Live";
  /** Demand observed, as a fraction of a pod where need be. */
  readonly observed: number;
  /** Pods for the largest demand expected over the lead. */
  readonly wanted: number;
  readonly method: LeadForecast["method"] | "Forecast";
  /** Whether `wanted` rests on more than the observed value and its margin. */
  readonly usesForecast: boolean;
  /** Whether an implausible forecast was cut. */
  readonly isCut: boolean;
  /** Whether nothing was learnt as history, long enough, does not show what happens within minutes. */
  readonly isCoarse: boolean;
  /** What the gate says of the forecast; where it is not trusted, `wanted` rests on what was observed alone. */
  readonly verdict: GateVerdict;
  /** Pods that a burst under way asks for; undefined while there is none, or no Burst provider uses the metric. */
  readonly burst: number | undefined;
  /** Age of `observed`: 0, or a little more where values are late or implausible. */
  readonly silentMs: number;
}

/** The source is silent: `wanted` is the stored forecast's, or the last decision's on its way down to it. */
export interface SilentDemand {
  readonly kind: "Silent";
  readonly wanted: number;
  readonly hasForecast: boolean;
  /** Whether the stored forecast is implausible, and was cut. */
  readonly isCut: boolean;
  readonly silentMs: number;
}

/** Neither a value nor a forecast. */
export interface UnknownDemand {
  readonly kind: "Unknown";
  readonly silentMs: number;
}

/** Pods for a demand; rounding noise of one part in 10⁹ starts no pod. */
export function wholePods(demand: number): number {
  return Math.ceil(demand - 1e-9 * Math.max(1, Math.abs(demand)));
}

/** Pods for what is there now: for each metric its newest value and a burst under way, or, of a silent one, what it last asked for. */
export function observedPods(demands: ReadonlyMap<string, MetricDemand>): number {
  let most = 0;
  for (const demand of demands.values()) {
    if (demand.kind === "Live") most = Math.max(most, wholePods(demand.observed), demand.burst ?? 0);
    if (demand.kind === "Silent") most = Math.max(most, demand.wanted);
  }
  return most;
}
