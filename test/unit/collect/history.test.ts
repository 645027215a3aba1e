import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CollectError } from "../../../src/collect/collect-error.ts";
import { Histories, type RangeSource } from "../../../src/collect/history.ts";
import { pointsOf, type Range } from "../../../src/collect/http/chunks.ts";
import type { Samples } from "../../../src/collect/samples.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const begin = Date.UTC(2026, 0, 5);

/** A store that knows `valueAt` for each instant, and can fail. */
class FakeStore implements RangeSource {
  readonly name: string = "main";
  readonly asked: Range[] = [];
  atOnce = 0;
  mostAtOnce = 0;
  fails: (range: Range) => CollectError | undefined = () => undefined;
  valueAt: (timeMs: number) => number = (timeMs) => (timeMs - begin) / minute;

  async rangeOfOne(_query: string, range: Range): Promise<Samples> {
    this.asked.push(range);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    await Promise.resolve();
    this.atOnce--;
    const error = this.fails(range);
    if (error) throw error;
    const stamps = Array.from({ length: pointsOf(range) }, (_, i) => range.startMs + i * range.stepMs);
    const known = stamps.filter((timeMs) => !Number.isNaN(this.valueAt(timeMs)));
    return { timesMs: Float64Array.from(known), values: Float64Array.from(known, this.valueAt) };
  }
}

function atClock(startMs: number) {
  const clock = { nowMs: startMs };
  const histories = new Histories({ now: () => clock.nowMs, random: () => 0.5 });
  return { clock, histories };
}

const down = () => new CollectError("Unreachable", "down");
const request = (source: RangeSource) => ({ source, query: "load", stepMs: minute, spanMs: 14 * day, lagMs: 0 });

