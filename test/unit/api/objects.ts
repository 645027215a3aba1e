import { apiVersion, type Kind } from "../../../src/api/kinds.ts";

type Json = { [key: string]: unknown };

/** A manifest as plain data. */
export interface Plain {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: Json;
  readonly spec: Json;
}

/** Objects that must be accepted, offline and by the API server. */
export interface GoodCase {
  readonly name: string;
  readonly object: Plain;
}

/**
 * Objects that must be refused. `by` tells who refuses: Rule (CEL: the API server says the same sentence), Structure
 * (the API server refuses in its own words), Validate (what the API server cannot know: it accepts).
 */
export interface BadCase extends GoodCase {
  readonly by: "Rule" | "Structure" | "Validate";
  readonly field: string;
  readonly says: string;
}

export const target = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
export const load = {
  name: "load",
  type: "External",
  external: { metric: { name: "load" }, target: { type: "AverageValue", averageValue: "0.9" } },
};
export const cpu = {
  type: "Resource",
  resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 60 } },
};
export const predictive = { type: "Dynamic", priority: 1, dynamic: { portraitType: "Predictive" } };
export const reactive = { type: "Dynamic", priority: 1, dynamic: { portraitType: "Reactive" } };
export const gray = { grayState: "Cutoff", changeIntervalSeconds: 30, changePercent: 50 };
export const nine = { name: "nine", start: "0 9 * * 1-5", end: "0 17 * * 1-5", replicas: 5 };

/** An autoscaler with changes to its spec; undefined takes a field away. */
export function ihpa(spec: Json = {}, metadata: Json = {}): Plain {
  return plain("IntelligentHorizontalPodAutoscaler", metadata, {
    scaleTargetRef: target,
    minReplicas: 1,
    maxReplicas: 200,
    metrics: [load],
    portraitProviders: [predictive, reactive],
    ...spec,
  });
}

export const withMetric = (metric: Json) => ihpa({ metrics: [metric] });
export const external = (averageValue: unknown) =>
  withMetric({ ...load, external: { ...load.external, target: { type: "AverageValue", averageValue } } });
export const crons = (...windows: Json[]) => ihpa({ portraitProviders: [{ type: "Cron", cron: { crons: windows } }] });
export const portrait = (spec: Json = {}) =>
  plain("HorizontalPortrait", {}, { scaleTargetRef: target, portraitType: "Predictive", metrics: [load], ...spec });
export const profile = (spec: Json = {}) =>
  plain("ReplicaProfile", {}, { scaleTargetRef: target, onlineReplicas: 3, ...spec });
export const source = (spec: Json = {}) =>
  plain("MetricSource", {}, { type: "Prometheus", url: "http://prometheus.monitoring:9090", ...spec });
export const secret = (key: string) => ({ namespace: "monitoring", name: "store", key });

function plain(kind: Kind, metadata: Json, spec: Json): Plain {
  const present = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
  return { apiVersion, kind, metadata: { name: "case", ...metadata }, spec: present };
}
