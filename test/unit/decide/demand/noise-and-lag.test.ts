import { describe, expect, test } from "vitest";
import { createRecommender } from "../../../../src/decide/recommender.ts";
import { createLoadForecasts } from "../../../../src/portrait/load-forecasts.ts";
import type { Series } from "../../../../src/series/series.ts";
import { dayMs, demandAt, generator, historyOf, nowMs, type Played, play, specOf } from "../workload.ts";

const hourMs = 3_600_000;
const hours = 6;
const cases = [
  { history: 60_000, every: 15_000, lag: 0, noise: 0.02 },
  { history: 60_000, every: 15_000, lag: 30_000, noise: 0.1 },
  { history: 60_000, every: 15_000, lag: 120_000, noise: 0.02 },
  { history: 60_000, every: 60_000, lag: 120_000, noise: 0.1 },
  { history: 300_000, every: 15_000, lag: 30_000, noise: 0 },
  { history: 300_000, every: 15_000, lag: 60_000, noise: 0.1 },
  { history: 300_000, every: 60_000, lag: 30_000, noise: 0.02 },
  { history: hourMs, every: 15_000, lag: 30_000, noise: 0.02 },
  { history: hourMs, every: 60_000, lag: 120_000, noise: 0.1 },
];

/** Six hours in a closed loop, forecasts made from all that is known by then; from the fourth on the load is a third of what days before it were. */
function played({ history, every, lag, noise }: (typeof cases)[number], fallMs = 4 * hourMs): Played[] {
  const random = generator(5);
  const load = (timeMs: number) => (timeMs < nowMs + fallMs ? 1 : 0.3) * demandAt(timeMs);
  const values = Array.from({ length: (hours * hourMs) / every }, (_, k) => {
    const error = 2 * (random() + random() + random() - 1.5); // of deviation 1
    return load(nowMs + k * every - lag) * (1 + noise * error);
  });
  const known = historyOf(demandAt, history >= hourMs ? 28 : 8, history);
  const past = (): Series => recommender.history("load")!;
  const outlook = createLoadForecasts({ history: past, timeZone: "UTC", horizonMs: dayMs, stepMs: history });
  const spec = specOf();
  const recommender = createRecommender(spec, {
    histories: new Map([["load", known]]),
    forecast: outlook,
  });
  let present = 10;
  return values.map((value, k) => {
    const replicas = { online: present, cutoff: 0, standby: 0, starting: 0 };
    const loads = new Map([["load", value]]);
    const decision = recommender.decide({ timeMs: nowMs + k * every, loads, replicas, lagMs: lag });
    const one = { decision, observed: value, present };
    present = decision.total!;
    return one;
  });
}

describe.each(cases)("history each $history ms, ticks each $every ms, values $lag ms old, noise $noise", (of) => {
  const all = played(of);
  const at = (hour: number) => Math.floor((hour * hourMs) / of.every);
  const total = (k: number) => all[k].decision.total!;

  test("the number is never below what is observed", () => {
    for (const { decision, observed } of all) expect(decision.total).toBeGreaterThanOrEqual(Math.ceil(observed - 1e-6));
  });

  test("pods are there a lead ahead of the load, but for a few minutes in four hours", () => {
    const lead = 120_000;
    let short = 0;
    for (let k = at(0.1); k < at(4) - lead / of.every; k++)
      if (total(k) < demandAt(nowMs + k * of.every + lead)) short++;
    expect((short * of.every) / 60_000).toBeLessThanOrEqual(5);
  });

  test("it does not flap: noise changes the number no more often than a minute's hold allows by far", () => {
    let changes = 0;
    for (let k = at(0.1); k < all.length; k++) if (total(k) !== total(k - 1)) changes++;
    expect(changes / hours).toBeLessThan(of.noise > 0.05 ? 45 : 30);
  });

  test("it does not cling: what the load let go is let go, though no day before did", () => {
    const fell = at(4) + Math.ceil(of.lag / of.every);
    const before = total(fell - 1);
    const mean = (from: number, to: number) => {
      let sum = 0;
      for (let k = from; k < to; k++) sum += total(k);
      return sum / (to - from);
    };
    // Forecasts on hourly steps hear of it within an hour, the rest within minutes.
    if (of.history < hourMs) expect(mean(fell + at(0.2), fell + at(0.4))).toBeLessThan(0.85 * before);
    expect(mean(at(5.6), at(6))).toBeLessThan(0.85 * before);
  });
});

describe("where the history is too coarse for the next minutes", () => {
  const past = historyOf(demandAt, 28, hourMs);
  const outlook = createLoadForecasts({ history: () => past, timeZone: "UTC", horizonMs: dayMs, stepMs: hourMs });
  const options = { histories: new Map([["load", past]]), forecast: outlook };

  test("the plain forecast's quantile takes over: a steep morning is met before it is observed", () => {
    const [first] = play(specOf(), options, [demandAt(nowMs - 30_000)], { start: 8 });
    expect(first.decision.rung).toBe("Fresh");
    expect(first.decision.message).toContain("the forecast reaches this");
    expect(first.decision.total).toBeGreaterThan(1.5 * first.observed);
  });

  test("a higher quantile asks for no fewer pods", () => {
    const wanted = [50, 90, 98, 99.9].map((quantile) => {
      const prediction = { quantile: String(quantile) } as NonNullable<Parameters<typeof specOf>[0]>["prediction"];
      return play(specOf({ prediction }), options, [demandAt(nowMs)], { start: 8 })[0].decision.total!;
    });
    expect(wanted.toSorted((a, b) => a - b)).toEqual(wanted);
  });
});
