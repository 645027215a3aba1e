import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CapacityFit, type CapacityRequest, fitCapacity } from "../../../src/capacity/fit-capacity.ts";
import { answersLater, responseTimeSeconds } from "../../../src/capacity/queueing.ts";
import type { CapacitySamples } from "../../../src/capacity/samples.ts";
import { world } from "./workload.ts";

function fitted(samples: CapacitySamples, request: CapacityRequest) {
  const fit = fitCapacity(samples, request);
  if (fit.kind !== "Fitted") throw new Error(fit.message);
  return fit;
}

function refused(fit: CapacityFit): string {
  if (fit.kind !== "Refused") throw new Error(`fitted: ${fit.message}`);
  return fit.message;
}

const line = ([x]: readonly number[]) => 0.1 + 0.02 * x;

describe("usage", () => {
  test.each([
    { name: "quiet", noise: 0, odd: 0, digits: 3 },
    { name: "with noise", noise: 0.05, odd: 0, digits: 1 },
    { name: "with noise and every twentieth sample an outlier", noise: 0.05, odd: 0.05, digits: 1 },
  ])("a base and a slope are found: $name", ({ noise, odd, digits }) => {
    const fit = fitted(world({ usage: line, noise, odd }), { model: "LinearWithBase", usageTarget: 0.6 });
    expect(fit.model).toBe("LinearWithBase");
    // 0.1 + 0.02·x = 0.6 at x = 25
    expect(fit.pods([250]) / 10).toBeCloseTo(1, digits);
    expect(fit.message).toContain("idle");
    expect(fit.score.wape).toBeLessThan(0.25 * (1 + 20 * odd));
    expect(fit.samples).toBe(7 * 288);
  });

  test("Auto fits no base and no curve where a proportional line is enough", () => {
    const fit = fitted(world({ usage: ([x]) => 0.02 * x, noise: 0.03 }), { model: "Auto", usageTarget: 0.6 });
    expect(fit.model).toBe("LinearWithBase");
    expect(fit.message).toContain("idle pod uses 0");
    expect(fit.pods([300])).toBeCloseTo(10, 1);
  });

  test("Auto fits a curve where the line has a large error", () => {
    // Contention: usage rises with the square of the load.
    const fit = fitted(world({ usage: ([x]) => 0.05 + 0.001 * x * x, noise: 0.02 }), {
      model: "Auto",
      usageTarget: 0.45,
    });
    expect(fit.model).toBe("Residual");
    expect(fit.pods([200])).toBeGreaterThan(9.5); // x = 20 at the target
    expect(fit.pods([200])).toBeLessThan(10.8);
    expect(fit.score.r2).toBeGreaterThan(0.97);
  });

  test("two loads size a workload together", () => {
    const usage = ([reads, writes]: readonly number[]) => 0.05 + 0.01 * reads + 0.04 * writes;
    const fit = fitted(world({ means: [100, 30], usage, noise: 0.02 }), { model: "Auto", usageTarget: 0.75 });
    // n·(0.75 − 0.05) = 0.01·100 + 0.04·30
    expect(fit.pods([100, 30])).toBeCloseTo(2.2 / 0.7, 1);
    expect(fit.ranges).toHaveLength(2);
  });

  test("a curve is fitted where usage bends with one of two loads", () => {
    const usage = ([reads, writes]: readonly number[]) => 0.02 + 0.001 * reads ** 2 + 0.03 * writes;
    const fit = fitted(world({ means: [100, 60], usage, noise: 0.02 }), { model: "Residual", usageTarget: 0.6 });
    const n = fit.pods([120, 60]);
    expect(usage([120 / n, 60 / n])).toBeGreaterThan(0.5);
    expect(usage([120 / n, 60 / n])).toBeLessThan(0.7);
  });

  test.each([
    { name: "a target that idle pods exceed", target: 0.09, usage: line, says: "raise the target" },
    { name: "usage that does not follow the load", target: 1, usage: () => 0.3, says: "does not rise with the load" },
  ])("$name is refused with the reason", ({ target, usage, says }) => {
    expect(refused(fitCapacity(world({ usage }), { model: "Auto", usageTarget: target }))).toContain(says);
  });

  test("usage that is independent of the load is refused because of the error, at any scale", () => {
    for (const scale of [1e-9, 1, 1e9]) {
      const samples = world({ usage: () => scale, noise: 0.9 });
      expect(refused(fitCapacity(samples, { model: "Auto", usageTarget: 2 * scale }))).toMatch(/load/);
    }
  });

  test("constant usage per pod, as an autoscaler keeps it, is not refused", () => {
    // The load per pod hardly varies: little variance to explain, and yet the answer is plain.
    const samples = world({ usage: ([x]) => 0.02 * x, noise: 0.03 });
    const pods = samples.loads[0].map((load) => load / 25);
    const usage = samples.loads[0].map((load, i) => 0.02 * load * (1 + 0.03 * Math.sin(7 * i)));
    const fit = fitted({ ...samples, pods, usage }, { model: "Auto", usageTarget: 0.5 });
    expect(fit.pods([250])).toBeCloseTo(10, 0);
  });

  test("a size far above the load per pod in the history is limited, and the message says so", () => {
    const fit = fitted(world({ usage: ([x]) => 0.001 * x }), { model: "Auto", usageTarget: 1 });
    expect(fit.message).toContain("limited to 1.5 times");
    expect(fit.extrapolates([100])).toBe(true);
    expect(100 / fit.pods([100])).toBeLessThan(1.6 * fit.ranges[0].highest);
    expect(100 / fit.pods([100])).toBeGreaterThan(fit.ranges[0].highest);
  });

  test("a load above the history extrapolates, a usual one does not", () => {
    const fit = fitted(world({ usage: line }), { model: "Auto", usageTarget: 0.4 });
    expect(fit.extrapolates([100])).toBe(false);
    expect(fit.extrapolates([1000])).toBe(true);
  });

  test("a short history is refused with the number of samples", () => {
    expect(refused(fitCapacity(world({ usage: line, days: 0.1 }), { model: "Auto", usageTarget: 1 }))).toContain(
      "only 29 samples have",
    );
  });
});

