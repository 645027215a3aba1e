import type { Rung } from "../api/conditions.ts";
import { configuredLeadSeconds, headroomOf } from "../api/fields/prediction.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Series } from "../series/series.ts";
import type { Decision, DecisionReason, DecisionTick, ForecastAccuracy } from "./decision.ts";
import { explain } from "./decision-message.ts";
import type { LoadForecast } from "./demand/load-forecast.ts";
import { type MetricDemand, MetricRecommender, type MetricState, wholePods } from "./demand/metric-demand.ts";
import { burstProposals, type DynamicProvider, propose, readProviders } from "./dynamic-providers.ts";
import { gateRules } from "./gate/accuracy-gate.ts";
import { measureLead, rememberStarts } from "./lead/lead.ts";
import { type Proposal, selectProposal } from "./select-proposal.ts";
import { type Held, stabilizeDown, stabilizeUp } from "./stabilization.ts";

/** How long the present size is served once nothing else is known. */
const heldMs = 30 * 60_000;
const defaultLagMs = 30_000;
/** Longer than that between two ticks is a pause of the one who decides, not a slow tick. */
const longestPauseMs = 300_000;
const defaultTickMs = 15_000;
/** Ticks closer than this are merged on one grid. */
const shortestTickMs = 5_000;

/** What the spec alone says of a moment: what `createSchedule` of the portrait stage gives. */
export interface ScheduleOf {
  readonly proposals: readonly (Proposal & { readonly window?: string })[];
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

export interface RecommenderOptions {
  readonly schedule: (timeMs: number) => ScheduleOf;
  /** History of each metric, by name: the workload's totals. */
  readonly histories?: ReadonlyMap<string, Series>;
  /** The stored forecast of a metric, or undefined; asked only where the last minutes tell too little. */
  readonly outlook?: (metric: string, timeMs: number) => LoadForecast | undefined;
  /** Whether `outlook` costs nothing, as what it gives is held anyway: then it is judged at every tick. */
  readonly hasOutlooks?: boolean;
  /** Time between ticks; where absent, 15 s until two ticks tell. */
  readonly tickMs?: number;
  /** How often the HPA looks, added to the measured lead; 0 where absent, as pods are then asked for at once. */
  readonly syncSeconds?: number;
  /** What one pod carries of a metric whose manifest gives a share of what pods request, by the metric's name. */
  readonly podTargets?: ReadonlyMap<string, number>;
  /** What an earlier path knew. */
  readonly state?: RecommenderState;
}

/** What outlives a restart, as plain JSON. The loads themselves come from history again. */
export interface RecommenderState {
  readonly held?: Held;
  readonly starts: readonly number[];
  readonly heldSinceMs?: number;
  readonly metrics: Readonly<Record<string, MetricState>>;
}

export interface Recommender {
  /** Decides one tick. @throws RangeError for a tick that is not after the one before */
  decide(tick: DecisionTick): Decision;
  /** Takes in history of a metric; live values already known stay. Metrics that the spec does not name are left alone. */
  learn(metric: string, history: Series): void;
  /** All that is known of a metric's load; undefined for one that the spec does not name. */
  history(metric: string): Series | undefined;
  state(): RecommenderState;
}

/**
 * One workload's whole way from observation to decision. Up: the largest of what is observed, foretold and scheduled, at once.
 * Down: only when all of them allow it, after a minute or five. With sources silent, the ladder of freshness.
 *
 * @throws RangeError for a metric whose target does not tell what one pod carries
 */
export function createDecisionPath(
  spec: IntelligentHorizontalPodAutoscalerSpec,
  options: RecommenderOptions,
): Recommender {
  const { providers, targets } = readProviders(spec, options.podTargets);
  const headroom = headroomOf(spec.prediction);
  const gate = gateRules(spec.prediction);
  const metricsOf = (wanted: DynamicProvider["provider"]) =>
    new Set(providers.flatMap(({ provider, metrics: names }) => (provider === wanted ? names : [])));
  const [foretold, watched] = [metricsOf("Predictive"), metricsOf("Burst")];
  const gateLevel = headroom.kind === "Quantile" ? headroom.quantile : 1 - headroom.underProvisioned;
  const configuredSeconds = configuredLeadSeconds(spec.prediction);
  const isPreview = spec.scaleMode === "Preview";

  const metrics = new Map<string, MetricRecommender>();
  const waiting = new Map(options.histories); // until the first tick lays the grid
  let stepMs = options.tickMs === undefined ? defaultTickMs : Math.max(shortestTickMs, options.tickMs);
  let ticks = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  let { held, heldSinceMs, starts } = { ...options.state, starts: options.state?.starts ?? [] };

  const begin = (timeMs: number) => {
    for (const [name, target] of targets) {
      const metric = new MetricRecommender(
        { name, podsPerUnit: 1 / target, headroom, gate, watchesBursts: watched.has(name) },
        timeMs,
        stepMs,
        options.state?.metrics[name],
      );
      const history = waiting.get(name);
      if (history !== undefined) metric.learn(history, timeMs);
      metrics.set(name, metric);
    }
    waiting.clear();
  };

  /** The first two ticks tell how far apart they come. */
  const adoptStep = (timeMs: number) => {
    if (options.tickMs !== undefined || ticks !== 1) return;
    const seen = Math.max(shortestTickMs, timeMs - lastMs);
    if (Math.abs(seen - stepMs) < stepMs / 20) return;
    stepMs = seen;
    for (const metric of metrics.values()) metric.setStep(timeMs, stepMs);
  };

  function decide(tick: DecisionTick): Decision {
    const { timeMs, replicas } = tick;
    if (!(timeMs > lastMs))
      throw new RangeError(`time ${iso(timeMs)} does not come after ${iso(lastMs)}, the last one`);
    if (ticks === 0) begin(timeMs);
    else adoptStep(timeMs);
    // After a long pause what was wanted then says nothing of now: begin again with the pods there are.
    if (ticks > 0 && timeMs - lastMs > Math.max(longestPauseMs, 4 * stepMs)) held = undefined;
    ticks++;
    lastMs = timeMs;
    starts = rememberStarts(starts, tick.startupSeconds ?? []);
    // A Managed HPA has no policies that bind; one of the user's goes far in several rounds only.
    const rampRounds = spec.hpa === "Attached" ? Math.max(0, ...[...metrics.values()].map((m) => m.rampRounds())) : 0;
    const lead = measureLead(starts, { configuredSeconds, syncSeconds: options.syncSeconds, rampRounds });
    const present = tick.specReplicas ?? replicas.online + replicas.starting + replicas.cutoff + replicas.standby;
    const schedule = options.schedule(timeMs);

    const wishes = new Map<string, MetricDemand>();
    for (const [name, metric] of metrics)
      wishes.set(
        name,
        metric.wish({
          timeMs,
          value: tick.loads.get(name) ?? Number.NaN,
          lagMs: tick.lagMs ?? defaultLagMs,
          leadMs: lead.seconds * 1000,
          online: replicas.online,
          outlook: () => (foretold.has(name) ? options.outlook?.(name, timeMs) : undefined),
          hasOutlook: options.hasOutlooks ?? false,
          mostReplicas: schedule.maxReplicas,
        }),
      );

    const proposals: Proposal[] = [...schedule.proposals, ...(tick.proposals ?? [])];
    for (const provider of providers) {
      const proposal = provider.provider === "Burst" ? undefined : propose(provider, wishes, present, providers);
      if (proposal !== undefined) proposals.push(proposal);
    }
    proposals.push(...burstProposals(providers, wishes, selectProposal(proposals, timeMs)));
    const chosen = selectProposal(proposals, timeMs);
    const isDynamic = chosen !== undefined && providers.some(({ provider }) => provider === chosen.provider);
    const unknown = [...wishes.values()].some((wish) => wish.kind === "Unknown");
    const accuracy = accuracyOf(wishes, foretold, gateLevel);
    const answer = (
      rung: Rung,
      reason: DecisionReason,
      total: number | null,
      wanted: number | undefined,
    ): Decision => ({
      timeMs,
      desired: total === null ? undefined : { online: total, cutoff: 0, standby: 0 },
      total,
      observed: observedPods(wishes),
      rung,
      reason,
      message: explain({ reason, rung, total, wanted, present, lead, wishes, chosen, schedule, headroom, isPreview }),
      provider: chosen?.provider,
      lead,
      proposals,
      loads: sizedLoads(metrics, wishes),
      ...(accuracy && { accuracy }),
    });

    if (spec.paused) return answer("Held", "Paused", present, chosen?.replicas);
    if (chosen === undefined) {
      heldSinceMs ??= timeMs;
      if (timeMs - heldSinceMs > heldMs) return answer("Expired", "NothingKnown", null, undefined);
      const total = within(present, schedule);
      held = stabilizeDown(held, timeMs, total);
      return answer("Held", "NothingKnown", total, undefined);
    }
    heldSinceMs = undefined;

    let wanted = chosen.replicas;
    let reason = reasonOf(chosen, isDynamic, foretold.size > 0, wishes);
    // A metric that nobody knows may not let the number fall, as with the HPA's own missing metrics.
    if (isDynamic && unknown && wanted < present) [wanted, reason] = [present, "MetricMissing"];
    // Nor may one that is silent for the moment: what it said last is no news.
    const isQuiet = [...wishes.values()].some((wish) => wish.kind === "Live" && wish.silentMs > 0);
    if (isDynamic && isQuiet && held !== undefined && wanted < held.replicas)
      [wanted, reason] = [held.replicas, "SourceSilent"];
    const isRecovering = [...metrics.values()].some((metric) => metric.isRecovering(timeMs));
    if (isDynamic && isRecovering && held !== undefined && wanted < held.replicas)
      [wanted, reason] = [held.replicas, "SourceRecovering"];

    let total = wanted;
    const limited = within(total, schedule);
    // While a source is silent, what it said last may lie far above the maximum: then it is the silence that holds the number there.
    if (limited < total && ((isDynamic && isQuiet) || reason === "SourceSilent"))
      [total, reason] = [limited, "SourceSilent"];
    if (limited !== total) [total, reason] = [limited, limited > total ? "MinReplicas" : "MaxReplicas"];

    // What is there already counts as wanted until now: a restart of ours is no reason to shrink anything.
    held ??= { replicas: within(present, schedule), wanted: [{ timeMs, replicas: within(present, schedule) }] };
    const before = held.replicas;
    const { scaleUp, scaleDown } = spec.behavior ?? {};
    held = stabilizeDown(held, timeMs, total, stabilisationMs(scaleDown));
    if (held.replicas > total) reason = "ScaleDownStabilized";
    const up = stabilisationMs(scaleUp);
    if (up !== undefined && held.replicas > before) {
      const calm = stabilizeUp(held, timeMs, before, up);
      if (calm.replicas < held.replicas) [held, reason] = [calm, "ScaleUpStabilized"];
    }
    total = within(held.replicas, schedule);
    if (scaleUp?.disabled && total > present) [total, reason] = [present, "ScaleUpDisabled"];
    if (scaleDown?.disabled && total < present) [total, reason] = [present, "ScaleDownDisabled"];
    if (total !== held.replicas) held = { ...held, replicas: total };
    for (const [name, wish] of wishes) if (wish.kind === "Live") metrics.get(name)?.settle(total);
    return answer(isDynamic ? rungOf(wishes, foretold) : "Fresh", reason, total, wanted);
  }

  return {
    decide,
    learn(name, history) {
      if (ticks === 0) waiting.set(name, history);
      else metrics.get(name)?.learn(history, lastMs);
    },
    history: (name) => metrics.get(name)?.history() ?? waiting.get(name),
    state: () => ({
      ...(held && { held }),
      ...(heldSinceMs !== undefined && { heldSinceMs }),
      starts,
      metrics: Object.fromEntries([...metrics].map(([name, metric]) => [name, metric.state()])),
    }),
  };
}

/** Pods for what is there now: for each metric its newest value and a burst under way, or, of a silent one, what it wanted last. */
function observedPods(wishes: ReadonlyMap<string, MetricDemand>): number {
  let most = 0;
  for (const wish of wishes.values()) {
    if (wish.kind === "Live") most = Math.max(most, wholePods(wish.observed), wish.burst ?? 0);
    if (wish.kind === "Silent") most = Math.max(most, wish.wanted);
  }
  return most;
}

/** The standing of the forecasts that a Predictive provider uses: the first that is not trusted, else the first. */
function accuracyOf(
  wishes: ReadonlyMap<string, MetricDemand>,
  foretold: ReadonlySet<string>,
  level: number,
): ForecastAccuracy | undefined {
  let first: ForecastAccuracy | undefined;
  for (const [metric, wish] of wishes) {
    if (wish.kind !== "Live" || !foretold.has(metric)) continue;
    if (!wish.judgement.isTrusted) return { metric, level, ...wish.judgement };
    first ??= { metric, level, ...wish.judgement };
  }
  return first;
}

function reasonOf(
  chosen: Proposal & { readonly window?: string },
  isDynamic: boolean,
  usesForecast: boolean,
  wishes: ReadonlyMap<string, MetricDemand>,
): DecisionReason {
  if (chosen.provider === "Static") return "Fixed";
  if (chosen.provider === "Cron") return "Scheduled";
  if (!isDynamic) return "Proposed";
  const all = [...wishes.values()];
  if (all.some((wish) => wish.kind === "Silent" && wish.wanted === chosen.replicas)) return "SourceSilent";
  if (chosen.provider === "Burst")
    return all.some((wish) => wish.kind === "Live" && wish.burst === chosen.replicas) ? "Burst" : "Observed";
  const distrusted = all.find((wish) => wish.kind === "Live" && !wish.judgement.isTrusted);
  if (usesForecast && distrusted?.kind === "Live")
    return distrusted.judgement.reason === "BacktestFailed" ? "BacktestFailed" : "NotAccurate";
  if (chosen.provider === "Reactive") return "Observed";
  const binding = all.find((wish) => wish.kind === "Live" && wish.wanted === chosen.replicas);
  if (binding?.kind === "Live" && binding.isCut) return "ForecastCut";
  return binding?.kind === "Live" && binding.wanted === wholePods(binding.observed) ? "Observed" : "Predicted";
}

/** @param foretold metrics that a Predictive provider uses: what history tells of the others moves no number */
function rungOf(wishes: ReadonlyMap<string, MetricDemand>, foretold: ReadonlySet<string>): Rung {
  const all = [...wishes];
  if (all.some(([, wish]) => wish.kind !== "Live")) return "Coasting";
  const usesForecast = all.some(([name, wish]) => wish.kind === "Live" && wish.usesForecast && foretold.has(name));
  return usesForecast ? "Fresh" : "Reactive";
}

function sizedLoads(metrics: ReadonlyMap<string, MetricRecommender>, wishes: ReadonlyMap<string, MetricDemand>) {
  const loads: { name: string; value: number }[] = [];
  for (const [name, wish] of wishes)
    if (wish.kind !== "Unknown") loads.push({ name, value: wish.wanted / metrics.get(name)!.podsPerUnit });
  return loads;
}

function within(replicas: number, { minReplicas, maxReplicas }: ScheduleOf): number {
  return Math.min(Math.max(replicas, minReplicas), maxReplicas);
}

function stabilisationMs(behavior: { readonly stabilizationWindowSeconds?: number } | undefined): number | undefined {
  const seconds = behavior?.stabilizationWindowSeconds;
  return seconds === undefined ? undefined : seconds * 1000;
}

function iso(timeMs: number): string {
  return Number.isFinite(timeMs) ? new Date(timeMs).toISOString() : "the beginning";
}
