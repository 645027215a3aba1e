import { type MetricSpec, metricName } from "../../api/fields/metrics.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { type Demand, demandSeries } from "../../capacity/demand.ts";
import type { Series } from "../../series/series.ts";
import type { Decision, DecisionTick } from "../decision.ts";
import { createDecisionPath, type Recommender, type RecommenderOptions } from "../recommender.ts";
import type { LoadForecast } from "./load-forecast.ts";

/**
 * A decision path whose pods follow from the loads by a learnt capacity: the loads become one metric in pods, of which a pod
 * carries one, and everything from there on is the path's own. Outside, loads keep their names and units.
 *
 * @param demand where absent, each metric's target is what a pod carries
 */
export function createDemandPath(
  spec: IntelligentHorizontalPodAutoscalerSpec,
  options: RecommenderOptions,
  demand: Demand | undefined,
): Recommender {
  if (demand === undefined) return createDecisionPath(spec, options);
  const { name, loads } = demand;
  const isOne = loads.length === 1;
  /** Pasts of loads that wait for the others. */
  const pasts = new Map<string, Series>();

  const past = (): Series | undefined => {
    const all = loads.flatMap((load) => pasts.get(load) ?? []);
    return all.length === loads.length ? demandSeries(demand, all) : undefined;
  };
  const histories = new Map<string, Series>();
  for (const [metric, series] of options.histories ?? [])
    if (loads.includes(metric)) pasts.set(metric, series);
    else histories.set(metric, series);
  const joint = past();
  if (joint !== undefined && !histories.has(name)) histories.set(name, joint);

  const inPods = new WeakMap<LoadForecast, LoadForecast>();
  const outlook = (metric: string, timeMs: number) => {
    const found = options.outlook?.(metric, timeMs);
    if (found === undefined || metric !== name || !isOne) return found; // several loads are foretold in pods already
    const known = inPods.get(found) ?? outlookInPods(found, demand);
    inPods.set(found, known);
    return known;
  };
  const podTargets = new Map(options.podTargets).set(name, 1);
  const path = createDecisionPath(sizedBy(demand, spec), { ...options, histories, outlook, podTargets });

  return {
    ...path,
    decide(tick: DecisionTick): Decision {
      const totals = loads.map((load) => tick.loads.get(load) ?? Number.NaN);
      const pods = demand.pods(totals);
      const decision = path.decide({
        ...tick,
        loads: new Map(tick.loads).set(name, Number.isFinite(pods) ? pods : null),
      });
      const sized = decision.loads.map((load) =>
        load.name === name ? { name, value: demand.carried(load.value) } : load,
      );
      const isBeyond = Number.isFinite(pods) && demand.extrapolates(totals);
      return { ...decision, loads: sized, ...(isBeyond && { message: `${decision.message}${beyond}` }) };
    },
    learn(metric, history) {
      if (!loads.includes(metric)) return path.learn(metric, history);
      pasts.set(metric, history);
      const all = past();
      if (all !== undefined) path.learn(name, all);
    },
    history(metric) {
      const series = path.history(metric);
      if (series === undefined || metric !== name) return series;
      return { ...series, values: series.values.map((pods) => demand.carried(pods)) };
    },
  };
}

/** Added to a decision's sentence where what a pod carries is a guess. */
const beyond = "; the load lies beyond any that the capacity was learnt from, so what a pod carries of it is a guess";

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
  const replaced = <T extends readonly MetricSpec[] | undefined>(metrics: T): T => {
    if (!metrics?.some((metric) => loads.includes(metricName(metric)))) return metrics;
    return [whole, ...metrics.filter((metric) => !loads.includes(metricName(metric)))] as unknown as T;
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
function outlookInPods(outlook: LoadForecast, { pods }: Demand): LoadForecast {
  const { backtest } = outlook;
  const scale = backtest && backtest.load > 0 ? pods([backtest.load]) / backtest.load : undefined;
  return {
    ...outlook,
    quantiles: outlook.quantiles.map((values) => Float64Array.from(values, (load) => pods([load]))),
    ...(backtest &&
      scale !== undefined && {
        backtest: { ...backtest, error: backtest.error * scale, load: backtest.load * scale },
      }),
  };
}