describe("response time", () => {
  // 40 ms of work, a pod that is full at 25 requests a second.
  const sharing = (load: number, pods: number) => 0.04 / (1 - Math.min(0.95, load / pods / 60));

  test("processor sharing: the load per pod that meets the objective is found", () => {
    const fit = fitted(world({ response: sharing, odd: 0.03 }), {
      model: "Queueing",
      objective: { seconds: 0.06, share: undefined, measured: undefined },
    });
    expect(fit.model).toBe("Queueing");
    // 1 − 40/60 = a third busy: 20 requests a second.
    expect(fit.pods([200])).toBeGreaterThan(9.5);
    expect(fit.pods([200])).toBeLessThan(10.6);
  });

  test("a percentile needs more pods than the mean, unless the response times are measured as that percentile", () => {
    const samples = world({ response: sharing });
    const pods = (share?: number, measured?: number) =>
      fitted(samples, { model: "Queueing", objective: { seconds: 0.15, share, measured } }).pods([200]);
    expect(pods(0.95)).toBeGreaterThan(pods());
    expect(pods(0.95, 0.95)).toBeCloseTo(pods(), 6);
  });

  test("one queue of all pods: service rate and pods are found", () => {
    const queue = (load: number, pods: number) => responseTimeSeconds(Math.min(load, 0.98 * 12 * pods), 12, pods);
    const fit = fitted(world({ loadPerPod: 7, response: queue, noise: 0.01 }), {
      model: "Queueing",
      objective: { seconds: 0.4, share: 0.95, measured: undefined },
    });
    expect(fit.message).toContain("one queue");
    let enough = 9;
    while (answersLater(100, 12, enough, 0.4) > 0.05) enough++;
    expect(Math.abs(Math.ceil(fit.pods([100])) - enough)).toBeLessThanOrEqual(1);
    // Many pods share their spare time: twice the load needs less than twice the pods.
    expect(fit.pods([100])).toBeLessThan(2 * fit.pods([50]));
  });

  test("with CPU usage, both the target and the response time objective are met", () => {
    const samples = world({ usage: line, response: sharing });
    const objective = { seconds: 0.06, share: undefined, measured: undefined };
    const both = fitted(samples, { model: "Auto", usageTarget: 0.9, objective });
    const usage = fitted(samples, { model: "Auto", usageTarget: 0.9 });
    const response = fitted(samples, { model: "Queueing", objective });
    for (const load of [10, 100, 160])
      expect(both.pods([load])).toBeCloseTo(Math.max(usage.pods([load]), response.pods([load])), 6);
  });

  test.each([
    { name: "response times that stay the same", response: () => 0.04, says: "hardly rise" },
    {
      name: "an objective below the service time",
      response: (load: number, pods: number) => 10 * sharing(load, pods),
      says: "no number of pods reaches",
    },
  ])("$name: refused with the reason", ({ response, says }) => {
    const objective = { seconds: 0.06, share: undefined, measured: undefined };
    expect(refused(fitCapacity(world({ response }), { model: "Queueing", objective }))).toContain(says);
  });
});

