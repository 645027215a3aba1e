import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { leadShape } from "../../../../src/decide/demand/lead-shape.ts";
import { LoadMemory } from "../../../../src/decide/demand/load-memory.ts";
import { exceedance, exponentialTail, residualTailOf } from "../../../../src/decide/demand/residual-tail.ts";
import { LeadDemand } from "../../../../src/decide/lead/lead-demand.ts";
import { featureCount, readFeatures } from "../../../../src/decide/lead/lead-features.ts";
import { LiveStatistics, tableOfStatistics, trailingPeaks } from "../../../../src/decide/lead/load-statistics.ts";
import { cheapestPods, priceOfQuantile } from "../../../../src/decide/price/price.ts";
import { dayMs, demandAt, generator, historyOf, nowMs, tickMs } from "../workload.ts";

describe("what a decision sees", () => {
  const random = generator(3);
  const values = Float32Array.from({ length: 9 * 96 }, (_, i) => 10 + 5 * Math.sin(i / 15) + 2 * random());
  const stepMs = 900_000;
  const shape = leadShape(stepMs, 1_800_000, 900_000);

  test("one row at a time is the same as all rows at once", () => {
    const length = values.length;
    const table = tableOfStatistics(values, length, 0, shape, 10);
    const [all, one] = [new Float64Array(featureCount), new Float64Array(featureCount)];
    const known = 8 * shape.day;
    const live = new LiveStatistics(values, known, 0, shape, 10);
    for (let row = known; row + shape.lead < length; row++) {
      live.extend(row - shape.lag + 1);
      readFeatures(live, shape, row, one);
      readFeatures(table, shape, row, all);
      for (let j = 0; j < featureCount; j++) expect(one[j]).toBeCloseTo(all[j], 5);
    }
  });

  test("nothing after what is known changes what is seen", () => {
    const row = 8 * shape.day;
    const known = row - shape.lag + 1;
    const seen = (of: Float32Array) => {
      const live = new LiveStatistics(of, known, 0, shape, 10);
      live.extend(known);
      const out = new Float64Array(featureCount);
      readFeatures(live, shape, row, out);
      return [...out];
    };
    const other = values.slice();
    other.fill(1e6, known);
    expect(seen(other)).toEqual(seen(values));
  });

  test("trailing peaks are the windows' largest", () => {
    const numbers = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 20 }), (of, width) => {
        const peaks = trailingPeaks(Float32Array.from(of), 0, of.length, width);
        of.forEach((_, i) => {
          expect(peaks[i]).toBe(Math.max(...of.slice(Math.max(0, i - width + 1), i + 1)));
        });
      }),
    );
  });
});

describe("the tail", () => {
  const sample = fc.array(fc.double({ min: -10, max: 50, noNaN: true }), { minLength: 1, maxLength: 200 });
  test("never rises, and is a probability", () => {
    fc.assert(
      fc.property(
        sample,
        fc.double({ min: -20, max: 100, noNaN: true }),
        fc.double({ min: 0, max: 50, noNaN: true }),
        (of, e, more) => {
          const tail = residualTailOf(Float64Array.from(of));
          const here = exceedance(tail, e);
          expect(here).toBeGreaterThanOrEqual(0);
          expect(here).toBeLessThanOrEqual(1);
          expect(exceedance(tail, e + more)).toBeLessThanOrEqual(here + 1e-12);
        },
      ),
    );
  });
  test.each([
    { name: "below all it is sure", e: 0, is: 1 },
    { name: "a quarter are above the third of four, one in five unseen", e: 3, is: 0.4 },
    { name: "at the largest only the unseen is left", e: 4, is: 0.2 },
    { name: "beyond it decays by 0.3 of the largest", e: 4 + 1.2, is: 0.2 / Math.E },
  ])("$name", ({ e, is }) => {
    expect(exceedance(residualTailOf(Float64Array.of(4, 1, 3, 2)), e)).toBeCloseTo(is, 12);
  });
});

describe("the price", () => {
  test.each([
    { quantile: 0.98, price: 8 },
    { quantile: 0.99, price: 16 },
    { quantile: 0.999, price: 160 },
  ])("of $quantile is $price", ({ quantile, price }) => {
    expect(priceOfQuantile(quantile)).toBeCloseTo(price, 9);
  });

  const demand = fc.record({
    base: fc.double({ min: -5, max: 80, noNaN: true }),
    scale: fc.double({ min: 0.01, max: 30, noNaN: true }),
    meanPods: fc.double({ min: 1, max: 60, noNaN: true }),
    price: fc.double({ min: 0.5, max: 500, noNaN: true }),
  });
  test("buys what costs least of all whole numbers", () => {
    fc.assert(
      fc.property(demand, ({ base, scale, meanPods, price }) => {
        const cost = (r: number) => r / meanPods + price * exceedance(exponentialTail, (r - base) / scale);
        const chosen = cheapestPods({ base, scale, tail: exponentialTail }, price, meanPods, 1, 400);
        for (let r = 1; r <= 400; r++) expect(cost(chosen)).toBeLessThanOrEqual(cost(r) + 1e-9);
      }),
      { numRuns: 50 },
    );
  });
  test("a higher price never buys fewer pods", () => {
    fc.assert(
      fc.property(demand, ({ base, scale, meanPods, price }) => {
        const at = (p: number) => cheapestPods({ base, scale, tail: exponentialTail }, p, meanPods, 1, 400);
        expect(at(price * 2)).toBeGreaterThanOrEqual(at(price));
      }),
    );
  });
  test("fleets of a hundred thousand are searched in coarse steps, and found closely", () => {
    const big = { base: 50_000, scale: 4_000, tail: exponentialTail };
    const chosen = cheapestPods(big, 16, 45_000, 1, 100_000);
    const cost = (r: number) => r / 45_000 + 16 * exceedance(exponentialTail, (r - 50_000) / 4_000);
    let least = Number.POSITIVE_INFINITY;
    for (let r = 1; r <= 100_000; r++) least = Math.min(least, cost(r));
    expect(cost(chosen)).toBeLessThan(least * 1.002);
  });
});

