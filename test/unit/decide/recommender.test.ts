import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LoadForecast } from "../../../src/decide/demand/load-forecast.ts";
import { rampRounds } from "../../../src/decide/lead/lead.ts";
import { createRecommender } from "../../../src/decide/recommender.ts";
import { createLoadForecasts } from "../../../src/portrait/load-forecasts.ts";
import { dayMs, demandAt, generator, historyOf, nowMs, play, specOf, tickMs, valuesOf } from "./workload.ts";

const history = historyOf(demandAt, 7, 60_000);
const learned = new Map([["load", history]]);
const outlookOf = (value: number): LoadForecast => ({
  startMs: nowMs - dayMs,
  stepMs: 3_600_000,
  levels: [0.5, 0.98],
  quantiles: [new Array(72).fill(value / 2), new Array(72).fill(value)],
});
const totals = (played: ReturnType<typeof play>) => played.map(({ decision }) => decision.total);
const fill = (count: number, value: number | null) => new Array<number | null>(count).fill(value);

describe("with a week of history", () => {
  const played = play(specOf(), { histories: learned }, valuesOf(demandAt, 480), { start: 10 });

  test("the number is never below what is observed, from the first tick on", () => {
    for (const { decision, observed } of played) expect(decision.total).toBeGreaterThanOrEqual(Math.ceil(observed));
  });

  test("the steep morning is met: pods are there two minutes before the load", () => {
    for (let k = 0; k + 8 < played.length; k++)
      expect(played[k].decision.total! + 0.5).toBeGreaterThanOrEqual(demandAt(nowMs + (k + 8) * tickMs));
  });

  test("every decision says why, in one word and one sentence with numbers", () => {
    for (const { decision } of played) {
      expect(decision.rung).toBe("Fresh");
      expect(decision.reason).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(decision.message).toMatch(/\d/);
      expect(decision.message).not.toMatch(/NaN|undefined|Infinity/);
    }
  });

  test("the same input gives the same output", () => {
    const again = play(specOf(), { histories: learned }, valuesOf(demandAt, 100), { start: 10 });
    expect(totals(again)).toEqual(totals(played).slice(0, 100));
  });

  test("a restarted recommender goes on where the first one was, its state having passed through JSON", () => {
    const values = valuesOf(demandAt, 60);
    const recommender = createRecommender(specOf(), { histories: learned });
    const tick = (k: number, present: number) => ({
      timeMs: nowMs + k * tickMs,
      loads: new Map([["load", values[k]]]),
      replicas: { online: present, cutoff: 0, standby: 0, starting: 0 },
    });
    for (let k = 0; k < 50; k++) recommender.decide(tick(k, 30));
    const state = JSON.parse(JSON.stringify(recommender.state()));
    const next = createRecommender(specOf(), { histories: learned, state });
    const silent = { ...tick(50, 30), loads: new Map([["load", null]]) };
    expect(next.decide(silent).total).toBeGreaterThanOrEqual(recommender.decide(tick(50, 30)).total!);
  });
});

describe("rises and falls", () => {
  const calm = new Map([["load", historyOf(() => 10, 7, 60_000)]]);

  test("a rise is followed at once", () => {
    const played = play(specOf(), { histories: calm }, [...fill(20, 10), 40], { start: 10 });
    expect(played.at(-1)!.decision.total).toBeGreaterThanOrEqual(40);
  });

  test("a large fall is followed after a minute, not before", () => {
    const numbers = totals(play(specOf(), { histories: calm }, [...fill(20, 40), ...fill(40, 10)], { start: 40 }));
    const fell = numbers.findIndex((total, k) => k > 20 && total! < numbers[19]!);
    expect(fell - 20).toBeGreaterThanOrEqual(4);
    expect(numbers.at(-1)).toBeLessThan(20);
  });

  test("noise of two percent starts and stops few pods", () => {
    const random = generator(7);
    const noisy = valuesOf(() => 30 * (1 + 0.02 * (random() + random() + random() - 1.5) * 2), 960);
    const numbers = totals(play(specOf(), { histories: calm }, noisy, { start: 30 }));
    const changes = numbers.filter((total, k) => k > 60 && total !== numbers[k - 1]).length;
    expect(changes).toBeLessThan(40);
  });

  test("pods that are there when we begin are not dropped at once", () => {
    const numbers = totals(play(specOf(), { histories: calm }, fill(6, 10), { start: 50 }));
    expect(numbers.slice(0, 4)).toEqual([50, 50, 50, 50]);
  });
});

