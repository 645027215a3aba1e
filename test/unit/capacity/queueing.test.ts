import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  answersLater,
  podsForResponseTime,
  processorSharing,
  responseTimeSeconds,
  waitProbability,
  waitsLonger,
} from "../../../src/capacity/queueing.ts";

const rate = fc.double({ min: 0.01, max: 200, noNaN: true });

describe("M/M/c", () => {
  test.each([
    { name: "one pod, half busy: 1/(μ−λ)", lambda: 0.5, mu: 1, pods: 1, seconds: 2 },
    { name: "two pods, half busy", lambda: 1, mu: 1, pods: 2, seconds: 4 / 3 },
    { name: "three pods, two Erlang: Erlang C is 4/9", lambda: 2, mu: 1, pods: 3, seconds: 1 + 4 / 9 },
    { name: "overloaded, it never settles", lambda: 2, mu: 1, pods: 2, seconds: Number.POSITIVE_INFINITY },
  ])("$name", ({ lambda, mu, pods, seconds }) => {
    expect(responseTimeSeconds(lambda, mu, pods)).toBeCloseTo(seconds, 12);
  });

  // Erlang C, C(c, a): the first three by hand (1/3, 4/9, a); the others as call-centre tables give them, to four digits.
  test.each([
    { pods: 2, erlang: 1, waits: 1 / 3 },
    { pods: 3, erlang: 2, waits: 4 / 9 },
    { pods: 1, erlang: 0.8, waits: 0.8 },
    { pods: 5, erlang: 4, waits: 0.5541 },
    { pods: 10, erlang: 8, waits: 0.4092 },
    { pods: 11, erlang: 10, waits: 0.6821 },
    { pods: 20, erlang: 16, waits: 0.2561 },
    { pods: 3, erlang: 3, waits: 1 },
  ])("$erlang Erlang on $pods pods: a request waits with the chance $waits", ({ pods, erlang, waits }) => {
    expect(waitProbability(erlang, 1, pods)).toBeCloseTo(waits, 4);
  });

  test("P(W > t) falls from Erlang C by e^(−(cμ−λ)t)", () => {
    expect(waitsLonger(4, 1, 5, 0)).toBeCloseTo(0.5541, 4);
    expect(waitsLonger(4, 1, 5, 2)).toBeCloseTo(0.5541 * Math.exp(-2), 4);
    expect(waitsLonger(6, 1, 5, 2)).toBe(1);
  });

  test("one pod answers later than t with e^(−(μ−λ)t), and equal rates are no exception", () => {
    expect(answersLater(0.5, 1, 1, 3)).toBeCloseTo(Math.exp(-1.5), 12);
    // c − 1 = a: C(2, 1) = 1/3 of the requests wait, each as long as it is served.
    expect(answersLater(1, 1, 2, 2)).toBeCloseTo(Math.exp(-2) * (1 + 2 / 3), 12);
    expect(answersLater(1 + 1e-9, 1, 2, 2)).toBeCloseTo(answersLater(1, 1, 2, 2), 7);
  });

  test("the mean response time is the area under P(R > t)", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 0.9, noNaN: true }),
        fc.integer({ min: 1, max: 40 }),
        (utilization, pods) => {
          const [lambda, mu] = [utilization * pods, 1];
          let area = 0;
          const dt = 0.01;
          for (let t = dt / 2; t < 250; t += dt) area += dt * answersLater(lambda, mu, pods, t);
          expect(area / responseTimeSeconds(lambda, mu, pods)).toBeCloseTo(1, 3);
        },
      ),
      { numRuns: 15 },
    );
  });

  test("another pod never makes a request slower", () => {
    fc.assert(
      fc.property(rate, rate, fc.integer({ min: 1, max: 300 }), (lambda, mu, pods) => {
        const now = responseTimeSeconds(lambda, mu, pods);
        expect(responseTimeSeconds(lambda, mu, pods + 1)).toBeLessThanOrEqual(now * (1 + 1e-9));
      }),
    );
  });

  test("the pods found are enough, and one fewer is not", () => {
    fc.assert(
      fc.property(rate, rate, fc.double({ min: 1.01, max: 20, noNaN: true }), (lambda, mu, patience) => {
        const pods = podsForResponseTime(lambda, mu, patience / mu);
        expect(responseTimeSeconds(lambda, mu, pods)).toBeLessThanOrEqual(patience / mu);
        if (pods > 1) expect(responseTimeSeconds(lambda, mu, pods - 1)).toBeGreaterThan(patience / mu);
      }),
    );
  });

  test("an objective below the service time is refused", () => {
    expect(() => podsForResponseTime(1, 2, 0.5)).toThrow("cannot be met");
  });
});

describe("processor sharing", () => {
  test("a tenth of a second of work and a fifth to answer: half busy", () => {
    expect(processorSharing(0.1, 0.2).pods(50)).toBeCloseTo(10, 12);
  });
  test("an objective below the service time is refused", () => {
    expect(() => processorSharing(0.2, 0.2)).toThrow("cannot be met");
  });
});
