import { Registry } from "prom-client";
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  forecastAlgorithms,
  type HorizontalPortrait,
  type HorizontalPortraitStatus,
} from "../../../../src/api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { controllerMetrics } from "../../../../src/controllers/metrics.ts";
import { BurstPortraits } from "../../../../src/controllers/portrait/burst-portraits.ts";
import { PortraitController } from "../../../../src/controllers/portrait/portrait-controller.ts";
import { PortraitWriter } from "../../../../src/controllers/portrait/portrait-writer.ts";
import type { LiveLoad, PastLoad } from "../../../../src/controllers/workload/metric-subject.ts";
import { Workload } from "../../../../src/controllers/workload/workload.ts";
import type { Decision } from "../../../../src/decide/decision.ts";
import { forecast } from "../../../../src/forecast/experts/expert-forecast.ts";
import type { ForecastRequest } from "../../../../src/forecast/forecast.ts";
import type { KubeObject } from "../../../../src/kube/client/resource.ts";
import { Cache } from "../../../../src/kube/watch/cache.ts";
import { ihpaOf, nowMs, portraitOf } from "../objects.ts";

const minute = 60_000;
const fault = { reason: "SourceUnreachable", message: "metric source main did not answer" };
const downFor = (series: PastLoad): PastLoad => (series.kind === "Known" ? { ...series, fault } : series);

let clockMs: number;
let portraits: Cache<HorizontalPortrait>;
let past: PastLoad;
let live: LiveLoad | undefined;
let asked: ForecastRequest[];
let writes: number;
let events: string[];
let controller: PortraitController;
let workload: Workload;
let writer: PortraitWriter;

const isPortrait = (object: KubeObject): object is HorizontalPortrait => object.kind === "HorizontalPortrait";

/** Days of a load that goes up and down by the day, until now. */
function twoDays(days = 2, untilMs = nowMs): PastLoad {
  const steps = days * 288;
  const values = Float64Array.from({ length: steps }, (_, k) => 50 + 40 * Math.sin((2 * Math.PI * k) / 288));
  return { kind: "Known", series: { startMs: untilMs - steps * 5 * minute, stepMs: 5 * minute, values } };
}

beforeEach(() => {
  clockMs = nowMs;
  past = twoDays();
  live = { value: 48, lagMs: 30_000 };
  [asked, writes, events] = [[], 0, []];
  portraits = new Cache<HorizontalPortrait>();
  const ihpas = new Cache<IntelligentHorizontalPodAutoscaler>();
  const ihpa = ihpaOf({ prediction: { horizon: "6h" } }, { status: { currentReplicas: 9 } });
  ihpas.set(ihpa);
  workload = new Workload(Workload.identity(ihpa));
  const replicas = { online: 5, cutoff: 0, standby: 0, starting: 0 };
  workload.decide(
    ihpa,
    undefined,
    { timeMs: nowMs, loads: new Map([["load", 50]]), replicas },
    { tickMs: 15_000, syncSeconds: 15 },
  );
  writer = new PortraitWriter({
    // What is applied is what the cache then has, as with an API server.
    applier: {
      applyStatus: async (_, wanted) => {
        writes++;
        if (isPortrait(wanted)) portraits.set(wanted);
        return { outcome: "Applied", object: wanted };
      },
    },
    events: { record: ({ type, reason }) => void events.push(`${type} ${reason}`) },
    now: () => clockMs,
  });
  controller = new PortraitController({
    writer,
    caches: { portraits, ihpas },
    metricReader: { past: async () => past, now: () => live },
    pool: {
      forecast: async (request) => {
        asked.push(request);
        return structuredClone(forecast(request)); // as from a thread
      },
    },
    workloads: { get: () => workload },
    metrics: controllerMetrics(new Registry()),
    now: () => clockMs,
  });
});

async function reconciled(name: "predictive" | "reactive" | "burst"): Promise<HorizontalPortraitStatus> {
  await controller.reconcile(`store/shop-${name}`);
  return portraits.get({ namespace: "store", name: `shop-${name}` })!.status!;
}
const conditionOf = (status: HorizontalPortraitStatus, type: string) =>
  status.conditions?.find((each) => each.type === type);

