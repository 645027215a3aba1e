import { quantileOfSorted } from "../series/statistics/robust-statistics.ts";
import { type FitScore, percent } from "./holdout.ts";
import type { ResponseObjective } from "./response-model.ts";
import { type Rows, rowsOf } from "./rows.ts";
import type { CapacitySamples } from "./samples.ts";
import { sizeResponse } from "./size-by-response-time.ts";
import { sizeUsage } from "./size-by-usage.ts";
import { type CapacityModelName, largestOf, type Sizing } from "./sizing.ts";

/** The model and the targets that pods are sized by. */
export interface CapacityRequest {
  readonly model: CapacityModelName;
  /** Usage that one pod should have, above 0. */
  readonly usageTarget?: number;
  readonly objective?: ResponseObjective;
}

export type CapacityFit =
  | {
      readonly kind: "Fitted";
      readonly model: "LinearWithBase" | "Residual" | "Queueing";
      readonly score: FitScore;
      /** Samples that the model was fitted to. */
      readonly samples: number;
      /** Range of each load per pod in the history. */
      readonly ranges: readonly { readonly lowest: number; readonly highest: number }[];
      /**
       * Pods for the loads, fractions included: at least 0, never falling with any load; NaN where a load is.
       *
       * @param loads one value a load, the workload's totals, at least 0
       */
      pods(loads: ArrayLike<number>): number;
      /** With one load: what so many pods carry, the inverse of `pods`. */
      carried(pods: number): number;
      /** Whether these loads, or the load per pod, lie above everything in the history. */
      extrapolates(loads: ArrayLike<number>): boolean;
      readonly message: string;
    }
  | { readonly kind: "Refused"; readonly message: string; readonly samples: number };

/**
 * Learns how many pods the loads need. Each model is fitted to the earlier days and scored on the last ones (holdout); the
 * simplest one, or a more complex one that is clearly better, is then fitted again to all days. With both a usage target and a
 * response time, Auto meets both. Where no model is good enough, the outcome is `Refused` with the reason, never a number of pods.
 *
 * @throws RangeError for a target or an objective that is not above 0
 */
export function fitCapacity(samples: CapacitySamples, request: CapacityRequest): CapacityFit {
  const { usageTarget, objective } = request;
  if (usageTarget !== undefined && !(usageTarget > 0 && Number.isFinite(usageTarget)))
    throw new RangeError(`a target per pod must be above 0: ${usageTarget}`);
  if (objective !== undefined && !(objective.seconds > 0 && Number.isFinite(objective.seconds)))
    throw new RangeError(`a response time must be above 0: ${objective.seconds}`);
  const sizings: Sizing[] = [];
  const rejections: string[] = [];
  const add = (found: Sizing | string) => {
    if (typeof found === "string") rejections.push(found);
    else sizings.push(found);
  };
  const byUsage = samples.usage && rowsOf(samples, samples.usage);
  if (request.model !== "Queueing" && usageTarget !== undefined)
    add(byUsage ? sizeUsage(byUsage, usageTarget, request.model) : "there is no usage history");
  if ((request.model === "Auto" || request.model === "Queueing") && objective !== undefined) {
    const byResponse = samples.responseSeconds && rowsOf(samples, samples.responseSeconds, byUsage && samples.usage);
    if (samples.loads.length > 1) rejections.push("a response time objective works with one load only");
    else add(byResponse ? sizeResponse(byResponse, objective) : "there is no history of response times");
  }
  const rows = rowsOf(samples, samples.pods);
  if (sizings.length === 0)
    return {
      kind: "Refused",
      message: rejections.join("; ") || "neither a usage target nor a response time objective is set",
      samples: rows.pods.length,
    };
  return joinSizings(sizings, rejections, rows);
}

/** Meets every target: the most pods that any of them needs. */
function joinSizings(sizings: readonly Sizing[], rejections: readonly string[], rows: Rows): CapacityFit {
  const ranges = rows.perPod.map((values) => {
    const sorted = values.toSorted();
    return { lowest: quantileOfSorted(sorted, 0.005), highest: sorted[sorted.length - 1] };
  });
  const highest = rows.loads.map(largestOf);
  const count = rows.loads.length;
  const at = new Float64Array(count);
  const pods = (loads: ArrayLike<number>) => {
    for (let j = 0; j < count; j++) {
      if (Number.isNaN(loads[j])) return Number.NaN;
      at[j] = Math.max(0, loads[j]);
    }
    return Math.max(...sizings.map((each) => each.pods(at)));
  };
  const worst = sizings.reduce((a, b) => (b.score.wape > a.score.wape ? b : a));
  const fits = sizings.map(
    ({ description, score }) =>
      `${description}; R² ${score.r2.toFixed(2)}, error ${percent(score.wape)} on the held-out days`,
  );
  return {
    kind: "Fitted",
    model: sizings.find(({ model }) => model === "Queueing")?.model ?? sizings[0].model,
    score: worst.score,
    samples: Math.min(...sizings.map((each) => each.samples)),
    ranges,
    pods,
    carried: (n) => Math.min(...sizings.map((each) => each.carried(n))),
    extrapolates: (loads) => {
      const n = pods(loads);
      return ranges.some((range, j) => loads[j] > highest[j] || (n > 0 && loads[j] / n > 1.001 * range.highest));
    },
    message: [...fits, ...rejections].join("; "),
  };
}
