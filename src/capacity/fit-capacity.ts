import { quantileOfSorted } from "../series/statistics/robust-statistics.ts";
import { type FitScore, faultOfFit, firstHeldBack, percent, scoreOf } from "./holdout.ts";
import {
  busyForObjective,
  fitOneQueue,
  fitSharing,
  fittedResponse,
  type ResponseModel,
  type ResponseObjective,
  sizeOneQueue,
} from "./response-model.ts";
import type { CapacitySamples } from "./samples.ts";
import { fitLinearUsage, fitResidualUsage, furthest, sizeByUsage, type UsageModel } from "./usage-model.ts";

/** What the capacity shall keep to. */
export interface CapacityRequest {
  readonly model: "Auto" | "LinearWithBase" | "Residual" | "Queueing";
  /** Usage that is right for one pod, above 0. */
  readonly usageTarget?: number;
  readonly objective?: ResponseObjective;
}

export type CapacityFit =
  | {
      readonly kind: "Fitted";
      readonly model: "LinearWithBase" | "Residual" | "Queueing";
      readonly score: FitScore;
      /** Moments learnt from. */
      readonly samples: number;
      /** Of each load, per pod. */
      readonly ranges: readonly { readonly lowest: number; readonly highest: number }[];
      /**
       * Pods for the loads, as a fraction where need be: at least 0, never falling with any load; NaN where a load is.
       *
       * @param loads one value a load, the workload's totals, at least 0
       */
      pods(loads: ArrayLike<number>): number;
      /** With one load: what so many pods carry, the inverse of `pods`. */
      carried(pods: number): number;
      /** Whether pods for these loads rest on more load, in all or per pod, than was ever seen. */
      extrapolates(loads: ArrayLike<number>): boolean;
      readonly message: string;
    }
  | { readonly kind: "Refused"; readonly message: string; readonly samples: number };

const samplesNeeded = 48;
/** Usage that the highest load raises by less of an idle pod's is not made by the load. */
const leastRise = 0.05;
/** A richer model has to be this much better than a simpler one, on the days held back. */
const worthIt = 0.95;

/**
 * Learns how pods follow from the loads. Each model learns from the earlier days and is judged on the last ones; the simplest
 * that is good enough, or one that is clearly better, is then learnt anew from all of them. Where both a usage target and a
 * response time are asked for, Auto keeps both. Nothing good enough is an outcome with its reason, and never a number of pods.
 *
 * @throws RangeError for a target or an objective that is not above 0
 */
export function fitCapacity(samples: CapacitySamples, wish: CapacityRequest): CapacityFit {
  const { usageTarget, objective } = wish;
  if (usageTarget !== undefined && !(usageTarget > 0 && Number.isFinite(usageTarget)))
    throw new RangeError(`a target per pod must be above 0: ${usageTarget}`);
  if (objective !== undefined && !(objective.seconds > 0 && Number.isFinite(objective.seconds)))
    throw new RangeError(`a response time must be above 0: ${objective.seconds}`);
  const tries: Sizing[] = [];
  const faults: string[] = [];
  const take = (found: Sizing | string) => {
    if (typeof found === "string") faults.push(found);
    else tries.push(found);
  };
  const byUsage = samples.usage && rowsOf(samples, samples.usage);
  if (wish.model !== "Queueing" && usageTarget !== undefined)
    take(byUsage ? sizeUsage(byUsage, usageTarget, wish.model) : "usage has no history");
  if ((wish.model === "Auto" || wish.model === "Queueing") && objective !== undefined) {
    const byResponse = samples.responseSeconds && rowsOf(samples, samples.responseSeconds, byUsage && samples.usage);
    if (samples.loads.length > 1) faults.push("a response time can be kept to for one load only");
    else take(byResponse ? sizeResponse(byResponse, objective) : "the response time has no history");
  }
  const rows = rowsOf(samples, samples.pods);
  if (tries.length === 0)
    return {
      kind: "Refused",
      message: faults.join("; ") || "nothing to learn from is named",
      samples: rows.pods.length,
    };
  return joined(tries, faults, rows);
}

