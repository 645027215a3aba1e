import type { RuleOutcome } from "../decision.ts";
import { scaleDownDisabled, scaleUpDisabled } from "./disabled.ts";
import { limits, limitsOfStabilized } from "./limits.ts";
import { nothingKnown, paused, proposal } from "./proposal.ts";
import type { Rule, RuleState, Situation } from "./rule.ts";
import { metricMissing, sourceRecovering, sourceSilent } from "./silence.ts";
import { scaleDownStabilization, scaleUpStabilization } from "./stabilization.ts";

/** Every rule of a decision, in the order in which they apply: each takes what the ones before have come to. */
export const chain: readonly Rule[] = [
  paused,
  nothingKnown,
  proposal,
  metricMissing,
  sourceSilent,
  sourceRecovering,
  limits,
  scaleDownStabilization,
  scaleUpStabilization,
  limitsOfStabilized,
  scaleUpDisabled,
  scaleDownDisabled,
];

/** What a chain of rules came to, and what each of its rules saw and changed. */
export interface ChainResult {
  readonly state: RuleState;
  /** One for each rule that was asked: a final verdict ends the chain. */
  readonly outcomes: readonly RuleOutcome[];
}

/** Asks the rules in their order. */
export function applyRules(rules: readonly Rule[], situation: Situation): ChainResult {
  let state: RuleState = {
    replicas: null,
    requested: undefined,
    reason: "NothingKnown",
    rung: undefined,
    memory: situation.before,
  };
  const outcomes: RuleOutcome[] = [];
  for (const rule of rules) {
    const { saw, change, isFinal } = rule.apply(situation, state);
    const after = { ...state, ...change };
    outcomes.push({
      rule: rule.name,
      saw,
      before: state.replicas,
      after: after.replicas,
      ...(change?.reason && { reason: change.reason }),
    });
    state = after;
    if (isFinal) break;
  }
  return { state, outcomes };
}
