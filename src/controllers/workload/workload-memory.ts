import type { MetricSpec } from "../../api/fields/metrics.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Decision } from "../../decide/decision.ts";
import type { LoadForecast } from "../../decide/demand/load-forecast.ts";
import type { MetricSubject } from "./metric-subject.ts";
import type { SizedMetric } from "./sized-metric.ts";
import { Workload } from "./workload.ts";

/** What controllers share about a workload: forecasts flow in, the last decision flows out. */
export interface WorkloadMemory {
  /** What one pod should carry of each metric; undefined before the first decision. */
  readonly targets: ReadonlyMap<string, number> | undefined;
  readonly lastDecision: Decision | undefined;
  /** How the workload's metrics are read. */
  subject(ihpa: IntelligentHorizontalPodAutoscaler, key: string): MetricSubject;
  /** Metrics as they size the workload now. */
  sized(ihpa: IntelligentHorizontalPodAutoscaler, metrics: readonly MetricSpec[]): SizedMetric[];
  /** Uses a forecast in the decisions from now on. */
  useForecast(metric: string, forecast: LoadForecast): void;
}

/** The memory of all workloads, by the key of their IHPA: the controllers share it, and none of them owns it. */
export class Workloads {
  readonly #workloads = new Map<string, Workload>();

  /** @returns undefined before the first reconcile of the IHPA */
  get(key: string): Workload | undefined {
    return this.#workloads.get(key);
  }

  /**
   * The memory of an IHPA's workload: another target of the same IHPA is another workload.
   *
   * @param restore called with a new workload, to load what is known of it from before a restart
   */
  of(key: string, ihpa: IntelligentHorizontalPodAutoscaler, restore: (workload: Workload) => void): Workload {
    const about = Workload.identity(ihpa);
    const known = this.#workloads.get(key);
    if (known?.about === about) return known;
    const workload = new Workload(about);
    this.#workloads.set(key, workload);
    restore(workload);
    return workload;
  }

  forget(key: string): void {
    this.#workloads.delete(key);
  }
}
