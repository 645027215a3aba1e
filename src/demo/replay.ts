import { headroomOf } from "../api/fields/prediction.ts";
import type { HorizontalPortrait } from "../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { apiVersion } from "../api/kinds.ts";
import { ihpaLabel, portraitName } from "../api/labels.ts";
import { loadAt } from "../backtest/replay/load.ts";
import { managedHpaModel } from "../backtest/replay/managed-hpa-model.ts";
import { oracleReplicas } from "../backtest/replay/oracle.ts";
import { type Score, Scoreboard } from "../backtest/replay/scoreboard.ts";
import { SimulatedDeployment } from "../backtest/replay/simulated-deployment.ts";
import { perPodTarget } from "../capacity/linear.ts";
import type { Decision, DecisionTick } from "../decide/decision.ts";
import { createRecommender, type Recommender } from "../decide/recommender.ts";
import type { Forecast } from "../forecast/forecast.ts";
import { createHpa, type Hpa } from "../hpa/hpa.ts";
import type { MetricReading } from "../hpa/metric-replicas.ts";
import { stamp } from "../kube/times.ts";
import { predictivePortrait } from "../portrait/predictive.ts";
import { publishedForecast } from "../portrait/published-forecast.ts";
import { reactivePortrait } from "../portrait/reactive.ts";
import { interpolate } from "../series/gaps.ts";
import type { Series } from "../series/series.ts";
import type { Forecasts } from "./forecasts.ts";
import { maxReplicas, minReplicas } from "./manifest.ts";
import type { MetricServer } from "./metric-server.ts";
import type { Trace } from "./trace.ts";

export const tickMs = 15_000;
export const startupMs = 60_000;
/** Live values are this old. */
export const lagMs = 30_000;
/** Load that the plain HPA aims at, as a share of what a pod carries. */
export const plainTarget = 0.7;
/** The HPA's syncs fall between two decisions, as they do in a cluster that keeps no common time. */
const syncDelayMs = tickMs / 2;
const syncSeconds = 15;
const portraitLevels = [0.5, 0.9, 0.95, 0.99];

export const policyNames = ["forescale", "hpa", "oracle"] as const;
export type PolicyName = (typeof policyNames)[number];

/** One moment of the replay. */
export interface Moment {
  readonly timeMs: number;
  /** Pods that the load needs, fractional; NaN where the trace has no value. */
  readonly needed: number;
  /** Pods of each policy, those that still start among them. */
  readonly pods: Readonly<Record<PolicyName, number>>;
}

export interface ReplayOptions {
  readonly trace: Trace;
  readonly ihpa: IntelligentHorizontalPodAutoscaler;
  readonly server: MetricServer;
  readonly forecasts: Forecasts;
  /** Called with every decision and the tick that it was made for. */
  readonly onDecision?: (decision: Decision, tick: DecisionTick) => void;
}

/**
 * The closed loop in simulated time: a load, three policies and a deployment for each. Forescale's goes through the real
 * recommender, the real server and an HPA that reads the metric there; the plain HPA sees the same load with the same delay.
 */
export class Replay {
  readonly #options: ReplayOptions;
  /** What was asked of the pods: where nothing was measured, load went on all the same. */
  readonly #asked: Series;
  readonly #recommender: Recommender;
  readonly #oracle: Float64Array;
  readonly #deployments: { readonly forescale: SimulatedDeployment; readonly hpa: SimulatedDeployment };
  readonly #hpas: { readonly forescale: Hpa; readonly hpa: Hpa };
  readonly #boards: Readonly<Record<PolicyName, Scoreboard>>;
  readonly #moments: Moment[] = [];
  readonly #ticks: number;
  #decision: Decision | undefined;
  /** What the HPA read last. */
  #reading: MetricReading = { kind: "Missing", why: "nothing was read yet" };
  /** Whole seconds of pods that became ready since the last decision. */
  #startups: number[] = [];

