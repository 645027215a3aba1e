import { describe, expect, test } from "vitest";
import type { ForecastAccuracy } from "../../../src/backtest/accuracy.ts";
import { type VerdictFacts, verdictOf } from "../../../src/backtest/verdict.ts";

function accuracy(more: Partial<ForecastAccuracy> & { readonly cover?: number } = {}): ForecastAccuracy {
  const { cover = 0.9, ...rest } = more;
  const coverage = [0.1, 0.5, 0.9, 0.95, 0.99].map((level) => ({ level, observed: level === 0.9 ? cover : level }));
  return {
    origins: 24,
    samples: 5000,
    wape: 0.1,
    relativeWql: 0.5,
    relativeToLevel: 0.4,
    coverage,
    horizons: [],
    ...rest,
  };
}

const tuned = { target: 0.65, podHours: 100, short: 0.01, isAsGood: true, unserved: 0.001, actionsPerDay: 100 };
const good: VerdictFacts = {
  learntDays: 12,
  accuracy: accuracy(),
  refusal: undefined,
  counters: [],
  maxError: 1,
  allowedShort: 0.05,
  allowedBy: "quantile 95",
  short: 0.01,
  podHours: 80,
  unserved: 0.001,
  actionsPerDay: 90,
  startupSeconds: 60,
  tuned,
  capped: 0,
  isConstant: false,
};
const blind = accuracy({ relativeWql: 1.2 });
const asDear = { ...tuned, podHours: 70 };

