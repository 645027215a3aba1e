import type { Headroom } from "../../api/fields/prediction.ts";
import type { Series } from "../../series/series.ts";
import { type Burst, followBurst } from "../burst/burst.ts";
import type { LeadForecast } from "../demand/lead-forecast.ts";
import { type LoadForecast, largestAhead } from "../demand/load-forecast.ts";
import type { GateRules } from "../gate/accuracy-gate.ts";
import { type EvaluatorState, ForecastEvaluator } from "../gate/forecast-evaluator.ts";
import { rampRounds } from "../lead/lead.ts";
import { LeadDemand } from "../lead/lead-demand.ts";
import { ObjectivePrice } from "../price/objective.ts";
import { cheapestPods, priceOfQuantile } from "../price/price.ts";
import { type LiveDemand, type MetricDemand, wholePods } from "./metric-demand.ts";

/** Steps for which a live value may be late before its source counts as silent. */
const lateSteps = 3;
/** While a source is silent, the last decision is kept this long, and then takes this long to fall to the forecast. */
export const holdMs = 600_000;
export const decayMs = 600_000;
/** A source that comes back often reports zero first: such a zero does not count for two usual rate windows. */
export const recoveryMs = 120_000;
/** A forecast above this multiple of the highest load ever seen is implausible. */
const implausibleFactor = 2;

export interface MetricTick {
  readonly timeMs: number;
  /** The live value in the metric's unit; NaN where there is none. */
  readonly value: number;
  readonly lagMs: number;
  readonly leadMs: number;
  /** Pods that serve now. */
  readonly online: number;
  /** Gives the stored forecast. */
  readonly forecast: () => LoadForecast | undefined;
  /** Whether the stored forecast is available anyway, and so evaluated at every tick; else it is asked for only where it is needed. */
  readonly hasForecast: boolean;
  readonly maxReplicas: number;
}

/** What of a metric outlives a restart; the load itself comes from history again. */
export interface MetricState {
  readonly lastLiveMs?: number;
  readonly recoveringUntilMs?: number;
  readonly lastTotal?: number;
  readonly evaluators?: { readonly learned: EvaluatorState; readonly stored: EvaluatorState };
  readonly burst?: Burst;
}

export interface MetricOptions {
  readonly name: string;
  /** Pods that one unit of the metric needs. */
  readonly podsPerUnit: number;
  readonly headroom: Headroom;
  readonly gate: GateRules;
  /** Whether a Burst provider uses the metric. */
  readonly watchesBursts: boolean;
}

/** Turns one metric's live values and history into the pods that it asks for. */
export class MetricRecommender {
  readonly name: string;
  /** Pods that one unit of the metric needs. */
  readonly podsPerUnit: number;
  /** Quantile that a plain forecast is read at, as a fraction. */
  private readonly level: number;
  private readonly objective: ObjectivePrice | undefined;
  private readonly lead: LeadDemand;
  private observed = Number.NaN;
  private usualPods = Number.NaN;
  private lastLiveMs: number;
  private recoveringUntilMs: number;
  /** Since when a source that was silent reports zero. */
  private zeroSinceMs = Number.NaN;
  private lastTotal: number | undefined;
  /** Evaluate what is learnt of the next minutes, and the stored forecast of the next hours. */
  private readonly evaluators: { readonly learned: ForecastEvaluator; readonly stored: ForecastEvaluator };
  private readonly watchesBursts: boolean;
  private burst: Burst | undefined;

  constructor(
    { name, podsPerUnit, headroom, gate, watchesBursts }: MetricOptions,
    nowMs: number,
    stepMs: number,
    state: MetricState = {},
  ) {
    this.name = name;
    this.podsPerUnit = podsPerUnit;
    this.level = headroom.kind === "Quantile" ? headroom.quantile : 1 - headroom.underProvisioned;
    this.objective = headroom.kind === "Objective" ? new ObjectivePrice(headroom.underProvisioned) : undefined;
    this.lead = new LeadDemand(nowMs, stepMs);
    this.lastLiveMs = state.lastLiveMs ?? Number.NaN;
    this.recoveringUntilMs = state.recoveringUntilMs ?? Number.NEGATIVE_INFINITY;
    this.lastTotal = state.lastTotal;
    this.evaluators = {
      learned: new ForecastEvaluator(gate, this.level, state.evaluators?.learned),
      stored: new ForecastEvaluator(gate, this.level, state.evaluators?.stored),
    };
    this.watchesBursts = watchesBursts;
    this.burst = state.burst;
  }