describe("a predictive portrait", () => {
  beforeEach(() => portraits.set(portraitOf("Predictive")));

  test("is made from the whole history, with its periods in seconds and without a ForecastTrusted condition", async () => {
    const status = await reconciled("predictive");
    expect(conditionOf(status, "PortraitGenerated")?.status).toBe("True");
    expect(conditionOf(status, "ForecastReady")?.status).toBe("True");
    expect(conditionOf(status, "ForecastTrusted")).toBeUndefined();
    expect(status.accuracy?.percent).toBeUndefined();
    expect(asked[0].series.values.length).toBe(576);
    expect(status.portraitData?.expireTime).toBe("2026-01-05T18:00:00Z");
    for (const period of status.periods ?? []) expect(Math.abs(period - 86_400)).toBeLessThan(3600);
    expect(JSON.stringify(status).length).toBeLessThan(8192);
  });

  test("is renewed after ten minutes, by forecasts of the same length", async () => {
    await reconciled("predictive");
    clockMs += 9 * minute;
    await reconciled("predictive");
    expect(asked).toHaveLength(1);
    clockMs += 2 * minute;
    await reconciled("predictive");
    expect(asked).toHaveLength(2);
    expect(asked[1].horizon).toBe(asked[0].horizon);
  });

  test("reuses learned weights for six hours, then learns them again", async () => {
    for (let made = 0; made < 40; made++) {
      past = twoDays(4, clockMs);
      await reconciled("predictive");
      clockMs += 10 * minute;
    }
    expect(asked).toHaveLength(40);
    const learnedAnew = asked.flatMap(({ weights }, k) => (weights === undefined ? [k] : []));
    expect(learnedAnew).toEqual([0, 36]);
  });

  test("keeps its content until that expires while the source is down, and says why", async () => {
    const made = await reconciled("predictive");
    past = downFor(past);
    clockMs += 11 * minute;
    const kept = await reconciled("predictive");
    expect(kept.portraitData).toEqual(made.portraitData);
    expect(kept.forecast).toEqual(made.forecast);
    expect(conditionOf(kept, "ForecastReady")).toMatchObject({
      status: "True",
      reason: "SourceUnreachable",
      message: "the previous forecast is valid until 2026-01-05T18:00:00Z: metric source main did not answer",
    });
    expect(conditionOf(kept, "PortraitGenerated")?.status).toBe("False");
    expect(asked).toHaveLength(1);

    past = { kind: "Unknown", fault };
    clockMs = nowMs + 6 * 60 * minute + 1;
    const expired = await reconciled("predictive");
    expect(conditionOf(expired, "ForecastReady")).toMatchObject({ status: "False", reason: "SourceUnreachable" });
    expect(expired.portraitData).toEqual(made.portraitData); // whoever reads it sees when it expired
    expect(events).toContain("Warning SourceUnreachable");

    past = twoDays();
    clockMs += 2 * minute;
    expect(conditionOf(await reconciled("predictive"), "ForecastReady")?.status).toBe("True");
  });

  test("is made from an old history when no valid portrait is left, covering the silence", async () => {
    past = downFor(past);
    clockMs += 90 * minute;
    const status = await reconciled("predictive");
    expect(conditionOf(status, "ForecastReady")?.status).toBe("True");
    expect(Date.parse(status.portraitData!.expireTime!)).toBe(clockMs + 6 * 60 * minute);
  });

  test("has no replicas when its forecast is not trusted, and says why", async () => {
    const made = await reconciled("predictive");
    expect(made.portraitData).toBeDefined();
    const last = workload.lastDecision!;
    const accuracy = { ...last.accuracy!, isTrusted: false, reason: "NotAccurate" as const, isCompared: true };
    vi.spyOn(workload, "lastDecision", "get").mockReturnValue({ ...last, accuracy });
    clockMs += 11 * minute;
    const dropped = await reconciled("predictive");
    expect(dropped.portraitData).toBeUndefined();
    expect(dropped.forecast).toBeDefined(); // still shown
    expect(conditionOf(dropped, "ForecastTrusted")).toMatchObject({ status: "False", reason: "NotAccurate" });
    expect(conditionOf(dropped, "PortraitGenerated")).toMatchObject({ status: "False", reason: "NotAccurate" });
    expect(events).toContain("Warning NotAccurate");
  });

  test("reports that there is no history", async () => {
    past = { kind: "Unknown", fault: { reason: "NoMetrics", message: "no value in the last 14d" } };
    const status = await reconciled("predictive");
    expect(conditionOf(status, "ForecastReady")).toMatchObject({
      status: "False",
      reason: "NoMetrics",
      message: "no value in the last 14d",
    });
    expect(status.portraitData).toBeUndefined();
  });
});

