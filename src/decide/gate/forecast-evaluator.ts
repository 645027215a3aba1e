import { isBelowEarlierDays } from "../burst/earlier-days.ts";
import type { Backtest } from "../demand/backtest.ts";
import type { DemandDistribution } from "../demand/demand-distribution.ts";
import type { Grid, KnownDemand } from "../demand/grid.ts";
import { type LoadForecast, meanAhead } from "../demand/load-forecast.ts";
import { residualAt } from "../demand/residual-tail.ts";
import { AccuracyGate, type GateRules, type GateState, type GateVerdict } from "./accuracy-gate.ts";
import { ForecastLedger } from "./forecast-ledger.ts";

export type EvaluatorState = GateState;

/** One forecast under evaluation: what it forecast at the lead, what came, and the gate's verdict. */
export class ForecastEvaluator {
  private readonly gate: AccuracyGate;
  private readonly ledger = new ForecastLedger();
  private readonly level: number;
  private learnt: Backtest | undefined;

  constructor(rules: GateRules, level: number, state?: EvaluatorState) {
    this.gate = new AccuracyGate(rules, level, state);
    this.level = level;
  }

  get isTrusted(): boolean {
    return this.gate.isTrusted;
  }

  /**
   * The distribution with its excess taken off, on a day that is unlike the days before: lowered by what it was lately too high, and
   * not below the newest value. On other days what earlier days did next is the better guide (measured).
   */
  corrected(demand: DemandDistribution, { grid, newest, shape }: KnownDemand): DemandDistribution {
    const { excess } = this.gate;
    const x = grid.values[newest];
    if (excess === 0 || demand.base <= x || !isBelowEarlierDays(grid, newest, shape)) return demand;
    return { ...demand, base: Math.max(x, demand.base + excess) };
  }

  /** Takes in a backtest that is new; `scale` pods a unit of it. */
  learn(backtest: Backtest | undefined, scale: number): void {
    if (backtest === undefined || backtest === this.learnt) return;
    this.learnt = backtest;
    this.gate.learn({ ...backtest, error: backtest.error * scale, load: backtest.load * scale });
  }

  /** Remembers what a distribution says of the largest demand over a stretch. */
  recordLargest({ base, scale, tail }: DemandDistribution, fromMs: number, toMs: number): void {
    const at = (level: number) => Math.max(0, base + scale * residualAt(tail, level));
    this.ledger.add({ fromMs, toMs, of: "Largest", middle: at(0.5), upper: at(this.level) });
  }

  /**
   * Remembers what a stored forecast says of the mean load over a stretch. Its steps are means, so their largest could only be
   * compared with a smoother load than the one that comes.
   */
  recordMean(outlook: LoadForecast, podsPerUnit: number, fromMs: number, toMs: number): void {
    const middle = meanAhead(outlook, 0.5, fromMs, toMs);
    const upper = meanAhead(outlook, this.level, fromMs, toMs);
    if (middle === undefined || upper === undefined) return;
    this.ledger.add({ fromMs, toMs, of: "Mean", middle: middle * podsPerUnit, upper: upper * podsPerUnit });
  }

  /**
   * Compares forecasts with the actual demand, up to point `newest`.
   *
   * @returns the upper end of the forecast for the stretch that ended last; NaN where none ended now
   */
  settle(grid: Grid, newest: number): number {
    let upper = Number.NaN;
    for (const outcome of this.ledger.settle(grid, newest)) {
      this.gate.add(outcome);
      upper = outcome.upper;
    }
    return upper;
  }

  verdict(timeMs: number): GateVerdict {
    return this.gate.verdict(timeMs);
  }

  state(): EvaluatorState {
    return this.gate.state();
  }
}