describe("a history", () => {
  test("first takes the whole span in chunks, newest first, afterwards only new points with a small overlap", async () => {
    const store = new FakeStore();
    const { clock, histories } = atClock(begin + 20 * day);
    const progress: number[] = [];
    const first = await histories.refresh({ ...request(store), onProgress: (done) => progress.push(done) });
    expect(first.series.values).toHaveLength(14 * 1440);
    expect(first.series.startMs).toBe(begin + 6 * day);
    expect(first.fault).toBeUndefined();
    // Four samples a minute, their mean: the instants at 15, 30, 45 and 60 s of the step.
    expect(first.series.values[0]).toBeCloseTo(6 * 1440 + 0.625, 9);
    expect(store.asked.every((range) => pointsOf(range) <= 10_000)).toBe(true);
    expect(store.asked[0].endMs).toBe(begin + 20 * day);
    expect(progress.at(-1)).toBe(14 * 1440);
    const instants = store.asked.reduce((sum, range) => sum + pointsOf(range), 0);
    expect(instants).toBe(14 * 1440 * 4);

    store.asked.length = 0;
    clock.nowMs += 3 * minute;
    const next = await histories.refresh(request(store));
    expect(store.asked).toEqual([
      { startMs: begin + 20 * day - 2 * minute + 15_000, endMs: begin + 20 * day + 3 * minute, stepMs: 15_000 },
    ]);
    expect(next.series.startMs).toBe(begin + 6 * day + 3 * minute);
    expect(next.series.values.at(-1)).toBeCloseTo(20 * 1440 + 2.625, 9);
  });

  test("holds complete steps only: a step waits for the lag after its end", async () => {
    const { clock, histories } = atClock(begin + day + 29_000);
    const store = new FakeStore();
    const ends = async () => {
      const { series } = await histories.refresh({ ...request(store), lagMs: 30_000 });
      return series.startMs + series.values.length * minute;
    };
    expect(await ends()).toBe(begin + day - minute);
    clock.nowMs = begin + day + 30_000;
    expect(await ends()).toBe(begin + day);
  });

  test("begins with the first known value, and a gap inside stays a gap", async () => {
    const store = new FakeStore();
    store.valueAt = (timeMs) => {
      const inGap = timeMs > begin + 19 * day && timeMs <= begin + 19 * day + hour;
      return timeMs <= begin + 18 * day || inGap ? NaN : 7;
    };
    const { histories } = atClock(begin + 20 * day);
    const { series } = await histories.refresh(request(store));
    expect(series.startMs).toBe(begin + 18 * day);
    expect(series.values.filter(Number.isNaN)).toHaveLength(60);
    expect(series.values[1440]).toBeNaN();
    expect(series.values[1440 + 60]).toBe(7);
  });

  test("F17: an outage is filled in afterwards, and what was known stays meanwhile", async () => {
    const store = new FakeStore();
    const { clock, histories } = atClock(begin + 20 * day);
    await histories.refresh(request(store));
    store.fails = down;
    for (let i = 0; i < 120; i++) {
      clock.nowMs += minute;
      const during = await histories.refresh(request(store));
      expect(during.fault?.code).toBe("Unreachable");
      expect(during.series.values.at(-1)).toBeNaN(); // unknown, not zero
      expect(during.series.values[0]).not.toBeNaN();
      expect(during.freshAtMs).toBe(begin + 20 * day);
    }
    store.fails = () => undefined;
    store.asked.length = 0;
    clock.nowMs += minute;
    const after = await histories.refresh(request(store));
    expect(after.fault).toBeUndefined();
    expect(after.pendingSteps).toBe(0);
    expect(after.series.values.filter(Number.isNaN)).toHaveLength(0);
    expect(store.asked).toHaveLength(1);
  });

  test("a source that is down is left alone for a while", async () => {
    const store = new FakeStore();
    store.fails = down;
    const { clock, histories } = atClock(begin + 20 * day);
    for (let i = 0; i < 50; i++) await histories.refresh({ ...request(store), query: `load${i}` });
    expect(store.asked).toHaveLength(1);
    clock.nowMs += 20_000;
    await histories.refresh(request(store));
    expect(store.asked).toHaveLength(2);
  });

  test("a first fetch that breaks off keeps what it got, newest first, and goes on later", async () => {
    const store = new FakeStore();
    store.fails = (range) => (range.endMs <= begin + 18 * day ? new CollectError("Timeout", "slow") : undefined);
    const { clock, histories } = atClock(begin + 20 * day);
    const first = await histories.refresh(request(store));
    expect(first.fault?.code).toBe("Timeout");
    expect(first.series.values.at(-1)).not.toBeNaN();
    expect(first.freshAtMs).toBe(begin + 20 * day);
    expect(first.pendingSteps).toBeGreaterThan(0);

    store.fails = () => undefined;
    clock.nowMs += 2 * minute;
    const later = await histories.refresh(request(store));
    expect(later.pendingSteps).toBe(0);
    expect(later.series.values).toHaveLength(14 * 1440);
  });

  test("old spans that keep failing are asked for ever more rarely, while new points still come", async () => {
    const store = new FakeStore();
    store.fails = (range) => (range.startMs < begin + 18 * day ? new CollectError("BadQuery", "too old") : undefined);
    const { clock, histories } = atClock(begin + 20 * day);
    await histories.refresh(request(store));
    store.asked.length = 0;
    for (let i = 0; i < 240; i++) {
      clock.nowMs += minute;
      const { series } = await histories.refresh(request(store));
      expect(series.values.at(-1)).not.toBeNaN();
    }
    const old = store.asked.filter((range) => range.endMs < begin + 20 * day - hour);
    expect(old.length).toBeGreaterThan(2);
    expect(old.length).toBeLessThan(15);
  });

  test("a young gap is asked for again, as the store may have been filled in", async () => {
    const store = new FakeStore();
    const whole = store.valueAt;
    const gap = (timeMs: number) => timeMs > begin + 20 * day - 20 * minute && timeMs <= begin + 20 * day - 15 * minute;
    store.valueAt = (timeMs) => (gap(timeMs) ? NaN : whole(timeMs));
    const { clock, histories } = atClock(begin + 20 * day);
    expect((await histories.refresh(request(store))).series.values.filter(Number.isNaN)).toHaveLength(5);
    store.valueAt = whole;
    clock.nowMs += minute;
    expect((await histories.refresh(request(store))).series.values.filter(Number.isNaN)).toHaveLength(0);
  });

  test("a known value is not unlearned when the store has dropped it", async () => {
    const store = new FakeStore();
    const { clock, histories } = atClock(begin + 20 * day);
    await histories.refresh(request(store));
    store.valueAt = () => NaN;
    clock.nowMs += minute;
    const { series } = await histories.refresh(request(store));
    expect(series.values.filter(Number.isNaN)).toHaveLength(1); // the new step only
  });

  test.each([-hour, 30 * day, -30 * day])("a clock that jumps by %d ms and back leaves no trace", async (jump) => {
    const store = new FakeStore();
    const begun = begin + 60 * day;
    const { clock, histories } = atClock(begun);
    const before = await histories.refresh(request(store));
    clock.nowMs += jump;
    const { series } = await histories.refresh(request(store));
    expect(series.startMs + series.values.length * minute).toBe(begun + jump);
    clock.nowMs = begun;
    expect((await histories.refresh(request(store))).series).toEqual(before.series);
  });

  test("workloads that ask alike share one fetch, and one that asks for more gets more", async () => {
    const store = new FakeStore();
    const { histories } = atClock(begin + 20 * day);
    const short = { ...request(store), spanMs: day };
    const [a, b, long] = await Promise.all([
      histories.refresh(short),
      histories.refresh(short),
      histories.refresh(request(store)),
    ]);
    expect(a).toBe(b);
    expect(a.series.values).toHaveLength(1440);
    expect(long.series.values).toHaveLength(14 * 1440);
    const instants = store.asked.reduce((sum, range) => sum + pointsOf(range), 0);
    expect(instants).toBe((14 * 1440 + 2) * 4);
  });

  test("one source is not asked more than so often at once, and others do not wait for it", async () => {
    const [store, other] = [new FakeStore(), Object.assign(new FakeStore(), { name: "other" })];
    const { histories } = atClock(begin + 20 * day);
    const all = Array.from({ length: 20 }, (_, i) => histories.refresh({ ...request(store), query: `load${i}` }));
    await Promise.all([...all, histories.refresh(request(other))]);
    expect(store.mostAtOnce).toBe(4);
  });

  test("the least recently used go when there are too many values, and come back whole", async () => {
    const store = new FakeStore();
    const histories = new Histories({ now: () => begin + 20 * day, maxValues: 3 * 1440 });
    for (const query of ["a", "b", "c", "a"])
      expect((await histories.refresh({ ...request(store), query, spanMs: day })).series.values).toHaveLength(1440);
  });

  test("what came from a source is forgotten when its name means another", async () => {
    const store = new FakeStore();
    const { histories } = atClock(begin + 20 * day);
    await histories.refresh(request(store));
    histories.forget("main");
    store.valueAt = () => 1;
    expect(new Set((await histories.refresh(request(store))).series.values)).toEqual(new Set([1]));
  });

  test("whatever fails in whatever order, no value is wrong, and in the end none is missing", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ aheadMin: fc.nat(300), fail: fc.boolean(), back: fc.boolean() }), { maxLength: 15 }),
        async (moves) => {
          const store = new FakeStore();
          const { clock, histories } = atClock(begin + 2 * day);
          const ask = { ...request(store), spanMs: 6 * hour };
          for (const { aheadMin, fail, back } of moves) {
            store.fails = () => (fail ? down() : undefined);
            clock.nowMs += (back ? -aheadMin / 10 : aheadMin) * minute;
            const { series } = await histories.refresh(ask);
            const wrong = series.values.filter(
              (value, i) => Math.abs(value - ((series.startMs - begin) / minute + i + 0.625)) > 1e-6, // not for NaN
            );
            expect([...wrong]).toEqual([]);
          }
          store.fails = () => undefined;
          clock.nowMs += 2 * hour;
          const { series } = await histories.refresh(ask);
          expect(series.values).toHaveLength(360);
          expect(series.values.filter(Number.isNaN)).toHaveLength(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("nonsense is refused", () => {
    const { histories } = atClock(begin);
    expect(() => histories.refresh({ ...request(new FakeStore()), stepMs: 0 })).toThrow(RangeError);
    expect(() => histories.refresh({ ...request(new FakeStore()), spanMs: 1 })).toThrow(RangeError);
  });
});