  learn(history: Series, nowMs: number): void {
    this.lead.learn(history, this.podsPerUnit, nowMs);
  }

  setStep(nowMs: number, stepMs: number): void {
    this.lead.setStep(nowMs, stepMs);
  }

  /** All that is known of the load, in the metric's unit. */
  history(): Series {
    return this.lead.series(this.podsPerUnit);
  }

  state(): MetricState {
    return {
      ...(Number.isFinite(this.lastLiveMs) && { lastLiveMs: this.lastLiveMs }),
      ...(Number.isFinite(this.recoveringUntilMs) && { recoveringUntilMs: this.recoveringUntilMs }),
      ...(this.lastTotal !== undefined && { lastTotal: this.lastTotal }),
      evaluators: { learned: this.evaluators.learned.state(), stored: this.evaluators.stored.state() },
      ...(this.burst && { burst: this.burst }),
    };
  }

  /** Whether the source came back so lately that its values may raise the number but not lower it. */
  isRecovering(timeMs: number): boolean {
    return timeMs < this.recoveringUntilMs;
  }

  /** Remembers the total decided while the source answers: it is kept when the source falls silent. */
  settle(total: number): void {
    this.lastTotal = total;
  }

  /** Rounds beyond the first that an HPA with default policies needs from the usual size to the highest seen. */
  rampRounds(): number {
    return Number.isNaN(this.usualPods) ? 0 : rampRounds(wholePods(this.usualPods), wholePods(this.lead.highest()));
  }

  /** What the metric asks for at a tick. */
  demand(tick: MetricTick): MetricDemand {
    const { timeMs } = tick;
    const pods = tick.value * this.podsPerUnit;
    const lateMs = lateSteps * this.lead.stepMs;
    const wasSilent = timeMs - this.lastLiveMs > lateMs;
    if (this.isPlausible(pods, timeMs, wasSilent)) {
      if (wasSilent) this.recoveringUntilMs = timeMs + recoveryMs;
      this.lastLiveMs = timeMs;
      this.observed = pods;
      this.lead.push(timeMs, tick.lagMs, pods);
    }
    const silentMs = timeMs - this.lastLiveMs;
    if (silentMs <= lateMs && Number.isFinite(this.observed)) return this.live(tick);
    return this.silent(tick, Number.isNaN(silentMs) ? Number.POSITIVE_INFINITY : silentMs);
  }

  private isPlausible(pods: number, timeMs: number, wasSilent: boolean): boolean {
    const isZero = pods === 0;
    if (!isZero || !wasSilent) {
      this.zeroSinceMs = Number.NaN;
      return Number.isFinite(pods) && pods >= 0;
    }
    if (Number.isNaN(this.zeroSinceMs)) this.zeroSinceMs = timeMs;
    return timeMs - this.zeroSinceMs >= recoveryMs;
  }

  private live(tick: MetricTick): MetricDemand {
    const { observed, evaluators } = this;
    const least = wholePods(observed);
    const forecast = this.lead.forecast(tick.timeMs, tick.leadMs, tick.lagMs);
    const band = this.evaluateForecasts(tick, forecast);
    const evaluator = forecast?.method === "Learned" ? evaluators.learned : evaluators.stored;
    let wanted = least;
    let method: LiveDemand["method"] = "Margin";
    if (forecast !== undefined) {
      this.usualPods = forecast.meanPods;
      const price = this.priceAt(tick, forecast);
      const { demand, meanPods, ...used } =
        forecast.method === "Margin" || evaluator.isTrusted ? forecast : this.lead.byMargin(tick.timeMs);
      const recent = this.lead.recent();
      const corrected = used.method === "Learned" && recent ? evaluators.learned.corrected(demand, recent) : demand;
      wanted = Math.max(least, cheapestPods(corrected, price, meanPods, 1, tick.maxReplicas));
      method = used.method;
    }
    // The plain forecast takes over where there is too little to learn the last minutes from.
    const stored = evaluator === evaluators.stored ? this.storedPods(tick) : undefined;
    if (stored !== undefined && stored.pods >= wanted) {
      wanted = stored.pods;
      method = "Forecast";
    }
    const limit = Math.max(least, wholePods(implausibleFactor * this.lead.highest()));
    const usesForecast = method !== "Margin" || stored !== undefined;
    return {
      kind: "Live",
      observed,
      wanted: Math.min(wanted, limit),
      method,
      usesForecast,
      isCut: wanted > limit || (method === "Forecast" && stored !== undefined && stored.isCut),
      isCoarse: forecast?.isCoarse ?? false,
      verdict: evaluator.verdict(tick.timeMs),
      burst: this.watchesBursts ? this.burstPods(tick, band) : undefined,
      silentMs: tick.timeMs - this.lastLiveMs,
    };
  }

