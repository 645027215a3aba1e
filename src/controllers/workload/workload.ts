import type { Cause } from "../../api/cause.ts";
import { type MetricSpec, metricName } from "../../api/fields/metrics.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Demand, LearnedCapacity } from "../../capacity/demand.ts";
import { type CapacityModel, perPodTarget } from "../../capacity/linear.ts";
import type { Decision, DecisionTick, ScalingConstraints } from "../../decide/decision.ts";
import type { LoadForecast } from "../../decide/demand/load-forecast.ts";
import { createRecommender, type Recommender } from "../../decide/recommender.ts";
import type { Series } from "../../series/series.ts";
import type { StabilityDecision } from "../../stability/stability.ts";
import { PodRecords } from "../pods/pod-records.ts";
import { type PodRequests, podTarget } from "./metric-query.ts";
import { type MetricSubject, metricIdentity } from "./metric-subject.ts";
import type { SizedMetric } from "./sized-metric.ts";

/** A clock that goes back further than this begins anew; a smaller step back is waited for. */
const longestStepBackMs = 60_000;

/** How a workload is decided for. */
export interface DecideOptions {
  /** Time between two decisions: asked again sooner, the last one stands. */
  readonly tickMs: number;
  /** How often the HPA looks. */
  readonly syncSeconds: number;
}

/** What was learnt of a workload's capacity, and when. */
export interface KnownCapacity {
  readonly learnt: LearnedCapacity;
  readonly atMs: number;
  /** What the spec asked for, of which metrics. */
  readonly asked: string;
}

/** What is remembered of one IHPA's workload between ticks; after a restart it is learnt again. */
export class Workload {
  /** IHPA and target that the memory is about. */
  readonly about: string;
  /** Spec and per-pod targets that the recommender was made for. */
  #madeFor = "";
  #recommender: Recommender | undefined;
  /** The pods, as observed and as others remember them. */
  readonly pods = new PodRecords();
  readonly #forecasts = new Map<string, LoadForecast>();
  readonly #histories = new Map<string, Series>();
  /** What each metric's name stood for when its past was taken in. */
  readonly #identities = new Map<string, string>();
  /** Names that mean something else than in the present recommender. */
  readonly #changed = new Set<string>();
  #capacity: KnownCapacity | undefined;
  /** The demand that the present recommender is sized by. */
  #demand: Demand | undefined;
  #requests: PodRequests | undefined;
  #targets: ReadonlyMap<string, number> | undefined;
  #lastDecision: Decision | undefined;
  /** What checkers let the last decision do. */
  #lastAction: StabilityDecision["action"] | undefined;

  constructor(about: string) {
    this.about = about;
  }

  /** Identifies a workload: another target of the same IHPA is another workload. */
  static identity({ metadata, spec: { scaleTargetRef } }: IntelligentHorizontalPodAutoscaler): string {
    return `${metadata.uid}/${scaleTargetRef.kind}/${scaleTargetRef.name}`;
  }

  /** What one pod should carry of each metric; undefined before the first decision. */
  get targets(): ReadonlyMap<string, number> | undefined {
    return this.#targets;
  }

  get lastDecision(): Decision | undefined {
    return this.#lastDecision;
  }

  /** Whose metrics are read, and how its pods are found. */
  subject(ihpa: IntelligentHorizontalPodAutoscaler, key: string): MetricSubject {
    return {
      key,
      namespace: ihpa.metadata.namespace!,
      target: ihpa.spec.scaleTargetRef,
      metrics: metricsOf(ihpa),
      selector: this.pods.selector,
      pods: this.pods.records,
    };
  }

