import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ArrivalRates,
  drawStartups,
  drawUnitArrivals,
  expectedArrivals,
  sampleArrivals,
} from "../../../../scripts/robust-scaler/arrivals.ts";
import { outstandingToHit, planCreations } from "../../../../scripts/robust-scaler/creation-plan.ts";
import {
  creationTime,
  meanIdleSeconds,
  meanWaitSeconds,
  type PlanProblem,
} from "../../../../scripts/robust-scaler/creation-time.ts";
import { generator } from "../../decide/workload.ts";

const steady = (perSecond: number): ArrivalRates => ({
  startSeconds: 0,
  binSeconds: 60,
  perSecond: Float64Array.of(perSecond),
});
const startup = Float64Array.of(13);

describe("sampled arrivals", () => {
  const draws = drawUnitArrivals(4000, 10, generator(1));

  test("the same seed draws the same", () => {
    expect(drawUnitArrivals(50, 3, generator(7))).toEqual(drawUnitArrivals(50, 3, generator(7)));
  });

  test("at a steady rate the i-th comes after i/λ on average", () => {
    for (const query of [1, 5, 10]) {
      const arrivals = sampleArrivals(draws, query, steady(0.5), 1000);
      const mean = arrivals.reduce((a, b) => a + b) / arrivals.length;
      expect(Math.abs(mean / (2 * query) - 1)).toBeLessThan(4 / Math.sqrt(4000 * query));
    }
  });

  test("ascend, and meet the expected arrivals of a rate that changes", () => {
    const rates: ArrivalRates = { startSeconds: 0, binSeconds: 10, perSecond: Float64Array.of(0.1, 2, 0, 0.5) };
    const arrivals = sampleArrivals(draws, 3, rates, 4);
    for (let k = 0; k < arrivals.length; k++) {
      if (k > 0) expect(arrivals[k]).toBeGreaterThanOrEqual(arrivals[k - 1]);
      expect(expectedArrivals(rates, 4, arrivals[k])).toBeCloseTo(draws.unit[2 * draws.samples + k], 6);
    }
  });

  test("none come where the rate ends at 0", () => {
    const rates: ArrivalRates = { startSeconds: 0, binSeconds: 10, perSecond: Float64Array.of(1, 0) };
    expect(sampleArrivals(draws, 10, rates, 9)[3999]).toBe(Number.POSITIVE_INFINITY);
  });
});

const sample = fc.record({
  arrival: fc.double({ min: 0, max: 100, noNaN: true }),
  startup: fc.double({ min: 0, max: 30, noNaN: true }),
});
const sampled = fc.array(sample, { minLength: 1, maxLength: 40 }).map((rows) => ({
  arrivals: Float64Array.from(rows, ({ arrival }) => arrival),
  startups: Float64Array.from(rows, (row) => row.startup),
}));
const seconds = fc.double({ min: 0, max: 60, noNaN: true });
/** A hair later, wider than rounding. */
const bitLater = (x: number) => x + 1e-6 * (1 + x);

describe("one query's creation", () => {
  test("waiting never falls, and idling never grows, as it is put off", () => {
    fc.assert(
      fc.property(sampled, seconds, seconds, ({ arrivals, startups }, a, b) => {
        const [early, late] = [Math.min(a, b), Math.max(a, b)];
        expect(meanWaitSeconds(late, arrivals, startups)).toBeGreaterThanOrEqual(
          meanWaitSeconds(early, arrivals, startups) - 1e-9,
        );
        expect(meanIdleSeconds(late, arrivals, startups)).toBeLessThanOrEqual(
          meanIdleSeconds(early, arrivals, startups) + 1e-9,
        );
      }),
    );
  });

  test("HP: at most the allowed share misses, and later more would", () => {
    fc.assert(
      fc.property(sampled, fc.double({ min: 0, max: 0.95, noNaN: true }), ({ arrivals, startups }, missed) => {
        const x = creationTime({ kind: "HittingProbability", missed }, arrivals, startups);
        const missShare = (at: number) =>
          arrivals.filter((arrival, k) => arrival - startups[k] < at).length / arrivals.length;
        if (x > 0) expect(missShare(x)).toBeLessThanOrEqual(missed + 1e-9);
        expect(missShare(bitLater(x))).toBeGreaterThan(missed - 1e-9);
      }),
    );
  });

  test("RT: the mean wait is within what is allowed, and later it would not be", () => {
    fc.assert(
      fc.property(sampled, seconds, ({ arrivals, startups }, waitSeconds) => {
        const x = creationTime({ kind: "ResponseTime", waitSeconds }, arrivals, startups);
        if (x === Number.POSITIVE_INFINITY) {
          expect(meanWaitSeconds(1e9, arrivals, startups)).toBeLessThanOrEqual(waitSeconds + 1e-9);
          return;
        }
        if (x > 0) expect(meanWaitSeconds(x, arrivals, startups)).toBeLessThanOrEqual(waitSeconds + 1e-6);
        expect(meanWaitSeconds(bitLater(x), arrivals, startups)).toBeGreaterThan(waitSeconds - 1e-6);
      }),
    );
  });

  test("Cost: the mean idle time is within its budget, and sooner it would not be", () => {
    fc.assert(
      fc.property(sampled, seconds, ({ arrivals, startups }, idleSeconds) => {
        const x = creationTime({ kind: "Cost", idleSeconds }, arrivals, startups);
        expect(meanIdleSeconds(x, arrivals, startups)).toBeLessThanOrEqual(idleSeconds + 1e-6);
        if (x > 0) expect(meanIdleSeconds(x - 1e-6 * (1 + x), arrivals, startups)).toBeGreaterThan(idleSeconds - 1e-6);
      }),
    );
  });

  test("one start-up for all is the same as that start-up many times", () => {
    const arrivals = sampleArrivals(drawUnitArrivals(300, 4, generator(2)), 4, steady(0.2), 0);
    const problems: PlanProblem[] = [
      { kind: "HittingProbability", missed: 0.2 },
      { kind: "ResponseTime", waitSeconds: 2 },
      { kind: "Cost", idleSeconds: 3 },
    ];
    for (const problem of problems)
      expect(creationTime(problem, arrivals, startup)).toBe(
        creationTime(problem, arrivals, new Float64Array(300).fill(13)),
      );
  });

  test.each<{ name: string; problem: PlanProblem }>([
    { name: "a miss that is certain", problem: { kind: "HittingProbability", missed: 1 } },
    { name: "a wait below none", problem: { kind: "ResponseTime", waitSeconds: -1 } },
    { name: "an idle budget below none", problem: { kind: "Cost", idleSeconds: Number.NaN } },
  ])("refuses $name", ({ problem }) => {
    expect(() => creationTime(problem, Float64Array.of(1), startup)).toThrow(RangeError);
  });
});

