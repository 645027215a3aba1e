import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isBelowEarlierDays } from "../../../../src/decide/burst/earlier-days.ts";
import { leadShape } from "../../../../src/decide/demand/lead-shape.ts";
import type { LoadForecast } from "../../../../src/decide/demand/load-forecast.ts";
import { AccuracyGate, gateRules } from "../../../../src/decide/gate/accuracy-gate.ts";
import { Drift } from "../../../../src/decide/gate/drift.ts";
import { ForecastLedger } from "../../../../src/decide/gate/forecast-ledger.ts";
import type { Outcome } from "../../../../src/decide/gate/outcome.ts";
import { dayMs, demandAt, generator, historyOf, nowMs, play, specOf, tickMs, valuesOf } from "../workload.ts";

const hourMs = 3_600_000;
const rules = gateRules(undefined);
const backtest = (relativeError: number, error = 2) => ({ error, load: 10, relativeError, samples: 400 });

/** Ticks of a forecast whose error and the season's are given, in pods, about a load of 10. */
function feed(gate: AccuracyGate, hours: number, error: number, naive: number, fromMs: number): number {
  const random = generator(1);
  let timeMs = fromMs;
  for (; timeMs < fromMs + hours * hourMs; timeMs += tickMs) {
    const sign = random() < 0.5 ? -1 : 1;
    gate.add({ timeMs, actual: 10, forecast: 10 + sign * error, upper: 10 + error, naive: 10 + naive });
  }
  return timeMs;
}

test("the rules are those of the spec, and the API's defaults where it gives none", () => {
  expect(rules).toEqual({ enabled: true, maxError: 1, windowMs: hourMs });
  expect(gateRules({ accuracyGate: { enabled: false, maxError: "80%", window: "30m" } })).toEqual({
    enabled: false,
    maxError: 0.8,
    windowMs: 30 * 60_000,
  });
});

