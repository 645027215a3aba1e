import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ruleNames } from "../../../../src/decide/decision.ts";
import type { MetricDemand } from "../../../../src/decide/metric/metric-demand.ts";
import type { Proposal } from "../../../../src/decide/providers/select-proposal.ts";
import { applyRules, chain } from "../../../../src/decide/rules/chain.ts";
import type { Situation } from "../../../../src/decide/rules/rule.ts";
import { liveDemand } from "../live-demand.ts";
import { nowMs } from "../workload.ts";

const predictive = (replicas: number): Proposal => ({ provider: "Predictive", priority: 0, replicas });
const unknown: MetricDemand = { kind: "Unknown", silentMs: Number.POSITIVE_INFINITY };
const late: MetricDemand = { ...liveDemand, observed: 3, wanted: 3, silentMs: 30_000 };

/** A workload of eight pods, kept at eight until now, for which four are proposed. */
function situation(more: Partial<Situation> = {}): Situation {
  const selected = predictive(4);
  return {
    timeMs: nowMs,
    present: 8,
    isPaused: false,
    behavior: undefined,
    schedule: { proposals: [], minReplicas: 1, maxReplicas: 20 },
    proposals: [selected],
    selected,
    selectedReason: "Predicted",
    isDynamic: true,
    demands: new Map(),
    recovering: [],
    before: { stabilized: { replicas: 8, requested: [{ timeMs: nowMs - 15_000, replicas: 8 }] } },
    ...more,
  };
}

/** Everything requested for so long that the rule of falls lets it happen at once. */
const settledAt = (replicas: number) => ({ stabilized: { replicas, requested: [] } });
const none = { proposals: [], selected: undefined, selectedReason: "NothingKnown", isDynamic: false } as const;

test("the rules apply in the order that their names are listed in", () => {
  expect(chain.map(({ name }) => name)).toEqual(ruleNames.slice(0, chain.length));
});

describe("each rule binds where it should, with its reason", () => {
  test.each<{
    readonly rule: string;
    readonly given: Partial<Situation>;
    readonly replicas: number | null;
    readonly reason: string;
  }>([
    { rule: "Paused", given: { isPaused: true }, replicas: 8, reason: "Paused" },
    { rule: "NothingKnown", given: { ...none }, replicas: 8, reason: "NothingKnown" },
    {
      rule: "NothingKnown, for half an hour",
      given: { ...none, before: { unknownSinceMs: nowMs - 1_801_000 } },
      replicas: null,
      reason: "NothingKnown",
    },
    { rule: "Proposal", given: { before: settledAt(4) }, replicas: 4, reason: "Predicted" },
    {
      rule: "MetricMissing",
      given: { demands: new Map([["cpu", unknown]]) },
      replicas: 8,
      reason: "MetricMissing",
    },
    { rule: "SourceSilent", given: { demands: new Map([["cpu", late]]) }, replicas: 8, reason: "SourceSilent" },
    { rule: "SourceRecovering", given: { recovering: ["cpu"] }, replicas: 8, reason: "SourceRecovering" },
    {
      rule: "Limits, the minimum",
      given: { schedule: { proposals: [], minReplicas: 10, maxReplicas: 20 } },
      replicas: 10,
      reason: "MinReplicas",
    },
    {
      rule: "Limits, the maximum",
      given: { schedule: { proposals: [], minReplicas: 1, maxReplicas: 3 }, before: settledAt(3) },
      replicas: 3,
      reason: "MaxReplicas",
    },
    { rule: "ScaleDownStabilization", given: {}, replicas: 8, reason: "ScaleDownStabilized" },
    {
      rule: "ScaleUpStabilization",
      given: {
        selected: predictive(12),
        behavior: { scaleUp: { disabled: false, stabilizationWindowSeconds: 60 } },
      },
      replicas: 8,
      reason: "ScaleUpStabilized",
    },
    {
      rule: "LimitsOfStabilized: a cap that has just fallen holds at once",
      given: { schedule: { proposals: [], minReplicas: 1, maxReplicas: 6 } },
      replicas: 6,
      reason: "ScaleDownStabilized",
    },
    {
      rule: "ScaleUpDisabled",
      given: { selected: predictive(12), behavior: { scaleUp: { disabled: true } } },
      replicas: 8,
      reason: "ScaleUpDisabled",
    },
    {
      rule: "ScaleDownDisabled",
      given: { before: settledAt(4), behavior: { scaleDown: { disabled: true } } },
      replicas: 8,
      reason: "ScaleDownDisabled",
    },
  ])("$rule", ({ given, replicas, reason }) => {
    const { state } = applyRules(chain, situation(given));
    expect(state).toMatchObject({ replicas, reason });
  });
});