  constructor(options: ReplayOptions) {
    this.#options = options;
    const { trace, ihpa, forecasts } = options;
    const { replayFromMs, replayUntilMs, load, metric } = trace;
    this.#asked = { ...load, values: interpolate(load.values) };
    this.#ticks = Math.floor((replayUntilMs - replayFromMs) / tickMs);
    const needed = Float64Array.from({ length: this.#ticks }, (_, k) => this.#needed(replayFromMs + k * tickMs) || 0);
    this.#oracle = oracleReplicas(needed, startupMs / tickMs);

    const known = Math.floor((replayFromMs - load.startMs) / load.stepMs);
    this.#recommender = createRecommender(ihpa.spec, {
      histories: new Map([[metric, { ...load, values: load.values.slice(0, known) }]]),
      forecast: () => forecasts.latest,
      hasForecasts: true,
      tickMs,
      syncSeconds,
    });

    const first = Math.max(minReplicas, Math.ceil(needed[0] / plainTarget));
    this.#deployments = {
      forescale: new SimulatedDeployment(first, startupMs),
      hpa: new SimulatedDeployment(first, startupMs),
    };
    this.#hpas = {
      forescale: createHpa(managedHpaModel({ minReplicas, maxReplicas })),
      // All defaults: 10 % tolerance, 300 s before a fall, at most double (or 4 pods) more in 15 s.
      hpa: createHpa({
        minReplicas,
        maxReplicas,
        metrics: [{ type: "External", name: metric, target: { type: "AverageValue", averageValue: plainTarget } }],
      }),
    };
    this.#boards = { forescale: new Scoreboard(), hpa: new Scoreboard(), oracle: new Scoreboard() };
  }

  get isOver(): boolean {
    return this.#moments.length >= this.#ticks;
  }

  get ticks(): { readonly done: number; readonly all: number } {
    return { done: this.#moments.length, all: this.#ticks };
  }

  /** Simulated time of the next tick. */
  get nowMs(): number {
    return this.#options.trace.replayFromMs + this.#moments.length * tickMs;
  }

  /** All moments so far, oldest first. */
  get moments(): readonly Moment[] {
    return this.#moments;
  }

  get decision(): Decision | undefined {
    return this.#decision;
  }

  get reading(): MetricReading {
    return this.#reading;
  }

  score(policy: PolicyName): Score {
    return this.#boards[policy].score;
  }

  /** One tick of 15 simulated seconds: time passes, is scored, Forescale decides and publishes, both HPAs sync. */
  async tick(): Promise<void> {
    const { server, forecasts } = this.#options;
    const { forescale, hpa } = this.#deployments;
    const nowMs = this.nowMs;
    server.setTime(nowMs);
    this.#startups.push(...forescale.advance(nowMs));
    hpa.advance(nowMs);
    this.#scoreMoment(nowMs);

    if (await forecasts.refresh(nowMs)) this.#publishPredictive(forecasts.latest, nowMs);
    const load = loadAt(this.#options.trace.load, nowMs - lagMs);
    this.#decide(nowMs, load);
    this.#publishReactive(load, nowMs);

    this.#reading = await server.read();
    const syncMs = nowMs + syncDelayMs;
    this.#sync("forescale", this.#reading, syncMs);
    this.#sync(
      "hpa",
      reading(loadAt(this.#options.trace.load, syncMs - lagMs) / this.#options.trace.podCarries),
      syncMs,
    );
  }

  #needed(timeMs: number): number {
    return loadAt(this.#asked, timeMs) / this.#options.trace.podCarries;
  }

  #scoreMoment(nowMs: number): void {
    const { forescale, hpa } = this.#deployments;
    const oracle = this.#oracle[this.#moments.length];
    const needed = this.#needed(nowMs);
    this.#moments.push({ timeMs: nowMs, needed, pods: { forescale: forescale.total, hpa: hpa.total, oracle } });
    const seconds = tickMs / 1000;
    // In a gap of the trace no policy can be short; the pods are paid for all the same.
    const demand = Number.isNaN(needed) ? 0 : needed;
    this.#boards.forescale.add(forescale.total, forescale.online, demand, seconds);
    this.#boards.hpa.add(hpa.total, hpa.online, demand, seconds);
    this.#boards.oracle.add(oracle, oracle, demand, seconds);
  }

  #decide(nowMs: number, load: number): void {
    const { trace, ihpa, server } = this.#options;
    const { online, cutoff, standby, starting, total: present } = this.#deployments.forescale;
    const observed: DecisionTick = {
      timeMs: nowMs,
      loads: new Map([[trace.metric, Number.isNaN(load) ? null : load]]),
      lagMs,
      replicas: { online, cutoff, standby, starting },
      startupSeconds: this.#startups,
    };
    const decision = this.#recommender.decide(observed);
    this.#options.onDecision?.(decision, observed);
    if (decision.desired) this.#deployments.forescale.moveTo(decision.desired, nowMs);
    this.#startups = [];
    this.#decision = decision;
    const { total, rung, reason, message, provider, loads, lead } = decision;
    server.publish({
      ...ihpa,
      status: {
        observedGeneration: 1,
        currentReplicas: present,
        ...(total !== null && { desiredReplicas: total }),
        decision: {
          time: stamp(nowMs),
          ...(decision.desired ?? { online: 0, cutoff: 0, standby: 0 }),
          total: total ?? 0,
          rung,
          reason,
          message,
          ...(provider !== undefined && { provider }),
          load: loads.map(({ name, value }) => ({ name, value })),
        },
        lead,
      },
    });
  }

  #publishPredictive(forecast: Forecast | undefined, nowMs: number): void {
    if (forecast === undefined) return;
    const { trace, ihpa } = this.#options;
    const headroom = headroomOf(ihpa.spec.prediction);
    const data = predictivePortrait([{ name: trace.metric, forecast, capacity: perPodTarget(trace.podCarries) }], {
      nowMs,
      horizonMs: 86_400_000,
      leadMs: (this.#decision?.lead.seconds ?? startupMs / 1000 + syncSeconds) * 1000,
      quantile: headroom.kind === "Quantile" ? headroom.quantile : 1 - headroom.underProvisioned,
      minReplicas,
      maxReplicas,
    });
    if (data === undefined) return;
    this.#publishPortrait("Predictive", {
      portraitData: data,
      forecast: {
        generatedAt: stamp(nowMs),
        metrics: [publishedForecast(trace.metric, forecast, portraitLevels)],
      },
    });
  }

  #publishReactive(load: number, nowMs: number): void {
    const { trace } = this.#options;
    const data = reactivePortrait([{ name: trace.metric, load, capacity: perPodTarget(trace.podCarries) }], {
      nowMs,
      replicas: this.#deployments.forescale.total,
      tolerance: 0.1,
      validMs: 90_000,
      minReplicas,
      maxReplicas,
    });
    if (data !== undefined) this.#publishPortrait("Reactive", { portraitData: data });
  }

  #publishPortrait(portraitType: "Predictive" | "Reactive", status: HorizontalPortrait["status"]): void {
    const { ihpa, server } = this.#options;
    const { name, namespace } = ihpa.metadata;
    const { scaleTargetRef, prediction, portraitProviders } = ihpa.spec;
    const dynamic = portraitProviders.find((provider) => provider.dynamic?.portraitType === portraitType)?.dynamic;
    server.publish({
      apiVersion,
      kind: "HorizontalPortrait",
      metadata: { name: portraitName(name, portraitType), namespace, labels: { [ihpaLabel]: name } },
      spec: { ...dynamic, portraitType, scaleTargetRef, prediction },
      status,
    });
  }

  #sync(policy: "forescale" | "hpa", read: MetricReading, syncMs: number): void {
    const deployment = this.#deployments[policy];
    const { total, online } = deployment;
    const { replicas } = this.#hpas[policy].step(syncMs, [read], { spec: total, status: total, ready: online });
    deployment.scale(replicas, syncMs);
  }
}

function reading(value: number): MetricReading {
  return Number.isNaN(value)
    ? { kind: "Missing", why: "the trace has no value here" }
    : { kind: "Values", values: [value] };
}
