import { describe, expect, test } from "vitest";
import type { DecisionReason } from "../../../src/decide/decision.ts";
import { decisionReasons } from "../../../src/decide/decision.ts";
import { explain, type Grounds } from "../../../src/decide/decision-message.ts";
import type { MetricDemand } from "../../../src/decide/demand/metric-demand.ts";

function said(
  reason: DecisionReason,
  total: number | null,
  present: number,
  isPreview = false,
  more: Partial<Grounds> = {},
): string {
  const grounds: Grounds = {
    reason,
    rung: "Fresh",
    total,
    wanted: 1,
    present,
    lead: { seconds: 60, source: "Default", samples: 0 },
    wishes: new Map(),
    chosen: { provider: "Predictive", priority: 0, replicas: 1 },
    schedule: { minReplicas: 1, maxReplicas: 10 },
    headroom: { kind: "Quantile", quantile: 0.95 },
    isPreview,
    ...more,
  };
  return explain(grounds);
}

describe("a decision's sentence", () => {
  test("says that a size stays only where it is the present one, and in good grammar", () => {
    expect(said("Paused", 1, 1)).toBe("1 pod stays: spec.paused is true");
    expect(said("Paused", 3, 3)).toBe("3 pods stay: spec.paused is true");
    expect(said("ScaleDownStabilized", 7, 7)).toMatch(/^7 pods stay: 1 pod would do, and has to do for a while/);
    expect(said("ScaleDownStabilized", 7, 9)).toMatch(/^7 pods: 1 pod would do/);
    expect(said("Predicted", 3, 3)).toMatch(/^3 pods: /);
  });

  test.each(decisionReasons)("of a preview speaks of what there is, whatever the reason: %s", (reason) => {
    expect(said(reason, 7, 3, true)).toMatch(/^would need 7 pods, has 3 pods: /);
    expect(said(reason, 1, 1, true)).toMatch(/^would stay at 1 pod: /);
  });

  test("of no number names none", () => {
    expect(said("NothingKnown", null, 3, true)).toMatch(/^no metric, forecast or schedule/);
  });

  test("tells how long ago a load was heard, where that is not now", () => {
    const live = {
      kind: "Live",
      observed: 6.5,
      wanted: 8,
      method: "Learned",
      usesForecast: true,
      isCut: false,
      judgement: { isTrusted: true, reason: "Accurate", message: "" },
      burst: undefined,
      silentMs: 0,
    } as unknown as Extract<MetricDemand, { kind: "Live" }>;
    const of = (reason: DecisionReason, wanted: number, silentMs: number) =>
      said(reason, 8, 8, false, { wanted, wishes: new Map([["load", { ...live, silentMs }]]) });
    expect(of("Predicted", 8, 0)).toMatch(/^8 pods: load needs 6.5 now; /);
    expect(of("Predicted", 8, 30_000)).toMatch(/^8 pods: load needed 6.5 30 s ago; /);
    expect(of("SourceSilent", 9, 30_000)).toContain("load has had no usable value for 30 s; what it said last lets");
  });

  test.each([
    { observed: 15.02, shown: "15.02" },
    { observed: 14.4321, shown: "14.4" },
    { observed: 15 + 1e-12, shown: "15" },
    { observed: 1234.2, shown: "1234.2" },
    { observed: 0, shown: "0" },
  ])("shows a demand of $observed as one that needs as many pods: $shown", ({ observed, shown }) => {
    const live = { kind: "Live", observed, wanted: 16, method: "Learned", silentMs: 0 } as unknown as MetricDemand;
    const wishes = new Map([["load", live]]);
    expect(said("Predicted", 16, 16, false, { wanted: 16, wishes })).toContain(`load needs ${shown} now`);
  });

  test("of a silence speaks of letting go only while something is", () => {
    const of = (silentMs: number, isCut = false) =>
      said("SourceSilent", 8, 8, false, {
        wanted: 8,
        wishes: new Map([["load", { kind: "Silent", wanted: 8, hasForecast: true, isCut, silentMs }]]),
      });
    expect(of(700_000)).toMatch(/for 700 s; the stored forecast goes on and what was wanted last is let go slowly$/);
    expect(of(1_300_000)).toMatch(/for 1300 s; the stored forecast goes on$/);
    expect(of(1_300_000, true)).toMatch(/; the stored forecast, cut to twice the highest load ever seen, goes on$/);
  });
});