  /** Metrics whose past has not been taken in yet. */
  unlearned(metrics: readonly MetricSpec[]): MetricSpec[] {
    this.#adopt(metrics);
    return metrics.filter((spec) => !this.#histories.has(metricName(spec)));
  }

  /** Takes in a metric's past; one that was asked for before the metric came to mean something else is not taken. */
  learn(spec: MetricSpec, history: Series): void {
    const name = metricName(spec);
    if (this.#identities.get(name) !== metricIdentity(spec)) return;
    this.#histories.set(name, history);
    this.#recommender?.learn(name, history);
  }

  /** All that is known of a metric's load, live values included, which no store may have. */
  history(metric: string): Series | undefined {
    const lived = this.#changed.has(metric) ? undefined : this.#recommender?.history(metric);
    return lived ?? this.#histories.get(metric);
  }

  useForecast(metric: string, forecast: LoadForecast): void {
    this.#forecasts.set(metric, forecast);
  }

  /** What was learnt of the capacity that a spec asks for; undefined where nothing has been tried for it yet. */
  capacityOf(ihpa: IntelligentHorizontalPodAutoscaler): KnownCapacity | undefined {
    return ihpa.spec.capacity && this.#capacity?.asked === askedOf(ihpa) ? this.#capacity : undefined;
  }

  /** Takes in what was learnt of the capacity, with the loads' pasts that it was learnt from. */
  sizeBy(
    ihpa: IntelligentHorizontalPodAutoscaler,
    learnt: LearnedCapacity,
    pasts: ReadonlyMap<string, Series>,
    atMs: number,
  ): void {
    this.#capacity = { learnt, atMs, asked: askedOf(ihpa) };
    for (const [name, series] of pasts) this.#histories.set(name, series);
  }

  /** Metrics as they size the workload now: loads whose pods are learnt together are one. */
  sized(ihpa: IntelligentHorizontalPodAutoscaler, metrics: readonly MetricSpec[]): SizedMetric[] {
    const demand = this.#demand;
    const isLoad = (spec: MetricSpec) => demand?.loads.includes(metricName(spec)) ?? false;
    const sized: SizedMetric[] = metrics
      .filter((spec) => !isLoad(spec))
      .map((spec) => ({
        name: metricName(spec),
        specs: [spec],
        capacity: perPodTarget(this.#targets?.get(metricName(spec)) ?? Number.NaN),
      }));
    if (demand === undefined || sized.length === metrics.length) return sized;
    const own = metricsOf(ihpa);
    const specs = demand.loads.flatMap((load) => own.find((spec) => metricName(spec) === load) ?? []);
    const one: CapacityModel = { pods: (load) => demand.pods([load]), reason: "learnt from the workload's past" };
    return [{ name: demand.name, specs, demand, capacity: specs.length === 1 ? one : perPodTarget(1) }, ...sized];
  }

  /**
   * Decides a tick; asked again within the tick, the last decision stands unless the spec or what checkers say has changed.
   *
   * @param requests of the pods; undefined while there are none: those seen last then hold
   * @param constraints what steps towards a decision depend on beside it
   * @returns the cause where the spec does not tell enough to decide
   */
  decide(
    ihpa: IntelligentHorizontalPodAutoscaler,
    requests: PodRequests | undefined,
    tick: Omit<DecisionTick, "startupSeconds">,
    { tickMs, syncSeconds }: DecideOptions,
    constraints?: ScalingConstraints,
  ): Decision | Cause {
    const metrics = metricsOf(ihpa);
    this.#adopt(metrics);
    this.#requests = requests ?? this.#requests;
    const targets = new Map<string, number>();
    for (const spec of metrics) {
      const target = podTarget(spec, this.#requests);
      if ("why" in target) return { reason: "InvalidSpec", message: target.why };
      targets.set(metricName(spec), target.value);
    }
    this.#targets = targets;
    const lastMs = this.#lastDecision?.timeMs ?? Number.NEGATIVE_INFINITY;
    const wentBack = tick.timeMs < lastMs - longestStepBackMs;
    if (tick.timeMs <= lastMs && !wentBack) return this.#lastDecision!;
    const capacity = this.capacityOf(ihpa);
    const madeFor = JSON.stringify([ihpa.spec, [...targets], syncSeconds, capacity?.learnt.demand && capacity.atMs]);
    if (this.#recommender === undefined || madeFor !== this.#madeFor || wentBack) {
      this.#makeRecommender(ihpa, metrics, targets, { tickMs, syncSeconds }, wentBack);
      this.#madeFor = madeFor;
    } else if (tick.timeMs - lastMs < tickMs / 2 && constraints?.stability?.action === this.#lastAction)
      return this.#lastDecision!;
    this.#lastAction = constraints?.stability?.action;
    this.#lastDecision = this.#recommender!.decide({ ...tick, startupSeconds: this.pods.takeStarts() }, constraints);
    return this.#lastDecision;
  }

  /** Makes the recommender for a spec. It goes on from the old one, but for metrics that mean something else now. */
  #makeRecommender(
    ihpa: IntelligentHorizontalPodAutoscaler,
    metrics: readonly MetricSpec[],
    targets: ReadonlyMap<string, number>,
    { tickMs, syncSeconds }: DecideOptions,
    wentBack: boolean,
  ): void {
    const histories = new Map<string, Series>();
    for (const name of metrics.map(metricName)) {
      const known = this.history(name);
      if (known) histories.set(name, known);
    }
    this.#changed.clear();
    const state = this.#recommender?.state();
    const demand = this.capacityOf(ihpa)?.learnt.demand;
    // Of several loads, only the demand that they made together has been lived.
    const lived = demand && demand === this.#demand ? this.#recommender?.history(demand.name) : undefined;
    if (demand && lived) histories.set(demand.name, lived);
    this.#demand = demand;
    this.#recommender = createRecommender(ihpa.spec, {
      histories,
      forecast: (metric) => this.#forecasts.get(metric),
      hasForecasts: true,
      podTargets: targets,
      tickMs,
      syncSeconds,
      ...(demand && { demand }),
      // After a step back of the clock only what holds no time goes on.
      ...(state && { state: wentBack ? { starts: state.starts, metrics: {} } : state }),
    });
  }

  /** Forgets the past of metrics whose name means something else now. */
  #adopt(metrics: readonly MetricSpec[]): void {
    for (const spec of metrics) {
      const name = metricName(spec);
      const before = this.#identities.get(name);
      const identity = metricIdentity(spec);
      if (before === identity) continue;
      this.#identities.set(name, identity);
      if (before === undefined) continue;
      this.#changed.add(name);
      this.#histories.delete(name);
      this.#forecasts.delete(name);
    }
  }
}

/** What a spec asks to be learnt, of which metrics: something else is learnt anew. */
function askedOf(ihpa: IntelligentHorizontalPodAutoscaler): string {
  const { capacity } = ihpa.spec;
  const loads = metricsOf(ihpa).filter((spec) => capacity?.loads.includes(metricName(spec)));
  return JSON.stringify([capacity, loads.map(metricIdentity)]);
}

/** Every metric that any of an IHPA's own providers uses, each once. */
export function metricsOf({ spec }: IntelligentHorizontalPodAutoscaler): MetricSpec[] {
  const all = new Map<string, MetricSpec>();
  for (const { dynamic } of spec.portraitProviders) {
    if (!dynamic || dynamic.externalGeneratorName !== undefined) continue;
    const metrics = dynamic.metrics?.length ? dynamic.metrics : (spec.metrics ?? []);
    for (const metric of metrics) all.set(metricName(metric), metric as MetricSpec);
  }
  return [...all.values()];
}