test("a recommender that was not asked for hours begins again with the pods that are there, and drops none of them at once", () => {
  const recommender = createRecommender(specOf(), { histories: learned });
  const tick = (timeMs: number, present: number) => ({
    timeMs,
    loads: new Map([["load", demandAt(timeMs)]]),
    replicas: { online: present, cutoff: 0, standby: 0, starting: 0 },
  });
  for (let k = 0; k < 50; k++) recommender.decide(tick(nowMs + k * tickMs, 30));
  const later = recommender.decide(tick(nowMs + 2 * 3_600_000, 90));
  expect(later.total).toBe(90);
  expect(later.reason).toBe("ScaleDownStabilized");
});

describe("the ladder", () => {
  const live = fill(20, 10);
  const rungs = (played: ReturnType<typeof play>) => played.map(({ decision }) => decision.rung);

  test("three missing values change nothing", () => {
    const played = play(specOf(), { histories: learned }, [...live, ...fill(3, null)], { start: 10 });
    expect(rungs(played).slice(-3)).toEqual(["Fresh", "Fresh", "Fresh"]);
  });

  test("a silent source holds ten minutes, falls for ten to the forecast, and stays there", () => {
    const played = play(
      specOf(),
      { histories: learned, forecast: () => outlookOf(4) },
      [...fill(20, 20), ...fill(100, null)],
      {
        start: 20,
      },
    );
    const numbers = totals(played);
    const before = numbers[19]!;
    expect(rungs(played)[25]).toBe("Coasting");
    expect(numbers.slice(20, 59)).toEqual(fill(39, before)); // ten minutes
    expect(numbers[80]).toBeLessThan(before);
    expect(numbers[80]).toBeGreaterThan(4);
    expect(numbers[119]).toBe(4);
    expect(played[119].decision.reason).toBe("SourceSilent");
  });

  test("a forecast that rises raises a silent workload", () => {
    const played = play(specOf(), { histories: learned, forecast: () => outlookOf(60) }, [...live, ...fill(10, null)], {
      start: 10,
    });
    // Cut at twice the highest load ever seen: no forecast is believed beyond.
    expect(played.at(-1)!.decision.total).toBeGreaterThan(40);
  });

  describe("an implausible value, then none that can be used", () => {
    const minute = 60_000;
    const normal = Array.from({ length: 20 }, (_, k) => demandAt(nowMs + k * minute - 30_000));
    const spec = specOf();
    const outlook = createLoadForecasts({
      history: () => recommender.history("load"),
      timeZone: "UTC",
      horizonMs: dayMs,
      stepMs: minute,
    });
    const recommender = createRecommender(spec, { histories: learned, forecast: outlook });
    let present = 20;
    const decisions = [...normal, 1e9, -5, ...fill(3, null), ...fill(40, -5)].map((value, k) => {
      const decision = recommender.decide({
        timeMs: nowMs + k * minute,
        loads: new Map([["load", value]]),
        replicas: { online: present, cutoff: 0, standby: 0, starting: 0 },
      });
      present = decision.total!;
      return decision;
    });

    test("the number is the maximum's while the value is there, and the silence's from then on", () => {
      expect(decisions[20]).toMatchObject({ total: 100, reason: "MaxReplicas" });
      for (const { total, reason, message } of decisions.slice(21, 31)) {
        expect({ total, reason }).toEqual({ total: 100, reason: "SourceSilent" });
        expect(message).toContain("has had no usable value for");
      }
      expect(decisions[21].message).toMatch(/its last one asks for \d{9,10} pods, the maximum is 100$/);
    });

    test("it proves no load: the forecast is cut to twice what was seen apart from it", () => {
      const highest = Math.max(...learned.get("load")!.values);
      expect(decisions.at(-1)!.total).toBeLessThanOrEqual(Math.ceil(2 * highest));
    });
  });

  test("without a forecast: ten minutes held, then the present size for half an hour, then nothing", () => {
    const played = play(specOf(), { histories: learned }, [...live, ...fill(240, null)], { start: 10 });
    expect(rungs(played)[20 + 30]).toBe("Coasting");
    expect(rungs(played)[20 + 60]).toBe("Held");
    expect(played[20 + 60].decision.total).toBe(played[22].decision.total);
    const last = played.at(-1)!.decision;
    expect(last).toMatchObject({ rung: "Expired", total: null, desired: undefined, reason: "NothingKnown" });
  });

  test("with Reactive alone no forecast is used: its rung is Reactive, and a silence is lived through with the pods there were", () => {
    const portraitProviders = [
      { type: "Dynamic" as const, priority: 0, dynamic: { portraitType: "Reactive" as const } },
    ];
    const options = { histories: learned, forecast: () => outlookOf(60) };
    const played = play(specOf({ portraitProviders }), options, [...live, ...fill(240, null)], { start: 10 });
    for (const { decision } of played.slice(0, 20)) expect(decision).toMatchObject({ rung: "Reactive", total: 10 });
    const rungAt = (tick: number) => rungs(played)[20 + tick];
    expect([rungAt(30), rungAt(60), rungs(played).at(-1)]).toEqual(["Coasting", "Held", "Expired"]);
    for (const { decision } of played.slice(20, 175)) expect(decision.total).toBe(10);
  });

  test("a workload that nothing is known of keeps its size", () => {
    const [{ decision }] = play(specOf(), {}, [null], { start: 17 });
    expect(decision).toMatchObject({ rung: "Held", total: 17 });
  });

  test("hold means spec.replicas, not the pods counted in a rollout's surge", () => {
    const [{ decision }] = play(specOf(), {}, [null], { start: 21, tick: { specReplicas: 17 } });
    expect(decision.total).toBe(17);
  });

  test("zeros right after an outage are not believed for two windows", () => {
    const played = play(
      specOf(),
      { histories: learned, forecast: () => outlookOf(9) },
      [...fill(20, 10), ...fill(20, null), ...fill(7, 0), ...fill(60, 10)],
      { start: 10 },
    );
    for (const { decision } of played.slice(20, 47)) expect(decision.total).toBeGreaterThanOrEqual(10);
    expect(played.at(-1)!.decision.rung).toBe("Fresh");
  });

  test("zeros that last are believed in the end", () => {
    const played = play(specOf(), {}, [...live, ...fill(10, null), ...fill(60, 0)], { start: 10 });
    expect(played.at(-1)!.decision.total).toBeLessThan(10);
  });

  test("with too little history the observed value and its margin decide, and the rung says so", () => {
    const played = play(specOf(), {}, fill(30, 10), { start: 10 });
    expect(rungs(played).at(-1)).toBe("Reactive");
    expect(played.at(-1)!.decision.total).toBeGreaterThan(10);
    expect(played.at(-1)!.decision.total).toBeLessThan(16);
  });

  test("of too little history and of too coarse a one, each is told from the other", () => {
    const said = (days: number, stepMs: number) =>
      play(specOf(), { histories: new Map([["load", historyOf(demandAt, days, stepMs)]]) }, fill(3, 10)).at(-1)!
        .decision.message;
    expect(said(0.5, 60_000)).toMatch(/as its history is too short to learn from$/);
    expect(said(1, 3_600_000)).toMatch(/as its history is too short to learn from$/);
    expect(said(8, 3_600_000)).toMatch(/as its history does not show what happens within minutes$/);
  });

  test("a stored forecast that is implausible is limited, and said to be, live and in a silence", () => {
    const short = new Map([["load", historyOf(demandAt, 0.5, 60_000)]]);
    const options = { histories: short, forecast: () => outlookOf(1000) };
    const played = play(specOf(), options, [...live, ...fill(100, null)], { start: 10 });
    expect(played[19].decision).toMatchObject({ reason: "ForecastCut" });
    expect(played.at(-1)!.decision.message).toContain(
      "stored forecast, limited to twice the highest load ever seen, is used instead",
    );
    const calm = play(specOf(), { ...options, forecast: () => outlookOf(19) }, [...live, ...fill(100, null)]);
    for (const { decision } of calm) expect(decision.message).not.toContain("cut to");
  });

  test("with too little history a forecast may raise the number", () => {
    const short = new Map([["load", historyOf(demandAt, 0.5, 60_000)]]);
    const played = play(specOf(), { histories: short, forecast: () => outlookOf(19) }, fill(30, 10), { start: 10 });
    expect(played.at(-1)!.decision).toMatchObject({ rung: "Fresh", total: 19 });
  });

  test("a metric that is unknown blocks a fall, and not a rise", () => {
    const [load] = specOf().metrics!;
    const spec = specOf({ metrics: [load, { ...load, name: "queue" }] });
    const two = (value: number, present: number) =>
      play(spec, {}, [value], { start: present, tick: { loads: new Map([["load", value]]) } })[0].decision;
    expect(two(4, 30)).toMatchObject({ total: 30, reason: "MetricMissing", rung: "Coasting" });
    expect(two(60, 30).total).toBeGreaterThanOrEqual(60);
  });
});

