import { type FitScore, rejectionOf, scoreOf } from "./holdout.ts";
import { type Rows, split } from "./rows.ts";
import { type CapacityModelName, cutNote, largestOf, type Sizing, short, worthIt } from "./sizing.ts";
import { fitLinearUsage, fitResidualUsage, sizeByUsage, type UsageModel } from "./usage-model.ts";

/** Usage that rises by less than this share of an idle pod's at the highest load does not follow the load. */
const leastRise = 0.05;

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

/** The usage model with the least error on the held-out days, fitted again to all days. */
export function chooseUsage(rows: Rows, wanted: CapacityModelName): { model: UsageModel; score: FitScore } | string {
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
    const isRequested = wanted === "Residual" && shape === "Residual";
    if (best === undefined || isRequested || score.wape < worthIt * best.score.wape) best = { shape, score };
  }
  const fault = best && rejectionOf(best.score);
  if (best === undefined || fault !== undefined) return `usage does not follow the load well enough: ${fault}`;
  const model = learnUsage(best.shape, rows)!;
  const rises = model.slopes.some((slope, j) => slope * largestOf(rows.perPod[j]) > leastRise * model.base);
  if (!rises) return "usage does not rise with the load, so pods cannot be sized by the load";
  return { model, score: best.score };
}

export function sizeUsage(rows: Rows, target: number, wanted: CapacityModelName): Sizing | string {
  const chosen = chooseUsage(rows, wanted);
  if (typeof chosen === "string") return chosen;
  const { model, score } = chosen;
  const size = sizeByUsage(model, rows.perPod, target);
  if (size === undefined)
    return `an idle pod already uses ${short(model.base)}, so no number of pods meets a target of ${short(target)} per pod; raise the target`;
  const unit = size.pods(model.slopes.map(() => 1)); // only used with one load: pods are proportional to it
  return {
    model: model.name,
    score,
    samples: rows.pods.length,
    pods: size.pods,
    carried: (pods) => pods / unit,
    description: `${describeUsage(model)}${rows.perPod.length === 1 ? `, so it carries ${short(1 / unit)} at ${short(target)}` : ""}${size.isCut ? cutNote : ""}`,
  };
}

function describeUsage({ name, base, slopes }: UsageModel): string {
  const each = slopes.map((slope) => short(slope)).join(" and ");
  const more = `${each} more for each unit of ${slopes.length > 1 ? "the loads" : "load"}`;
  return `an idle pod uses ${short(base)}, and ${more}${name === "Residual" ? ", along a curve" : ""}`;
}
