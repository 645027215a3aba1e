import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asReadLive, NoiseFilter } from "../../../../src/decide/demand/metric-noise.ts";
import { seededRandom } from "../../../../src/series/statistics/seeded-random.ts";
import { demandAt, generator, nowMs, tickMs } from "../workload.ts";

/** A normal number of deviation 1. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A day's slow rise and fall between 20 and 60 pods. */
const slow = (k: number) => 40 + 20 * Math.sin((2 * Math.PI * k) / 5760);

describe("the noise of a metric", () => {
  const noisy = (share: number, load: (k: number) => number, count = 2400) => {
    const random = generator(11);
    return Array.from({ length: count }, (_, k) => load(k) * (1 + share * normal(random)));
  };

  test.each([0.005, 0.02, 0.1])("of %d is measured within a fifth", (share) => {
    const filter = new NoiseFilter();
    for (const value of noisy(share, slow)) filter.next(value);
    expect(filter.noise.share).toBeGreaterThan(0.8 * share);
    expect(filter.noise.share).toBeLessThan(1.2 * share);
  });

  test("is reckoned with on the safe side while few values are known, and as it is once many are", () => {
    const likely = (count: number, share: number) => {
      const filter = new NoiseFilter();
      for (const value of noisy(share, slow, count)) filter.next(value);
      return filter.likelyShare;
    };
    for (const share of [0.005, 0.02, 0.05]) {
      for (const count of [0, 5, 12, 25, 38]) expect(likely(count, share), `${count} values`).toBeGreaterThan(share);
      expect(likely(2400, share)).toBeGreaterThan(0.8 * share);
      expect(likely(2400, share)).toBeLessThan(1.2 * share);
    }
    expect(likely(2400, 0)).toBe(0);
  });

  test("is more than halved on a slow load", () => {
    const filter = new NoiseFilter();
    let [before, after] = [0, 0];
    noisy(0.02, slow).forEach((value, k) => {
      const clean = filter.next(value);
      if (k < 300) return;
      before += (value - slow(k)) ** 2;
      after += (clean - slow(k)) ** 2;
    });
    expect(Math.sqrt(after / before)).toBeLessThan(0.5);
  });

  test("does not hide a jump: it counts at once", () => {
    const filter = new NoiseFilter();
    for (const value of noisy(0.02, slow)) filter.next(value);
    expect(filter.next(120)).toBe(120);
    expect(filter.next(20)).toBe(20);
  });

  test.each([
    { name: "lines between minutes", load: (k: number) => demandAt(nowMs + k * tickMs) },
    { name: "steps of five minutes", load: (k: number) => 10 + ((Math.floor(k / 20) * 7) % 13) },
    { name: "nothing at all", load: () => 0 },
  ])("is not seen in $name, which pass unchanged", ({ name, load }) => {
    const filter = new NoiseFilter();
    const minutes = name.startsWith("lines");
    for (let k = 0; k < 2400; k++) {
      const at = Math.floor(k / 4) * 4;
      const value = minutes ? load(at) + ((load(at + 4) - load(at)) * (k - at)) / 4 : load(k);
      expect(filter.next(value)).toBe(value);
    }
  });

  test("of whatever values come, none makes one that is below 0, not a number, or beyond twice the highest", () => {
    const values = fc.array(fc.oneof(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.constant(0)), { maxLength: 200 });
    fc.assert(
      fc.property(values, (of) => {
        const filter = new NoiseFilter();
        for (const value of of) {
          const clean = filter.next(value);
          expect(clean).toBeGreaterThanOrEqual(0);
          expect(clean).toBeLessThanOrEqual(2 * Math.max(...of));
        }
      }),
    );
  });

  test("a gap starts the level anew and keeps what is known of the noise", () => {
    const filter = new NoiseFilter();
    for (const value of noisy(0.02, slow)) filter.next(value);
    const { share } = filter.noise;
    filter.restart();
    expect(filter.next(44)).toBe(44);
    expect(filter.noise.share).toBeCloseTo(share, 2);
  });
});

describe("history as it would look live", () => {
  const values = Float32Array.from({ length: 4000 }, (_, k) => slow(k));
  const seen = (of: Float32Array, share: number, gain?: number) =>
    asReadLive({ values: of, start: 0, length: 4000 }, (i) => i >= 3000, { share, gain }, seededRandom(5));
  const deviation = (of: Float32Array) => {
    let sum = 0;
    for (let i = 100; i < 3000; i++) sum += (of[i] / values[i] - 1) ** 2 / 2900;
    return Math.sqrt(sum);
  };

  test("has the live values' noise, and less of it where a smoother takes some off", () => {
    expect(deviation(seen(values, 0.02))).toBeCloseTo(0.02, 2);
    expect(deviation(seen(values, 0.02, 0.28))).toBeLessThan(0.013);
  });

  test("gets no noise twice: what is as noisy as live values stays as it is", () => {
    const random = generator(3);
    const noisy = values.map((value) => value * (1 + 0.02 * normal(random)));
    expect(deviation(seen(noisy, 0.02))).toBeLessThan(1.2 * deviation(noisy));
  });

  test("leaves points alone that did come live", () => {
    expect(seen(values, 0.02).slice(3000)).toEqual(values.slice(3000));
  });
});