  /**
   * Compares earlier forecasts with the load that came, and records the forecasts made now.
   *
   * @returns the upper end of the forecast made a lead ago for now, pods; NaN where there was none
   */
  private evaluateForecasts(tick: MetricTick, forecast: LeadForecast | undefined): number {
    const { learned, stored } = this.evaluators;
    const recent = this.lead.recent();
    if (recent === undefined) return Number.NaN;
    const ahead = forecast?.method !== "Learned" || tick.hasForecast ? tick.forecast() : undefined;
    const band = learned.settle(recent.grid, recent.newest);
    stored.settle(recent.grid, recent.newest);
    const { timeMs } = tick;
    const toMs = timeMs + recent.shape.lead * recent.grid.stepMs;
    if (forecast?.method === "Learned") {
      learned.learn(this.lead.backtest, 1);
      learned.recordLargest(forecast.demand, timeMs, toMs);
    }
    if (ahead !== undefined) {
      stored.learn(ahead.backtest, this.podsPerUnit);
      stored.recordMean(ahead, this.podsPerUnit, timeMs, toMs);
    }
    return band;
  }

  private burstPods(tick: MetricTick, band: number): number | undefined {
    const recent = this.lead.recent();
    if (recent === undefined) return undefined;
    const found = followBurst(this.burst, {
      points: recent.grid,
      n: recent.newest,
      timeMs: tick.timeMs,
      shape: recent.shape,
      rareSeverity: this.lead.rareSeverity(),
      forecast: band,
      noise: this.lead.noise,
    });
    this.burst = found?.burst;
    // After a jump, a value freed of its noise swings beyond the raw ones: the burst is never sized above those.
    return found && wholePods(this.observed + found.growth);
  }

  private silent(tick: MetricTick, silentMs: number): MetricDemand {
    const stored = this.storedPods(tick);
    const held = this.lastTotal;
    if (held === undefined || !(silentMs < holdMs + decayMs))
      return stored === undefined
        ? { kind: "Unknown", silentMs }
        : { kind: "Silent", wanted: stored.pods, hasForecast: true, isCut: stored.isCut, silentMs };
    if (stored === undefined)
      return silentMs <= holdMs
        ? { kind: "Silent", wanted: held, hasForecast: false, isCut: false, silentMs }
        : { kind: "Unknown", silentMs };
    const fallen = Math.min(1, Math.max(0, (silentMs - holdMs) / decayMs));
    const wanted = Math.max(stored.pods, Math.ceil(held - (held - stored.pods) * fallen - 1e-9));
    return { kind: "Silent", wanted, hasForecast: true, isCut: stored.isCut, silentMs };
  }

  private priceAt(tick: MetricTick, forecast: LeadForecast): number {
    if (this.objective === undefined) return priceOfQuantile(this.level);
    const { timeMs, online, maxReplicas } = tick;
    return this.objective.at(timeMs, forecast, () => this.lead.known(), online, maxReplicas);
  }

  /** Pods that the stored forecast asks for over the lead; cut where it lies far above all that was seen. */
  private storedPods(tick: MetricTick): { readonly pods: number; readonly isCut: boolean } | undefined {
    const forecast = tick.forecast();
    if (forecast === undefined || !this.evaluators.stored.isTrusted) return undefined;
    const ahead = largestAhead(forecast, this.level, tick.timeMs, tick.timeMs + tick.leadMs);
    if (ahead === undefined) return undefined;
    const highest = this.lead.proven();
    const pods = ahead * this.podsPerUnit;
    const isCut = highest > 0 && pods > implausibleFactor * highest;
    return { pods: wholePods(isCut ? implausibleFactor * highest : pods), isCut };
  }
}
