import type { IntelligentHorizontalPodAutoscalerSpec } from "../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Decision, DecisionTick } from "../../../src/decide/decision.ts";
import { createRecommender, type RecommenderOptions } from "../../../src/decide/recommender.ts";
import type { Series } from "../../../src/series/series.ts";

export const nowMs = Date.parse("2025-11-24T09:00:00Z");
export const dayMs = 86_400_000;
export const tickMs = 15_000;

/** A repeatable stream of numbers in [0, 1). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Pods that the workload needs: a day with a steep morning, some noise, a burst at times. */
export function demandAt(timeMs: number): number {
  const hour = ((timeMs % dayMs) / 3_600_000 + 24) % 24;
  const day = 6 + 14 / (1 + Math.exp(-(hour - 9.2) * 6)) - 12 / (1 + Math.exp(-(hour - 19) * 3));
  const noise = Math.sin(timeMs / 47_000) + Math.sin(timeMs / 131_000 + 2);
  const burst = Math.floor(timeMs / 5_400_000) % 7 === 3 && timeMs % 5_400_000 < 240_000 ? 6 : 0;
  return Math.max(0.2, day + 0.4 * noise + burst);
}

export function historyOf(load: (timeMs: number) => number, days: number, stepMs: number): Series {
  const length = Math.round((days * dayMs) / stepMs);
  const startMs = nowMs - length * stepMs;
  return { startMs, stepMs, values: Float64Array.from({ length }, (_, i) => load(startMs + (i + 0.5) * stepMs)) };
}

type Spec = IntelligentHorizontalPodAutoscalerSpec;

type Changes = Partial<Omit<Spec, "behavior">> & { readonly behavior?: Partial<NonNullable<Spec["behavior"]>> };

export function specOf(more: Changes = {}): Spec {
  return {
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
    paused: false,
    minReplicas: 1,
    maxReplicas: 100,
    scaleMode: "Auto",
    hpa: "Managed",
    metrics: [
      {
        name: "load",
        type: "External",
        external: { metric: { name: "load" }, target: { type: "AverageValue", averageValue: "1" } },
      },
    ],
    prediction: { quantile: 98 } as Spec["prediction"],
    portraitProviders: [
      { type: "Dynamic", priority: 0, dynamic: { portraitType: "Predictive" } },
      { type: "Dynamic", priority: 0, dynamic: { portraitType: "Reactive" } },
    ],
    ...more,
  } as Spec;
}

export interface Played {
  readonly decision: Decision;
  readonly observed: number;
  readonly present: number;
}

/** Plays ticks in a loop that is closed: the pods wanted at a tick are those present at the next. */
export function play(
  spec: Spec,
  options: RecommenderOptions,
  values: readonly (number | null)[],
  { start = 1, startMs = nowMs, everyMs = tickMs, tick = {} as Partial<DecisionTick> } = {},
): Played[] {
  const recommender = createRecommender(spec, options);
  let present = start;
  return values.map((value, k) => {
    const decision = recommender.decide({
      timeMs: startMs + k * everyMs,
      loads: new Map([["load", value]]),
      replicas: { online: present, cutoff: 0, standby: 0, starting: 0 },
      ...tick,
    });
    const played = { decision, observed: value ?? Number.NaN, present };
    present = decision.total ?? present;
    return played;
  });
}

export function valuesOf(load: (timeMs: number) => number, ticks: number, everyMs = tickMs): number[] {
  return Array.from({ length: ticks }, (_, k) => load(nowMs + k * everyMs - 30_000));
}
