import type { DemandDistribution } from "../demand/demand-distribution.ts";
import type { LeadShape } from "../demand/lead-shape.ts";
import { Feature, featureCount, readFeatures } from "../lead/lead-features.ts";
import { demandOutlookAt, fitLead, type KnownLoad } from "../lead/lead-fit.ts";
import { tableOfStatistics } from "../lead/load-statistics.ts";
import { fallenTo } from "../stabilization.ts";
import { cheapestPods } from "./price.ts";

/** Days over which the simulated policies are compared. */
const trailingDays = 5;
const bucketsPerDay = 24;

/**
 * Policies that are simulated beside the real one, one for each price: how often would each have been short of pods?
 * A simulated policy asks for what its price buys, goes up at once and down late as the real one does, and its pods serve a lead later.
 */
export class PriceSimulation {
  readonly prices: readonly number[];
  private readonly shape: LeadShape;
  private readonly mostReplicas: number;
  private readonly policies: readonly SimulatedPolicy[];
  /** Rows seen, and rows short of pods a price, in buckets of an hour, oldest first. */
  private buckets: { rows: number; readonly short: Int32Array }[] = [];
  private row = 0;

  constructor(prices: readonly number[], shape: LeadShape, mostReplicas: number) {
    this.prices = prices;
    this.shape = shape;
    this.mostReplicas = mostReplicas;
    this.policies = prices.map(() => new SimulatedPolicy(shape));
  }

  /**
   * One row: what is known of its lead's demand, and the demand that has just become known, of `lag` rows ago.
   *
   * @param newest pods; NaN where it is not known, and then no policy is evaluated by it
   */
  step(demand: DemandDistribution, meanPods: number, newest: number): void {
    const { shape, buckets } = this;
    if (this.row % Math.max(1, Math.round(shape.day / bucketsPerDay)) === 0 || buckets.length === 0) {
      buckets.push({ rows: 0, short: new Int32Array(this.prices.length) });
      if (buckets.length > trailingDays * bucketsPerDay) buckets.shift();
    }
    this.row++;
    const bucket = buckets[buckets.length - 1];
    const least = Number.isNaN(newest) ? 1 : Math.ceil(newest - 1e-6);
    let isEvaluated = false;
    for (let j = 0; j < this.prices.length; j++) {
      const wanted = cheapestPods(demand, this.prices[j], meanPods, 1, this.mostReplicas);
      const ready = this.policies[j].step(Math.min(Math.max(wanted, least), this.mostReplicas));
      if (ready === undefined || Number.isNaN(newest)) continue;
      isEvaluated = true;
      if (ready < newest - 1e-6) bucket.short[j]++;
    }
    if (isEvaluated) bucket.rows++;
  }

  /** The share of rows that each price was short in, over the last days; 0 where nothing was evaluated yet. */
  shortShares(): number[] {
    const rows = this.buckets.reduce((sum, bucket) => sum + bucket.rows, 0);
    return this.prices.map((_, j) => {
      const short = this.buckets.reduce((sum, bucket) => sum + bucket.short[j], 0);
      return rows > 0 ? short / rows : 0;
    });
  }

  /**
   * Runs the policies through the past: each day with what could be learnt before it.
   *
   * @returns the policies as they are at the end of what is known
   */
  static replay(prices: readonly number[], load: KnownLoad, shape: LeadShape, mostReplicas: number): PriceSimulation {
    const simulation = new PriceSimulation(prices, shape, mostReplicas);
    const { values, length, start, fine } = load;
    const { day, lag } = shape;
    const table = tableOfStatistics(load.seen ?? values, length, start, shape, 0);
    const row = new Float64Array(featureCount);
    const end = length - 1 + lag; // the row at which the newest value became known
    for (let from = Math.max(start + 2 * day, end - trailingDays * day); from < end; from += day) {
      const fit = fitLead({ ...load, length: from - lag + 1 }, shape);
      if (fit === undefined) continue;
      for (let i = from; i < Math.min(from + day, end); i++) {
        readFeatures(table, shape, i, row);
        row[Feature.one] = fit.meanLoad;
        const { base, scale } = demandOutlookAt(fit, shape, row);
        const isFine = fine[i - lag + 1] > fine[i - lag];
        simulation.step({ base, scale, tail: fit.tail }, fit.meanPods, isFine ? values[i - lag] : Number.NaN);
      }
    }
    return simulation;
  }
}

/** One policy's pods over time, in rows. */
class SimulatedPolicy {
  private readonly shape: LeadShape;
  /** Pods requested and pods kept in the last rows, in rings. */
  private readonly wanted: Int32Array;
  private readonly held: Int32Array;
  private present = 0;
  private row = 0;

  constructor(shape: LeadShape) {
    this.shape = shape;
    this.wanted = new Int32Array(shape.five + 1);
    this.held = new Int32Array(shape.lead + shape.lag + 1);
  }

  /** Takes the pods requested now. @returns the pods that served `lag` rows ago, whose demand is known now; undefined at the start */
  step(wanted: number): number | undefined {
    const { shape, row } = this;
    this.wanted[row % this.wanted.length] = wanted;
    if (wanted >= this.present) this.present = wanted;
    else this.present = fallenTo(this.present, this.largestWanted(shape.minute), () => this.largestWanted(shape.five));
    this.held[row % this.held.length] = this.present;
    this.row++;
    if (this.row < this.held.length) return undefined;
    let ready = Number.POSITIVE_INFINITY;
    for (let back = shape.lag; back < this.held.length; back++)
      ready = Math.min(ready, this.held[(row - back) % this.held.length]);
    return ready;
  }

  private largestWanted(rows: number): number {
    let largest = 0;
    for (let back = 0; back <= Math.min(rows, this.row); back++)
      largest = Math.max(largest, this.wanted[(this.row - back) % this.wanted.length]);
    return largest;
  }
}
