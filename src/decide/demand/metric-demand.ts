import type { Headroom } from "../../api/fields/prediction.ts";
import type { Series } from "../../series/series.ts";
import { type Burst, followBurst } from "../burst/burst.ts";
import type { GateRules, Judgement } from "../gate/accuracy-gate.ts";
import { type EvaluatorState, ForecastEvaluator } from "../gate/forecast-evaluator.ts";
import { rampRounds } from "../lead/lead.ts";
import { LeadDemand, type LeadForecast } from "../lead/lead-demand.ts";
import { ObjectivePrice } from "../price/objective.ts";
import { cheapestPods, priceOfQuantile } from "../price/price.ts";
import { type LoadForecast, largestAhead } from "./load-forecast.ts";

/** Steps for which a live value may be late before its source counts as silent. */
const lateSteps = 3;
/** How long what was wanted last is held while a source is silent, and how long it then takes to fall to the forecast. */
export const holdMs = 600_000;
export const decayMs = 600_000;
/** Sources that come back often say zero first: for two of their windows such a zero is not believed. */
export const recoveryMs = 120_000;
/** A forecast above this multiple of the highest load ever seen has gone wild. */
const wildFactor = 2;

/** What one metric asks for at a tick, in pods. */
export type MetricDemand =
  | {
      readonly kind: "Live";
      /** Demand observed, as a fraction of a pod where need be. */
      readonly observed: number;
      /** Pods for the largest demand expected over the lead. */
      readonly wanted: number;
      readonly method: LeadForecast["method"] | "Forecast";
      /** Whether the wish rests on more than the observed value and its margin. */
      readonly usesForecast: boolean;
      /** Whether a forecast gone wild was cut. */
      readonly isCut: boolean;
      /** Whether nothing was learnt as history, long enough, does not show what happens within minutes. */
      readonly isCoarse: boolean;
      /** What the gate says of the forecast; where it is not trusted, `wanted` rests on what was observed alone. */
      readonly judgement: Judgement;
      /** Pods that a burst under way asks for; undefined while there is none, or nobody asks. */
      readonly burst: number | undefined;
      /** How long ago `observed` was heard: 0, or a little more where values are late or cannot be believed. */
      readonly silentMs: number;
    }
  /** The source is silent: `wanted` is the stored forecast's, `held` what was wanted before, on its way down. */
  | {
      readonly kind: "Silent";
      readonly wanted: number;
      readonly hasForecast: boolean;
      /** Whether the stored forecast has gone wild, and was cut. */
      readonly isCut: boolean;
      readonly silentMs: number;
    }
  | { readonly kind: "Unknown"; readonly silentMs: number };

export interface MetricTick {
  readonly timeMs: number;
  /** The live value in the metric's unit; NaN where there is none. */
  readonly value: number;
  readonly lagMs: number;
  readonly leadMs: number;
  /** Pods that serve now. */
  readonly online: number;
  /** Gives the stored forecast. */
  readonly outlook: () => LoadForecast | undefined;
  /** Whether the stored forecast is at hand anyway, and so judged at every tick; else it is asked for only where it is needed. */
  readonly hasOutlook: boolean;
  readonly mostReplicas: number;
}

/** What of a metric outlives a restart; the load itself comes from history again. */
export interface MetricState {
  readonly lastLiveMs?: number;
  readonly recoveringUntilMs?: number;
  readonly lastTotal?: number;
  readonly judges?: { readonly learned: EvaluatorState; readonly stored: EvaluatorState };
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

/** One metric's way from live values and history to the pods that it asks for. */
export class MetricRecommender {
  readonly name: string;
  /** Pods that one unit of the metric needs. */
  readonly podsPerUnit: number;
  /** Quantile that a plain forecast is read at, as a fraction. */
  private readonly level: number;
  private readonly objective: ObjectivePrice | undefined;
  private readonly demand: LeadDemand;
  private observed = Number.NaN;
  private usualPods = Number.NaN;
  private lastLiveMs: number;
  private recoveringUntilMs: number;
  /** Since when a source that was silent says zero. */
  private zeroSinceMs = Number.NaN;
  private lastTotal: number | undefined;
  /** Judges what is learnt of the next minutes, and the stored forecast of the next hours. */
  private readonly judges: { readonly learned: ForecastEvaluator; readonly stored: ForecastEvaluator };
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
    this.demand = new LeadDemand(nowMs, stepMs);
    this.lastLiveMs = state.lastLiveMs ?? Number.NaN;
    this.recoveringUntilMs = state.recoveringUntilMs ?? Number.NEGATIVE_INFINITY;
    this.lastTotal = state.lastTotal;
    this.judges = {
      learned: new ForecastEvaluator(gate, this.level, state.judges?.learned),
      stored: new ForecastEvaluator(gate, this.level, state.judges?.stored),
    };
    this.watchesBursts = watchesBursts;
    this.burst = state.burst;
  }

