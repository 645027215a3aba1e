import type { Rung } from "../api/conditions.ts";
import { configuredLeadSeconds, type Headroom, headroomOf } from "../api/fields/prediction.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Demand } from "../capacity/demand.ts";
import { createSchedule, type Schedule } from "../portrait/schedule.ts";
import type { Series } from "../series/series.ts";
import type { Decision, DecisionTick, ScalingConstraints } from "./decision.ts";
import { decisionMessage } from "./decision-message.ts";
import type { LoadForecast } from "./demand/load-forecast.ts";
import { type Sizing, sizingByCapacity, sizingByTargets } from "./demand/sizing.ts";
import { gateRules } from "./gate/accuracy-gate.ts";
import { type Lead, measureLead, rememberStarts } from "./lead/lead.ts";
import { type MetricDemand, observedPods } from "./metric/metric-demand.ts";
import { MetricDemands } from "./metric/metric-demands.ts";
import type { MetricState } from "./metric/metric-recommender.ts";
import { accuracyOf, reasonOf, rungOf } from "./providers/basis.ts";
import {
  burstProposals,
  type DynamicProvider,
  metricsUsedBy,
  propose,
  readProviders,
} from "./providers/dynamic-providers.ts";
import { type Proposal, selectProposal } from "./providers/select-proposal.ts";
import { applyRules, type ChainResult, chain } from "./rules/chain.ts";
import type { RuleMemory, RuleState, Situation } from "./rules/rule.ts";
import type { StagedState } from "./steps/staged-replicas.ts";
import { createSteps, type Steps } from "./steps/steps.ts";

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
  spec: IntelligentHorizontalPodAutoscalerSpec,
  options: RecommenderOptions = {},
): Recommender {
  return new WorkloadRecommender(spec, options);
}