describe("the sequential plan", () => {
  const draws = drawUnitArrivals(2000, 50, generator(3));
  const request = (problem: PlanProblem, rates: ArrivalRates, outstanding: number) => ({
    problem,
    rates,
    nowSeconds: 30,
    outstanding,
    intervalSeconds: 1,
    startups: startup,
    draws,
  });

  test("half a query a second, 13 s of start-up, one in ten may miss: ten outstanding, by both routes", () => {
    expect(outstandingToHit(6.5, 0.1)).toBe(10);
    const problem = { kind: "HittingProbability", missed: 0.1 } as const;
    expect(planCreations(request(problem, steady(0.5), 0)).now).toBe(10);
    expect(planCreations(request(problem, steady(0.5), 7)).now).toBe(3);
    expect(planCreations(request(problem, steady(0.5), 10)).now).toBe(0);
  });

  test("with a fixed start-up HP keeps the closed form's number, at any rate", () => {
    for (const [rate, missed] of [
      [0.05, 0.3],
      [0.2, 0.05],
      [1, 0.5],
      [2, 0.02],
    ]) {
      const { now } = planCreations(request({ kind: "HittingProbability", missed }, steady(rate), 0));
      expect(Math.abs(now - outstandingToHit(13 * rate, missed))).toBeLessThanOrEqual(1); // a sampled quantile
    }
  });

  test("creations that come within the interval are put to their time, ascending", () => {
    const plan = planCreations({
      ...request({ kind: "HittingProbability", missed: 0.3 }, steady(0.5), 0),
      intervalSeconds: 20,
    });
    expect(plan.later.length).toBeGreaterThan(3);
    expect(plan.later).toEqual(plan.later.toSorted((a, b) => a - b));
    expect(Math.min(...plan.later)).toBeGreaterThan(0);
    expect(Math.max(...plan.later)).toBeLessThanOrEqual(20);
  });

  test("instances are made before a rush, not in the quiet before that", () => {
    const rush: ArrivalRates = { startSeconds: 0, binSeconds: 60, perSecond: Float64Array.of(0.001, 0.001, 1, 1) };
    const problem = { kind: "HittingProbability", missed: 0.1 } as const;
    expect(planCreations({ ...request(problem, rush, 1), nowSeconds: 60 }).now).toBe(0);
    expect(planCreations({ ...request(problem, rush, 1), nowSeconds: 112 }).now).toBeGreaterThan(5);
  });

  test.each([
    { name: "start-ups all alike", rate: 0.4, missed: 0.2, startups: startup },
    { name: "start-ups that differ", rate: 0.4, missed: 0.1, startups: Float64Array.of(4, 8, 13, 30) },
    { name: "queries so rare that many plans pass between them", rate: 0.005, missed: 0.2, startups: startup },
  ])("$name: queries hit as often as was asked for", ({ rate, missed, startups }) => {
    const random = generator(21);
    const draws = drawUnitArrivals(400, 40, random);
    const sampledStartups = drawStartups(startups, draws.samples, random);
    const ready: number[] = [];
    const create = (at: number) => ready.push(at + startups[Math.floor(random() * startups.length)]);
    let [scheduled, had]: [number[], number] = [[], 0];
    const plan = (nowSeconds: number, sinceSeconds: number) => {
      const known = { problem: { kind: "HittingProbability", missed }, rates: steady(rate), nowSeconds } as const;
      const outstanding = ready.length;
      const spread = { intervalSeconds: 10, startups: sampledStartups, draws };
      const made = planCreations({ ...known, ...(outstanding === had && { sinceSeconds }), outstanding, ...spread });
      if (nowSeconds === sinceSeconds) had = outstanding + made.now;
      for (let k = 0; k < made.now; k++) create(nowSeconds);
      scheduled = made.later.map((wait) => nowSeconds + wait);
    };
    const queries = 600;
    let [hits, since] = [0, 0];
    for (let query = 0; query < queries; query++) {
      const at = since - Math.log(1 - random()) / rate;
      for (let tick = since; tick < at; tick += 10) {
        plan(tick, since);
        for (const due of scheduled) if (due < Math.min(at, tick + 10)) create(due);
      }
      if (ready.length > 0 && ready.shift()! <= at) hits++;
      since = at;
    }
    const error = Math.sqrt((missed * (1 - missed)) / queries) + Math.sqrt((missed * (1 - missed)) / draws.samples);
    expect(hits / queries).toBeGreaterThan(1 - missed - 2 * error);
    expect(hits / queries).toBeLessThan(1 - missed + 0.1); // nor much too many
  });
});
