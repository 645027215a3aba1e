import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Burst, followBurst } from "../../../../src/decide/burst/burst.ts";
import { explain, rareSeverity } from "../../../../src/decide/burst/burst-threshold.ts";
import type { Points } from "../../../../src/decide/demand/grid.ts";
import { leadShape } from "../../../../src/decide/demand/lead-shape.ts";
import { dayMs, generator, historyOf, nowMs, play, specOf, tickMs } from "../workload.ts";

const shape = leadShape(tickMs, 60_000, 30_000);
const { day, twenty } = shape;

/** A day that repeats: a level, a ramp up and a ramp down, each as steep as an hour or three minutes. */
interface Day {
  readonly level: number;
  readonly top: number;
  readonly steepness: number;
  readonly noise: number;
  readonly seed: number;
}

function loadOf({ level, top, steepness }: Day): (point: number) => number {
  return (point) => {
    const hour = (24 * (((point % day) + day) % day)) / day;
    const ramp = 1 / (1 + Math.exp(-(hour - 9) * steepness)) - 1 / (1 + Math.exp(-(hour - 18) * steepness));
    return level + (top - level) * ramp;
  };
}

function pointsOf(of: Day, days: number): Points & { readonly values: Float64Array } {
  const random = generator(of.seed);
  const load = loadOf(of);
  const values = Float64Array.from({ length: days * day }, (_, i) => load(i) * (1 + of.noise * (2 * random() - 1)));
  return { values, start: 0, length: values.length };
}

const days = fc.record({
  level: fc.double({ min: 2, max: 20, noNaN: true }),
  top: fc.double({ min: 20, max: 60, noNaN: true }),
  steepness: fc.double({ min: 2, max: 60, noNaN: true }),
  noise: fc.double({ min: 0, max: 0.1, noNaN: true }),
  seed: fc.integer(),
});
/** Below 1 the severity would never be a burst; what is rare for these loads is never below it. */
const always = 1;

test("a load that repeats daily, with noise within its band, never bursts: not on its ramps either", () => {
  fc.assert(
    fc.property(days, (of) => {
      const points = pointsOf(of, 3);
      for (let n = 2 * day; n < 3 * day; n++) {
        const at = explain(points, n, shape)!;
        expect(at.severity, `at point ${n - 2 * day} of the day`).toBeLessThan(always);
      }
    }),
    { numRuns: 25 },
  );
});

test("a step to two to five times the level bursts at its first value", () => {
  fc.assert(
    fc.property(
      days,
      fc.double({ min: 2, max: 5, noNaN: true }),
      fc.integer({ min: 0, max: day - 1 }),
      (of, factor, at) => {
        const load = loadOf(of);
        const n = 2 * day + at;
        let nearby = 0;
        for (let i = at - twenty - 1; i <= at + twenty + 1; i++) nearby = Math.max(nearby, load(i));
        // Where the day itself goes higher within twenty minutes, the step is not beyond it.
        fc.pre(factor * load(at) * (1 - of.noise) > 1.5 * nearby * (1 + of.noise));
        const points = pointsOf(of, 3);
        points.values[n] *= factor;
        const found = followBurst(undefined, { points, n, timeMs: n * tickMs, shape, rareSeverity: always });
        expect(found).toBeDefined();
        expect(found!.demand).toBeGreaterThanOrEqual(points.values[n]);
        expect(found!.demand).toBeLessThanOrEqual(2 * points.values[n]);
      },
    ),
    { numRuns: 100 },
  );
});