describe("what is remembered", () => {
  test("a step's mean stands at its middle, and lines join the middles", () => {
    const memory = new LoadMemory(nowMs, tickMs);
    const values = Float64Array.of(10, 20);
    memory.learn({ startMs: nowMs - 120_000, stepMs: 60_000, values }, 1, nowMs);
    const at = (seconds: number) => memory.values[memory.indexOf(nowMs - seconds * 1000)];
    expect([at(90), at(75), at(60), at(45), at(30), at(15)]).toEqual([10, 12.5, 15, 17.5, 20, 20]);
  });

  test("a late value fills the gap that was carried meanwhile", () => {
    const memory = new LoadMemory(nowMs, tickMs);
    memory.push(nowMs, 10);
    memory.carryTo(nowMs + 3 * tickMs);
    expect(memory.values[memory.indexOf(nowMs + 2 * tickMs)]).toBe(10);
    memory.push(nowMs + 4 * tickMs, 18);
    expect(memory.values[memory.indexOf(nowMs + 2 * tickMs)]).toBe(14);
  });

  test("live values win over history that is learnt later", () => {
    const memory = new LoadMemory(nowMs, tickMs);
    memory.push(nowMs - tickMs, 50);
    memory.learn(
      historyOf(() => 10, 1, 60_000),
      1,
      nowMs,
    );
    expect(memory.values[memory.indexOf(nowMs - tickMs)]).toBe(50);
    expect(memory.values[memory.indexOf(nowMs - 10 * tickMs)]).toBe(10);
  });

  test("long gaps and coarse steps are not taken for what happens within minutes", () => {
    const memory = new LoadMemory(nowMs, 60_000);
    const gappy = historyOf(() => 10, 1, 60_000);
    gappy.values.fill(Number.NaN, 600, 700);
    memory.learn(gappy, 1, nowMs);
    const of = (minute: number) => memory.indexOf(nowMs - dayMs + minute * 60_000);
    const fine = (memory: LoadMemory, from: number, to: number) => {
      const counts = memory.fineCounts();
      return counts[of(to)] - counts[of(from)];
    };
    expect(fine(memory, 100, 500)).toBe(400);
    expect(fine(memory, 620, 630)).toBe(0);
    const coarse = new LoadMemory(nowMs, 60_000);
    coarse.learn(
      historyOf(() => 10, 1, 3_600_000),
      1,
      nowMs,
    );
    expect(fine(coarse, 100, 110)).toBe(0);
  });

  test("two weeks are kept, and the oldest are dropped while time goes on", () => {
    const memory = new LoadMemory(nowMs, 3_600_000);
    for (let hour = 0; hour < 24 * 40; hour++) memory.push(nowMs + hour * 3_600_000, hour);
    const last = nowMs + (24 * 40 - 1) * 3_600_000;
    expect(memory.values[memory.indexOf(last)]).toBe(24 * 40 - 1);
    expect(memory.values[memory.indexOf(last - 13 * dayMs)]).toBe(24 * 27 - 1);
    expect(memory.values.length).toBeLessThan(24 * 16);
    expect(memory.highest).toBe(24 * 40 - 1);
  });
});

describe("the forecast of the lead", () => {
  const learnt = (stepMs: number, days = 7) => {
    const demand = new LeadDemand(nowMs, tickMs);
    demand.learn(historyOf(demandAt, days, stepMs), 1, nowMs);
    return demand;
  };

  test.each([
    { name: "a week of minutes is learnt from", stepMs: 60_000, days: 7, method: "Learned" },
    { name: "two and a half days are enough", stepMs: 60_000, days: 2.5, method: "Learned" },
    { name: "a day is not", stepMs: 60_000, days: 1, method: "Margin" },
    { name: "hours tell nothing about minutes", stepMs: 3_600_000, days: 7, method: "Margin" },
  ])("$name", ({ stepMs, days, method }) => {
    expect(learnt(stepMs, days).forecast(nowMs, 120_000, 30_000)?.method).toBe(method);
  });

  test("nothing known gives no forecast", () => {
    expect(new LeadDemand(nowMs, tickMs).forecast(nowMs, 120_000, 30_000)).toBeUndefined();
  });

  test("its distribution is honest: of a hundred ticks about five exceed what five in a hundred should", () => {
    const demand = learnt(60_000);
    let [above, count] = [0, 0];
    for (let k = 0; k < 2 * 5760; k++) {
      const t = nowMs + k * tickMs;
      demand.push(t, 30_000, demandAt(t - 30_000));
      if (k % 3 !== 0) continue;
      const forecast = demand.forecast(t, 120_000, 30_000)!;
      let largest = 0;
      for (let j = 0; j <= 8; j++) largest = Math.max(largest, demandAt(t + j * tickMs));
      const { base, scale, tail } = forecast.demand;
      if (exceedance(tail, (largest - base) / scale) < 0.05) above++;
      count++;
    }
    expect(above / count).toBeGreaterThan(0.01);
    expect(above / count).toBeLessThan(0.09);
  });
});
