import type { Series } from "../../series/series.ts";
import { seededRandom } from "../../series/statistics/seeded-random.ts";
import { rareSeverity } from "../burst/burst-threshold.ts";
import type { Backtest } from "../demand/backtest.ts";
import type { KnownDemand } from "../demand/grid.ts";
import type { LeadForecast } from "../demand/lead-forecast.ts";
import { type LeadShape, lagPoints, leadShape } from "../demand/lead-shape.ts";
import { LoadMemory } from "../demand/load-memory.ts";
import { asReadLive, NoiseFilter } from "../demand/metric-noise.ts";
import { exponentialTail, type ResidualTail, residualTailOf } from "../demand/residual-tail.ts";
import { featureCount, readFeatures } from "./lead-features.ts";
import { demandOutlookAt, fitLead, type KnownLoad, type LeadFit } from "./lead-fit.ts";
import { LiveStatistics } from "./load-statistics.ts";

/** A past as long as this can be learnt from where its steps are short: a day of rows, less a quarter, and the day before it. */
const leastDays = 1.75;
const refitMs = 6 * 3_600_000;
/** Rows closer together than this tell nothing more of bursts. */
const severityEveryMs = 45_000;
/** While there is too little to learn from, the margin is learnt anew this often. */
const remarginMs = 600_000;
/** So long before and after its peak a load proves nothing; looked at anew every hour, and with a new peak. */
const provenAsideMs = 1_800_000;
const provenEveryMs = 3_600_000;
/** A lead that became shorter waits this long for its fit: leads measured near a step's edge would flip at every tick. */
const patienceMs = 600_000;

/**
 * Foretells the largest demand of one metric over `[now, now + lead]` from what is known at `now − lag`.
 * Keeps two weeks of points; learns anew every six hours, and when lead, lag or the metric's noise change.
 */
export class LeadDemand {
  private memory: LoadMemory;
  private fit: LeadFit | undefined;
  private margin: Margin | undefined;
  private marginMs = Number.NEGATIVE_INFINITY;
  private start = 0;
  private newest = -1;
  private rare: { readonly severity: number; readonly fittedMs: number } | undefined;
  private shape: LeadShape | undefined;
  private statistics: LiveStatistics | undefined;
  private fittedMs = Number.NEGATIVE_INFINITY;
  private fittedOriginMs = Number.NaN;
  private filter = new NoiseFilter();
  /** When the newest live value was, and the noise that the fit reckons with. */
  private pushedMs = Number.NaN;
  private fittedNoise = 0;
  /** Points that were known when it was last tried to fit. */
  private fittedSpan = 0;
  private lastProof:
    | { readonly highest: number; readonly originMs: number; readonly aged: number; readonly proven: number }
    | undefined;
  private readonly features = new Float64Array(featureCount);

  /** @param nowMs the first tick @param stepMs time between ticks, above 0 */
  constructor(nowMs: number, stepMs: number) {
    this.memory = new LoadMemory(nowMs, stepMs);
  }

  get stepMs(): number {
    return this.memory.stepMs;
  }