describe("who proposes and what limits", () => {
  const calm = { histories: new Map([["load", historyOf(() => 10, 7, 60_000)]]) };
  const last = (more: Parameters<typeof specOf>[0], values = fill(25, 10), start = 12) =>
    play(specOf(more), calm, values, { start }).at(-1)!.decision;
  const dynamic = (portraitType: "Predictive" | "Reactive", priority = 0) => ({
    type: "Dynamic" as const,
    priority,
    dynamic: { portraitType },
  });
  const fixed = (replicas: number, priority: number) => ({ type: "Static" as const, priority, static: { replicas } });

  test.each([
    {
      name: "the higher priority wins, though it asks for less",
      of: last({ portraitProviders: [fixed(3, 1), dynamic("Predictive")] }),
      total: 3,
      reason: "Fixed",
    },
    {
      name: "among equals the larger wins",
      of: last({ portraitProviders: [fixed(30, 0), dynamic("Predictive")] }),
      total: 30,
      reason: "Fixed",
    },
    {
      name: "a lower priority is no floor",
      of: last({ portraitProviders: [fixed(30, -1), dynamic("Reactive")] }),
      total: 10,
      reason: "Observed",
    },
    { name: "the maximum", of: last({ maxReplicas: 7 }), total: 7, reason: "MaxReplicas" },
    { name: "the minimum", of: last({ minReplicas: 25 }), total: 25, reason: "MinReplicas" },
    { name: "paused", of: last({ paused: true }, fill(25, 80)), total: 12, reason: "Paused" },
    {
      name: "no scale-up",
      of: last({ behavior: { scaleUp: { disabled: true } } }, fill(25, 80)),
      total: 12,
      reason: "ScaleUpDisabled",
    },
    {
      name: "no scale-down",
      of: last({ behavior: { scaleDown: { disabled: true } } }, fill(90, 2), 30),
      total: 30,
      reason: "ScaleDownDisabled",
    },
  ])("$name", ({ of, total, reason }) => {
    expect(of).toMatchObject({ total, reason });
  });

  test("a window's floor raises and its end lets go", () => {
    const cron = { name: "sale", timeZone: "UTC", start: "0 9 * * *", end: "2 9 * * *", replicas: 40 };
    const provider = { type: "Cron" as const, priority: 0, cron: { crons: [cron] } };
    const numbers = totals(
      play(specOf({ portraitProviders: [provider, dynamic("Predictive")] }), calm, fill(60, 10), { start: 10 }),
    );
    expect(numbers[0]).toBe(40);
    expect(numbers[7]).toBe(40);
    expect(numbers.at(-1)).toBeLessThan(20);
  });

  test("a user's stabilisation window holds rises back and says so", () => {
    const spec = specOf({ behavior: { scaleUp: { disabled: false, stabilizationWindowSeconds: 60 } } });
    const played = play(spec, calm, [...fill(10, 10), ...fill(8, 50)], { start: 11 });
    expect(played[11].decision.reason).toBe("ScaleUpStabilized");
    expect(played.at(-1)!.decision.total).toBeGreaterThanOrEqual(50);
  });

  test("the lead is measured from the pods' own starts", () => {
    const recommender = createRecommender(specOf(), { syncSeconds: 15 });
    const tick = (k: number, startupSeconds: number[]) =>
      recommender.decide({
        timeMs: nowMs + k * tickMs,
        loads: new Map([["load", 10]]),
        replicas: { online: 10, cutoff: 0, standby: 0, starting: 0 },
        startupSeconds,
      }).lead;
    expect(tick(0, [])).toEqual({ seconds: 135, source: "Default", samples: 0 });
    expect(tick(1, [40, 50, Number.NaN, -3])).toEqual({ seconds: 64, source: "Measured", samples: 2 });
  });

  test("an Attached HPA needs more rounds, and so a longer lead; a Managed one does not", () => {
    const peaks = new Map([["load", historyOf((t) => (t % dayMs < 300_000 ? 35 : 10), 7, 60_000)]]);
    const lead = (hpa: "Attached" | "Managed") =>
      play(specOf({ hpa }), { histories: peaks, syncSeconds: 15 }, fill(3, 10), { start: 10 }).at(-1)!.decision.lead
        .seconds;
    expect(lead("Managed")).toBe(135);
    expect(lead("Attached")).toBe(150); // from the usual 11 to the highest 35 is one round more
  });

  test.each([
    { from: 4, to: 40, rounds: 3 },
    { from: 1, to: 5, rounds: 0 },
    { from: 10, to: 9, rounds: 0 },
    { from: 10, to: 20, rounds: 0 },
    { from: 10, to: 21, rounds: 1 },
  ])("from $from to $to takes $rounds rounds beyond the first", ({ from, to, rounds }) => {
    expect(rampRounds(from, to)).toBe(rounds);
  });

  test("a metric whose target tells nothing about a pod is refused by name", () => {
    const cpu = {
      type: "Resource" as const,
      resource: { name: "cpu", target: { type: "Utilization" as const, averageUtilization: 60 } },
    };
    const spec = specOf({ metrics: [cpu] });
    expect(() => createRecommender(spec)).toThrow("cpu");
    const podTargets = new Map([["cpu", 0.3]]);
    expect(() => createRecommender(spec, { podTargets })).not.toThrow();
  });

  test("a tick that does not come after the last is refused", () => {
    const recommender = createRecommender(specOf(), {});
    const tick = { timeMs: nowMs, loads: new Map(), replicas: { online: 1, cutoff: 0, standby: 0, starting: 0 } };
    recommender.decide(tick);
    expect(() => recommender.decide(tick)).toThrow("2025-11-24T09:00:00.000Z");
  });
});

