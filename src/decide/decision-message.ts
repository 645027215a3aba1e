import type { Headroom } from "../api/fields/prediction.ts";
import type { DecisionReason } from "./decision.ts";
import type { Lead } from "./lead/lead.ts";
import { type LiveDemand, type MetricDemand, wholePods } from "./metric/metric-demand.ts";
import { decayMs, holdMs } from "./metric/metric-recommender.ts";
import type { Proposal } from "./providers/select-proposal.ts";

/** All that the message of a decision draws on. */
export interface MessageInputs {
  readonly reason: DecisionReason;
  readonly total: number | null;
  /** What was requested before limits and stabilization. */
  readonly requested: number | undefined;
  readonly present: number;
  readonly lead: Lead;
  readonly demands: ReadonlyMap<string, MetricDemand>;
  readonly selected: (Proposal & { readonly window?: string }) | undefined;
  readonly schedule: { readonly minReplicas: number; readonly maxReplicas: number };
  readonly headroom: Headroom;
  /** Whether the number acts on nothing, so that what it would keep or change is not what happens. */
  readonly isPreview: boolean;
}

/** One sentence for people: how many pods, and why, with the numbers. */
export function decisionMessage(inputs: MessageInputs): string {
  const { total, present, isPreview } = inputs;
  const why = whyOf(inputs);
  if (total === null) return why;
  if (isPreview)
    return total === present
      ? `would stay at ${pods(total)}: ${why}`
      : `would need ${pods(total)}, has ${pods(present)}: ${why}`;
  const stays = total === present && holding.has(inputs.reason) ? (total === 1 ? " stays" : " stay") : "";
  return `${pods(total)}${stays}: ${why}`;
}

/** Reasons that keep a size. */
const holding: ReadonlySet<DecisionReason> = new Set([
  "ScaleDownStabilized",
  "ScaleUpDisabled",
  "ScaleDownDisabled",
  "SourceRecovering",
  "MetricMissing",
  "NothingKnown",
  "Paused",
]);

function whyOf(inputs: MessageInputs): string {
  const { reason, requested, schedule, selected, total } = inputs;
  switch (reason) {
    case "Predicted":
    case "Observed":
      return basis(inputs);
    case "ForecastCut":
      return "the forecast exceeded twice the highest load ever seen and was limited to that";
    case "Burst":
      return burst(inputs);
    case "NotAccurate":
    case "BacktestFailed":
      return distrust(inputs);
    case "Scheduled":
      return `the window "${selected?.window ?? "unnamed"}" is open`;
    case "Fixed":
      return "set by the Static provider";
    case "Proposed":
      return `proposed by ${selected?.provider}`;
    case "ScaleDownStabilized":
      return `${enough(requested)}; waiting for scale-down stabilization`;
    case "ScaleUpStabilized":
      return `${needed(requested)}, but not yet for the whole of scaleUp.stabilizationWindowSeconds`;
    case "MinReplicas":
      return `${enough(requested)}, but the minimum is ${schedule.minReplicas}`;
    case "MaxReplicas":
      return `${needed(requested)}, but the maximum is ${schedule.maxReplicas}`;
    case "ScaleUpDisabled":
      return `${needed(requested)}, but behavior.scaleUp is disabled`;
    case "ScaleDownDisabled":
      return `${enough(requested)}, but behavior.scaleDown is disabled`;
    case "SourceSilent":
      return silence(inputs);
    case "SourceRecovering":
      return "the metric source came back less than two minutes ago, so the number may rise but not fall yet";
    case "MetricMissing":
      return `the other metrics need fewer pods, but ${missing(inputs)} has no value`;
    case "NothingKnown":
      return total === null
        ? "no metric, forecast or schedule has given a number for half an hour; the HPA keeps the present size"
        : "no metric, forecast or schedule gives a number now";
    case "Paused":
      return "spec.paused is true";
  }
}

function basis({ demands, requested, lead, headroom }: MessageInputs): string {
  for (const [name, demand] of demands) {
    if (demand.kind !== "Live" || demand.wanted !== requested) continue;
    const margin = {
      Learned: `sized for the largest demand expected within ${short(lead.seconds)} s, ${aim(headroom)}`,
      Forecast: `the forecast reaches this within ${short(lead.seconds)} s, ${aim(headroom)}`,
      Margin: `plus the margin of its past rises, as its history ${demand.isCoarse ? "does not show what happens within minutes" : "is too short to learn from"}`,
    }[demand.method];
    return `${observed(name, demand)}; ${margin}`;
  }
  return [...demands].flatMap(([name, demand]) => (demand.kind === "Live" ? observed(name, demand) : [])).join(", ");
}