describe("every fitted capacity", () => {
  const usage = ([x, y = 0]: readonly number[]) => 0.05 + 0.01 * x + 0.0002 * x * x + 0.03 * y;
  const response = (load: number, pods: number) => 0.04 / (1 - Math.min(0.95, load / pods / 60));
  const objective = { seconds: 0.1, share: 0.95, measured: undefined };
  const requestes: { name: string; means: number[]; request: CapacityRequest }[] = [
    { name: "a line", means: [100], request: { model: "LinearWithBase", usageTarget: 0.5 } },
    { name: "a curve", means: [100], request: { model: "Residual", usageTarget: 0.5 } },
    { name: "a line of two", means: [100, 40], request: { model: "LinearWithBase", usageTarget: 0.5 } },
    { name: "a curve of two", means: [100, 40], request: { model: "Residual", usageTarget: 0.5 } },
    { name: "a queue", means: [100], request: { model: "Queueing", objective: { ...objective, seconds: 0.2 } } },
    {
      name: "both",
      means: [100],
      request: { model: "Auto", usageTarget: 0.5, objective: { ...objective, seconds: 0.2 } },
    },
  ];
  const amount = fc.double({ min: 0, max: 1e7, noNaN: true });

  test.each(requestes)("$name: pods never fall with a load, and are never NaN", ({ means, request }) => {
    const fit = fitted(world({ means, usage, response }), request);
    fc.assert(
      fc.property(amount, amount, amount, fc.integer({ min: 0, max: 1 }), (a, b, more, which) => {
        const loads = [a, b].slice(0, means.length);
        const raised = loads.map((load, j) => (j === which % means.length ? load + more : load));
        const [before, after] = [fit.pods(loads), fit.pods(raised)];
        expect(before).toBeGreaterThanOrEqual(0);
        expect(after).toBeGreaterThanOrEqual(before * (1 - 1e-9));
        expect(Number.isFinite(after)).toBe(true);
      }),
    );
    expect(fit.pods(means.map(() => Number.NaN))).toBeNaN();
  });

  test.each(requestes.filter(({ means }) => means.length === 1))(
    "$name: what pods carry is the inverse of the pods for a load",
    ({ means, request }) => {
      const fit = fitted(world({ means, usage, response }), request);
      fc.assert(
        fc.property(fc.double({ min: 1e-3, max: 1e5, noNaN: true }), (load) => {
          expect(fit.carried(fit.pods([load])) / load).toBeCloseTo(1, 6);
        }),
      );
    },
  );

  test.each(["LinearWithBase", "Residual"] as const)("%s: a higher target never needs more pods", (model) => {
    const samples = world({ usage });
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 2, noNaN: true }),
        fc.double({ min: 1, max: 3, noNaN: true }),
        (target, more) => {
          const pods = (usageTarget: number) => fitted(samples, { model, usageTarget }).pods([100]);
          expect(pods(target * more)).toBeLessThanOrEqual(pods(target) * (1 + 1e-9));
        },
      ),
      { numRuns: 15 },
    );
  });

  test("any samples give a fit or a reason", () => {
    const cell = fc.oneof(
      fc.constantFrom(0, Number.NaN, 5e-324, 1e-9, 1e9, 1, -3, Number.POSITIVE_INFINITY),
      fc.double({ min: 0, max: 1e6, noNaN: true }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 120 }), fc.array(cell, { minLength: 16, maxLength: 60 }), (n, cells) => {
        const column = (prime: number) => Float64Array.from({ length: n }, (_, i) => cells[(i * prime) % cells.length]);
        const fit = fitCapacity(
          {
            timesMs: Float64Array.from({ length: n }, (_, i) => i * 300_000),
            loads: [column(3)],
            pods: column(5),
            usage: column(7),
            responseSeconds: column(11),
          },
          { model: "Auto", usageTarget: 1, objective: { seconds: 1, share: 0.95, measured: undefined } },
        );
        expect(fit.message.length).toBeGreaterThan(10);
        if (fit.kind === "Fitted") for (const load of [0, 1, 1e9]) expect(fit.pods([load])).toBeGreaterThanOrEqual(0);
      }),
      // Found once: a rate past the largest number.
      { numRuns: 60, examples: [[70, Array.from({ length: 18 }, (_, i) => (i === 6 ? 1e-9 : i === 10 ? 1 : 5e-324))]] },
    );
  });

  test("the same history gives the same fit", () => {
    const samples = world({ usage, response });
    const request: CapacityRequest = { model: "Auto", usageTarget: 0.5, objective };
    expect(fitted(samples, request).pods([123])).toBe(fitted(samples, request).pods([123]));
  });
});