describe("what a backtest says", () => {
  test.each<{ name: string; facts: Partial<VerdictFacts>; verdict: string; bad: string[]; says: RegExp }>([
    { name: "all is well", facts: {}, verdict: "Enable", bad: [], says: /20 % fewer pod-hours/ },
    {
      name: "5 days learnt will do, and are told",
      facts: { learntDays: 5 },
      verdict: "Enable",
      bad: [],
      says: /5 days only: not every day/,
    },
    {
      name: "3 days learnt are too few",
      facts: { learntDays: 3 },
      verdict: "KeepObserving",
      bad: ["HistoryTooShort"],
      says: /3 days only; 4 are needed/,
    },
    {
      name: "a forecast worse than repetition that saves all the same",
      facts: { accuracy: blind },
      verdict: "KeepObserving",
      bad: ["NotPredictable"],
      says: /no better than .* repeating the last day/,
    },
    {
      name: "a forecast worse than repetition, and dearer",
      facts: { accuracy: blind, tuned: asDear },
      verdict: "NotPredictable",
      bad: ["NotPredictable", "BacktestFailed"],
      says: /14 % more pod-hours/,
    },
    {
      name: "a forecast that only knows the level, and dearer: noise",
      facts: { accuracy: accuracy({ relativeWql: 0.7, relativeToLevel: 0.98 }), tuned: asDear },
      verdict: "NotPredictable",
      bad: ["NotPredictable", "BacktestFailed"],
      says: /hardly beats carrying the last hour on/,
    },
    {
      name: "a stricter gate than the forecast passes",
      facts: { maxError: 0.4 },
      verdict: "KeepObserving",
      bad: ["NotAccurate"],
      says: /gate's 40 %/,
    },
    {
      name: "bands too narrow",
      facts: { accuracy: accuracy({ cover: 0.6 }) },
      verdict: "KeepObserving",
      bad: ["NotAccurate"],
      says: /60 % of the values .* too narrow/,
    },
    {
      name: "a good forecast, but an HPA is cheaper",
      facts: { tuned: asDear },
      verdict: "KeepObserving",
      bad: ["BacktestFailed"],
      says: /14 % more/,
    },
    {
      name: "as dear as an HPA tuned in hindsight",
      facts: { podHours: 101 },
      verdict: "Enable",
      bad: [],
      says: /1\.0 % more/,
    },
    {
      name: "no HPA serves as well: dearer is fine",
      facts: { tuned: { ...asDear, isAsGood: false, short: 0.03 } },
      verdict: "Enable",
      bad: [],
      says: /No target of a plain HPA lacks pods as little.*3\.0 %.*Forescale 1\.0 %/,
    },
    {
      name: "twice the promised shortage and more",
      facts: { short: 0.11 },
      verdict: "KeepObserving",
      bad: ["BacktestFailed"],
      says: /11 % of the time, more than twice the 5\.0 % that quantile 95 allows: ask for a higher quantile/,
    },
    {
      name: "a little more than the promised shortage passes, with digits enough to see it and the rule that lets it",
      facts: { short: 0.0012, allowedShort: 0.001, allowedBy: "objective 0.1 %" },
      verdict: "Enable",
      bad: [],
      says: /lacks pods 0\.12 % of the time; objective 0\.1 % allows 0\.10 %, and a replay is judged by twice that\./,
    },
    {
      name: "what was unserved and how often the size changed are told",
      facts: { unserved: 0.00002 },
      verdict: "Enable",
      bad: [],
      says: /for < 0\.01 % of the demand, with the tuned HPA for 0\.10 %\..*90 times a day, the tuned HPA 100 times\./s,
    },
    {
      name: "shortages that are deep, and are not with an HPA",
      facts: { unserved: 0.012 },
      verdict: "KeepObserving",
      bad: ["BacktestFailed"],
      says: /No pod was there for 1\.2 % of the demand, .* ask for a higher quantile/,
    },
    {
      name: "shortages as deep as an HPA's: the load's bursts",
      facts: { unserved: 0.012, tuned: { ...tuned, unserved: 0.007 } },
      verdict: "Enable",
      bad: [],
      says: /1\.2 % of the demand, with the tuned HPA for 0\.70 %\./,
    },
    {
      name: "a stricter promise allows less of the demand to go unserved",
      facts: { unserved: 0.0012, allowedShort: 0.005, tuned: { ...tuned, unserved: 0.0001 } },
      verdict: "KeepObserving",
      bad: ["BacktestFailed"],
      says: /0\.12 % of the demand/,
    },
    {
      name: "a size that changes more often than pods start",
      facts: { actionsPerDay: 500, startupSeconds: 180 },
      verdict: "KeepObserving",
      bad: ["BacktestFailed"],
      says: /500 times a day, .* more often than every 180 s; give behavior\.scaleDown\.stabilizationWindowSeconds/,
    },
    {
      name: "a cap below the load",
      facts: { capped: 0.02 },
      verdict: "KeepObserving",
      bad: ["TooFewReplicas"],
      says: /raise maxReplicas/,
    },
    {
      name: "nothing to scale",
      facts: { isConstant: true, accuracy: accuracy({ relativeWql: undefined, relativeToLevel: undefined }) },
      verdict: "KeepObserving",
      bad: ["BacktestFailed"],
      says: /same number of pods all the time/,
    },
    {
      name: "no forecast, and nothing saved",
      facts: { accuracy: undefined, refusal: "2 values are known where 3 are needed", tuned: asDear },
      verdict: "NotPredictable",
      bad: ["NotPredictable", "BacktestFailed"],
      says: /There is no forecast to judge: 2 values/,
    },
  ])("$name", ({ facts, verdict, bad, says }) => {
    const said = verdictOf({ ...good, ...facts });
    expect(said.verdict).toBe(verdict);
    expect(said.reasons.filter(({ isGood }) => !isGood).map(({ reason }) => reason)).toEqual(bad);
    expect(said.reasons.map(({ message }) => message).join("\n")).toMatch(says);
  });

  test("where Forescale is dearer already, no advice makes it dearer still", () => {
    const facts = { ...good, short: 0.11, unserved: 0.02, tuned: asDear };
    const [cost, promise, unserved] = verdictOf(facts).reasons.slice(2);
    expect(cost.message).toMatch(/14 % more pod-hours/);
    for (const { isGood, message } of [promise, unserved]) {
      expect(isGood).toBe(false);
      expect(message).toMatch(/more headroom would cost still more, pods that start faster help both/);
      expect(message).not.toMatch(/ask for/);
    }
  });

  test("what is neither for nor against is a caution, not a merit", () => {
    const { reasons } = verdictOf({ ...good, learntDays: 5 });
    expect(reasons.filter(({ isCaution }) => isCaution).map(({ reason }) => reason)).toEqual(["HistoryTooShort"]);
    expect(verdictOf({ ...good, learntDays: 3 }).reasons.some(({ isCaution }) => isCaution)).toBe(false);
  });

  test("a drawback within what is allowed is a caution too", () => {
    const cautions = (facts: Partial<VerdictFacts>) => {
      const said = verdictOf({ ...good, ...facts });
      expect(said.verdict).toBe("Enable");
      return said.reasons.filter(({ isCaution }) => isCaution).map(({ message }) => message);
    };
    expect(cautions({})).toEqual([]);
    const podHours = 1.01 * good.podHours;
    expect(cautions({ podHours, tuned: { ...good.tuned, podHours: good.podHours } })).toEqual([
      expect.stringContaining("1.0 % more pod-hours"),
    ]);
    expect(cautions({ actionsPerDay: 2 * good.tuned.actionsPerDay })).toEqual([
      expect.stringContaining("It changes the size"),
    ]);
    expect(cautions({ unserved: 1.5 * good.tuned.unserved })).toEqual([
      expect.stringContaining("No pod was there for"),
    ]);
    expect(cautions({ short: 1.5 * good.allowedShort })).toEqual([expect.stringContaining("judged by twice that")]);
  });
});
