import type { Rung } from "../api/conditions.ts";
import type { Headroom } from "../api/fields/prediction.ts";
import type { DecisionReason } from "./decision.ts";
import { decayMs, holdMs, type MetricDemand, wholePods } from "./demand/metric-demand.ts";
import type { Lead } from "./lead/lead.ts";
import type { Proposal } from "./select-proposal.ts";

/** All that a sentence about a decision draws on. */
export interface Grounds {
  readonly reason: DecisionReason;
  readonly rung: Rung;
  readonly total: number | null;
  /** What was wanted before limits and holds. */
  readonly wanted: number | undefined;
  readonly present: number;
  readonly lead: Lead;
  readonly wishes: ReadonlyMap<string, MetricDemand>;
  readonly chosen: (Proposal & { readonly window?: string }) | undefined;
  readonly schedule: { readonly minReplicas: number; readonly maxReplicas: number };
  readonly headroom: Headroom;
  /** Whether the number acts on nothing, so that what it would keep or change is not what happens. */
  readonly isPreview: boolean;
}

/** One sentence for people: what is wanted, and what bound it, with the numbers. */
export function explain(grounds: Grounds): string {
  const { total, present, isPreview } = grounds;
  const why = whyOf(grounds);
  if (total === null) return why;
  if (isPreview)
    return total === present
      ? `would stay at ${pods(total)}: ${why}`
      : `would need ${pods(total)}, has ${pods(present)}: ${why}`;
  const stays = total === present && holding.has(grounds.reason) ? (total === 1 ? " stays" : " stay") : "";
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

function whyOf(grounds: Grounds): string {
  const { reason, wanted, schedule, chosen, total } = grounds;
  switch (reason) {
    case "Predicted":
    case "Observed":
      return basis(grounds);
    case "ForecastCut":
      return "the forecast was far above twice the highest load ever seen and was cut to that";
    case "Burst":
      return burst(grounds);
    case "NotAccurate":
    case "BacktestFailed":
      return distrust(grounds);
    case "Scheduled":
      return `the window "${chosen?.window ?? "unnamed"}" is open`;
    case "Fixed":
      return "fixed by the Static provider";
    case "Proposed":
      return `proposed by ${chosen?.provider}`;
    case "ScaleDownStabilized":
      return `${pods(wanted)} would do, and ${wanted === 1 ? "has" : "have"} to do for a while before any is let go`;
    case "ScaleUpStabilized":
      return `${pods(wanted)} ${ask(wanted)} wanted, but not yet all through scaleUp.stabilizationWindowSeconds`;
    case "MinReplicas":
      return `${pods(wanted)} would do, the minimum is ${schedule.minReplicas}`;
    case "MaxReplicas":
      return `${pods(wanted)} ${ask(wanted)} wanted, the maximum is ${schedule.maxReplicas}`;
    case "ScaleUpDisabled":
      return `${pods(wanted)} ${ask(wanted)} wanted, but behavior.scaleUp is disabled`;
    case "ScaleDownDisabled":
      return `${pods(wanted)} would do, but behavior.scaleDown is disabled`;
    case "SourceSilent":
      return silence(grounds);
    case "SourceRecovering":
      return "the source came back less than two minutes ago, and may raise the number but not lower it yet";
    case "MetricMissing":
      return `the other metrics would allow fewer, but ${missing(grounds)} has no value`;
    case "NothingKnown":
      return total === null
        ? "no metric, forecast or schedule has said anything for half an hour; the HPA keeps the size that there is"
        : "no metric, forecast or schedule says anything now";
    case "Paused":
      return "spec.paused is true";
  }
}

function basis({ wishes, wanted, lead, headroom }: Grounds): string {
  for (const [name, wish] of wishes) {
    if (wish.kind !== "Live" || wish.wanted !== wanted) continue;
    const margin = {
      Learned: `sized for its largest demand of the next ${short(lead.seconds)} s, ${aim(headroom)}`,
      Forecast: `its forecast reaches this within ${short(lead.seconds)} s, ${aim(headroom)}`,
      Margin: `with the margin of its rises so far, as its history ${wish.isCoarse ? "does not show what happens within minutes" : "is too short to learn from"}`,
    }[wish.method];
    return `${observed(name, wish)}; ${margin}`;
  }
  return [...wishes].flatMap(([name, wish]) => (wish.kind === "Live" ? observed(name, wish) : [])).join(", ");
}

function burst({ wishes, wanted, lead }: Grounds): string {
  for (const [name, wish] of wishes)
    if (wish.kind === "Live" && wish.burst === wanted)
      return `${name} rose to ${demand(wish.observed)}, beyond what the forecast, the last minutes and earlier days explain; sized for its growth over ${short(lead.seconds)} s`;
  return "a burst is under way";
}

function distrust({ wishes }: Grounds): string {
  for (const [name, wish] of wishes)
    if (wish.kind === "Live" && !wish.judgement.isTrusted)
      return `${observed(name, wish)}, with the margin of its rises so far; its forecast is not trusted: ${wish.judgement.message}`;
  return "the forecast is not trusted";
}

/** What a metric was when it was heard last: now, or a few ticks ago. */
function observed(name: string, wish: Extract<MetricDemand, { kind: "Live" }>): string {
  const load = demand(wish.observed);
  return wish.silentMs > 0 ? `${name} needed ${load} ${seconds(wish.silentMs)} ago` : `${name} needs ${load} now`;
}

function silence({ wishes, wanted = 0, schedule }: Grounds): string {
  const most = wanted > schedule.maxReplicas ? `asks for ${pods(wanted)}, the maximum is ${schedule.maxReplicas}` : "";
  const silent = [...wishes].flatMap(([name, wish]) =>
    wish.kind !== "Unknown" && wish.silentMs > 0 ? [[name, wish] as const] : [],
  );
  const [name, wish] = silent.find(([, each]) => each.wanted === wanted) ?? silent[0] ?? [];
  if (wish === undefined) return "a source is silent";
  const nothing = `${name} has had no usable value ${Number.isFinite(wish.silentMs) ? `for ${seconds(wish.silentMs)}` : "so far"}`;
  if (wish.kind === "Live") return `${nothing}; ${most ? `its last one ${most}` : "what it said last lets nothing go"}`;
  if (!wish.hasForecast) return `${nothing} and there is no forecast; what was wanted last is held for ten minutes`;
  if (most) return `${nothing}; the stored forecast ${most}`;
  const cut = wish.isCut ? ", cut to twice the highest load ever seen," : "";
  const goesOn = `${nothing}; the stored forecast${cut} goes on`;
  return wish.silentMs < holdMs + decayMs ? `${goesOn} and what was wanted last is let go slowly` : goesOn;
}

function missing({ wishes }: Grounds): string {
  return [...wishes]
    .filter(([, wish]) => wish.kind === "Unknown")
    .map(([name]) => name)
    .join(", ");
}

function pods(count: number | null | undefined): string {
  if (count === null || count === undefined) return "no number of pods";
  return count === 1 ? "1 pod" : `${count} pods`;
}

function ask(count: number | undefined): string {
  return count === 1 ? "is" : "are";
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

/** Three digits, or as many as it takes for the demand shown to need as many pods as the demand does. */
function demand(value: number): string {
  let digits = 3;
  while (digits < 17 && wholePods(Number(value.toPrecision(digits))) !== wholePods(value)) digits++;
  return String(Number(value.toPrecision(digits)));
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function aim(headroom: Headroom): string {
  return headroom.kind === "Quantile"
    ? `at the price of ${percent(headroom.quantile)}`
    : `to lack pods at most ${percent(headroom.underProvisioned)} of the time`;
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(6))} %`;
}