class WorkloadRecommender implements Recommender {
  readonly #options: RecommenderOptions;
  readonly #sizing: Sizing;
  /** The spec whose metrics are those that size. */
  readonly #spec: IntelligentHorizontalPodAutoscalerSpec;
  readonly #providers: readonly DynamicProvider[];
  readonly #schedule: (timeMs: number) => Schedule;
  readonly #steps: Steps;
  readonly #headroom: Headroom;
  readonly #forecastMetrics: ReadonlySet<string>;
  readonly #metrics: MetricDemands;
  #starts: readonly number[];
  #memory: RuleMemory;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(given: IntelligentHorizontalPodAutoscalerSpec, options: RecommenderOptions) {
    const { demand, podTargets, state } = options;
    const sizing = demand ? sizingByCapacity(given, demand, podTargets) : sizingByTargets(given, podTargets);
    const { spec } = sizing;
    const { providers, targets } = readProviders(spec, sizing.podTargets);
    this.#options = options;
    this.#sizing = sizing;
    this.#spec = spec;
    this.#providers = providers;
    this.#schedule = createSchedule(spec);
    this.#steps = createSteps(spec, state?.steps);
    this.#headroom = headroomOf(spec.prediction);
    this.#forecastMetrics = metricsUsedBy(providers, "Predictive");
    this.#metrics = this.#createMetrics(targets);
    this.#starts = state?.starts ?? [];
    this.#memory = state?.memory ?? {};
  }

  decide(tick: DecisionTick, constraints: ScalingConstraints = {}): Decision {
    this.#begin(tick.timeMs);
    const lead = this.#lead(tick);
    const schedule = this.#schedule(tick.timeMs);
    const demands = this.#metrics.demands({
      timeMs: tick.timeMs,
      values: this.#sizing.values(tick.loads),
      lagMs: tick.lagMs ?? defaultLagMs,
      leadMs: lead.seconds * 1000,
      online: tick.replicas.online,
      maxReplicas: schedule.maxReplicas,
    });
    const situation = this.#situation(tick, schedule, demands);
    const result = applyRules(chain, situation);
    this.#remember(result.state, demands);
    const decision = this.#decision(tick, lead, situation, result);
    return this.#steps.towards(decision, tick, constraints, schedule.maxReplicas);
  }

  learn(load: string, series: Series): void {
    const learnt = this.#sizing.learn(load, series);
    if (learnt !== undefined) this.#metrics.learn(learnt.metric, learnt.history);
  }

  history(metric: string): Series | undefined {
    const series = this.#metrics.history(metric);
    return series && this.#sizing.inUnitOfLoad(metric, series);
  }

  state(): RecommenderState {
    const steps = this.#steps.state();
    return { memory: this.#memory, starts: this.#starts, metrics: this.#metrics.states(), ...(steps && { steps }) };
  }

  #createMetrics(targets: ReadonlyMap<string, number>): MetricDemands {
    const { histories = new Map(), forecast, hasForecasts = false, tickMs, state } = this.#options;
    const burstMetrics = metricsUsedBy(this.#providers, "Burst");
    return new MetricDemands({
      metrics: [...targets].map(([name, target]) => ({
        name,
        podsPerUnit: 1 / target,
        headroom: this.#headroom,
        gate: gateRules(this.#spec.prediction),
        watchesBursts: burstMetrics.has(name),
      })),
      forecastMetrics: this.#forecastMetrics,
      histories: this.#sizing.histories(histories),
      forecast: (metric, timeMs) => {
        const found = forecast?.(metric, timeMs);
        return found && this.#sizing.forecast(metric, found);
      },
      hasForecasts,
      tickMs,
      states: state?.metrics ?? {},
    });
  }

  /** Takes in the time of a tick. */
  #begin(timeMs: number): void {
    const lastMs = this.#lastMs;
    if (!(timeMs > lastMs))
      throw new RangeError(`time ${iso(timeMs)} does not come after ${iso(lastMs)}, the last one`);
    this.#metrics.begin(timeMs);
    const isFirst = lastMs === Number.NEGATIVE_INFINITY;
    // After a long pause what was requested then says nothing of now: begin again with the pods there are.
    if (!isFirst && timeMs - lastMs > Math.max(longestPauseMs, 4 * this.#metrics.stepMs)) {
      const { unknownSinceMs } = this.#memory;
      this.#memory = unknownSinceMs === undefined ? {} : { unknownSinceMs };
    }
    this.#lastMs = timeMs;
  }

  /** How long pods take to serve. A Managed HPA has no policies that bind; one of the user's goes far in several rounds only. */
  #lead({ startupSeconds = [] }: DecisionTick): Lead {
    this.#starts = rememberStarts(this.#starts, startupSeconds);
    return measureLead(this.#starts, {
      configuredSeconds: configuredLeadSeconds(this.#spec.prediction),
      syncSeconds: this.#options.syncSeconds,
      rampRounds: this.#spec.hpa === "Attached" ? this.#metrics.rampRounds() : 0,
    });
  }

  #situation(tick: DecisionTick, schedule: Schedule, demands: ReadonlyMap<string, MetricDemand>): Situation {
    const { timeMs } = tick;
    const { present } = this.#steps.inService(tick);
    const proposals = this.#proposals([...schedule.proposals, ...(tick.proposals ?? [])], demands, present, timeMs);
    const selected = selectProposal(proposals, timeMs);
    const isDynamic = selected !== undefined && this.#providers.some(({ provider }) => provider === selected.provider);
    return {
      timeMs,
      present,
      isPaused: this.#spec.paused === true,
      behavior: this.#spec.behavior,
      schedule,
      proposals,
      selected,
      selectedReason: selected ? reasonOf(selected, isDynamic, this.#forecastMetrics, demands) : "NothingKnown",
      isDynamic,
      demands,
      recovering: this.#metrics.recovering(timeMs),
      before: this.#memory,
    };
  }

  #proposals(
    given: readonly Proposal[],
    demands: ReadonlyMap<string, MetricDemand>,
    present: number,
    timeMs: number,
  ): Proposal[] {
    const providers = this.#providers;
    const proposals = [...given];
    for (const provider of providers) {
      const proposal = provider.provider === "Burst" ? undefined : propose(provider, demands, present, providers);
      if (proposal !== undefined) proposals.push(proposal);
    }
    return [...proposals, ...burstProposals(providers, demands, selectProposal(proposals, timeMs))];
  }

  #remember({ memory, rung, replicas }: RuleState, demands: ReadonlyMap<string, MetricDemand>): void {
    this.#memory = settled(memory, rung, replicas);
    if (rung === undefined && replicas !== null) this.#metrics.settle(demands, replicas);
  }

  #decision(tick: DecisionTick, lead: Lead, situation: Situation, { state, outcomes }: ChainResult): Decision {
    const { timeMs, present, proposals, selected, schedule, demands, isDynamic } = situation;
    const { replicas: total, reason, requested } = state;
    const headroom = this.#headroom;
    const isPreview = this.#spec.scaleMode === "Preview";
    const message = decisionMessage({
      reason,
      total,
      requested,
      present,
      lead,
      demands,
      selected,
      schedule,
      headroom,
      isPreview,
    });
    const level = headroom.kind === "Quantile" ? headroom.quantile : 1 - headroom.underProvisioned;
    const accuracy = accuracyOf(demands, this.#forecastMetrics, level);
    return {
      timeMs,
      desired: total === null ? undefined : { online: total, cutoff: 0, standby: 0 },
      total,
      observed: observedPods(demands),
      rung: state.rung ?? (isDynamic ? rungOf(demands, this.#forecastMetrics) : "Fresh"),
      reason,
      message: this.#sizing.extrapolates(tick.loads) ? `${message}${extrapolated}` : message,
      rules: outcomes,
      provider: selected?.provider,
      lead,
      proposals,
      loads: this.#metrics
        .sizedLoads(demands)
        .map(({ name, value }) => ({ name, value: this.#sizing.carried(name, value) })),
      ...(accuracy && { accuracy }),
    };
  }
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
