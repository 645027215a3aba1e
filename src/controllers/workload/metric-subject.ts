import { hash } from "node:crypto";
import type { Cause } from "../../api/cause.ts";
import type { ScaleTargetRef } from "../../api/fields/fields.ts";
import type { MetricSpec } from "../../api/fields/metrics.ts";
import type { PodRecord } from "../../collect/pods/pod-windows.ts";
import type { Series } from "../../series/series.ts";

/** A workload whose metrics are read. */
export interface MetricSubject {
  /** `namespace/name` of its IHPA. */
  readonly key: string;
  readonly namespace: string;
  readonly target: ScaleTargetRef;
  readonly metrics: readonly MetricSpec[];
  /** The pods' label selector, for the metrics APIs. */
  readonly selector: string;
  readonly pods: readonly PodRecord[];
}

/** The history of one metric. */
export type PastLoad =
  /** `fault` says why its newest part is missing. */
  | { readonly kind: "Known"; readonly series: Series; readonly fault?: Cause }
  | { readonly kind: "Unknown"; readonly fault: Cause };

/** The live value of one metric of one subject. */
export interface LiveLoad {
  /** Null where there is none: missing is never zero. */
  readonly value: number | null;
  /** Delay of the source: samples older than this are complete. */
  readonly lagMs: number;
  readonly fault?: Cause;
}

/** Identifies what a metric measures, without its target and name: another identity has another history. */
export function metricIdentity(spec: MetricSpec): string {
  const { name: _, ...rest } = spec;
  return JSON.stringify(rest, (field, value) => (field === "target" ? undefined : value));
}

/**
 * The name of a load in the embedded history: by workload and by what is measured, so that an IHPA that is created again finds it,
 * and one with another metric does not.
 */
export function loadKey({ namespace, target }: Pick<MetricSubject, "namespace" | "target">, spec: MetricSpec): string {
  return `${workloadKey({ namespace, target })}/${hash("sha256", metricIdentity(spec), "base64url").slice(0, 16)}`;
}

/** The name of a workload in the embedded history. */
export function workloadKey({ namespace, target }: Pick<MetricSubject, "namespace" | "target">): string {
  return `${namespace}/${target.kind}/${target.name}`;
}