describe("a burst under way", () => {
  const flat = (values: readonly number[]) => {
    const all = Float64Array.from([...new Array(day).fill(10), ...values]);
    return { values: all, start: 0, length: all.length };
  };
  /** What each of the values asks for. */
  const follow = (values: readonly number[]) => {
    const points = flat(values);
    let burst: Burst | undefined;
    return values.map((_, k) => {
      const found = followBurst(burst, { points, n: day + k, timeMs: (day + k) * tickMs, shape, rareSeverity: always });
      burst = found?.burst;
      return found?.demand;
    });
  };

  test("growth is carried on over lead and lag, at most the rise so far once more", () => {
    const demands = follow([10, 10, 20, 24, 28, 32, 36, 40]);
    expect(demands[1]).toBeUndefined();
    expect(demands[2]).toBe(30); // 20, and the rise of 10 once more
    expect(demands[7]).toBeCloseTo(40 + 4 * (shape.lead + shape.lag), 6); // 4 a tick
  });

  test("a step that stands does not grow", () => {
    expect(follow([20, 20, 20]).slice(1)).toEqual([20, 20]);
  });

  test("nor does one that makes up for a fall", () => {
    expect(follow([30, 24, 24, 24, 24, 30, 30]).slice(5)).toEqual([30, 30]);
  });

  test("it is over with the first value that is back", () => {
    const demands = follow([30, 30, 30, 10.5, 10, 10]);
    expect(demands.slice(3)).toEqual([undefined, undefined, undefined]);
  });

  test("what lasts for half an hour is the level then, and no burst", () => {
    const demands = follow(new Array(160).fill(30));
    expect(demands[119]).toBe(30);
    expect(demands.slice(121).every((demand) => demand === undefined)).toBe(true);
  });

  test("a rise that was forecast is none", () => {
    const points = flat([20]);
    const observed = { points, n: day, timeMs: 0, shape, rareSeverity: always };
    expect(followBurst(undefined, { ...observed, forecast: 19 })).toBeUndefined();
    expect(followBurst(undefined, { ...observed, forecast: 12 })).toBeDefined();
  });

  test("a burst yesterday does not explain one today, once a week is known", () => {
    const values = new Float64Array(8 * day + 1).fill(10);
    values.fill(40, 7 * day, 7 * day + 20);
    values[8 * day] = 40;
    const points = { values, start: 0, length: values.length };
    expect(explain(points, 8 * day, shape)!.severity).toBeGreaterThan(1);
  });
});

describe("what is rare", () => {
  const rare = (load: (point: number) => number) => {
    const values = Float64Array.from({ length: 8 * day }, (_, i) => load(i));
    return rareSeverity({ values, start: 0, length: values.length }, shape, 3, () => true);
  };

  test("is any burst where there is none", () => {
    expect(rare(() => 10)).toBe(1);
  });

  test("is still any burst where one came every other day", () => {
    expect(rare((i) => (i % (2 * day + 777) < 20 ? 40 : 10))).toBe(1);
  });

  test("is not a pulse that comes at another hour three times a day, and is one that is higher", () => {
    const severity = rare((i) => (i % 1777 < 20 ? 40 : 10));
    expect(severity).toBeGreaterThan(10); // (40 − 10) / (0.25 · 10) = 12
    expect(severity).toBeLessThan(13);
  });

  test("is learnt from history only where its steps show minutes", () => {
    const values = Float64Array.from({ length: 8 * day }, (_, i) => (i % 1777 < 20 ? 40 : 10));
    expect(rareSeverity({ values, start: 0, length: values.length }, shape, 3, () => false)).toBe(1);
  });
});

