/** One policy: at most `value` pods, or percent, a period. */
export interface ScalingPolicy {
  readonly type: "Pods" | "Percent";
  readonly value: number;
  readonly periodSeconds: number;
}

/** One direction of autoscaling/v2's behavior. */
export interface ScalingRules {
  readonly stabilizationWindowSeconds?: number;
  readonly selectPolicy?: "Max" | "Min" | "Disabled";
  readonly policies?: readonly ScalingPolicy[];
  /** Per HPA from Kubernetes 1.35 on; the cluster's where absent. */
  readonly tolerance?: number;
}

export interface Behavior {
  readonly scaleUp?: ScalingRules;
  readonly scaleDown?: ScalingRules;
}

/** What the API server fills in once an HPA has a behavior. */
export const defaultScaleUp: Required<Omit<ScalingRules, "tolerance">> = {
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [
    { type: "Pods", value: 4, periodSeconds: 15 },
    { type: "Percent", value: 100, periodSeconds: 15 },
  ],
};
export const defaultScaleDown: Required<Pick<ScalingRules, "selectPolicy" | "policies">> = {
  selectPolicy: "Max",
  policies: [{ type: "Percent", value: 100, periodSeconds: 15 }],
};

/** A change that was made, in replicas; positive upwards. */
export interface ScaleEvent {
  readonly timeMs: number;
  readonly change: number;
}

/** The most replicas that the policies allow now. */
export function scaleUpLimit(
  rules: ScalingRules,
  current: number,
  events: readonly ScaleEvent[],
  nowMs: number,
): number {
  const { selectPolicy, policies } = { ...defaultScaleUp, ...rules };
  if (selectPolicy === "Disabled") return current;
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const start = current - changeWithin(events, periodSeconds, nowMs);
    return type === "Pods" ? start + value : Math.ceil(start * (1 + value / 100));
  });
  return Math.max(current, selectPolicy === "Min" ? Math.min(...limits) : Math.max(...limits));
}

/** The fewest replicas that the policies allow now. */
export function scaleDownLimit(
  rules: ScalingRules,
  current: number,
  events: readonly ScaleEvent[],
  nowMs: number,
): number {
  const { selectPolicy, policies } = { ...defaultScaleDown, ...rules };
  if (selectPolicy === "Disabled") return current;
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const start = current - changeWithin(events, periodSeconds, nowMs);
    return type === "Pods" ? start - value : Math.trunc(start * (1 - value / 100));
  });
  // The policy with the largest change allows the fewest replicas.
  return Math.min(current, selectPolicy === "Min" ? Math.max(...limits) : Math.min(...limits));
}

function changeWithin(events: readonly ScaleEvent[], periodSeconds: number, nowMs: number): number {
  let change = 0;
  for (const event of events) if (event.timeMs > nowMs - periodSeconds * 1000) change += event.change;
  return change;
}
