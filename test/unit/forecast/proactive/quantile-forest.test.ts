import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { quantileForest } from "../../../../src/forecast/proactive/quantile-forest.ts";
import { seededRandom } from "../../../../src/series/statistics/seeded-random.ts";

const levels = [0.05, 0.25, 0.5, 0.75, 0.95];

function noisy(n: number, width: number, seed = 1) {
  const random = seededRandom(seed);
  const features = Float64Array.from({ length: n * width }, () => random());
  const responses = Float64Array.from({ length: n }, (_, i) => 10 * features[i * width] + random());
  return { features, width, responses };
}

describe("a quantile regression forest", () => {
  test("of one leaf gives the quantiles of all responses: the least value that enough are at or below", () => {
    const responses = Float64Array.from([7, 1, 5, 3, 9]);
    const forest = quantileForest({ trees: 3, leastLeaf: 5, share: 1 }).fit({
      features: Float64Array.from([1, 2, 3, 4, 5]),
      width: 1,
      responses,
    });
    expect([...forest.quantiles([3], [0.1, 0.2, 0.21, 0.5, 0.8, 0.9, 1])]).toEqual([1, 1, 3, 5, 7, 9, 9]);
  });

  test("follows a step function exactly, each side with its own responses", () => {
    const features = Float64Array.from({ length: 60 }, (_, i) => i);
    const responses = Float64Array.from({ length: 60 }, (_, i) => (i < 23 ? 2 : i < 41 ? 8 : 5));
    const forest = quantileForest({ trees: 5, share: 1 }).fit({ features, width: 1, responses });
    for (let i = 0; i < 60; i++)
      expect([...forest.quantiles([i], [0.01, 0.5, 1])]).toEqual(Array(3).fill(responses[i]));
  });

  test("is wide where responses scatter and narrow where they do not", () => {
    const random = seededRandom(4);
    const features = Float64Array.from({ length: 1000 }, () => random());
    const responses = features.map((x) => (x > 0.5 ? 10 : 1) * (random() - 0.5));
    const forest = quantileForest().fit({ features, width: 1, responses });
    const widthAt = (from: number) => {
      let sum = 0;
      for (let k = 0; k < 40; k++) {
        const [low, high] = forest.quantiles([from + k / 100], [0.1, 0.9]);
        sum += (high - low) / 40;
      }
      return sum;
    };
    // Of 10 and 1 wide uniform noise, eight tenths.
    expect(Math.abs(widthAt(0.55) - 8)).toBeLessThan(1);
    expect(Math.abs(widthAt(0.05) - 0.8)).toBeLessThan(0.1);
  });

  test("out of bag, nine in ten responses that nothing foretells are at or below the 0.9 quantile", () => {
    const random = seededRandom(2);
    const responses = Float64Array.from({ length: 600 }, () => random());
    const forest = quantileForest().fit({ ...noisy(600, 3), responses });
    let outside = 0;
    for (let i = 0; i < 600; i++) if (responses[i] <= forest.outOfBag(i, [0.9])![0]) outside++;
    expect(outside / 600).toBeGreaterThan(0.86);
    expect(outside / 600).toBeLessThan(0.94);
  });

  test("out of bag, a group's own responses do not count", () => {
    const { features, width, responses } = noisy(200, 2);
    const groups = Int32Array.from({ length: 200 }, (_, i) => Math.floor(i / 50));
    const far = responses.map((v, i) => (groups[i] === 2 ? v + 1000 : v));
    const forest = quantileForest().fit({ features, width, responses: far, groups });
    for (let i = 100; i < 150; i++) expect(forest.outOfBag(i, [1])![0]).toBeLessThan(1000);
    expect(forest.quantiles(features.subarray(200, 202), [1])[0]).toBeGreaterThan(1000);
  });

  test("where every tree saw everything, out of bag there is no answer", () => {
    expect(quantileForest({ share: 1 }).fit(noisy(40, 2)).outOfBag(0, [0.5])).toBeUndefined();
  });

  test("the same seed gives the same forest, another seed another", () => {
    const examples = noisy(300, 4);
    const ask = (seed: number) => [...quantileForest({ seed }).fit(examples).quantiles([0.3, 0.6, 0.1, 0.9], levels)];
    expect(ask(5)).toEqual(ask(5));
    expect(ask(5)).not.toEqual(ask(6));
  });

  test("quantiles ascend with the level and are responses of the training data", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.double({ min: -1e9, max: 1e9, noNaN: true }), fc.double({ min: -1e9, max: 1e9, noNaN: true })),
          {
            minLength: 1,
            maxLength: 60,
          },
        ),
        fc.double({ min: -1e9, max: 1e9, noNaN: true }),
        (pairs, at) => {
          const responses = Float64Array.from(pairs, ([, y]) => y);
          const features = Float64Array.from(pairs, ([x]) => x);
          const forest = quantileForest({ trees: 5, leastLeaf: 2 }).fit({ features, width: 1, responses });
          const quantiles = forest.quantiles([at], levels);
          quantiles.forEach((v, k) => {
            expect(responses.includes(v)).toBe(true);
            if (k > 0) expect(v).toBeGreaterThanOrEqual(quantiles[k - 1]);
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  test("shifted and stretched responses give shifted and stretched quantiles", () => {
    const examples = noisy(200, 2);
    const at = [0.4, 0.7];
    const plain = quantileForest().fit(examples).quantiles(at, levels);
    const moved = quantileForest()
      .fit({ ...examples, responses: examples.responses.map((v) => 1024 * v + 4096) })
      .quantiles(at, levels);
    moved.forEach((v, k) => {
      expect(v).toBeCloseTo(1024 * plain[k] + 4096, 6);
    });
  });

  test.each([
    { name: "no example", change: { features: new Float64Array(0), responses: new Float64Array(0) } },
    { name: "a missing response", change: { responses: new Float64Array(40).fill(Number.NaN) } },
    { name: "features of another length", change: { features: new Float64Array(5) } },
  ])("$name is a mistake of the caller", ({ change }) => {
    expect(() => quantileForest().fit({ ...noisy(40, 2), ...change })).toThrow(RangeError);
  });

  test.each([{ trees: 0 }, { leastLeaf: 0 }, { tried: 3 }, { share: 0 }, { share: 1.1 }])("%j cannot be", (options) => {
    expect(() => quantileForest(options).fit(noisy(40, 2))).toThrow(RangeError);
  });
});