describe("as a provider", () => {
  const calm = {
    histories: new Map([["load", historyOf((t) => 10 + 3 * Math.sin((t / dayMs) * 2 * Math.PI), 7, 60_000)]]),
  };
  const provider = (portraitType: "Predictive" | "Reactive" | "Burst", priority = 0) => ({
    type: "Dynamic" as const,
    priority,
    dynamic: { portraitType },
  });
  const level = 10 + 3 * Math.sin((nowMs / dayMs) * 2 * Math.PI);
  const fill = (count: number, value: number) => new Array<number>(count).fill(value);
  const step = [...fill(20, level), ...fill(20, 3 * level), ...fill(40, level)];
  const withBurst = play(specOf({ portraitProviders: [provider("Reactive"), provider("Burst")] }), calm, step, {
    start: 14,
  });

  test("raises within one tick, beyond what is observed, and says so", () => {
    const { decision } = withBurst[20];
    expect(decision).toMatchObject({ reason: "Burst", provider: "Burst" });
    expect(decision.total).toBeGreaterThan(Math.ceil(3 * level));
    expect(decision.message).toMatch(/load rose to \d/);
  });

  test("lets go when the burst is over: six minutes later the number is the others'", () => {
    const alone = play(specOf({ portraitProviders: [provider("Reactive")] }), calm, step, { start: 14 });
    expect(withBurst[40].decision.proposals.map(({ provider: name }) => name)).toEqual(["Reactive"]);
    expect(withBurst[64].decision.total).toBe(alone[64].decision.total);
  });

  test("is never below what is observed", () => {
    for (const { decision, observed } of withBurst) expect(decision.total).toBeGreaterThanOrEqual(Math.ceil(observed));
  });

  describe.each([15_000, 30_000, 60_000])("at ticks %i ms apart", (everyMs) => {
    const after = Math.round(3_600_000 / everyMs); // the burst comes after an hour and lasts for ten minutes
    const until = after + Math.round(600_000 / everyMs);
    const random = generator(everyMs);
    const rhythm = (k: number) => 10 + 3 * Math.sin(((nowMs + k * everyMs) / dayMs) * 2 * Math.PI);
    const noisy = (load: number) => load * (1 + 0.04 * (random() + random() + random() - 1.5)); // of deviation 2 %
    const values = Array.from({ length: until + after }, (_, k) =>
      noisy(rhythm(k) * (k >= after && k < until ? 3 : 1)),
    );
    const portraitProviders = [provider("Reactive"), provider("Burst")];

    test.each([0, 15_000, 30_000, 45_000, 60_000, 90_000])("values %i ms old show it at once, and once", (lagMs) => {
      const played = play(specOf({ portraitProviders }), calm, values, { start: 14, everyMs, tick: { lagMs } });
      const asked = played.map(({ decision }) => decision.proposals.find((p) => p.provider === "Burst")?.replicas);
      expect(asked.findIndex((replicas) => replicas !== undefined)).toBe(after);
      expect(asked[after]).toBeGreaterThan(1.4 * Math.ceil(values[after]));
      // The load is flat from there on, but for its noise, and so is what is asked for: no second raise.
      for (let k = after + 1; k < until; k++)
        expect(asked[k], `tick ${k - after}`).toBeLessThanOrEqual(Math.ceil(Math.max(...values.slice(after, k + 1))));
      // Nor when it falls.
      expect(asked.slice(until).every((replicas) => replicas === undefined)).toBe(true);
      played.forEach(({ decision, observed }) => {
        expect(decision.total).toBeGreaterThanOrEqual(Math.ceil(observed));
      });
    });

    test.each([
      { deviation: 0.05, minutes: 10 },
      { deviation: 0.05, minutes: 60 },
      { deviation: 0.02, minutes: 60 },
    ])(
      "noise of $deviation, heard for $minutes minutes before, raises nothing that stands",
      ({ deviation, minutes }) => {
        const from = Math.round((minutes * 60_000) / everyMs);
        for (let seed = 1; seed <= 2; seed++) {
          const dice = generator(seed * 7919 + everyMs);
          const blurred = (load: number, share: number) => load * (1 + 2 * share * (dice() + dice() + dice() - 1.5));
          const loads = Array.from({ length: from + until - after }, (_, k) =>
            blurred(rhythm(k) * (k >= from ? 3 : 1), deviation),
          );
          const calmer = (t: number) => blurred(10 + 3 * Math.sin((t / dayMs) * 2 * Math.PI), 0.015);
          const histories = new Map([["load", historyOf(calmer, 7, 60_000)]]);
          const played = play(specOf({ portraitProviders }), { histories }, loads, { start: 14, everyMs });
          const asked = played.map(({ decision }) => decision.proposals.find((p) => p.provider === "Burst")?.replicas);
          expect(asked[from], `seed ${seed}`).toBeGreaterThan(1.4 * Math.ceil(loads[from]));
          for (let k = from + 1; k < loads.length; k++)
            expect(asked[k], `seed ${seed}, tick ${k - from}`).toBeLessThanOrEqual(
              Math.ceil(Math.max(...loads.slice(from, k + 1))),
            );
        }
      },
    );

    test("noise does not hide that a burst grows: it is asked for ahead of the load", () => {
      const minutesIn = (k: number) => (Math.max(0, k - after) * everyMs) / 60_000;
      const growing = values.slice(0, until).map((value, k) => value * 2 ** (minutesIn(k) / 4));
      const played = play(specOf({ portraitProviders, maxReplicas: 500 }), calm, growing, { start: 14, everyMs });
      const ahead = played
        .slice(after + 4)
        .filter(({ decision, observed }) => decision.total! > 1.02 * Math.ceil(observed)).length;
      expect(ahead).toBeGreaterThan(0.6 * (until - after - 4));
    });

    test("a day's rise and fall, to five times the night's load within two hours, is none", () => {
      const daily = (t: number) => {
        const hour = (24 * (t % dayMs)) / dayMs;
        return 4 + 16 / (1 + Math.exp(-(hour - 10) * 4)) - 16 / (1 + Math.exp(-(hour - 20) * 4));
      };
      const known = { histories: new Map([["load", historyOf(daily, 7, 60_000)]]) };
      const loads = Array.from({ length: Math.round((13 * 3_600_000) / everyMs) }, (_, k) =>
        noisy(daily(nowMs + k * everyMs - 30_000)),
      );
      for (const { decision } of play(specOf({ portraitProviders }), known, loads, { start: 14, everyMs }))
        expect(decision.proposals.map(({ provider: name }) => name)).toEqual(["Reactive"]);
    });
  });

  test("is not there unless it is listed", () => {
    for (const { decision } of play(specOf(), calm, step, { start: 14 })) {
      expect(decision.proposals.map(({ provider: name }) => name)).not.toContain("Burst");
      expect(decision.reason).not.toBe("Burst");
    }
  });

  test("of a higher priority it still lowers nothing", () => {
    const fixed = { type: "Static" as const, priority: 0, static: { replicas: 90 } };
    const played = play(specOf({ portraitProviders: [fixed, provider("Burst", 5)] }), calm, step, { start: 90 });
    for (const { decision } of played) expect(decision.total).toBe(90);
  });

  test("alone it proposes what is observed while there is no burst", () => {
    const played = play(specOf({ portraitProviders: [provider("Burst")] }), calm, step, { start: 13 });
    expect(played[10].decision).toMatchObject({ reason: "Observed", provider: "Burst" });
    expect(played[20].decision.reason).toBe("Burst");
    for (const { decision, observed } of played) expect(decision.total).toBeGreaterThanOrEqual(Math.ceil(observed));
  });

  test("with Predictive it is one more proposal, and no reason to have fewer pods", () => {
    const both = [provider("Predictive"), provider("Reactive")];
    const plain = play(specOf({ portraitProviders: both }), calm, step, { start: 14 });
    const more = play(specOf({ portraitProviders: [...both, provider("Burst")] }), calm, step, { start: 14 });
    more.forEach(({ decision }, k) => {
      expect(decision.total).toBeGreaterThanOrEqual(plain[k].decision.total!);
    });
  });

  test("a burst under way goes on after a restart", () => {
    const state = { sinceMs: nowMs - 60_000, before: 10, explained: 12, peak: 40 };
    expect(
      followBurst(JSON.parse(JSON.stringify(state)), {
        points: { values: [10, 30], start: 0, length: 2 },
        n: 1,
        timeMs: nowMs,
        shape,
        rareSeverity: 1,
      }),
    ).toMatchObject({
      burst: { sinceMs: nowMs - 60_000, peak: 40 },
    });
  });
});