  learn(history: Series, nowMs: number): void {
    this.demand.learn(history, this.podsPerUnit, nowMs);
  }

  setStep(nowMs: number, stepMs: number): void {
    this.demand.setStep(nowMs, stepMs);
  }

  /** All that is known of the load, in the metric's unit. */
  history(): Series {
    return this.demand.series(this.podsPerUnit);
  }

  state(): MetricState {
    return {
      ...(Number.isFinite(this.lastLiveMs) && { lastLiveMs: this.lastLiveMs }),
      ...(Number.isFinite(this.recoveringUntilMs) && { recoveringUntilMs: this.recoveringUntilMs }),
      ...(this.lastTotal !== undefined && { lastTotal: this.lastTotal }),
      judges: { learned: this.judges.learned.state(), stored: this.judges.stored.state() },
      ...(this.burst && { burst: this.burst }),
    };
  }

  /** Whether the source came back so lately that its values may raise the number but not lower it. */
  isRecovering(timeMs: number): boolean {
    return timeMs < this.recoveringUntilMs;
  }

  /** Remembers the total decided while the source was alive: what is held when it falls silent. */
  settle(total: number): void {
    this.lastTotal = total;
  }

  /** Rounds beyond the first that an HPA with default policies needs from the usual size to the highest seen. */
  rampRounds(): number {
    return Number.isNaN(this.usualPods) ? 0 : rampRounds(wholePods(this.usualPods), wholePods(this.demand.highest()));
  }

  wish(tick: MetricTick): MetricDemand {
    const { timeMs } = tick;
    const pods = tick.value * this.podsPerUnit;
    const lateMs = lateSteps * this.demand.stepMs;
    const wasSilent = timeMs - this.lastLiveMs > lateMs;
    if (this.isBelieved(pods, timeMs, wasSilent)) {
      if (wasSilent) this.recoveringUntilMs = timeMs + recoveryMs;
      this.lastLiveMs = timeMs;
      this.observed = pods;
      this.demand.push(timeMs, tick.lagMs, pods);
    }
    const silentMs = timeMs - this.lastLiveMs;
    if (silentMs <= lateMs && Number.isFinite(this.observed)) return this.live(tick);
    return this.silent(tick, Number.isNaN(silentMs) ? Number.POSITIVE_INFINITY : silentMs);
  }

  private isBelieved(pods: number, timeMs: number, wasSilent: boolean): boolean {
    const isZero = pods === 0;
    if (!isZero || !wasSilent) {
      this.zeroSinceMs = Number.NaN;
      return Number.isFinite(pods) && pods >= 0;
    }
    if (Number.isNaN(this.zeroSinceMs)) this.zeroSinceMs = timeMs;
    return timeMs - this.zeroSinceMs >= recoveryMs;
  }

