import type { Rung } from "../api/conditions.ts";
import { configuredLeadSeconds, headroomOf } from "../api/fields/prediction.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Demand } from "../capacity/demand.ts";
import { createSchedule } from "../portrait/schedule.ts";
import type { Series } from "../series/series.ts";
import type { Decision, DecisionTick, ScalingConstraints } from "./decision.ts";
import { decisionMessage } from "./decision-message.ts";
import type { LoadForecast } from "./demand/load-forecast.ts";
import { type MetricDemand, observedPods } from "./demand/metric-demand.ts";
import { MetricDemands } from "./demand/metric-demands.ts";
import type { MetricState } from "./demand/metric-recommender.ts";
import { sizingByCapacity, sizingByTargets } from "./demand/sizing.ts";
import { gateRules } from "./gate/accuracy-gate.ts";
import { measureLead, rememberStarts } from "./lead/lead.ts";
import { accuracyOf, reasonOf, rungOf } from "./providers/basis.ts";
import { burstProposals, metricsUsedBy, propose, readProviders } from "./providers/dynamic-providers.ts";
import { type Proposal, selectProposal } from "./providers/select-proposal.ts";
import { applyRules, chain } from "./rules/chain.ts";
import type { RuleMemory } from "./rules/rule.ts";
import type { StagedState } from "./steps/staged-replicas.ts";
import { createSteps } from "./steps/steps.ts";

const defaultLagMs = 30_000;
/** Longer than that between two ticks is a pause of the caller, not a slow tick. */
const longestPauseMs = 300_000;
/** Added to a decision's message where what a pod carries is a guess. */
const extrapolated = "; the load is beyond any that the capacity was learnt from, so pods are extrapolated";

export interface RecommenderOptions {
  /** History of each metric, by name: the workload's totals. */
  readonly histories?: ReadonlyMap<string, Series>;
  /** The stored forecast of a metric, or undefined; asked only where the last minutes tell too little. */
  readonly forecast?: (metric: string, timeMs: number) => LoadForecast | undefined;
  /** Whether `forecast` costs nothing, as what it gives is stored anyway: then it is evaluated at every tick. */
  readonly hasForecasts?: boolean;
  /** Time between ticks; where absent, 15 s until two ticks tell. */
  readonly tickMs?: number;
  /** How often the HPA syncs, added to the measured lead; 0 where absent, as pods are then asked for at once. */
  readonly syncSeconds?: number;
  /** What one pod carries of a metric whose manifest gives a share of what pods request, by the metric's name. */
  readonly podTargets?: ReadonlyMap<string, number>;
  /** How pods follow from the loads, as learnt from the past; where absent, each metric's target is what a pod carries. */
  readonly demand?: Demand;
  /** What an earlier recommender knew. */
  readonly state?: RecommenderState;
}

/** What outlives a recommender, as plain JSON. The loads themselves come from history again. */
export interface RecommenderState {
  readonly memory?: RuleMemory;
  /** Start-up times, seconds. */
  readonly starts: readonly number[];
  readonly metrics: Readonly<Record<string, MetricState>>;
  readonly steps?: StagedState;
}

export interface Recommender {
  /**
   * Decides one tick.
   *
   * @param constraints what limits a change, and is not seen in the loads
   * @throws RangeError for a tick that is not after the one before
   */
  decide(tick: DecisionTick, constraints?: ScalingConstraints): Decision;
  /** Takes in history of a metric; live values already known stay. Metrics that the spec does not name are left alone. */
  learn(metric: string, history: Series): void;
  /** All that is known of a metric's load; undefined for one that the spec does not name. */
  history(metric: string): Series | undefined;
  state(): RecommenderState;
}

/**
 * One workload's whole way from observation to decision: schedule, capacity, forecast, lead, burst, gate, price, limits, stabilization,
 * steps and hot pool. The controller, `forescale decide`, the backtest and the demo decide by this and by nothing below it.
 *
 * Up: the largest of what is observed, forecast and scheduled, at once. Down: only when all of them allow it, after a minute or five.
 *
 * @throws RangeError for a metric whose target does not tell what one pod carries, or a window that can't be read
 */