  /** Takes history in, `scale` pods a unit of it; what lies after `nowMs` is not used. Live values already known stay. */
  learn(history: Series, scale: number, nowMs: number): void {
    this.memory.learn(history, scale, nowMs);
    this.fittedMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * Takes in a live value in pods that is heard at `nowMs` and `lagMs` old; its noise is taken off first. It stands at the point
   * that `forecast` holds for the newest one: a lag of half a step must not be rounded one way here and the other there.
   */
  push(nowMs: number, lagMs: number, value: number): void {
    const { memory } = this;
    const timeMs = memory.originMs + (memory.indexOf(nowMs) - lagPoints(memory.stepMs, lagMs)) * memory.stepMs;
    const steps = Math.round((timeMs - this.pushedMs) / memory.stepMs);
    if (steps > 1) this.filter.restart();
    memory.push(timeMs, steps < 1 ? value : this.filter.next(value));
    this.pushedMs = timeMs;
  }

  /** Goes on with ticks `stepMs` apart. */
  setStep(nowMs: number, stepMs: number): void {
    this.memory = this.memory.onGrid(nowMs, stepMs);
    this.filter = new NoiseFilter();
    this.fittedMs = Number.NEGATIVE_INFINITY;
    this.shape = undefined;
  }

  /** The highest demand of the last two weeks, pods. */
  highest(): number {
    return this.memory.highest;
  }

  /**
   * The highest demand of the last two weeks but for half an hour around its peak, pods: an outlier proves nothing. Where no
   * more is known it is the peak.
   */
  proven(): number {
    const { memory } = this;
    const { highest, originMs, length, stepMs } = memory;
    const aged = Math.floor((length * stepMs) / provenEveryMs);
    if (this.lastProof?.highest !== highest || this.lastProof.originMs !== originMs || this.lastProof.aged !== aged)
      this.lastProof = { highest, originMs, aged, proven: memory.highestAsidePeak(provenAsideMs) };
    return this.lastProof.proven;
  }

  /** What is known, in units of which a pod takes `1 / podsPerUnit`. */
  series(podsPerUnit: number): Series {
    return this.memory.series(1 / podsPerUnit);
  }

  /** @returns undefined where nothing is known about the metric */
  forecast(nowMs: number, leadMs: number, lagMs: number): LeadForecast | undefined {
    const { memory } = this;
    const wanted = leadShape(memory.stepMs, leadMs, lagMs);
    const row = memory.indexOf(nowMs);
    const newest = row - wanted.lag;
    if (memory.length === 0) return undefined;
    memory.carryTo(memory.originMs + newest * memory.stepMs);
    if (newest < 0 || newest >= memory.length) return undefined;

    this.learnWhenDue(nowMs, wanted, newest + 1);
    // Fits with another shape stay in use until the next one is due.
    const shape = this.shape as LeadShape;
    const known = Math.min(row - shape.lag + 1, memory.length);
    this.newest = newest;
    const x = memory.values[newest];
    if (this.fit === undefined || this.statistics === undefined) return this.byMargin(nowMs);
    this.statistics.extend(known);
    readFeatures(this.statistics, shape, row, this.features);
    const { base, scale } = demandOutlookAt(this.fit, shape, this.features);
    return {
      method: "Learned",
      newest: x,
      demand: { base, scale, tail: this.fit.tail },
      meanPods: this.fit.meanPods,
      shape,
    };
  }

  /** What observed rises alone say, whatever else was learnt. Asked after `forecast` gave an answer for the same tick. */
  byMargin(nowMs: number): LeadForecast {
    const shape = this.shape as LeadShape;
    if (this.margin === undefined || !(nowMs - this.marginMs < remarginMs) || nowMs < this.marginMs) {
      this.margin = learnMargin(this.points(this.newest + 1), shape);
      this.marginMs = nowMs;
    }
    const { tail, meanLoad, meanPods } = this.margin;
    const x = this.memory.values[this.newest];
    const demand = { base: x, scale: Math.max(x, meanLoad / 10, 1e-9), tail };
    const isCoarse = this.fit === undefined && this.fittedSpan >= leastDays * shape.day;
    return { method: "Margin", newest: x, demand, meanPods, shape, isCoarse };
  }

  /** What the last fit would have forecast for the rows that it was learnt from; undefined where there is no fit. */
  get backtest(): Backtest | undefined {
    return this.fit?.backtest;
  }

  /** What is known as of the last `forecast` that gave an answer; undefined before. */
  recent(): KnownDemand | undefined {
    const { memory, shape, newest, start } = this;
    if (shape === undefined || newest < 0) return undefined;
    const { values, length, originMs, stepMs } = memory;
    return { grid: { values, start, length, originMs, stepMs }, newest, shape };
  }

  /** The deviation of the live values' noise, as a share of the value, on the safe side while few are known. */
  get noise(): number {
    return this.filter.likelyShare;
  }

  /** The severity from which a rise is rare for this load: see `rareSeverity`. Learnt as often as the fit. */
  rareSeverity(): number {
    const { shape } = this;
    if (this.rare?.fittedMs !== this.fittedMs && shape !== undefined) {
      const { fine, ...load } = this.points();
      const every = Math.max(1, Math.round(severityEveryMs / load.stepMs));
      const isFine = (from: number, to: number) => from >= 0 && fine[to] - fine[from] === to - from;
      this.rare = { severity: rareSeverity(load, shape, every, isFine), fittedMs: this.fittedMs };
    }
    return this.rare?.severity ?? 1;
  }

  /** All that is known, its points below `length`, and how it would have looked had it come live. */
  known(length = this.memory.length): KnownLoad {
    const { memory, filter } = this;
    const load = this.points(length);
    if (filter.noise.share === 0) return load;
    const random = seededRandom(memory.indexOf(this.pushedMs));
    return { ...load, seen: asReadLive(load, (i) => memory.isLive(i), filter.noise, random) };
  }

  private points(length = this.memory.length): KnownLoad {
    const { values, stepMs, start } = this.memory;
    return { values, length, start, stepMs, fine: this.memory.fineCounts() };
  }

  private learnWhenDue(nowMs: number, shape: LeadShape, known: number): void {
    const ageMs = nowMs - this.fittedMs;
    const changed = shape.lead !== this.shape?.lead || shape.lag !== this.shape?.lag;
    // Neither may a longer reach wait, nor an older newest value: what the present shape reads is not known yet.
    const longer =
      this.shape !== undefined &&
      (shape.lead + shape.lag > this.shape.lead + this.shape.lag || shape.lag > this.shape.lag);
    const { share: noise } = this.filter.noise;
    const noiseChanged = Math.abs(noise - this.fittedNoise) > Math.max(noise, this.fittedNoise) / 2;
    const isDue =
      this.shape === undefined ||
      ageMs < 0 ||
      ageMs >= (this.fit ? refitMs : remarginMs) ||
      (changed && (longer || ageMs >= patienceMs)) ||
      (noiseChanged && ageMs >= patienceMs) ||
      this.memory.originMs !== this.fittedOriginMs; // points have moved: indices are new
    if (!isDue) return;

    const { memory } = this;
    const load = this.known(known);
    const { start } = load;
    this.shape = shape;
    this.start = start;
    this.margin = undefined;
    this.fittedMs = nowMs;
    this.fittedNoise = noise;
    this.fittedSpan = known - start;
    this.fittedOriginMs = memory.originMs;
    this.fit = fitLead(load, shape);
    this.statistics = this.fit && new LiveStatistics(memory.values, known, start, shape, this.fit.meanLoad);
  }
}

interface Margin {
  readonly tail: ResidualTail;
  readonly meanLoad: number;
  readonly meanPods: number;
}

/** What rises are thought to be before any was seen: exponential, 5 % of the load in the mean. */
const priorRise = 0.05;

/** How far demand rose above its newest value, as a share of it: what was seen, and what is thought while little was seen. */
function learnMargin(
  load: { readonly values: Float32Array; readonly length: number; readonly start: number; readonly fine: Int32Array },
  shape: LeadShape,
): Margin {
  const { values, length, start, fine } = load;
  let [sum, pods] = [0, 0];
  for (let i = start; i < length; i++) {
    sum += values[i];
    pods += Math.max(1, Math.ceil(values[i]));
  }
  const meanLoad = sum / Math.max(1, length - start);
  const meanPods = length > start ? pods / (length - start) : 1;
  const rises = Array.from(exponentialTail.residuals, (e) => e * priorRise);
  for (let i = start + shape.lag; i + shape.lead < length; i++) {
    const from = i - shape.lag;
    if (fine[i + shape.lead + 1] - fine[from] < i + shape.lead + 1 - from) continue;
    let largest = 0;
    for (let k = i; k <= i + shape.lead; k++) largest = Math.max(largest, values[k]);
    rises.push((largest - values[from]) / Math.max(values[from], meanLoad / 10, 1e-9));
  }
  return { tail: residualTailOf(Float64Array.from(rises)), meanLoad, meanPods };
}