describe("histories of every kind give a number that serves what is observed", () => {
  const gappy = historyOf(demandAt, 7, 60_000);
  gappy.values.fill(Number.NaN, 3000, 6500);
  for (let i = 0; i < gappy.values.length; i += 6) gappy.values[i] = Number.NaN;
  const shift = historyOf((t) => (t > nowMs - dayMs ? 30 : 3), 7, 60_000);
  test.each([
    { name: "hourly steps", series: historyOf(demandAt, 28, 3_600_000), load: demandAt },
    { name: "five-minute steps", series: historyOf(demandAt, 7, 300_000), load: demandAt },
    { name: "an hour only", series: historyOf(demandAt, 1 / 24, 60_000), load: demandAt },
    { name: "a day and a half", series: historyOf(demandAt, 1.5, 60_000), load: demandAt },
    { name: "gaps of hours, and every sixth value missing", series: gappy, load: demandAt },
    { name: "a level shift yesterday", series: shift, load: () => 30 },
    { name: "always the same", series: historyOf(() => 5, 7, 60_000), load: () => 5 },
    { name: "always zero", series: historyOf(() => 0, 7, 60_000), load: () => 0 },
    {
      name: "a load of thousandths of a pod",
      series: historyOf((t) => demandAt(t) * 1e-9, 7, 60_000),
      load: (t: number) => demandAt(t) * 1e-9,
    },
    {
      name: "far beyond the maximum",
      series: historyOf((t) => demandAt(t) * 1e9, 7, 60_000),
      load: (t: number) => demandAt(t) * 1e9,
    },
    {
      name: "a history that ended a day ago",
      series: { ...history, startMs: history.startMs - dayMs },
      load: demandAt,
    },
    { name: "a history of nothing", series: historyOf(() => Number.NaN, 7, 60_000), load: demandAt },
    {
      name: "a history that goes on into the future",
      series: { ...history, startMs: history.startMs + dayMs },
      load: demandAt,
    },
  ])("$name", ({ series, load }) => {
    const played = play(specOf(), { histories: new Map([["load", series]]) }, valuesOf(load, 130), { start: 8 });
    for (const { decision, observed } of played) {
      expect(Number.isInteger(decision.total)).toBe(true);
      expect(decision.total).toBeGreaterThanOrEqual(Math.min(100, Math.ceil(observed - 1e-6)));
      expect(decision.total).toBeLessThanOrEqual(100);
    }
  });

  test.each([5_000, 60_000, 600_000, 3_600_000])("ticks %i ms apart", (everyMs) => {
    const played = play(specOf(), { histories: learned }, valuesOf(demandAt, 60, everyMs), { start: 8, everyMs });
    for (const { decision, observed } of played) expect(decision.total).toBeGreaterThanOrEqual(Math.ceil(observed));
  });

  test("any sequence of values, gaps, lags and starts", () => {
    const value = fc.oneof(
      fc.double({ min: 0, max: 300, noNaN: true }),
      fc.constant(null),
      fc.constant(0),
      fc.constant(-1),
      fc.constant(Number.NaN),
    );
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 120 }),
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 0, max: 120 }),
        (values, lag, start) => {
          const played = play(specOf({ minReplicas: 2 }), {}, values, { start, tick: { lagMs: lag * 1000 } });
          for (const { decision, observed } of played) {
            expect(decision.total).toBeGreaterThanOrEqual(2);
            expect(decision.total).toBeLessThanOrEqual(100);
            if (observed > 0) expect(decision.total).toBeGreaterThanOrEqual(Math.min(100, Math.ceil(observed)));
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
