import type { LeadForecast } from "../demand/lead-forecast.ts";
import type { LeadShape } from "../demand/lead-shape.ts";
import type { KnownLoad } from "../lead/lead-fit.ts";
import { priceOfQuantile } from "./price.ts";
import { PriceSimulation } from "./price-simulation.ts";

/** Prices compared: half an octave or two around the one that the share alone would set, as a bad day tells little of the next. */
const factors = [0.5, Math.SQRT1_2, 1, Math.SQRT2];
/** Own misses raise the price from there: by half an octave for each fifth of what two days allow, up to sixteen times. */
const raisesPerBudget = 5;
const raise = Math.SQRT2;
const mostFactor = 16;
const hourMs = 3_600_000;
/** Own misses are made up for over this time. */
const makeUpDays = 2;
const bucketsPerDay = 24;
/** Older misses weigh less and less. */
const rememberedDays = 28;

/**
 * The price that keeps a promise: at most `share` of the time with fewer pods than the load needs. The cheapest price whose simulated policy
 * kept it lately, laxer after a good while, and never far from the price that the share alone would set, as a few days tell little
 * of rare misses. Own misses of the last two days weigh most: bursts come in company, and one uses up much of a promise.
 */
export class ObjectivePrice {
  private readonly share: number;
  private readonly prices: readonly number[];
  private simulation: PriceSimulation | undefined;
  private shape: LeadShape | undefined;
  private chosen: number;
  private chosenMs = Number.NEGATIVE_INFINITY;
  private rows = 0;
  private short = 0;
  /** Own misses of the last days, in rows an hour, oldest first. */
  private lately: number[] = [0];
  private latelyRows = 0;
  /** Pods that served at the last rows, whose demand is not known yet. */
  private serving: number[] = [];

  /** @param share of the time, in (0, 1) */
  constructor(share: number) {
    this.share = share;
    const middle = priceOfQuantile(1 - share);
    this.prices = factors.map((factor) => factor * middle);
    this.chosen = middle;
  }

  /**
   * The price to pay at this tick.
   *
   * @param known all that is known of the load; asked only when the simulation has to go through the past
   * @param online pods that serve now
   */
  at(timeMs: number, forecast: LeadForecast, known: () => KnownLoad, online: number, mostReplicas: number): number {
    const { shape } = forecast;
    if (forecast.method !== "Learned") return this.chosen;
    if (this.simulation === undefined || shape.lead !== this.shape?.lead || shape.lag !== this.shape?.lag) {
      this.simulation = PriceSimulation.replay(this.prices, known(), shape, mostReplicas);
      this.shape = shape;
      this.serving = [];
      this.chosenMs = Number.NEGATIVE_INFINITY;
    } else this.simulation.step(forecast.demand, forecast.meanPods, forecast.newest);

    this.serving.push(online);
    if (this.serving.length > shape.lag) {
      const isShort = this.serving.shift()! < forecast.newest - 1e-6;
      this.settle(isShort, shape);
      if (isShort) this.chosenMs = Number.NEGATIVE_INFINITY; // bursts come in company: the next may be near
      if (this.rows > rememberedDays * shape.day) [this.rows, this.short] = [this.rows / 2, this.short / 2];
    }
    if (!(timeMs - this.chosenMs < hourMs)) {
      this.chosenMs = timeMs;
      this.choose(shape);
    }
    return this.chosen;
  }

  /** Counts a row whose demand has become known. */
  private settle(isShort: boolean, shape: LeadShape): void {
    const { lately } = this;
    this.rows++;
    if (++this.latelyRows >= shape.day / bucketsPerDay) {
      this.latelyRows = 0;
      lately.push(0);
      if (lately.length > makeUpDays * bucketsPerDay) lately.shift();
    }
    if (!isShort) return;
    this.short++;
    lately[lately.length - 1]++;
  }

  private choose(shape: LeadShape): void {
    const { share } = this;
    const saved = share * this.rows - this.short; // rows that may still be missed
    const budget = share * makeUpDays * shape.day; // rows that two days may miss
    const allowed = share * Math.min(1.5, Math.max(0.1, 1 + saved / budget));
    const shares = this.simulation?.shortShares() ?? [];
    const kept = shares.findIndex((short) => short <= allowed);
    const price = kept < 0 ? this.prices[this.prices.length - 1] : this.prices[kept];
    const missed = this.lately.reduce((sum, short) => sum + short, 0);
    const raises = Math.floor((raisesPerBudget * missed) / budget + 1e-9);
    this.chosen = Math.min(price * raise ** raises, mostFactor * priceOfQuantile(1 - share));
  }
}
