import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type BacktestResult, backtest, policyNames } from "../../../src/backtest/backtest.ts";
import { describeMany, describeResult, toJson } from "../../../src/backtest/report/describe.ts";
import { reportPage } from "../../../src/backtest/report/report.ts";
import { backtestAll } from "../../../src/backtest/workers/worker-pool.ts";
import { HistoryError, spanOf } from "../../../src/backtest/workload.ts";
import type { Series } from "../../../src/series/series.ts";
import { wavyLoad, workloadOf } from "./loads.ts";
import { readMarkup } from "./report/markup-tree.ts";

const hourMs = 3_600_000;
const rules = { startupSeconds: 60, replayMs: 12 * hourMs };

/** A metric of which a pod carries 50. */
const external = (name: string) => ({
  name,
  type: "External",
  external: { metric: { name }, target: { type: "AverageValue", averageValue: "50" } },
});

let result: BacktestResult;
beforeAll(() => {
  result = backtest(workloadOf(wavyLoad(5)), rules);
});

describe("a backtest", () => {
  test("says the same of the same, here and on a worker thread", async () => {
    expect(backtest(workloadOf(wavyLoad(5)), rules)).toEqual(result);
    const outcomes = await backtestAll([workloadOf(wavyLoad(5))], { rules, threads: 1 });
    expect(outcomes).toEqual([{ kind: "Result", result }]);
  }, 60_000);

  test("is told by ratios alone: another unit of the load changes nothing", () => {
    const { values, ...grid } = wavyLoad(5);
    for (const unit of [2 ** 30, 2 ** -30]) {
      const load = { ...grid, values: values.map((value) => value * unit) };
      const { policies, verdict } = backtest(workloadOf(load, 50 * unit), rules);
      expect({ policies, verdict }).toEqual({ policies: result.policies, verdict: result.verdict });
    }
  }, 60_000);

  test("knows nothing of what comes after it: Forescale's first hours stay when the last are others", () => {
    const load = wavyLoad(5);
    load.values.fill(2000, load.values.length - 36);
    const other = backtest(workloadOf(load), rules);
    const first = result.pictures.pods.forescale.length / 2;
    expect(other.pictures.pods.forescale.slice(0, first)).toEqual(result.pictures.pods.forescale.slice(0, first));
    expect(other.pictures.pods.forescale.at(-1)).toBeGreaterThan(result.pictures.pods.forescale.at(-1)!);
  });

  test("of a daily wave needs the oracle's pods and little more, and serves", () => {
    const { forescale, oracle, hpaTuned } = result.policies;
    expect(oracle).toMatchObject({ overOracle: 1, underProvisioned: 0, unserved: 0 });
    expect(forescale.overOracle).toBeGreaterThan(0.99);
    expect(forescale.overOracle).toBeLessThan(1.3);
    expect(forescale.underProvisioned).toBeLessThan(0.05);
    if (hpaTuned.isAsGood)
      expect(hpaTuned.underProvisionedMinutes).toBeLessThanOrEqual(forescale.underProvisionedMinutes);
    expect(result.accuracy?.relativeWql).toBeLessThan(1);
  });

  test("of two metrics needs what the larger one asks for", () => {
    const [calm, busy] = [wavyLoad(4), wavyLoad(4, 300_000, () => 500)];
    const one = workloadOf(busy, 50);
    const both = {
      ...workloadOf(busy, 50, { metrics: [external("calm"), external("busy")] }),
      loads: new Map([
        ["calm", calm],
        ["busy", busy],
      ]),
      podTargets: new Map([
        ["calm", 50],
        ["busy", 50],
      ]),
    };
    const short = { ...rules, replayMs: 6 * hourMs };
    const said = backtest(both, short);
    expect(said.metric).toBe("busy");
    expect(said.policies).toEqual(backtest(one, short).policies);
  }, 60_000);

  describe("of a manifest that names an algorithm", () => {
    const short = { ...rules, replayMs: 6 * hourMs };
    const providers = (dynamic: object) => ({
      portraitProviders: [
        { type: "Dynamic", priority: 1, dynamic: { portraitType: "Predictive", ...dynamic } },
        { type: "Dynamic", priority: 1, dynamic: { portraitType: "Reactive" } },
      ],
    });
    const named = (dynamic: object) => backtest(workloadOf(wavyLoad(5), 50, providers(dynamic)), short);

    test("judges that one's forecasts, and says whose they are", () => {
      const [usual, trend] = [named({}), named({ algorithm: { type: "RobustTrend" } })];
      expect([usual.algorithm, trend.algorithm]).toEqual(["Forecast", "RobustTrend"]);
      // A trend knows no day: of a daily wave it errs by a multiple.
      expect(trend.accuracy!.wape).toBeGreaterThan(2 * usual.accuracy!.wape!);
      expect(describeResult(trend).join("\n")).toMatch(/^forecast: RobustTrend /m);
      expect(readMarkup(reportPage([trend])).text).toContain("Forecast by RobustTrend");
      expect(toJson(trend)).toMatchObject({ algorithm: "RobustTrend" });
    }, 60_000);

    test.each([
      { dynamic: { algorithm: { type: "External" } }, source: "algorithm External" },
      { dynamic: { externalGeneratorName: "oracle-of-delphi" }, source: "the generator oracle-of-delphi" },
    ])(
      "judges none that comes from outside: $source",
      ({ dynamic, source }) => {
        const said = named(dynamic);
        expect(said).toMatchObject({ verdict: "KeepObserving", algorithm: "Forecast", notReplayed: source });
        const messages = said.reasons.map(({ message }) => message).join("\n");
        expect(messages).toContain(
          `The manifest's forecast comes from ${source}, which a replay can't ask: it is not judged.`,
        );
        expect(messages).not.toMatch(/worth having|0\.9 quantile/);
      },
      60_000,
    );
  });

  describe("of a workload whose capacity is learnt", () => {
    const wave = wavyLoad(5);
    const pods = { ...wave, values: wave.values.map((load) => Math.ceil(load / 40)) };
    // A pod is full at 0.7 cores: 0.1 of them when idle, 0.01 for each unit of load, so it carries 60 of them.
    const cpu = { ...wave, values: wave.values.map((load, i) => 0.01 * load + 0.1 * pods.values[i] + 0.005 * (i % 3)) };
    const capacity = { loads: ["load"], usage: { name: "cpu", target: "700m" } };
    const sized = (podTarget: number, columns: readonly (readonly [string, Series])[], more: object = {}) =>
      backtest({ ...workloadOf(wave, podTarget, { capacity, ...more }), columns: new Map(columns) }, rules);
    const all = [["pods", pods] as const, ["cpu", cpu] as const];

    test("Forescale and the oracle go by what its past taught, the plain HPA by its target", () => {
      const learnt = sized(30, all);
      expect(learnt.capacity).toMatchObject({ model: "LinearWithBase" });
      const told = backtest(workloadOf(wave, 60), rules);
      expect(learnt.policies.oracle.podHours / told.policies.oracle.podHours).toBeCloseTo(1, 1);
      expect(learnt.policies.forescale.podHours / told.policies.forescale.podHours).toBeCloseTo(1, 1);
      // Its target is half of what a pod carries, so that an HPA at 70 % of it asks for twice the pods.
      expect(learnt.policies.hpaDefault.podHours / told.policies.hpaDefault.podHours).toBeCloseTo(2, 1);
      expect(describeResult(learnt).join("\n")).toMatch(/Capacity LinearWithBase: /);
      const { text } = readMarkup(reportPage([learnt]));
      expect(text).toContain("Capacity LinearWithBase: ");
      // 0.7 cores less the 0.1 of an idle pod, at 0.01 a unit.
      const { pods: count, load } = learnt.carried!;
      expect(Math.abs(load / count / 60 - 1)).toBeLessThan(0.03);
      expect(text).toMatch(/By the capacity learnt \d+ pods carry \d+; plain HPAs go by 30 a full pod\./);
      expect(text).not.toContain("A full pod carries");
      expect(readMarkup(reportPage([told])).text).toContain("A full pod carries 60.");
    }, 60_000);

    test("the range that it was learnt from is told, and how often the replay goes beyond it", () => {
      // At 0.45 cores a pod carries 35, and 40 were seen; at 0.7 it would carry 60, which none did.
      const modest = { capacity: { ...capacity, usage: { name: "cpu", target: "450m" } } };
      const within = sized(30, all, modest);
      expect(within.extrapolated).toBeLessThan(0.02);
      expect(sized(30, all).extrapolated).toBe(1);
      const note = /It was learnt while a pod carried [\d.]+ to [\d.]+ of load/;
      expect(describeResult(within).join("\n")).toMatch(note);
      const more = { ...wave, values: wave.values.slice() };
      // Half of the replay's twelve hours, in steps of five minutes.
      more.values.fill(2000, more.values.length - 72);
      const beyond = backtest({ ...workloadOf(more, 30, modest), columns: new Map(all) }, rules);
      expect(Math.abs(beyond.extrapolated! - 0.5)).toBeLessThan(0.02);
      expect(readMarkup(reportPage([beyond])).text).toMatch(
        new RegExp(`${note.source}; the replay goes beyond what was seen (49|50)\\.\\d % of the time\\.`),
      );
      expect(toJson(beyond)).toMatchObject({
        capacity: { rangeSeen: [{ name: "load" }] },
        extrapolated: expect.closeTo(0.5, 1),
      });
    }, 60_000);

    test("what comes in the replay teaches nothing", () => {
      const values = cpu.values.slice();
      values.fill(5, values.length - 144);
      expect(sized(30, [all[0], ["cpu", { ...cpu, values }]]).policies).toEqual(sized(30, all).policies);
    }, 60_000);

    test("without a column that the model needs the targets hold, and the result says which", () => {
      const { capacity: status, policies } = sized(50, [all[0]]);
      expect(status).toMatchObject({ model: "PerPod", message: expect.stringContaining("no column cpu") });
      expect(policies).toEqual(result.policies);
    }, 60_000);

    test("a load that no provider uses sizes nothing, and the result says so", () => {
      const said = sized(50, [...all, ["visits", wave]], {
        metrics: [external("visits")],
        capacity: { ...capacity, loads: ["visits"] },
        portraitProviders: ["Predictive", "Reactive"].map((portraitType) => ({
          type: "Dynamic",
          priority: 1,
          dynamic: { portraitType, metrics: [external("load")] },
        })),
      });
      expect(said.capacity).toMatchObject({ model: "PerPod", message: expect.stringContaining("the load visits") });
      expect(said.policies).toEqual(result.policies);
    }, 60_000);

    test("two loads size it together, and are forecast as one", () => {
      const other = wavyLoad(5, 300_000, (day) => 200 * Math.cos(14 * day));
      const both = cpu.values.map((used, i) => used + 0.02 * other.values[i]);
      const workload = workloadOf(wave, 50, {
        metrics: [external("load"), external("other")],
        capacity: { ...capacity, loads: ["load", "other"] },
      });
      const said = backtest(
        {
          ...workload,
          loads: new Map([
            ["load", wave],
            ["other", other],
          ]),
          podTargets: new Map([
            ["load", 50],
            ["other", 50],
          ]),
          columns: new Map([
            ["pods", { ...pods, values: pods.values.map((n) => 3 * n) }],
            ["cpu", { ...cpu, values: both.map((used, i) => used + 0.2 * pods.values[i]) }],
          ]),
        },
        rules,
      );
      expect(said.capacity?.model).toBe("LinearWithBase");
      expect(said.metric).toBe("capacity");
      expect(said.policies.forescale.overOracle).toBeLessThan(1.4);
      expect(said.accuracy?.relativeWql).toBeDefined();
    }, 60_000);
  });

  test("of a counter says that it is one, and does not say Enable", () => {
    const { values, ...grid } = wavyLoad(4);
    let sum = 0;
    const counted = { ...grid, values: values.map((value, i) => (sum = i === 400 ? 0 : sum + value)) };
    const said = backtest(workloadOf(counted, 5000, { maxReplicas: 1000 }), { ...rules, replayMs: 6 * hourMs });
    expect(said.verdict).not.toBe("Enable");
    expect(said.reasons[0]).toMatchObject({
      isGood: false,
      message: expect.stringMatching(/^load takes a counter's course.*so give the rate/),
    });
    expect(result.reasons.map(({ message }) => message).join("\n")).not.toMatch(/counter/);
  }, 60_000);

  test("goes on over a gap in the replay", () => {
    const load = wavyLoad(4);
    load.values.fill(Number.NaN, load.values.length - 50, load.values.length - 20);
    const { policies, pictures } = backtest(workloadOf(load), { ...rules, replayMs: 6 * hourMs });
    for (const name of policyNames)
      for (const value of Object.values(policies[name])) if (typeof value === "number") expect(value).not.toBeNaN();
    expect(pictures.load.some(Number.isNaN)).toBe(true);
  });
});

describe("a history that cannot be replayed gets one sentence", () => {
  const series = (days: number, more: Partial<Series> = {}): Series => ({ ...wavyLoad(days), ...more });
  test.each<{ name: string; load: Series; replayMs?: number; says: RegExp }>([
    { name: "two days", load: series(2), says: /2 days of history are too few.*give 3 days, better 2 weeks/ },
    { name: "an hour", load: series(1 / 24), says: /1 hour of history are too few/ },
    {
      name: "a replay that leaves too little",
      load: series(4),
      replayMs: 3 * 24 * hourMs,
      says: /leaves 24 hours of 4 days/,
    },
    { name: "a short replay", load: series(4), replayMs: hourMs, says: /a replay of 1 hour tells too little/ },
    { name: "zeros", load: { ...series(4), values: new Float64Array(1152) }, says: /every value of load is 0/ },
    {
      name: "gaps",
      load: { ...series(4), values: new Float64Array(1152).fill(Number.NaN) },
      says: /only 0 of 1152 steps/,
    },
    { name: "no rows", load: { ...series(4), values: new Float64Array(0) }, says: /load has no rows/ },
    { name: "two-hourly rows", load: wavyLoad(30, 2 * hourMs), says: /2 h apart.*at least every hour/ },
  ])("$name", ({ load, replayMs, says }) => {
    const cut = () => spanOf(workloadOf(load), { replayMs });
    expect(cut).toThrow(HistoryError);
    expect(cut).toThrow(says);
  });

  test.each([
    { days: 3, replayed: 1 },
    { days: 4.5, replayed: 1.5 },
    { days: 14, replayed: 2 },
  ])("$days days give a replay of $replayed", ({ days, replayed }) => {
    const { replayFromMs, replayUntilMs } = spanOf(workloadOf(wavyLoad(days)), {});
    expect((replayUntilMs - replayFromMs) / (24 * hourMs)).toBe(replayed);
  });

  test("one bad workload of several fails alone, on its thread", async () => {
    const outcomes = await backtestAll([workloadOf(wavyLoad(2)), workloadOf(wavyLoad(3))], {
      rules: { startupSeconds: 60, replayMs: 6 * hourMs },
      threads: 2,
    });
    expect(outcomes.map(({ kind }) => kind)).toEqual(["Failed", "Result"]);
    expect(outcomes[0].kind === "Failed" && outcomes[0].error).toBeInstanceOf(HistoryError);
  });
});

describe("the report", () => {
  const nasty = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          "<script>alert(1)</script>",
          '"',
          "'",
          "&",
          "<",
          ">",
          "</title>",
          "</style>",
          "]]>",
          "<!--",
          "\u202e",
          "\u0000",
          "\ud800",
        ),
        fc.string({ unit: "grapheme", maxLength: 8 }),
      ),
      { minLength: 1, maxLength: 6 },
    )
    .map((parts) => parts.join(""));

  test("is well-formed whatever the names are, and has neither script nor anything from elsewhere", () => {
    fc.assert(
      fc.property(nasty, nasty, fc.boolean(), (name, message, many) => {
        const named = { ...result, name, reasons: [{ ...result.reasons[0], message }] };
        const page = reportPage(many ? [named, result] : [named], [{ name, message }]);
        const { elements } = readMarkup(page);
        expect(elements.filter(({ name }) => ["script", "link", "img", "iframe", "object"].includes(name))).toEqual([]);
        for (const { attributes } of elements)
          for (const [key, value] of attributes) {
            expect(key).not.toMatch(/^on|^src$|^style$|xlink/);
            if (key === "href") expect(value).toMatch(/^#w\d+$/);
          }
        expect(page).not.toMatch(/url\(|@import|[\u202e\u0000]/);
        expect(page.isWellFormed()).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test("draws the replay, the policies and the coverage, and every number is one", () => {
    const page = reportPage([result]);
    const { elements, text } = readMarkup(page);
    expect(elements.filter(({ name }) => name === "svg")).toHaveLength(3);
    expect(page).not.toMatch(/NaN|Infinity|undefined|\[object/);
    expect(text).toContain("Forescale");
    expect(text).toContain(result.reasons[0].message);
    for (const { attributes } of elements) {
      const path = attributes.get("d");
      if (path !== undefined) expect(path).toMatch(/^(M-?[\d.]+ -?[\d.]+([LHVZM ]|-?[\d.]+)*)?$/);
    }
  });

  test("leaves out what there is not: no forecast, a gap at either end", () => {
    const gone = new Float64Array(result.pictures.load.length).fill(Number.NaN);
    const page = reportPage([
      {
        ...result,
        accuracy: undefined,
        pictures: { ...result.pictures, load: gone, low: gone, high: gone, median: gone },
      },
    ]);
    expect(readMarkup(page).elements.filter(({ name }) => name === "svg")).toHaveLength(2);
    expect(page).not.toMatch(/NaN|Infinity/);
  });
});

test("text and JSON tell the verdict, each policy and each horizon", () => {
  const text = describeResult(result).join("\n");
  for (const word of [
    "Forescale",
    "HPA, tuned",
    "schedule + HPA",
    "fixed at the peak",
    "oracle",
    "0–1 h ahead",
    "Verdict: ",
  ])
    expect(text).toContain(word);
  const json = JSON.parse(JSON.stringify(toJson(result)));
  expect(json).toMatchObject({ name: "shop", verdict: result.verdict, replayedDays: 0.5, metric: "load" });
  expect(Object.keys(json.policies)).toEqual([...policyNames]);
  expect(json).not.toHaveProperty("pictures");
  expect(describeMany([result, result])).toHaveLength(3);
});

test("gray steps and a hot pool are replayed: pods leave service step by step, and the pool's hours stand apart", () => {
  const grayStrategy = { grayState: "Cutoff", changePercent: 25, changeIntervalSeconds: 60, observationSeconds: 300 };
  const spec = { behavior: { scaleDown: { disabled: false, grayStrategy } }, standby: { minReplicas: 2 } };
  const rules = { startupSeconds: 60, replayMs: 12 * 3_600_000 };
  const plain = backtest(workloadOf(wavyLoad(3)), rules).policies.forescale;
  const staged = backtest(workloadOf(wavyLoad(3), 50, spec), rules);
  const { forescale } = staged.policies;
  expect(forescale.standbyPodHours).toBeCloseTo(2 * 12, 0);
  expect(forescale.podHours).toBeGreaterThan(plain.podHours + 20);
  expect(plain).not.toHaveProperty("standbyPodHours");
  expect(describeResult(staged).join("\n")).toContain("are on standby: frozen, their memory given back");
});
