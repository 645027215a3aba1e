import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { type OpenTimes, readWindow } from "./window.ts";

/** The proposal of a provider at a time. */
export interface ProposedReplicas {
  readonly provider: "Static" | "Cron";
  /** The valid proposal of the highest priority wins; among equals, the largest. */
  readonly priority: number;
  readonly replicas: number;
  /** The window's name, for a Cron provider. */
  readonly window?: string;
}

/** What the spec alone defines at a time: proposals of Static and Cron providers, and the limits. */
export interface Schedule {
  readonly proposals: readonly ProposedReplicas[];
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

interface Limit {
  readonly times: OpenTimes;
  readonly minReplicas?: number;
  readonly maxReplicas?: number;
}

interface CronWindow extends Limit {
  readonly name: string;
  readonly replicas?: number;
}

export type ScheduleSpec = Pick<
  IntelligentHorizontalPodAutoscalerSpec,
  "minReplicas" | "maxReplicas" | "portraitProviders" | "bounds"
>;

/**
 * Reads the providers and bounds of a spec that need no metrics. Of several open windows of a Cron provider the largest
 * `replicas` is proposed. Floors and caps of open windows narrow spec.minReplicas and spec.maxReplicas: the highest floor and the lowest cap apply, and a cap wins over a floor.
 *
 * @throws RangeError naming the window where one cannot be read
 */
export function createSchedule(spec: ScheduleSpec): (timeMs: number) => Schedule {
  const limits: Limit[] = (spec.bounds ?? []).map((bound) => ({ ...bound, times: readWindow(bound) }));
  const statics: ProposedReplicas[] = [];
  const crons: { readonly priority: number; readonly windows: readonly CronWindow[] }[] = [];
  for (const { priority, static: fixed, cron } of spec.portraitProviders ?? []) {
    if (fixed !== undefined) statics.push({ provider: "Static", priority: priority ?? 0, replicas: fixed.replicas });
    if (cron === undefined) continue;
    const windows = cron.crons.map((window) => ({ ...window, times: readWindow(window) }));
    crons.push({ priority: priority ?? 0, windows });
    limits.push(...windows);
  }

  return (timeMs) => {
    const proposals = [...statics];
    for (const { priority, windows } of crons) {
      const largest = windows
        .filter(({ replicas, times }) => replicas !== undefined && times.isOpen(timeMs))
        .reduce<CronWindow | undefined>((a, b) => (a && a.replicas! >= b.replicas! ? a : b), undefined);
      if (largest !== undefined)
        proposals.push({ provider: "Cron", priority, replicas: largest.replicas!, window: largest.name });
    }
    let [floor, cap] = [spec.minReplicas ?? 1, spec.maxReplicas];
    for (const limit of limits) {
      if (!limit.times.isOpen(timeMs)) continue;
      if (limit.minReplicas !== undefined) floor = Math.max(floor, limit.minReplicas);
      if (limit.maxReplicas !== undefined) cap = Math.min(cap, limit.maxReplicas);
    }
    return { proposals, minReplicas: Math.min(floor, cap), maxReplicas: cap };
  };
}