function burst({ demands, requested, lead }: MessageInputs): string {
  for (const [name, demand] of demands)
    if (demand.kind === "Live" && demand.burst === requested)
      return `${name} rose to ${podsOf(demand.observed)}, more than the forecast, the last minutes and earlier days explain; sized for its growth over ${short(lead.seconds)} s`;
  return "a burst is under way";
}

function distrust({ demands }: MessageInputs): string {
  for (const [name, demand] of demands)
    if (demand.kind === "Live" && !demand.verdict.isTrusted)
      return `${observed(name, demand)}, plus the margin of its past rises; its forecast is not trusted: ${demand.verdict.message}`;
  return "the forecast is not trusted";
}

/** What a metric needs by its newest value, of now or of a few ticks ago. */
function observed(name: string, demand: LiveDemand): string {
  const load = podsOf(demand.observed);
  return demand.silentMs > 0 ? `${name} needed ${load} ${seconds(demand.silentMs)} ago` : `${name} needs ${load} now`;
}

function silence({ demands, requested = 0, schedule }: MessageInputs): string {
  const most =
    requested > schedule.maxReplicas ? `asks for ${pods(requested)}, the maximum is ${schedule.maxReplicas}` : "";
  const silent = [...demands].flatMap(([name, demand]) =>
    demand.kind !== "Unknown" && demand.silentMs > 0 ? [[name, demand] as const] : [],
  );
  const [name, demand] = silent.find(([, each]) => each.wanted === requested) ?? silent[0] ?? [];
  if (demand === undefined) return "a source is silent";
  const nothing = `${name} has had no usable value ${Number.isFinite(demand.silentMs) ? `for ${seconds(demand.silentMs)}` : "so far"}`;
  if (demand.kind === "Live")
    return `${nothing}; ${most ? `its last one ${most}` : "no scale-down until the source answers"}`;
  if (!demand.hasForecast) return `${nothing} and there is no forecast; the last decision is kept for ten minutes`;
  if (most) return `${nothing}; the stored forecast ${most}`;
  const cut = demand.isCut ? ", limited to twice the highest load ever seen," : "";
  const goesOn = `${nothing}; the stored forecast${cut} is used instead`;
  return demand.silentMs < holdMs + decayMs ? `${goesOn}; the last decision falls to it step by step` : goesOn;
}

function missing({ demands }: MessageInputs): string {
  return [...demands]
    .filter(([, demand]) => demand.kind === "Unknown")
    .map(([name]) => name)
    .join(", ");
}

function pods(count: number | null | undefined): string {
  if (count === null || count === undefined) return "no number of pods";
  return count === 1 ? "1 pod" : `${count} pods`;
}

function needed(count: number | undefined): string {
  return `${pods(count)} ${count === 1 ? "is" : "are"} needed`;
}

function enough(count: number | undefined): string {
  return `${pods(count)} ${count === 1 ? "is" : "are"} enough`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

/** Three digits, or as many as it takes for the demand shown to need as many pods as the demand does. */
function podsOf(value: number): string {
  let digits = 3;
  while (digits < 17 && wholePods(Number(value.toPrecision(digits))) !== wholePods(value)) digits++;
  return String(Number(value.toPrecision(digits)));
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function aim(headroom: Headroom): string {
  return headroom.kind === "Quantile"
    ? `with headroom for the ${ordinal(100 * headroom.quantile)} percentile`
    : `to be short of pods at most ${percent(headroom.underProvisioned)} of the time`;
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(6))} %`;
}

/** 95 → 95th, 92 → 92nd, 99.9 → 99.9th. */
function ordinal(value: number): string {
  const text = String(Number(value.toPrecision(6)));
  const isTeen = /^1[123]$/.test(text);
  const ending = isTeen || text.includes(".") ? "th" : ({ "1": "st", "2": "nd", "3": "rd" }[text.at(-1)!] ?? "th");
  return `${text}${ending}`;
}
