import { describe, expect, test } from "vitest";
import { leadShape } from "../../../../src/decide/demand/lead-shape.ts";
import { exponentialTail } from "../../../../src/decide/demand/residual-tail.ts";
import { LeadDemand } from "../../../../src/decide/lead/lead-demand.ts";
import { ObjectivePrice } from "../../../../src/decide/price/objective.ts";
import { PriceSimulation } from "../../../../src/decide/price/price-simulation.ts";
import { demandAt, generator, historyOf, nowMs, tickMs } from "../workload.ts";

/** Bursts of any height at moments that nothing foretells. */
function bursty(timeMs: number): number {
  const random = generator(Math.floor(timeMs / 1_200_000));
  const [happens, at, height] = [random() < 0.2, random(), -6 * Math.log(1 - random())];
  const within = (timeMs % 1_200_000) / 1_200_000;
  return 8 + (happens && within >= at && within < at + 0.25 ? height : 0);
}

describe("simulated policies", () => {
  const shape = leadShape(tickMs, 60_000, 30_000);

  test("a rise is served a lead later: the ticks until then are short", () => {
    const simulation = new PriceSimulation([1e-6], shape, 100);
    const calm = { base: 0, scale: 1e-6, tail: exponentialTail };
    const demand = [...new Array(100).fill(10), ...new Array(100).fill(20)];
    for (const load of demand) simulation.step(calm, 10, load);
    // Values come a lag late, pods a lead after that: six ticks at 60 s and 30 s.
    const judged = demand.length - (shape.lead + shape.lag);
    expect(simulation.shortShares()[0] * judged).toBeCloseTo(shape.lead + shape.lag, 6);
  });

  test("a higher price is never short more often", () => {
    const prices = [1, 4, 16, 64, 256];
    const demand = new LeadDemand(nowMs, tickMs);
    demand.learn(historyOf(bursty, 7, 60_000), 1, nowMs);
    demand.forecast(nowMs, 60_000, 30_000);
    const shares = PriceSimulation.replay(prices, demand.known(), shape, 100).shortShares();
    expect(shares[0]).toBeGreaterThan(shares[4]);
    for (let j = 1; j < prices.length; j++) expect(shares[j]).toBeLessThanOrEqual(shares[j - 1] + 0.001);
  });
});

describe("the price of a promise", () => {
  /** Two days in a closed loop. @returns the last price, and the share of ticks that lacked pods */
  const run = (load: (timeMs: number) => number, share: number, online: (load: number) => number) => {
    const demand = new LeadDemand(nowMs, tickMs);
    demand.learn(historyOf(load, 7, 60_000), 1, nowMs);
    const objective = new ObjectivePrice(share);
    let price = 0;
    for (let k = 0; k < 960; k++) {
      const t = nowMs + k * tickMs;
      demand.push(t, 30_000, load(t - 30_000));
      const forecast = demand.forecast(t, 60_000, 30_000)!;
      price = objective.at(t, forecast, () => demand.known(), online(load(t)), 200);
    }
    return price;
  };
  const enough = (load: number) => load + 1;

  test("a load that never residuals pays the least, half of what the share alone would set", () => {
    expect(run(() => 10, 0.01, enough)).toBeCloseTo(8, 6);
  });

  test("a load that residuals pays more, and while nothing was missed at most half an octave", () => {
    const price = run(bursty, 0.001, enough);
    expect(price).toBeGreaterThan(80);
    expect(price).toBeLessThanOrEqual(160 * Math.SQRT2 + 1e-6);
  });

  test("misses raise the price to sixteen times what the share alone would set, and no further", () => {
    expect(run(bursty, 0.001, () => 0)).toBeCloseTo(16 * 160, 6);
  });

  test("an hour of misses is forgiven after three good days", () => {
    const objective = new ObjectivePrice(0.001);
    const demand = new LeadDemand(nowMs, 60_000);
    demand.learn(historyOf(demandAt, 7, 60_000), 1, nowMs);
    const prices = Array.from({ length: 4 * 1440 }, (_, k) => {
      const t = nowMs + k * 60_000;
      demand.push(t, 60_000, demandAt(t - 60_000));
      const forecast = demand.forecast(t, 60_000, 60_000)!;
      return objective.at(t, forecast, () => demand.known(), k >= 720 && k < 780 ? 0 : 1000, 200);
    });
    expect(prices[800]).toBeCloseTo(16 * 160, 6);
    expect(prices[4 * 1440 - 1]).toBeLessThanOrEqual(160 * Math.SQRT2 + 1e-6);
  });

  test("own misses make it stricter", () => {
    expect(run(demandAt, 0.01, () => 0)).toBeGreaterThan(run(demandAt, 0.01, enough));
  });
});