describe("a reactive portrait", () => {
  beforeEach(() => portraits.set(portraitOf("Reactive")));

  test("is written again without a change only to stay valid", async () => {
    expect((await reconciled("reactive")).portraitData).toMatchObject({ type: "Static", static: { replicas: 5 } });
    for (let i = 0; i < 4; i++) {
      clockMs += 31_000;
      await reconciled("reactive");
    }
    expect(writes).toBe(1);
    clockMs += 31_000;
    const status = await reconciled("reactive");
    expect(writes).toBe(2);
    expect(Date.parse(status.portraitData!.expireTime!)).toBeGreaterThan(clockMs);
    live = { value: 120, lagMs: 30_000 };
    clockMs += 31_000;
    expect((await reconciled("reactive")).portraitData?.static?.replicas).toBe(12);
  });

  test("is not made without a live value, and the last one stays until it expires", async () => {
    const made = await reconciled("reactive");
    live = { value: null, lagMs: 30_000 };
    clockMs += 31_000;
    const status = await reconciled("reactive");
    expect(conditionOf(status, "PortraitGenerated")).toMatchObject({ status: "False", reason: "NoMetrics" });
    expect(status.portraitData).toEqual(made.portraitData);
    live = { value: 48, lagMs: 30_000 };
    clockMs += 31_000;
    expect(conditionOf(await reconciled("reactive"), "PortraitGenerated")?.status).toBe("True");
  });
});

describe("a burst's portrait", () => {
  let bursts: BurstPortraits;
  beforeEach(() => {
    portraits.set(portraitOf("Burst"));
    bursts = new BurstPortraits({ writer, now: () => clockMs });
  });
  const shown = async (more: Partial<Decision> = {}): Promise<HorizontalPortraitStatus> => {
    await bursts.show(portraits.list("store"), { ...workload.lastDecision!, ...more });
    return portraits.get({ namespace: "store", name: "shop-burst" })!.status!;
  };

  test("has replicas during a burst, and is no failure otherwise", async () => {
    const calm = await shown();
    expect(calm.portraitData).toBeUndefined();
    expect(conditionOf(calm, "PortraitGenerated")).toMatchObject({ status: "True", reason: "AsExpected" });
    const proposals = [{ provider: "Burst", priority: 0, replicas: 14 }];
    clockMs += 31_000;
    const burst = await shown({ proposals });
    expect(burst.portraitData).toMatchObject({ type: "Static", static: { replicas: 14 } });
    expect(Date.parse(burst.portraitData!.expireTime!)).toBeGreaterThan(clockMs);
    expect(events).toContain("Normal Burst");
  });

  test("is written every half minute, and at once for a changed spec", async () => {
    for (let tick = 0; tick < 4; tick++) {
      await shown();
      clockMs += 15_000;
    }
    expect(writes).toBe(2);
    const changed = portraits.get({ namespace: "store", name: "shop-burst" })!;
    portraits.set({ ...changed, metadata: { ...changed.metadata, generation: 7 } });
    clockMs -= 14_000;
    await shown();
    expect(writes).toBe(3);
  });

  test("is never written by the portrait controller, only from the decision", async () => {
    await controller.reconcile("store/shop-burst");
    expect(writes).toBe(0);
  });

  test.each([
    { name: "somebody else's", spec: { externalGeneratorName: "theirs" } },
    { name: "one whose algorithm makes no bursts", spec: { algorithm: { type: "KubeHPA" as const } } },
  ])("the portrait controller does not write $name", async ({ spec }) => {
    const portrait = portraitOf("Burst");
    portraits.set({ ...portrait, spec: { ...portrait.spec, ...spec } });
    await shown();
    expect(writes).toBe(0);
  });
});

test.each([
  { name: "a portrait of somebody else's is left alone", spec: { externalGeneratorName: "theirs" }, says: undefined },
  { name: "so is one that a program of the user's writes", spec: { algorithm: { type: "External" } }, says: undefined },
  {
    name: "an algorithm that is not carried out says so, with those that are",
    spec: { algorithm: { type: "ExternalJob" } },
    says: `not supported yet, so it proposes nothing; use ${forecastAlgorithms.join(", ")},`,
  },
  {
    name: "an algorithm that makes another type of portrait says so",
    spec: { algorithm: { type: "KubeHPA" } },
    says: "algorithm KubeHPA makes no Predictive portrait",
  },
])("$name", async ({ spec, says }) => {
  const portrait = portraitOf("Predictive");
  portraits.set({ ...portrait, spec: { ...portrait.spec, ...spec } as HorizontalPortrait["spec"] });
  const status = await reconciled("predictive");
  if (says === undefined) expect(status).toBeUndefined();
  else
    expect(conditionOf(status, "PortraitGenerated")).toMatchObject({
      status: "False",
      reason: "AlgorithmNotSupported",
      message: expect.stringContaining(says),
    });
});