  private live(tick: MetricTick): MetricDemand {
    const { observed, judges } = this;
    const least = wholePods(observed);
    const forecast = this.demand.forecast(tick.timeMs, tick.leadMs, tick.lagMs);
    const band = this.judgeWhatCame(tick, forecast);
    const judge = forecast?.method === "Learned" ? judges.learned : judges.stored;
    let wanted = least;
    let method: Extract<MetricDemand, { kind: "Live" }>["method"] = "Margin";
    if (forecast !== undefined) {
      this.usualPods = forecast.meanPods;
      const price = this.priceAt(tick, forecast);
      const { demand, meanPods, ...used } =
        forecast.method === "Margin" || judge.isTrusted ? forecast : this.demand.byMargin(tick.timeMs);
      const recent = this.demand.recent();
      const corrected = used.method === "Learned" && recent ? judges.learned.corrected(demand, recent) : demand;
      wanted = Math.max(least, cheapestPods(corrected, price, meanPods, 1, tick.mostReplicas));
      method = used.method;
    }
    // The plain forecast takes over where there is too little to learn the last minutes from.
    const stored = judge === judges.stored ? this.storedPods(tick) : undefined;
    if (stored !== undefined && stored.pods >= wanted) {
      wanted = stored.pods;
      method = "Forecast";
    }
    const limit = Math.max(least, wholePods(wildFactor * this.demand.highest()));
    const usesForecast = method !== "Margin" || stored !== undefined;
    return {
      kind: "Live",
      observed,
      wanted: Math.min(wanted, limit),
      method,
      usesForecast,
      isCut: wanted > limit || (method === "Forecast" && stored !== undefined && stored.isCut),
      isCoarse: forecast?.isCoarse ?? false,
      judgement: judge.judgement(tick.timeMs),
      burst: this.watchesBursts ? this.burstPods(tick, band) : undefined,
      silentMs: tick.timeMs - this.lastLiveMs,
    };
  }

  /**
   * Lets the judges compare what was foretold with what came, and remembers what is foretold now.
   *
   * @returns the upper end of what was foretold a lead ago for now, pods; NaN where nothing was
   */
  private judgeWhatCame(tick: MetricTick, forecast: LeadForecast | undefined): number {
    const { learned, stored } = this.judges;
    const recent = this.demand.recent();
    if (recent === undefined) return Number.NaN;
    const outlook = forecast?.method !== "Learned" || tick.hasOutlook ? tick.outlook() : undefined;
    const band = learned.settle(recent.grid, recent.newest);
    stored.settle(recent.grid, recent.newest);
    const { timeMs } = tick;
    const toMs = timeMs + recent.shape.lead * recent.grid.stepMs;
    if (forecast?.method === "Learned") {
      learned.learn(this.demand.backtest, 1);
      learned.recordLargest(forecast.demand, timeMs, toMs);
    }
    if (outlook !== undefined) {
      stored.learn(outlook.backtest, this.podsPerUnit);
      stored.recordMean(outlook, this.podsPerUnit, timeMs, toMs);
    }
    return band;
  }

  private burstPods(tick: MetricTick, band: number): number | undefined {
    const recent = this.demand.recent();
    if (recent === undefined) return undefined;
    const { grid, newest, shape } = recent;
    const rare = this.demand.rareSeverity();
    const found = followBurst(this.burst, grid, newest, tick.timeMs, shape, rare, band, this.demand.noise);
    this.burst = found?.burst;
    // After a jump, a value without its noise swings beyond those that came: what stands is never above them.
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
    const { timeMs, online, mostReplicas } = tick;
    return this.objective.at(timeMs, forecast, () => this.demand.known(), online, mostReplicas);
  }

  /** Pods that the stored forecast asks for over the lead; cut where it lies far above all that was seen. */
  private storedPods(tick: MetricTick): { readonly pods: number; readonly isCut: boolean } | undefined {
    const outlook = tick.outlook();
    if (outlook === undefined || !this.judges.stored.isTrusted) return undefined;
    const ahead = largestAhead(outlook, this.level, tick.timeMs, tick.timeMs + tick.leadMs);
    if (ahead === undefined) return undefined;
    const highest = this.demand.proven();
    const pods = ahead * this.podsPerUnit;
    const isCut = highest > 0 && pods > wildFactor * highest;
    return { pods: wholePods(isCut ? wildFactor * highest : pods), isCut };
  }
}

/** Pods for a demand; rounding noise of one part in 10⁹ starts no pod. */
export function wholePods(demand: number): number {
  return Math.ceil(demand - 1e-9 * Math.max(1, Math.abs(demand)));
}
