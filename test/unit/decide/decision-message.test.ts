import { describe, expect, test } from "vitest";
import type { DecisionReason } from "../../../src/decide/decision.ts";
import { decisionReasons } from "../../../src/decide/decision.ts";
import { decisionMessage, type MessageInputs } from "../../../src/decide/decision-message.ts";
import { liveDemand } from "./live-demand.ts";

function said(
  reason: DecisionReason,
  total: number | null,
  present: number,
  isPreview = false,
  more: Partial<MessageInputs> = {},
): string {
  return decisionMessage({
    reason,
    total,
    requested: 1,
    present,
    lead: { seconds: 60, source: "Default", samples: 0 },
    demands: new Map(),
    selected: { provider: "Predictive", priority: 0, replicas: 1 },
    schedule: { minReplicas: 1, maxReplicas: 10 },
    headroom: { kind: "Quantile", quantile: 0.95 },
    isPreview,
    ...more,
  });
}

const live = liveDemand;

describe("a decision's sentence", () => {
  test("says that a size stays only where it is the present one, and in good grammar", () => {
    expect(said("Paused", 1, 1)).toBe("1 pod stays: spec.paused is true");
    expect(said("Paused", 3, 3)).toBe("3 pods stay: spec.paused is true");
    expect(said("ScaleDownStabilized", 7, 7)).toMatch(
      /^7 pods stay: 1 pod is enough; waiting for scale-down stabilization$/,
    );
    expect(said("ScaleDownStabilized", 7, 9)).toMatch(/^7 pods: 1 pod is enough;/);
    expect(said("Predicted", 3, 3)).toMatch(/^3 pods: /);
  });

  test.each(decisionReasons)("of a preview speaks of what there is, whatever the reason: %s", (reason) => {
    expect(said(reason, 7, 3, true)).toMatch(/^would need 7 pods, has 3 pods: /);
    expect(said(reason, 1, 1, true)).toMatch(/^would stay at 1 pod: /);
  });

  test("of no number names none", () => {
    expect(said("NothingKnown", null, 3, true)).toMatch(/^no metric, forecast or schedule/);
  });

  test("names the age of a value that is not of now", () => {
    const of = (reason: DecisionReason, requested: number, silentMs: number) =>
      said(reason, 8, 8, false, { requested, demands: new Map([["load", { ...live, silentMs }]]) });
    expect(of("Predicted", 8, 0)).toMatch(/^8 pods: load needs 6.5 now; /);
    expect(of("Predicted", 8, 30_000)).toMatch(/^8 pods: load needed 6.5 30 s ago; /);
    expect(of("SourceSilent", 9, 30_000)).toContain(
      "load has had no usable value for 30 s; no scale-down until the source answers",
    );
  });

  test.each([
    { observed: 15.02, shown: "15.02" },
    { observed: 14.4321, shown: "14.4" },
    { observed: 15 + 1e-12, shown: "15" },
    { observed: 1234.2, shown: "1234.2" },
    { observed: 0, shown: "0" },
  ])("shows a demand of $observed as one that needs as many pods: $shown", ({ observed, shown }) => {
    const demands = new Map([["load", { ...live, observed, wanted: 16 }]]);
    expect(said("Predicted", 16, 16, false, { requested: 16, demands })).toContain(`load needs ${shown} now`);
  });

  test("of a silence says that the last decision falls only while it does", () => {
    const of = (silentMs: number, isCut = false) =>
      said("SourceSilent", 8, 8, false, {
        requested: 8,
        demands: new Map([["load", { kind: "Silent", wanted: 8, hasForecast: true, isCut, silentMs }]]),
      });
    expect(of(700_000)).toMatch(
      /for 700 s; the stored forecast is used instead; the last decision falls to it step by step$/,
    );
    expect(of(1_300_000)).toMatch(/for 1300 s; the stored forecast is used instead$/);
    expect(of(1_300_000, true)).toMatch(
      /; the stored forecast, limited to twice the highest load ever seen, is used instead$/,
    );
  });

  test.each([
    { quantile: 0.95, text: "95th percentile" },
    { quantile: 0.91, text: "91st percentile" },
    { quantile: 0.52, text: "52nd percentile" },
    { quantile: 0.999, text: "99.9th percentile" },
  ])("names the headroom of quantile $quantile as the $text", ({ quantile, text }) => {
    const demands = new Map([["load", live]]);
    const headroom = { kind: "Quantile", quantile } as const;
    expect(said("Predicted", 8, 8, false, { requested: 8, demands, headroom })).toContain(`headroom for the ${text}`);
  });
});
