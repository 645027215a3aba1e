import type { IntelligentHorizontalPodAutoscaler } from "../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readManifest } from "../../src/api/validation/read-manifest.ts";
import { sizePods } from "../../src/backtest/replay/load.ts";
import type { Workload } from "../../src/backtest/workload.ts";
import { manifestText } from "../../src/demo/manifest.ts";
import { departureRate } from "./departures.ts";

export const metric = "departures";
/** Start-up time of the simulated pods, and how often the HPA looks. */
export const startupSeconds = 60;
export const syncSeconds = 15;
export const leadSeconds = startupSeconds + syncSeconds;
export const podCarries = sizePods(departureRate());

/** The demo's workload. @param edit changes its manifest's text */
export function ihpaOf(quantile: string, edit = (text: string) => text): IntelligentHorizontalPodAutoscaler {
  const text = edit(manifestText({ metric, podCarries }, quantile));
  return readManifest(text, { kind: "IntelligentHorizontalPodAutoscaler" }).object;
}

export function workloadOf(quantile: string): Workload {
  return {
    name: metric,
    spec: ihpaOf(quantile).spec,
    loads: new Map([[metric, departureRate()]]),
    podTargets: new Map([[metric, podCarries]]),
  };
}