describe("the gate", () => {
  test("distrusts what is worse than the last season for a whole window, and not before", () => {
    const gate = new AccuracyGate(rules, 0.95);
    const at = feed(gate, 1.5, 3, 2, nowMs); // a window to fill, and half of one
    expect(gate.isTrusted).toBe(true);
    feed(gate, 0.5, 3, 2, at);
    expect(gate.verdict(at + hourMs / 2)).toMatchObject({ isTrusted: false, reason: "NotAccurate" });
  });

  test("trusts again what has been good for a while, and not at the first good value", () => {
    const gate = new AccuracyGate(rules, 0.95);
    let at = feed(gate, 3, 3, 2, nowMs);
    at = feed(gate, 0.25, 1, 2, at);
    expect(gate.isTrusted).toBe(false);
    at = feed(gate, 2, 1, 2, at);
    expect(gate.verdict(at)).toMatchObject({ isTrusted: true, reason: "AsExpected" });
  });

  test("an error that stays between the two thresholds changes nothing, either way", () => {
    const [trusting, distrusting] = [new AccuracyGate(rules, 0.95), new AccuracyGate(rules, 0.95)];
    feed(trusting, 6, 1.9, 2, nowMs);
    feed(distrusting, 6, 1.9, 2, feed(distrusting, 3, 3, 2, nowMs));
    expect([trusting.isTrusted, distrusting.isTrusted]).toEqual([true, false]);
  });

  test("one spike that the season happened to meet does not decide", () => {
    const gate = new AccuracyGate(rules, 0.95);
    for (let k = 0; k < 960; k++) {
      const spike = k % 240 < 8; // two minutes an hour
      gate.add({
        timeMs: nowMs + k * tickMs,
        actual: spike ? 60 : 10,
        forecast: 10.4,
        upper: 12,
        naive: spike ? 60 : 10.6,
      });
    }
    expect(gate.isTrusted).toBe(true);
  });

  test("errors too small for a pod are none, though the season repeats itself exactly", () => {
    const gate = new AccuracyGate(rules, 0.95);
    feed(gate, 6, 0.4, 0, nowMs);
    expect(gate.isTrusted).toBe(true);
  });

  test("a quantile that hardly ever holds is distrusted, though the season is worse", () => {
    const gate = new AccuracyGate(rules, 0.95);
    for (let k = 0; k < 600; k++) gate.add({ timeMs: nowMs + k * tickMs, actual: 10, forecast: 8, upper: 9, naive: 2 });
    expect(gate.verdict(nowMs + 600 * tickMs)).toMatchObject({ isTrusted: false, coverage: 0 });
  });

  test("without a season to compare with, what was is kept", () => {
    const gate = new AccuracyGate(rules, 0.95);
    for (let k = 0; k < 2000; k++)
      gate.add({ timeMs: nowMs + k * tickMs, actual: 10, forecast: 30, upper: 30, naive: Number.NaN });
    const verdict = gate.verdict(nowMs + 2000 * tickMs);
    expect(verdict).toMatchObject({
      isTrusted: true,
      reason: "AsExpected",
      message: expect.stringContaining("no season"),
    });
    expect(verdict.error).toBeCloseTo(2);
  });

  test("drift halves the wait", () => {
    const distrustedAfter = (drifts: boolean) => {
      const gate = new AccuracyGate(rules, 0.95);
      const random = generator(3);
      let at = nowMs;
      for (let k = 0; k < 720; k++, at += tickMs) {
        const error = random() - 0.5;
        gate.add({ timeMs: at, actual: 10, forecast: 10 + error, upper: 11, naive: 12 });
      }
      const beginsMs = at;
      for (; gate.isTrusted && at < beginsMs + 8 * hourMs; at += tickMs) {
        const sign = drifts || Math.floor(at / 120_000) % 2 === 0 ? -1 : 1;
        gate.add({ timeMs: at, actual: 10, forecast: 10 + 4 * sign, upper: 15, naive: 12 });
      }
      return at - beginsMs;
    };
    expect(distrustedAfter(true)).toBeLessThan(distrustedAfter(false) - 0.4 * hourMs);
  });

  test("switched off it distrusts nothing, and still tells the figures", () => {
    const gate = new AccuracyGate({ ...rules, enabled: false }, 0.95);
    gate.learn(backtest(4));
    const at = feed(gate, 4, 4, 1, nowMs);
    expect(gate.verdict(at)).toMatchObject({ isTrusted: true, relativeError: 4 });
  });

  test("figures: error over the load, over the season's error, and the share below the quantile", () => {
    const gate = new AccuracyGate(rules, 0.95);
    const at = feed(gate, 2, 1, 4, nowMs);
    expect(gate.verdict(at)).toMatchObject({ error: 0.1, relativeError: 0.25, coverage: 1, samples: 480 });
  });

  test("any outcomes give a verdict with a sentence, and never a figure below 0", () => {
    const value = fc.oneof(fc.double({ min: 0, max: 1e9 }), fc.constant(0), fc.constant(Number.NaN));
    const outcome = fc.record({ actual: value, forecast: value, upper: value, naive: value });
    fc.assert(
      fc.property(
        fc.array(outcome, { maxLength: 60 }),
        fc.integer({ min: 15_000, max: 7_200_000 }),
        (outcomes, apart) => {
          const gate = new AccuracyGate(rules, 0.95);
          outcomes.forEach((each, k) => {
            gate.add({ timeMs: nowMs + k * apart, ...each } satisfies Outcome);
          });
          const verdict = gate.verdict(nowMs + outcomes.length * apart);
          expect(verdict.message).not.toMatch(/NaN|undefined/);
          for (const figure of [verdict.error, verdict.relativeError, verdict.coverage])
            expect(figure >= 0 || Number.isNaN(figure)).toBe(true);
        },
      ),
    );
  });
});

describe("the backtest of day 0", () => {
  test.each([
    { name: "a forecast better than the last season is trusted", given: backtest(0.6), reason: "BacktestPassed" },
    { name: "a worse one is not", given: backtest(1.3), reason: "BacktestFailed" },
    { name: "a worse one by less than half a pod is", given: backtest(3, 0.3), reason: "BacktestPassed" },
  ])("$name", ({ given, reason }) => {
    const gate = new AccuracyGate(rules, 0.95);
    gate.learn(given);
    expect(gate.verdict(nowMs)).toMatchObject({ isTrusted: reason === "BacktestPassed", reason, samples: 400 });
  });

  test("counts until live values have been judged: a failed one comes back by itself", () => {
    const gate = new AccuracyGate(rules, 0.95);
    gate.learn(backtest(1.3));
    const at = feed(gate, 2, 1, 2, nowMs);
    gate.learn(backtest(1.4));
    expect(gate.verdict(at)).toMatchObject({ isTrusted: true, reason: "AsExpected" });
  });

  test("a verdict outlives a new recommender, and a fresh backtest does not wash off live errors", () => {
    const gate = new AccuracyGate(rules, 0.95);
    feed(gate, 3, 3, 2, nowMs);
    const next = new AccuracyGate(rules, 0.95, JSON.parse(JSON.stringify(gate.state())));
    next.learn(backtest(0.5));
    expect(next.isTrusted).toBe(false);
  });
});