/** Moments at which all is known, with loads per pod. */
interface Rows {
  readonly timesMs: Float64Array;
  readonly loads: readonly Float64Array[];
  readonly perPod: readonly Float64Array[];
  readonly pods: Float64Array;
  /** Usage or response time, as measured. */
  readonly measured: Float64Array;
  /** Usage per pod beside a response time; NaN where it is not known. */
  readonly usage?: Float64Array;
}

/** One wish come true. */
interface Sizing {
  readonly model: "LinearWithBase" | "Residual" | "Queueing";
  readonly score: FitScore;
  readonly samples: number;
  pods(loads: ArrayLike<number>): number;
  carried(pods: number): number;
  readonly says: string;
}

function rowsOf(samples: CapacitySamples, measured: Float64Array, beside?: Float64Array): Rows {
  const { pods, loads } = samples;
  const kept: number[] = [];
  for (let i = 0; i < pods.length; i++) {
    const known = pods[i] > 0 && Number.isFinite(pods[i]) && Number.isFinite(measured[i]) && measured[i] >= 0;
    if (known && loads.every((load) => Number.isFinite(load[i]) && load[i] >= 0)) kept.push(i);
  }
  const pick = (values: Float64Array) => Float64Array.from(kept, (i) => values[i]);
  const each = (values: Float64Array) => Float64Array.from(kept, (i) => values[i] / pods[i]);
  return {
    timesMs: pick(samples.timesMs),
    loads: loads.map(pick),
    perPod: loads.map(each),
    pods: pick(pods),
    measured: pick(measured),
    ...(beside && { usage: each(beside) }),
  };
}

function part(rows: Rows, from: number, to: number): Rows {
  const cut = (values: Float64Array) => values.subarray(from, to);
  return {
    timesMs: cut(rows.timesMs),
    loads: rows.loads.map(cut),
    perPod: rows.perPod.map(cut),
    pods: cut(rows.pods),
    measured: cut(rows.measured),
    ...(rows.usage && { usage: cut(rows.usage) }),
  };
}

function only(rows: Rows, wanted: (i: number) => boolean): Rows {
  const kept = Uint32Array.from(rows.pods.keys()).filter((i) => wanted(i));
  const pick = (values: Float64Array) => Float64Array.from(kept, (i) => values[i]);
  return {
    timesMs: pick(rows.timesMs),
    loads: rows.loads.map(pick),
    perPod: rows.perPod.map(pick),
    pods: pick(rows.pods),
    measured: pick(rows.measured),
    ...(rows.usage && { usage: pick(rows.usage) }),
  };
}

/** The rows to learn from and those to judge on; or why there are too few. */
function split(rows: Rows, of: string): { before: Rows; after: Rows } | string {
  const n = rows.pods.length;
  const first = firstHeldBack(rows.timesMs);
  if (n < samplesNeeded || first < samplesNeeded / 2)
    return `${of} is known together with loads and pods at ${n} moments; ${samplesNeeded} are needed`;
  return { before: part(rows, 0, first), after: part(rows, first, n) };
}

const usageShapes = ["Proportional", "LinearWithBase", "Residual"] as const;

function learnUsage(shape: (typeof usageShapes)[number], rows: Rows): UsageModel | undefined {
  const usage = usagePerPod(rows);
  const linear = fitLinearUsage(rows.perPod, usage, shape !== "Proportional");
  return shape === "Residual" ? fitResidualUsage(rows.perPod, usage, linear) : linear;
}

function usagePerPod({ measured, pods }: Rows): Float64Array {
  return measured.map((value, i) => value / pods[i]);
}

function fittedUsage(model: UsageModel, { perPod, pods }: Rows): Float64Array {
  const at = new Float64Array(perPod.length);
  return pods.map((_, i) => {
    for (let j = 0; j < at.length; j++) at[j] = perPod[j][i];
    return model.usage(at);
  });
}

