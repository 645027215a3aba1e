import { longestHoldMs } from "../decision.ts";
import { stabilizeDown } from "../stabilization.ts";
import { podsText, type Rule, within } from "./rule.ts";

/** A paused workload keeps its pods. */
export const paused: Rule = {
  name: "Paused",
  apply: ({ isPaused, present, selected }) =>
    isPaused
      ? {
          saw: `spec.paused is true: the present ${podsText(present)} are kept`,
          change: { replicas: present, requested: selected?.replicas, reason: "Paused", rung: "Held" },
          isFinal: true,
        }
      : { saw: "spec.paused is false" },
};

/** Without any proposal the present size is kept for a while, and then no number is served: the HPA keeps what there is. */
export const nothingKnown: Rule = {
  name: "NothingKnown",
  apply({ selected, proposals, before, timeMs, present, schedule }, { memory }) {
    if (selected !== undefined)
      return {
        saw: proposals.length === 1 ? "there is 1 proposal" : `there are ${proposals.length} proposals`,
        change: { memory: memory.stabilized ? { stabilized: memory.stabilized } : {} },
      };
    const unknownSinceMs = before.unknownSinceMs ?? timeMs;
    const silentMinutes = Math.round((timeMs - unknownSinceMs) / 60_000);
    const saw = `no metric, forecast or schedule proposes anything since ${silentMinutes} min`;
    const none = { requested: undefined, reason: "NothingKnown" } as const;
    if (timeMs - unknownSinceMs > longestHoldMs)
      return {
        saw: `${saw}, which is longer than the present size is kept`,
        change: { ...none, replicas: null, rung: "Expired", memory: { ...memory, unknownSinceMs } },
        isFinal: true,
      };
    const replicas = within(present, schedule);
    const stabilized = stabilizeDown(before.stabilized, timeMs, replicas);
    return {
      saw,
      change: { ...none, replicas, rung: "Held", memory: { stabilized, unknownSinceMs } },
      isFinal: true,
    };
  },
};

/** The proposal of the highest priority; among equals the largest. */
export const proposal: Rule = {
  name: "Proposal",
  apply({ selected, selectedReason, proposals }) {
    if (selected === undefined) return { saw: "nothing is proposed" };
    const all = proposals.map(({ provider, replicas, priority }) => `${provider} ${replicas} (priority ${priority})`);
    return {
      saw: all.join(", "),
      change: { replicas: selected.replicas, requested: selected.replicas, reason: selectedReason },
    };
  },
};