describe("drift", () => {
  const driftsAfter = (shift: number) => {
    const random = generator(11);
    const drift = new Drift();
    for (let k = 0; k < 300; k++)
      drift.add(nowMs + k * 120_000, random() + random() + random() - 1.5 + (k < 200 ? 0 : shift));
    return drift.hasDrifted;
  };
  test("is seen where the mean has shifted by three usual errors, up or down", () => {
    expect([driftsAfter(1.5), driftsAfter(-1.5)]).toEqual([true, true]);
  });
  test("is not seen where it has not", () => {
    expect(driftsAfter(0)).toBe(false);
  });
  test("ends with the shift", () => {
    const drift = new Drift();
    let at = nowMs;
    const add = (count: number, value: number) => {
      for (let k = 0; k < count; k++, at += 120_000) drift.add(at, value * (k % 2 ? 1 : 0.6));
    };
    add(40, 0.1);
    add(40, 3);
    expect(drift.hasDrifted).toBe(true);
    add(40, 0);
    expect(drift.hasDrifted).toBe(false);
  });
});

describe("a day that is unlike the days before", () => {
  const shape = leadShape(tickMs, 60_000, 30_000);
  const { day, twenty } = shape;
  const points = (today: number, days = 2) => {
    const values = new Float64Array(days * day + twenty + 1).fill(20);
    values.fill(today, days * day);
    return { values, start: 0, length: values.length };
  };
  const isBelow = (of: ReturnType<typeof points>) => isBelowEarlierDays(of, of.length - 1, shape);

  test("has stayed far below them for twenty minutes", () => {
    expect([isBelow(points(10)), isBelow(points(17)), isBelow(points(30))]).toEqual([true, false, false]);
    const late = points(10);
    late.values[late.length - twenty] = 20;
    expect(isBelow(late)).toBe(false);
  });

  test("is none where an earlier day was as low, or none is known", () => {
    const once = points(10);
    once.values[day + twenty] = 9;
    expect(isBelow(once)).toBe(false);
    expect(isBelow(points(10, 0))).toBe(false);
  });

  test("lets pods go: an hour after a fall to a third, which no day before had, four in ten are gone", () => {
    const week = { histories: new Map([["load", historyOf(demandAt, 8, 60_000)]]) };
    const fallTick = (4 * hourMs) / tickMs;
    const values = Array.from(
      { length: fallTick + 230 },
      (_, k) => (k < fallTick ? 1 : 0.3) * demandAt(nowMs + k * tickMs),
    );
    const totals = play(specOf(), week, values, { start: 10, tick: { lagMs: 0 } }).map(
      ({ decision }) => decision.total!,
    );
    expect(totals.at(-1)).toBeLessThan(0.6 * totals[fallTick - 1]);
  });
});

describe("the ledger", () => {
  const values = Float64Array.from({ length: 3 * 96 }, (_, i) => (i % 96) + (i >= 192 ? 5 : 0));
  const grid = { values, start: 0, length: values.length, originMs: nowMs, stepMs: 900_000 };
  const forecast = (of: "Largest" | "Mean") => {
    const ledger = new ForecastLedger();
    const at = (point: number) => nowMs + point * 900_000;
    ledger.add({ fromMs: at(210), toMs: at(214), of, middle: 20, upper: 30 });
    ledger.add({ fromMs: at(214), toMs: at(218), of, middle: 21, upper: 31 });
    return ledger;
  };

  test("compares with what came, and with the day before", () => {
    expect(forecast("Largest").settle(grid, 216)).toEqual([
      { timeMs: nowMs + 214 * 900_000, actual: 27, forecast: 20, upper: 30, naive: 22 },
    ]);
    expect(forecast("Mean").settle(grid, 216)[0]).toMatchObject({ actual: 25, naive: 20 });
  });

  test("tells each outcome once, and none before its end is known", () => {
    const ledger = forecast("Largest");
    expect(ledger.settle(grid, 213)).toEqual([]);
    expect(ledger.settle(grid, 214)).toHaveLength(1);
    expect(ledger.settle(grid, 250)).toHaveLength(1);
    expect(ledger.settle(grid, 250)).toEqual([]);
  });
});