/** The usage model that did best where it had not looked, learnt from all of it. */
function chooseUsage(rows: Rows, wanted: CapacityRequest["model"]): { model: UsageModel; score: FitScore } | string {
  const parts = split(rows, "usage");
  if (typeof parts === "string") return parts;
  const shapes = usageShapes.filter(
    (shape) => wanted === "Auto" || shape !== (wanted === "Residual" ? "Proportional" : "Residual"),
  );
  let best: { shape: (typeof usageShapes)[number]; score: FitScore } | undefined;
  for (const shape of shapes) {
    const model = learnUsage(shape, parts.before);
    if (model === undefined) continue;
    const score = scoreOf(usagePerPod(parts.after), fittedUsage(model, parts.after));
    const isWished = wanted === "Residual" && shape === "Residual";
    if (best === undefined || isWished || score.wape < worthIt * best.score.wape) best = { shape, score };
  }
  const fault = best && faultOfFit(best.score);
  if (best === undefined || fault !== undefined) return `usage does not follow the load well enough: ${fault}`;
  const model = learnUsage(best.shape, rows)!;
  const rises = model.slopes.some((slope, j) => slope * largestOf(rows.perPod[j]) > leastRise * model.base);
  if (!rises) return "usage does not rise with the load, so the load can't size the workload";
  return { model, score: best.score };
}

function sizeUsage(rows: Rows, target: number, wanted: CapacityRequest["model"]): Sizing | string {
  const chosen = chooseUsage(rows, wanted);
  if (typeof chosen === "string") return chosen;
  const { model, score } = chosen;
  const size = sizeByUsage(model, rows.perPod, target);
  if (size === undefined)
    return `an idle pod uses ${short(model.base)} already, so a target of ${short(target)} per pod can't be met by any number of pods; raise the target`;
  const unit = size.pods(model.slopes.map(() => 1)); // of use with one load: pods rise in proportion to it
  return {
    model: model.name,
    score,
    samples: rows.pods.length,
    pods: size.pods,
    carried: (pods) => pods / unit,
    says: `${usageSays(model)}${rows.perPod.length === 1 ? `, so it carries ${short(1 / unit)} at ${short(target)}` : ""}${size.isCut ? cutSays : ""}`,
  };
}

const cutSays = ` (cut to ${furthest} times the most seen, until more has been)`;

function usageSays({ name, base, slopes }: UsageModel): string {
  const each = slopes.map((slope) => short(slope)).join(" and ");
  const more = `${each} more for each unit of ${slopes.length > 1 ? "the loads" : "load"}`;
  return `a pod uses ${short(base)} idle and ${more}${name === "Residual" ? ", along a curve" : ""}`;
}

/** Response models, with what each is learnt from. */
const responseShapes = ["Sharing", "SharingByUsage", "OneQueue"] as const;

function learnResponse(shape: (typeof responseShapes)[number], rows: Rows): ResponseModel | undefined {
  switch (shape) {
    case "Sharing":
      return fitSharing(rows.perPod[0], rows.measured);
    case "SharingByUsage":
      return rows.usage && fitSharing(rows.usage, rows.measured);
    case "OneQueue":
      return fitOneQueue(rows.loads[0], rows.pods, rows.measured);
  }
}

