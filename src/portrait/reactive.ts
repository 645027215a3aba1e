import type { PortraitData } from "../api/kinds/horizontal-portrait.ts";
import type { CapacityModel } from "../capacity/linear.ts";

/** A metric's live value, the workload's total; NaN where there is none. */
export interface LiveLoad {
  readonly name: string;
  readonly load: number;
  readonly capacity: CapacityModel;
}

export interface ReactiveOptions {
  readonly nowMs: number;
  /** The target's spec.replicas, which are kept within the tolerance. */
  readonly replicas: number;
  /** A smaller fall of the ratio, as a fraction, changes nothing. */
  readonly tolerance: number;
  /** How long the portrait is valid: a few of its sync periods. */
  readonly validMs: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

/**
 * The portrait of the live values, by the HPA's rule: load ÷ target, rounded up, the largest over the metrics. A fall within the
 * tolerance changes nothing; a rise within it does, unlike with the HPA, so that the portrait is never below the observed load. A
 * missing metric blocks scale-down; without any metric there is no portrait.
 */
export function reactivePortrait(loads: readonly LiveLoad[], options: ReactiveOptions): PortraitData | undefined {
  const { nowMs, replicas: present, tolerance, validMs, minReplicas, maxReplicas } = options;
  let [wanted, isMissing] = [Number.NEGATIVE_INFINITY, false];
  for (const { load, capacity } of loads) {
    if (!(Number.isFinite(load) && load >= 0)) {
      isMissing = true;
      continue;
    }
    const pods = capacity.pods(load);
    const isNear = pods <= present && pods >= (1 - tolerance) * present;
    wanted = Math.max(wanted, isNear ? present : Math.ceil(pods - 1e-9));
  }
  if (!Number.isFinite(wanted)) return undefined;
  if (isMissing) wanted = Math.max(wanted, present);
  const replicas = Math.min(Math.max(wanted, minReplicas), maxReplicas);
  return { type: "Static", static: { replicas }, expireTime: new Date(nowMs + validMs).toISOString() };
}