export function createRecommender(
  given: IntelligentHorizontalPodAutoscalerSpec,
  options: RecommenderOptions = {},
): Recommender {
  const sizing = options.demand
    ? sizingByCapacity(given, options.demand, options.podTargets)
    : sizingByTargets(given, options.podTargets);
  const { spec } = sizing;
  const { providers, targets } = readProviders(spec, sizing.podTargets);
  const schedule = createSchedule(spec);
  const steps = createSteps(spec, options.state?.steps);
  const headroom = headroomOf(spec.prediction);
  const level = headroom.kind === "Quantile" ? headroom.quantile : 1 - headroom.underProvisioned;
  const forecastMetrics = metricsUsedBy(providers, "Predictive");
  const burstMetrics = metricsUsedBy(providers, "Burst");
  const metrics = new MetricDemands({
    metrics: [...targets].map(([name, target]) => ({
      name,
      podsPerUnit: 1 / target,
      headroom,
      gate: gateRules(spec.prediction),
      watchesBursts: burstMetrics.has(name),
    })),
    forecastMetrics,
    histories: sizing.histories(options.histories ?? new Map()),
    forecast(metric, timeMs) {
      const found = options.forecast?.(metric, timeMs);
      return found && sizing.forecast(metric, found);
    },
    hasForecasts: options.hasForecasts ?? false,
    tickMs: options.tickMs,
    states: options.state?.metrics ?? {},
  });
  let starts = options.state?.starts ?? [];
  let memory: RuleMemory = options.state?.memory ?? {};
  let lastMs = Number.NEGATIVE_INFINITY;

  /** Takes in the time of a tick. */
  function begin(timeMs: number): void {
    if (!(timeMs > lastMs))
      throw new RangeError(`time ${iso(timeMs)} does not come after ${iso(lastMs)}, the last one`);
    metrics.begin(timeMs);
    // After a long pause what was requested then says nothing of now: begin again with the pods there are.
    if (lastMs !== Number.NEGATIVE_INFINITY && timeMs - lastMs > Math.max(longestPauseMs, 4 * metrics.stepMs))
      memory = memory.unknownSinceMs === undefined ? {} : { unknownSinceMs: memory.unknownSinceMs };
    lastMs = timeMs;
  }

  /** Pods take this long to serve. A Managed HPA has no policies that bind; one of the user's goes far in several rounds only. */
  function leadOf(tick: DecisionTick) {
    starts = rememberStarts(starts, tick.startupSeconds ?? []);
    return measureLead(starts, {
      configuredSeconds: configuredLeadSeconds(spec.prediction),
      syncSeconds: options.syncSeconds,
      rampRounds: spec.hpa === "Attached" ? metrics.rampRounds() : 0,
    });
  }

  function proposalsOf(demands: ReadonlyMap<string, MetricDemand>, present: number, scheduled: readonly Proposal[]) {
    const proposals = [...scheduled];
    for (const provider of providers) {
      const proposal = provider.provider === "Burst" ? undefined : propose(provider, demands, present, providers);
      if (proposal !== undefined) proposals.push(proposal);
    }
    return [...proposals, ...burstProposals(providers, demands, selectProposal(proposals, lastMs))];
  }

  function decide(tick: DecisionTick, constraints: ScalingConstraints = {}): Decision {
    const { timeMs, replicas } = tick;
    begin(timeMs);
    const lead = leadOf(tick);
    const { present } = steps.inService(tick);
    const limits = schedule(timeMs);
    const demands = metrics.demands({
      timeMs,
      values: sizing.values(tick.loads),
      lagMs: tick.lagMs ?? defaultLagMs,
      leadMs: lead.seconds * 1000,
      online: replicas.online,
      maxReplicas: limits.maxReplicas,
    });
    const proposals = proposalsOf(demands, present, [...limits.proposals, ...(tick.proposals ?? [])]);
    const selected = selectProposal(proposals, timeMs);
    const isDynamic = selected !== undefined && providers.some(({ provider }) => provider === selected.provider);
    const { state, outcomes } = applyRules(chain, {
      timeMs,
      present,
      isPaused: spec.paused === true,
      behavior: spec.behavior,
      schedule: limits,
      proposals,
      selected,
      selectedReason: selected ? reasonOf(selected, isDynamic, forecastMetrics, demands) : "NothingKnown",
      isDynamic,
      demands,
      recovering: metrics.recovering(timeMs),
      before: memory,
    });
    memory = settled(state.memory, state.rung, state.replicas);
    if (state.rung === undefined && state.replicas !== null) metrics.settle(demands, state.replicas);
    const rung: Rung = state.rung ?? (isDynamic ? rungOf(demands, forecastMetrics) : "Fresh");
    const { replicas: total, reason, requested } = state;
    const isPreview = spec.scaleMode === "Preview";
    const sentence = decisionMessage({
      reason,
      total,
      requested,
      present,
      lead,
      demands,
      selected,
      schedule: limits,
      headroom,
      isPreview,
    });
    const accuracy = accuracyOf(demands, forecastMetrics, level);
    const decision: Decision = {
      timeMs,
      desired: total === null ? undefined : { online: total, cutoff: 0, standby: 0 },
      total,
      observed: observedPods(demands),
      rung,
      reason,
      message: sizing.extrapolates(tick.loads) ? `${sentence}${extrapolated}` : sentence,
      rules: outcomes,
      provider: selected?.provider,
      lead,
      proposals,
      loads: metrics.sizedLoads(demands).map(({ name, value }) => ({ name, value: sizing.carried(name, value) })),
      ...(accuracy && { accuracy }),
    };
    return steps.towards(decision, tick, constraints, limits.maxReplicas);
  }

  return {
    decide,
    learn(load, series) {
      const learnt = sizing.learn(load, series);
      if (learnt !== undefined) metrics.learn(learnt.metric, learnt.history);
    },
    history(metric) {
      const series = metrics.history(metric);
      return series && sizing.inUnitOfLoad(metric, series);
    },
    state() {
      const staged = steps.state();
      return { memory, starts, metrics: metrics.states(), ...(staged && { steps: staged }) };
    },
  };
}

/** What was decided is what is remembered as kept; a rung that a rule set leaves the memory as the rule left it. */
function settled(memory: RuleMemory, rung: Rung | undefined, replicas: number | null): RuleMemory {
  const { stabilized } = memory;
  if (rung !== undefined || replicas === null || stabilized === undefined || stabilized.replicas === replicas)
    return memory;
  return { ...memory, stabilized: { ...stabilized, replicas } };
}

function iso(timeMs: number): string {
  return Number.isFinite(timeMs) ? new Date(timeMs).toISOString() : "the beginning";
}
