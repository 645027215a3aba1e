import { type MetricSpec, metricName } from "../../api/fields/metrics.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { type Demand, demandSeries } from "../../capacity/demand.ts";
import type { Series } from "../../series/series.ts";
import type { LoadForecast } from "./load-forecast.ts";

/** How loads become the metrics that size a workload. Outside the recommender, loads keep their names and units. */
export interface Sizing {
  /** The spec whose metrics are those that size. */
  readonly spec: IntelligentHorizontalPodAutoscalerSpec;
  /** What one pod carries of a sizing metric, by name; the metric's own target where absent. */
  readonly podTargets: ReadonlyMap<string, number> | undefined;
  /** The histories of the sizing metrics, made from those of the loads. */
  histories(loads: ReadonlyMap<string, Series>): Map<string, Series>;
  /** Takes in one load's history. @returns what to learn of which sizing metric; undefined while other loads are missing */
  learn(load: string, history: Series): { readonly metric: string; readonly history: Series } | undefined;
  /** Live values of the sizing metrics. */
  values(loads: ReadonlyMap<string, number | null>): ReadonlyMap<string, number | null>;
  /** A forecast of a load as one of the sizing metric. */
  forecast(metric: string, ofLoad: LoadForecast): LoadForecast;
  /** A value of a sizing metric in the unit of the load. */
  carried(metric: string, value: number): number;
  /** A series of a sizing metric in the unit of the load. */
  inUnitOfLoad(metric: string, series: Series): Series;
  /** Whether the pods for these loads rest on more load than was ever seen. */
  extrapolates(loads: ReadonlyMap<string, number | null>): boolean;
}

/** Each metric sizes by its own target. */
export function sizingByTargets(
  spec: IntelligentHorizontalPodAutoscalerSpec,
  podTargets?: ReadonlyMap<string, number>,
): Sizing {
  return {
    spec,
    podTargets,
    histories: (loads) => new Map(loads),
    learn: (metric, history) => ({ metric, history }),
    values: (loads) => loads,
    forecast: (_metric, ofLoad) => ofLoad,
    carried: (_metric, value) => value,
    inUnitOfLoad: (_metric, series) => series,
    extrapolates: () => false,
  };
}

/**
 * Pods follow from the loads by a learnt capacity: the loads become one metric in pods, of which a pod carries one.
 *
 * @param podTargets what one pod carries of the other metrics
 */
export function sizingByCapacity(
  spec: IntelligentHorizontalPodAutoscalerSpec,
  demand: Demand,
  podTargets?: ReadonlyMap<string, number>,
): Sizing {
  const { name, loads } = demand;
  /** Histories of loads that wait for the others. */
  const known = new Map<string, Series>();
  const joint = (): Series | undefined => {
    const all = loads.flatMap((load) => known.get(load) ?? []);
    return all.length === loads.length ? demandSeries(demand, all) : undefined;
  };
  const totalsOf = (values: ReadonlyMap<string, number | null>) => loads.map((load) => values.get(load) ?? Number.NaN);
  const inPods = new WeakMap<LoadForecast, LoadForecast>();

  return {
    spec: sizedBy(demand, spec),
    podTargets: new Map(podTargets).set(name, 1),
    histories(given) {
      const histories = new Map<string, Series>();
      for (const [metric, series] of given) (loads.includes(metric) ? known : histories).set(metric, series);
      const made = joint();
      if (made !== undefined && !histories.has(name)) histories.set(name, made);
      return histories;
    },
    learn(load, history) {
      if (!loads.includes(load)) return { metric: load, history };
      known.set(load, history);
      const made = joint();
      return made && { metric: name, history: made };
    },
    values(given) {
      const pods = demand.pods(totalsOf(given));
      return new Map(given).set(name, Number.isFinite(pods) ? pods : null);
    },
    forecast(metric, ofLoad) {
      if (metric !== name || loads.length > 1) return ofLoad; // several loads are forecast in pods already
      const made = inPods.get(ofLoad) ?? forecastInPods(ofLoad, demand);
      inPods.set(ofLoad, made);
      return made;
    },
    carried: (metric, value) => (metric === name ? demand.carried(value) : value),
    inUnitOfLoad: (metric, series) =>
      metric === name ? { ...series, values: series.values.map((pods) => demand.carried(pods)) } : series,
    extrapolates(given) {
      const totals = totalsOf(given);
      return Number.isFinite(demand.pods(totals)) && demand.extrapolates(totals);
    },
  };
}

/** The spec with the one metric in place of the loads, wherever they are used. */
function sizedBy(
  { name, loads }: Demand,
  spec: IntelligentHorizontalPodAutoscalerSpec,
): IntelligentHorizontalPodAutoscalerSpec {
  const whole: MetricSpec = {
    name,
    type: "External",
    external: { metric: { name }, target: { type: "AverageValue", averageValue: 1 } },
  };
  const replaced = (metrics: readonly MetricSpec[] | undefined): readonly MetricSpec[] | undefined => {
    if (!metrics?.some((metric) => loads.includes(metricName(metric)))) return metrics;
    return [whole, ...metrics.filter((metric) => !loads.includes(metricName(metric)))];
  };
  return {
    ...spec,
    metrics: replaced(spec.metrics),
    portraitProviders: spec.portraitProviders?.map(({ dynamic, ...provider }) => ({
      ...provider,
      ...(dynamic && { dynamic: { ...dynamic, metrics: replaced(dynamic.metrics) } }),
    })),
  };
}

/** A forecast of a load as one of pods: each quantile stays that quantile, as pods never fall with the load. */
function forecastInPods(ofLoad: LoadForecast, { pods }: Demand): LoadForecast {
  const { backtest } = ofLoad;
  const scale = backtest && backtest.load > 0 ? pods([backtest.load]) / backtest.load : undefined;
  return {
    ...ofLoad,
    quantiles: ofLoad.quantiles.map((values) => Float64Array.from(values, (load) => pods([load]))),
    ...(backtest &&
      scale !== undefined && {
        backtest: { ...backtest, error: backtest.error * scale, load: backtest.load * scale },
      }),
  };
}