test("a rule says what it saw also where it changes nothing", () => {
  const { outcomes } = applyRules(chain, situation({ before: settledAt(4) }));
  expect(outcomes.map(({ rule }) => rule)).toEqual(chain.map(({ name }) => name));
  for (const { saw } of outcomes) expect(saw).not.toBe("");
  expect(outcomes.find(({ rule }) => rule === "SourceSilent")).toEqual({
    rule: "SourceSilent",
    saw: "every source answers",
    before: 4,
    after: 4,
  });
});

test("a final verdict ends the chain: nothing lowers the pods of a paused workload", () => {
  const { outcomes } = applyRules(chain, situation({ isPaused: true }));
  expect(outcomes.map(({ rule }) => rule)).toEqual(["Paused"]);
});

describe("whatever the situation", () => {
  const demands = fc.constantFrom<ReadonlyMap<string, MetricDemand>>(
    new Map(),
    new Map([["cpu", unknown]]),
    new Map([["cpu", late]]),
  );
  const disabled = fc.boolean();
  const any = fc
    .record({
      present: fc.nat(40),
      proposed: fc.option(fc.nat(60), { nil: undefined }),
      minReplicas: fc.integer({ min: 1, max: 10 }),
      more: fc.nat(30),
      isPaused: fc.boolean(),
      isDynamic: fc.boolean(),
      demands,
      recovering: fc.constantFrom<readonly string[]>([], ["cpu"]),
      up: disabled,
      down: disabled,
      kept: fc.option(fc.nat(40), { nil: undefined }),
    })
    .map(({ present, proposed, minReplicas, more, up, down, kept, isPaused, isDynamic, demands, recovering }) =>
      situation({
        present,
        isPaused,
        demands,
        recovering,
        schedule: { proposals: [], minReplicas, maxReplicas: minReplicas + more },
        behavior: { scaleUp: { disabled: up }, scaleDown: { disabled: down } },
        before: kept === undefined ? {} : settledAt(kept),
        ...(proposed === undefined
          ? none
          : { selected: predictive(proposed), proposals: [predictive(proposed)], isDynamic }),
      }),
    );

  test("the outcomes are a chain: each rule begins with what the one before came to, and the last one is the result", () => {
    fc.assert(
      fc.property(any, (given) => {
        const { state, outcomes } = applyRules(chain, given);
        let replicas: number | null = null;
        for (const { before, after } of outcomes) {
          expect(before).toBe(replicas);
          replicas = after;
        }
        expect(replicas).toBe(state.replicas);
      }),
    );
  });

  test("a number that changed has the reason of a rule that changed it", () => {
    fc.assert(
      fc.property(any, (given) => {
        const { state, outcomes } = applyRules(chain, given);
        expect(outcomes.some(({ reason }) => reason === state.reason)).toBe(true);
      }),
    );
  });

  test("the same situation gives the same verdicts, and is left as it was", () => {
    fc.assert(
      fc.property(any, (given) => {
        const before = JSON.stringify([...given.demands, given.before, given.schedule]);
        expect(applyRules(chain, given)).toEqual(applyRules(chain, given));
        expect(JSON.stringify([...given.demands, given.before, given.schedule])).toBe(before);
      }),
    );
  });
});
