import { quantileOfSorted } from "../series/statistics/robust-statistics.ts";
import { type FitScore, percent, rejectionOf, scoreOf } from "./holdout.ts";
import {
  busyForObjective,
  fitOneQueue,
  fitSharing,
  fittedResponse,
  type ResponseModel,
  type ResponseObjective,
  sizeOneQueue,
} from "./response-model.ts";
import { filterRows, type Rows, split } from "./rows.ts";
import { chooseUsage } from "./size-by-usage.ts";
import { cutNote, largestOf, type Sizing, short, worthIt } from "./sizing.ts";
import { mostExtrapolation, sizeByUsage } from "./usage-model.ts";

/** Response models, by what each is fitted to. */
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

/** Sizes by the response model with the least error on the held-out days; or says why none is good enough. */
export function sizeResponse(all: Rows, objective: ResponseObjective): Sizing | string {
  const rows = filterRows(all, (i) => all.loads[0][i] > 0 && all.measured[i] > 0);
  const parts = split(rows, "the response time");
  if (typeof parts === "string") return parts;
  // Usage counts only where it is known at all times, and where it follows the load.
  const hasUsage = rows.usage?.every((value) => value > 0) ?? false;
  const usage = hasUsage
    ? chooseUsage({ ...rows, measured: rows.usage!.map((value, i) => value * rows.pods[i]) }, "Auto")
    : "";
  const best = chooseResponse(parts, objective, typeof usage !== "string");
  if (typeof best === "string") return best;
  const model = learnResponse(best.shape, rows);
  if (model === undefined) return "response times do not rise with the load";

  const densest = mostExtrapolation * largestOf(rows.perPod[0]);
  const common = { model: "Queueing" as const, score: best.score, samples: rows.pods.length };
  if (model.kind === "OneQueue") {
    const size = sizeOneQueue(model, objective);
    if (size === undefined) return tooSlow(1 / model.serviceRate, objective);
    return {
      ...common,
      pods: (loads) => Math.max(size.pods(loads[0]), loads[0] / densest),
      carried: (pods) => Math.min(size.carried(pods), pods * densest),
      description: `pods share one queue, each serves ${model.workers} requests at once, a request takes ${inSeconds(1 / model.serviceRate)}; sized for ${describeObjective(objective)} (M/M/c)`,
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
    description: `an idle pod answers in ${inSeconds(model.idleSeconds)} and may be ${percent(busy)} busy for ${describeObjective(objective)}, so it carries ${short(unit)}${isCut ? cutNote : ""} (processor sharing)`,
  };
}

interface ResponseChoice {
  readonly shape: (typeof responseShapes)[number];
  readonly score: FitScore;
}

/** The response model with the least error on the held-out rows; or why none is better than a constant, or good enough. */
function chooseResponse(
  { before, after }: { readonly before: Rows; readonly after: Rows },
  objective: ResponseObjective,
  hasUsage: boolean,
): ResponseChoice | string {
  const flat = scoreOf(after.measured, constantOf(before.measured, after.measured.length));
  let best: ResponseChoice | undefined;
  for (const shape of responseShapes) {
    if (shape === "OneQueue" && objective.measured !== undefined) continue; // it gives means, not percentiles
    if (shape === "SharingByUsage" && !hasUsage) continue;
    const model = learnResponse(shape, before);
    if (model === undefined) continue;
    const x = shape === "SharingByUsage" ? after.usage! : after.perPod[0];
    const fitted = after.measured.map((_, i) =>
      Math.min(1e6, fittedResponse(model, after.loads[0][i], x[i], after.pods[i])),
    );
    const score = scoreOf(after.measured, fitted);
    if (best === undefined || score.wape < worthIt * best.score.wape) best = { shape, score };
  }
  if (best === undefined || !(best.score.wape < worthIt * flat.wape))
    return "response times hardly rise with the load in the history, so the highest load per pod is unknown; run fewer pods for a day to learn it";
  const fault = rejectionOf(best.score);
  return fault === undefined ? best : `response times do not follow the load well enough: ${fault}`;
}

function tooSlow(idleSeconds: number, objective: ResponseObjective): string {
  return `an idle pod already takes ${inSeconds(idleSeconds)} for a request, so no number of pods reaches ${describeObjective(objective)}; set a longer response time`;
}

function describeObjective({ seconds, share }: ResponseObjective): string {
  return share === undefined
    ? `a mean response time of ${inSeconds(seconds)}`
    : `${percent(share)} of the requests within ${inSeconds(seconds)}`;
}

function constantOf(values: Float64Array, length: number): Float64Array {
  const sorted = values.toSorted();
  return new Float64Array(length).fill(quantileOfSorted(sorted, 0.5));
}

function inSeconds(seconds: number): string {
  return seconds < 1 ? `${short(1000 * seconds)} ms` : `${short(seconds)} s`;
}