function sizeResponse(all: Rows, objective: ResponseObjective): Sizing | string {
  const rows = only(all, (i) => all.loads[0][i] > 0 && all.measured[i] > 0);
  const parts = split(rows, "the response time");
  if (typeof parts === "string") return parts;
  // Usage beside it counts only where it is always known, and where it follows the load.
  const hasUsage = rows.usage?.every((value) => value > 0) ?? false;
  const usage = hasUsage
    ? chooseUsage({ ...rows, measured: rows.usage!.map((value, i) => value * rows.pods[i]) }, "Auto")
    : "";

  const flat = scoreOf(parts.after.measured, constantOf(parts.before.measured, parts.after.measured.length));
  let best: { shape: (typeof responseShapes)[number]; score: FitScore } | undefined;
  for (const shape of responseShapes) {
    if (shape === "OneQueue" && objective.measured !== undefined) continue; // a percentile is not what it tells of
    if (shape === "SharingByUsage" && typeof usage === "string") continue;
    const model = learnResponse(shape, parts.before);
    if (model === undefined) continue;
    const x = shape === "SharingByUsage" ? parts.after.usage! : parts.after.perPod[0];
    const fitted = parts.after.measured.map((_, i) =>
      Math.min(1e6, fittedResponse(model, parts.after.loads[0][i], x[i], parts.after.pods[i])),
    );
    const score = scoreOf(parts.after.measured, fitted);
    if (best === undefined || score.wape < worthIt * best.score.wape) best = { shape, score };
  }
  if (best === undefined || !(best.score.wape < worthIt * flat.wape))
    return "response times hardly rise with the load that was seen, so nothing tells which load is too much; a day of more load per pod would";
  const fault = faultOfFit(best.score);
  if (fault !== undefined) return `response times do not follow the load well enough: ${fault}`;
  const model = learnResponse(best.shape, rows);
  if (model === undefined) return "response times do not rise with the load";

  const densest = furthest * largestOf(rows.perPod[0]);
  const common = { model: "Queueing" as const, score: best.score, samples: rows.pods.length };
  if (model.kind === "OneQueue") {
    const size = sizeOneQueue(model, objective);
    if (size === undefined) return tooSlow(1 / model.serviceRate, objective);
    return {
      ...common,
      pods: (loads) => Math.max(size.pods(loads[0]), loads[0] / densest),
      carried: (pods) => Math.min(size.carried(pods), pods * densest),
      says: `pods take requests from one queue, ${model.workers} at once each, ${inSeconds(1 / model.serviceRate)} of work a request, to keep ${wishSays(objective)} (M/M/c)`,
    };
  }
  const busy = busyForObjective(model.idleSeconds, objective);
  if (busy === undefined || busy === 0) return tooSlow(model.idleSeconds, objective);
  const limit = busy * model.full;
  let unit = limit;
  let isCut = false;
  if (best.shape === "SharingByUsage" && typeof usage !== "string") {
    const size = sizeByUsage(usage.model, rows.perPod, limit);
    if (size === undefined) return tooSlow(model.idleSeconds, objective);
    unit = 1 / size.pods([1]);
    isCut = size.isCut;
  }
  isCut ||= unit > densest;
  unit = Math.min(unit, densest);
  return {
    ...common,
    pods: (loads) => loads[0] / unit,
    carried: (pods) => pods * unit,
    says: `a pod answers in ${inSeconds(model.idleSeconds)} idle and may be ${percent(busy)} busy to keep ${wishSays(objective)}, so it carries ${short(unit)}${isCut ? cutSays : ""} (processor sharing)`,
  };
}

function tooSlow(idleSeconds: number, objective: ResponseObjective): string {
  return `an idle pod already takes ${inSeconds(idleSeconds)} for a request, so no number of pods keeps ${wishSays(objective)}; ask for a longer response time`;
}

function wishSays({ seconds, share }: ResponseObjective): string {
  return share === undefined ? `a mean of ${inSeconds(seconds)}` : `${percent(share)} within ${inSeconds(seconds)}`;
}

/** One model that keeps to every wish: the most pods of all. */
function joined(tries: readonly Sizing[], faults: readonly string[], rows: Rows): CapacityFit {
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
    return Math.max(...tries.map((each) => each.pods(at)));
  };
  const worst = tries.reduce((a, b) => (b.score.wape > a.score.wape ? b : a));
  const fits = tries.map(
    ({ says, score }) => `${says}; R² ${score.r2.toFixed(2)}, ${percent(score.wape)} off on the days held back`,
  );
  return {
    kind: "Fitted",
    model: tries.find(({ model }) => model === "Queueing")?.model ?? tries[0].model,
    score: worst.score,
    samples: Math.min(...tries.map((each) => each.samples)),
    ranges,
    pods,
    carried: (n) => Math.min(...tries.map((each) => each.carried(n))),
    extrapolates: (loads) => {
      const n = pods(loads);
      return ranges.some((range, j) => loads[j] > highest[j] || (n > 0 && loads[j] / n > 1.001 * range.highest));
    },
    message: [...fits, ...faults].join("; "),
  };
}

function constantOf(values: Float64Array, length: number): Float64Array {
  const sorted = values.toSorted();
  return new Float64Array(length).fill(quantileOfSorted(sorted, 0.5));
}

function largestOf(values: Float64Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, value);
  return largest;
}

function inSeconds(seconds: number): string {
  return seconds < 1 ? `${short(1000 * seconds)} ms` : `${short(seconds)} s`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