describe("in the recommender", () => {
  const hourly = historyOf(demandAt, 28, hourMs); // too coarse to learn the next minutes from
  const outlookOf = (factor: number, backtestOf?: LoadForecast["backtest"]): LoadForecast => {
    const steps = 144;
    const mean = Float64Array.from({ length: steps }, (_, k) => factor * demandAt(nowMs + (k + 0.5) * 300_000));
    return {
      startMs: nowMs,
      stepMs: 300_000,
      levels: [0.5, 0.98],
      quantiles: [mean, mean.map((value) => value * 1.2)],
      ...(backtestOf && { backtest: backtestOf }),
    };
  };
  const options = { histories: new Map([["load", hourly]]), tickMs };
  const values = valuesOf(demandAt, 720); // three hours

  test("a forecast that is good is used and trusted all along", () => {
    const played = play(specOf(), { ...options, forecast: () => outlookOf(1) }, values, { start: 8 });
    for (const { decision } of played) expect(decision.accuracy?.isTrusted).toBe(true);
    expect(played.at(-1)!.decision.rung).toBe("Fresh");
  });

  const wild = play(
    specOf(),
    { ...options, forecast: (_, timeMs) => outlookOf(timeMs < nowMs + 2.6 * hourMs ? 1.9 : 1) },
    [...values, ...valuesOf(demandAt, 1200).slice(720)],
    { start: 8 },
  );
  const dropped = wild.findIndex(({ decision }) => decision.accuracy?.isTrusted === false);

  test("one that says far too much is dropped to reactive within two windows, with the reason", () => {
    expect(dropped).toBeGreaterThan(0);
    expect(dropped * tickMs).toBeLessThanOrEqual(2.1 * hourMs);
    const { decision, observed } = wild[dropped + 20];
    expect(decision.rung).toBe("Reactive");
    expect(wild.slice(dropped, dropped + 40).map((each) => each.decision.reason)).toContain("NotAccurate");
    expect(decision.accuracy).toMatchObject({ reason: "NotAccurate", metric: "load", level: 0.98 });
    expect(decision.total).toBeLessThan(wild[dropped - 1].decision.total!);
    expect(decision.total).toBeGreaterThanOrEqual(Math.ceil(observed));
  });

  test("and comes back by itself once it is right again", () => {
    const back = wild.findIndex(({ decision }, k) => k > dropped && decision.accuracy?.isTrusted);
    expect(back).toBeGreaterThan(dropped);
    expect(wild[back].decision.rung).toBe("Fresh");
    expect(wild.at(-1)!.decision.accuracy).toMatchObject({ isTrusted: true, reason: "AsExpected" });
  });

  test("one whose backtest failed is not used from the first tick on", () => {
    const failed = { error: 5, load: 12, relativeError: 1.6, samples: 400 };
    const [first] = play(specOf(), { ...options, forecast: () => outlookOf(3, failed) }, [demandAt(nowMs)], {
      start: 8,
    });
    expect(first.decision).toMatchObject({
      rung: "Reactive",
      accuracy: { isTrusted: false, reason: "BacktestFailed" },
    });
    expect(first.decision.total).toBeLessThan(2 * demandAt(nowMs));
  });

  test("a silent source does not fall back on a forecast that is not trusted", () => {
    const failed = { error: 5, load: 12, relativeError: 1.6, samples: 400 };
    const silent = play(
      specOf(),
      { ...options, forecast: () => outlookOf(3, failed) },
      [10, ...new Array(60).fill(null)],
      { start: 14 },
    );
    expect(silent.at(-1)!.decision).toMatchObject({ rung: "Held" });
  });

  test("what is learnt of the next minutes is judged too, by the history given, and trusted from the first tick", () => {
    const week = { histories: new Map([["load", historyOf(demandAt, 7, 60_000)]]) };
    const [first] = play(specOf(), week, [demandAt(nowMs)], { start: 8 });
    expect(first.decision.accuracy).toMatchObject({ isTrusted: true, reason: "BacktestPassed", level: 0.98 });
    expect(first.decision.accuracy!.relativeError).toBeGreaterThan(0);
    expect(first.decision.accuracy!.relativeError).toBeLessThan(1);
  });

  test("without a Predictive provider there is nothing to judge", () => {
    const provider = { type: "Dynamic" as const, priority: 0, dynamic: { portraitType: "Reactive" as const } };
    for (const { decision } of play(specOf({ portraitProviders: [provider] }), options, values.slice(0, 10)))
      expect(decision.accuracy).toBeUndefined();
  });

  test("a load that shifts its level for good does not cost the learnt minutes their trust", () => {
    const week = { histories: new Map([["load", historyOf(demandAt, 7, 60_000)]]) };
    const shifted = valuesOf(demandAt, 960).map((value, k) => (k < 240 ? value : 2 * value));
    const played = play(specOf(), week, shifted, { start: 20 });
    expect(played.filter(({ decision }) => decision.accuracy?.isTrusted === false)).toEqual([]);
  });

  test("days of the same load keep the figures near the quantile's own promise", () => {
    const week = { histories: new Map([["load", historyOf(demandAt, 7, 60_000)]]) };
    const { accuracy } = play(specOf(), week, valuesOf(demandAt, dayMs / tickMs / 4), { start: 20 }).at(-1)!.decision;
    expect(accuracy!.coverage).toBeGreaterThan(0.93);
    expect(accuracy!.coverage).toBeLessThanOrEqual(1);
  });
});
