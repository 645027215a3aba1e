import type { Series } from "../../series/series.ts";
import type { LoadForecast } from "../demand/load-forecast.ts";
import type { MetricDemand } from "./metric-demand.ts";
import { type MetricOptions, MetricRecommender, type MetricState } from "./metric-recommender.ts";

const defaultTickMs = 15_000;
/** Ticks closer than this are merged on one grid. */
const shortestTickMs = 5_000;

export interface MetricDemandsOptions {
  readonly metrics: readonly MetricOptions[];
  /** Metrics whose stored forecast a Predictive provider uses. */
  readonly forecastMetrics: ReadonlySet<string>;
  readonly histories: ReadonlyMap<string, Series>;
  /** The stored forecast of a metric, or undefined where there is none. */
  readonly forecast: (metric: string, timeMs: number) => LoadForecast | undefined;
  /** Whether `forecast` costs nothing, as what it gives is stored anyway: then it is evaluated at every tick. */
  readonly hasForecasts: boolean;
  /** Time between ticks; where absent, 15 s until two ticks tell. */
  readonly tickMs: number | undefined;
  readonly states: Readonly<Record<string, MetricState>>;
}

/** One tick, as all metrics see it. */
export interface DemandTick {
  readonly timeMs: number;
  readonly values: ReadonlyMap<string, number | null>;
  readonly lagMs: number;
  readonly leadMs: number;
  /** Pods that serve now. */
  readonly online: number;
  readonly maxReplicas: number;
}

/** The metrics of a workload on one grid of ticks: what each of them asks for. */
export class MetricDemands {
  readonly #options: MetricDemandsOptions;
  readonly #metrics = new Map<string, MetricRecommender>();
  /** Histories that wait until the first tick lays the grid. */
  readonly #waiting: Map<string, Series>;
  #stepMs: number;
  #ticks = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(options: MetricDemandsOptions) {
    this.#options = options;
    this.#waiting = new Map(options.histories);
    this.#stepMs = options.tickMs === undefined ? defaultTickMs : Math.max(shortestTickMs, options.tickMs);
  }

  get stepMs(): number {
    return this.#stepMs;
  }

  /** Lays the grid at the first tick; the first two ticks tell how far apart they come. */
  begin(timeMs: number): void {
    if (this.#ticks === 0) this.#open(timeMs);
    else if (this.#ticks === 1 && this.#options.tickMs === undefined) this.#adoptStep(timeMs);
    this.#ticks++;
    this.#lastMs = timeMs;
  }

  /** What each metric asks for, in the order of the spec. `begin` comes first. */
  demands({ timeMs, values, lagMs, leadMs, online, maxReplicas }: DemandTick): Map<string, MetricDemand> {
    const { forecastMetrics, forecast, hasForecasts } = this.#options;
    const demands = new Map<string, MetricDemand>();
    for (const [name, metric] of this.#metrics)
      demands.set(
        name,
        metric.demand({
          timeMs,
          value: values.get(name) ?? Number.NaN,
          lagMs,
          leadMs,
          online,
          forecast: () => (forecastMetrics.has(name) ? forecast(name, timeMs) : undefined),
          hasForecast: hasForecasts,
          maxReplicas,
        }),
      );
    return demands;
  }

  /** Rounds beyond the first that an HPA with default policies needs for the largest rise known of any metric. */
  rampRounds(): number {
    return Math.max(0, ...[...this.#metrics.values()].map((metric) => metric.rampRounds()));
  }

  /** Metrics whose source came back so lately that their values may raise the number but not lower it. */
  recovering(timeMs: number): string[] {
    return [...this.#metrics].filter(([, metric]) => metric.isRecovering(timeMs)).map(([name]) => name);
  }

  /** Remembers the total decided for metrics whose source answers: what is kept when it falls silent. */
  settle(demands: ReadonlyMap<string, MetricDemand>, total: number): void {
    for (const [name, demand] of demands) if (demand.kind === "Live") this.#metrics.get(name)?.settle(total);
  }

  /** Load that the demands are sized for, in the metrics' units. */
  sizedLoads(demands: ReadonlyMap<string, MetricDemand>): { name: string; value: number }[] {
    const loads: { name: string; value: number }[] = [];
    for (const [name, metric] of this.#metrics) {
      const demand = demands.get(name);
      if (demand !== undefined && demand.kind !== "Unknown")
        loads.push({ name, value: demand.wanted / metric.podsPerUnit });
    }
    return loads;
  }

  learn(name: string, history: Series): void {
    if (this.#ticks === 0) this.#waiting.set(name, history);
    else this.#metrics.get(name)?.learn(history, this.#lastMs);
  }

  history(name: string): Series | undefined {
    return this.#metrics.get(name)?.history() ?? this.#waiting.get(name);
  }

  states(): Record<string, MetricState> {
    return Object.fromEntries([...this.#metrics].map(([name, metric]) => [name, metric.state()]));
  }

  #open(timeMs: number): void {
    for (const options of this.#options.metrics) {
      const { name } = options;
      const metric = new MetricRecommender(options, timeMs, this.#stepMs, this.#options.states[name]);
      const history = this.#waiting.get(name);
      if (history !== undefined) metric.learn(history, timeMs);
      this.#metrics.set(name, metric);
    }
    this.#waiting.clear();
  }

  #adoptStep(timeMs: number): void {
    const observed = Math.max(shortestTickMs, timeMs - this.#lastMs);
    if (Math.abs(observed - this.#stepMs) < this.#stepMs / 20) return;
    this.#stepMs = observed;
    for (const metric of this.#metrics.values()) metric.setStep(timeMs, observed);
  }
}
