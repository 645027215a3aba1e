import { type StabilizedReplicas, stabilizeDown, stabilizeUp } from "../stabilization.ts";
import { podsText, type Rule, type Situation, within } from "./rule.ts";

/** Down late: a large fall after a minute, a small one after five, or by the user's own window. */
export const scaleDownStabilization: Rule = {
  name: "ScaleDownStabilization",
  apply(situation, { replicas, memory }) {
    if (replicas === null) return { saw: "no number" };
    const windowMs = windowOf(situation.behavior?.scaleDown);
    const window = windowMs === undefined ? "a large fall after 60 s, a small one after 300 s" : windowText(windowMs);
    const stabilized = stabilizeDown(keptBefore(situation), situation.timeMs, replicas, windowMs);
    return {
      saw: `${podsText(stabilized.replicas)} kept of ${keptBefore(situation).replicas}; ${window}`,
      change: {
        replicas: stabilized.replicas,
        ...(stabilized.replicas > replicas && { reason: "ScaleDownStabilized" }),
        memory: { ...memory, stabilized },
      },
    };
  },
};

/** Up at once, or, with a window of the user's, only as far as was requested all through it. */
export const scaleUpStabilization: Rule = {
  name: "ScaleUpStabilization",
  apply(situation, { replicas, memory }) {
    const windowMs = windowOf(situation.behavior?.scaleUp);
    if (windowMs === undefined) return { saw: "no window is set, so rises are followed at once" };
    const before = keptBefore(situation).replicas;
    const { stabilized } = memory;
    const saw = windowText(windowMs);
    if (replicas === null || stabilized === undefined || stabilized.replicas <= before) return { saw };
    const calm = stabilizeUp(stabilized, situation.timeMs, before, windowMs);
    if (calm.replicas >= stabilized.replicas) return { saw };
    return {
      saw,
      change: { replicas: calm.replicas, reason: "ScaleUpStabilized", memory: { ...memory, stabilized: calm } },
    };
  },
};

/** What was kept until now. At the start that is what is there: a restart of ours is no reason to shrink anything. */
function keptBefore({ before, present, schedule, timeMs }: Situation): StabilizedReplicas {
  if (before.stabilized !== undefined) return before.stabilized;
  const replicas = within(present, schedule);
  return { replicas, requested: [{ timeMs, replicas }] };
}

function windowOf(behavior: { readonly stabilizationWindowSeconds?: number } | undefined): number | undefined {
  const seconds = behavior?.stabilizationWindowSeconds;
  return seconds === undefined ? undefined : seconds * 1000;
}

function windowText(windowMs: number): string {
  return `stabilizationWindowSeconds is ${windowMs / 1000}`;
}
