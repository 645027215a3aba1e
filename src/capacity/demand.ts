import { type Capacity, type CapacityStatus, jointLoad, responseTimeOf } from "../api/fields/capacity.ts";
import { readQuantity } from "../api/values/quantity.ts";
import type { Series } from "../series/series.ts";
import { type CapacityFit, fitCapacity } from "./fit-capacity.ts";
import { type CapacityHistory, capacitySamples, layOver } from "./samples.ts";

/** Demand in pods, made of one load or several: one metric takes the place of all of them. */
export interface Demand {
  /** Of the metric: the load's own where there is one, in its own unit; else `capacity`, in pods. */
  readonly name: string;
  /** Names of the loads, in the order of `pods`. */
  readonly loads: readonly string[];
  /** Pods for the workload's totals; NaN where one of them is. Never falls with a load. */
  pods(loads: ArrayLike<number>): number;
  /** What so many pods carry, in the unit of `name`. */
  carried(pods: number): number;
  /** Whether pods for these loads rest on more load than was ever seen. */
  extrapolates(loads: ArrayLike<number>): boolean;
}

/** What was learnt. */
export interface LearntCapacity {
  /** Undefined where each metric's target holds. */
  readonly demand: Demand | undefined;
  /** For the status; when, and whether it extrapolates now, is the caller's to add. */
  readonly status: CapacityStatus;
}

/** Learns the capacity that a spec asks for. Whatever the history, there is an answer: the targets hold where nothing is good enough. */
export function learnCapacity(spec: Capacity, history: CapacityHistory): LearntCapacity {
  const { model, loads, usage, objective, responseTime } = spec;
  if (model === "PerPod") return perPod("each metric's target is what a pod carries, as asked for");
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
    return perPod(`each metric's target is what a pod carries, as ${fit.message}`, fit.samples);
  return { demand: demandOf(loads, fit), status: statusOf(loads, fit) };
}

/** Names of the series that a capacity is learnt from beside its loads. */
export function capacityColumns({ model, usage, responseTime, pods }: Capacity): string[] {
  if (model === "PerPod") return [];
  return [pods.name, ...(usage ? [usage.name] : []), ...(responseTime ? [responseTime.name] : [])];
}

/**
 * `learnCapacity` from series by their names, as a history file has them.
 *
 * @param columns of the loads and of `capacityColumns`; where one is missing, the targets hold and the status says which
 */
export function learnFromColumns(spec: Capacity, columns: ReadonlyMap<string, Series>): LearntCapacity {
  const { loads, usage, responseTime, pods } = spec;
  const missing = [...loads, ...capacityColumns(spec)].filter((name) => !columns.has(name));
  if (missing.length > 0 && spec.model !== "PerPod")
    return perPod(
      `each metric's target is what a pod carries, as the history has no column ${missing.join(", ")} to learn from; add it`,
    );
  const column = (name: string) => columns.get(name) as Series; // a PerPod model reads none
  return learnCapacity(spec, {
    loads: loads.map(column),
    pods: column(pods.name),
    ...(usage && { usage: column(usage.name) }),
    ...(responseTime && { responseSeconds: column(responseTime.name) }),
  });
}

/** What holds while nothing is learnt. */
export function perPod(message: string, samples?: number): LearntCapacity {
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

/** Demand over time, in pods, where all the loads reach. */
export function demandSeries({ pods }: Demand, loads: readonly Series[]): Series {
  const { startMs, stepMs, columns } = layOver(loads, [], loads[0].stepMs);
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
