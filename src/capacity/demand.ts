import { type Capacity, type CapacityStatus, jointLoad, responseTimeOf } from "../api/fields/capacity.ts";
import { readQuantity } from "../api/values/quantity.ts";
import type { Series } from "../series/series.ts";
import { type CapacityFit, fitCapacity } from "./fit-capacity.ts";
import { align, type CapacityHistory, capacitySamples } from "./samples.ts";

/** Demand in pods, from one load or several: it replaces their metrics by one. */
export interface Demand {
  /** Name of the metric: the load's own where there is only one, in its unit; else `capacity`, in pods. */
  readonly name: string;
  /** Names of the loads, in the order of `pods`. */
  readonly loads: readonly string[];
  /** Pods for the workload's totals; NaN where one of them is. Never falls with a load. */
  pods(loads: ArrayLike<number>): number;
  /** The load that so many pods carry, in the unit of `name`. */
  carried(pods: number): number;
  /** Whether these loads lie above everything in the history. */
  extrapolates(loads: ArrayLike<number>): boolean;
}

/** A learned capacity. */
export interface LearnedCapacity {
  /** Undefined where each metric's target applies. */
  readonly demand: Demand | undefined;
  /** For the status; when, and whether it extrapolates now, is the caller's to add. */
  readonly status: CapacityStatus;
}

/** Learns the capacity that a spec asks for. Where no model is good enough, the metrics' targets apply. */
export function learnCapacity(spec: Capacity, history: CapacityHistory): LearnedCapacity {
  const { model, loads, usage, objective, responseTime } = spec;
  if (model === "PerPod")
    return perPod("each metric's target is the load that a pod carries, as spec.capacity.model is PerPod");
  const fit = fitCapacity(capacitySamples(history), {
    model,
    ...(usage?.target !== undefined && { usageTarget: readQuantity(usage.target) }),
    ...(objective && {
      objective: {
        seconds: responseTimeOf(objective.responseTime),
        share: shareOf(objective.percentile),
        measured: shareOf(responseTime?.percentile),
      },
    }),
  });
  if (fit.kind === "Refused")
    return perPod(`each metric's target is the load that a pod carries, as ${fit.message}`, fit.samples);
  return { demand: demandOf(loads, fit), status: statusOf(loads, fit) };
}

/** Names of the series that a capacity is learned from, besides its loads. */
export function capacityColumns({ model, usage, responseTime, pods }: Capacity): string[] {
  if (model === "PerPod") return [];
  return [pods.name, ...(usage ? [usage.name] : []), ...(responseTime ? [responseTime.name] : [])];
}

/**
 * `learnCapacity` from series by their names, as a history file has them.
 *
 * @param columns of the loads and of `capacityColumns`; where one is missing, the targets apply and the status names it
 */
export function learnFromColumns(spec: Capacity, columns: ReadonlyMap<string, Series>): LearnedCapacity {
  const { loads, usage, responseTime, pods } = spec;
  const missing = [...loads, ...capacityColumns(spec)].filter((name) => !columns.has(name));
  if (missing.length > 0 && spec.model !== "PerPod")
    return perPod(
      `each metric's target is the load that a pod carries, as the history has no column ${missing.join(", ")}; add it to learn the capacity`,
    );
  const column = (name: string) => columns.get(name) as Series; // a PerPod model reads none
  return learnCapacity(spec, {
    loads: loads.map(column),
    pods: column(pods.name),
    ...(usage && { usage: column(usage.name) }),
    ...(responseTime && { responseSeconds: column(responseTime.name) }),
  });
}

/** The capacity while nothing is learned: each metric's target. */
export function perPod(message: string, samples?: number): LearnedCapacity {
  const status = {
    model: "PerPod" as const,
    message: message.slice(0, 1024),
    ...(samples !== undefined && { samples }),
  };
  return { demand: undefined, status };
}

function shareOf(percentile: number | undefined): number | undefined {
  return percentile === undefined ? undefined : percentile / 100;
}

function demandOf(loads: readonly string[], fit: Extract<CapacityFit, { kind: "Fitted" }>): Demand {
  const { pods, extrapolates } = fit;
  const isOne = loads.length === 1;
  return {
    name: isOne ? loads[0] : jointLoad,
    loads,
    pods,
    carried: isOne ? fit.carried : (count) => count,
    extrapolates,
  };
}

function statusOf(loads: readonly string[], fit: Extract<CapacityFit, { kind: "Fitted" }>): CapacityStatus {
  const { model, score, samples, ranges, message } = fit;
  return {
    model,
    r2: rounded(score.r2),
    error: rounded(score.wape),
    samples,
    rangeSeen: loads.map((name, j) => ({
      name,
      lowest: rounded(ranges[j].lowest),
      highest: rounded(ranges[j].highest),
    })),
    message: message.slice(0, 1024),
  };
}

/** Demand over time, in pods, over the time that all loads cover. */
export function demandSeries({ pods }: Demand, loads: readonly Series[]): Series {
  const { startMs, stepMs, columns } = align(loads, [], loads[0].stepMs);
  const at = new Float64Array(loads.length);
  const values = columns[0].map((_, i) => {
    for (let j = 0; j < loads.length; j++) at[j] = columns[j][i];
    return pods(at);
  });
  return { startMs, stepMs, values };
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
