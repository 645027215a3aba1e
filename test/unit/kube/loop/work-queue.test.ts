import fc from "fast-check";
import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { type Next, WorkQueue, type WorkQueueOptions } from "../../../../src/kube/loop/work-queue.ts";
import { kubeMetrics } from "../../../../src/kube/metrics.ts";
import { FakeClock } from "../fake-clock.ts";

/** A queue whose handler waits until it is let go. */
function manual(options: Partial<WorkQueueOptions> = {}) {
  const clock = new FakeClock();
  const inWork = new Map<string, { done: (next?: Next) => void; fail: (error: Error) => void; signal: AbortSignal }>();
  const runs: string[] = [];
  const overlaps: string[] = [];
  const queue = new WorkQueue({
    name: "test",
    clock,
    random: () => 0,
    handle: (key, signal) => {
      if (inWork.has(key)) overlaps.push(key);
      runs.push(key);
      return new Promise((resolve, reject) => {
        const end = (then: () => void) => {
          inWork.delete(key);
          then();
        };
        inWork.set(key, {
          done: (next) => end(() => resolve(next)),
          fail: (error) => end(() => reject(error)),
          signal,
        });
      });
    },
    ...options,
  });
  return { clock, inWork, runs, overlaps, queue };
}

describe("a key", () => {
  test("added many times while it waits runs once", async () => {
    const { queue, runs, inWork, clock } = manual({ concurrency: 1 });
    queue.add("a");
    for (let i = 0; i < 5; i++) queue.add("b");
    expect(queue.length).toBe(1);
    await clock.advance(0);
    inWork.get("a")!.done();
    await clock.advance(0);
    inWork.get("b")!.done();
    await clock.advance(0);
    expect(runs).toEqual(["a", "b"]);
  });

  test("added while in work runs once more, afterwards", async () => {
    const { queue, runs, inWork, clock } = manual({ concurrency: 2 });
    queue.add("a");
    await clock.advance(0);
    queue.add("a");
    queue.add("a");
    await clock.advance(0);
    expect(runs).toEqual(["a"]);
    inWork.get("a")!.done();
    await clock.advance(0);
    expect(runs).toEqual(["a", "a"]);
    inWork.get("a")!.done();
    await clock.advance(1_000);
    expect(runs).toEqual(["a", "a"]);
  });

  test("never runs inside the caller's add", () => {
    const { queue, runs } = manual();
    queue.add("a");
    expect(runs).toEqual([]);
  });

  test("that fails comes again after 5, 10, 20 ms …, at most 1000 s, and from 5 ms after a success", async () => {
    const { queue, runs, inWork, clock } = manual();
    queue.add("a");
    await clock.advance(0);
    const waits: number[] = [];
    for (let i = 0; i < 20; i++) {
      const from = clock.nowMs;
      const known = runs.length;
      inWork.get("a")!.fail(new Error("no"));
      await clock.advance(0);
      while (runs.length === known) await clock.advance(clock.nowMs - from < 1_000 ? 1 : 1_000);
      waits.push(clock.nowMs - from);
    }
    expect(waits.slice(0, 5)).toEqual([5, 10, 20, 40, 80]);
    expect(waits.slice(18)).toEqual([1_000_000, 1_000_000]);
    inWork.get("a")!.done();
    await clock.advance(0);
    queue.add("a");
    await clock.advance(0);
    inWork.get("a")!.fail(new Error("no"));
    await clock.advance(5);
    expect(runs).toHaveLength(23);
  });

  test("in backoff runs at once when it is added", async () => {
    const { queue, runs, inWork, clock } = manual({ firstBackoffMs: 60_000 });
    queue.add("a");
    await clock.advance(0);
    inWork.get("a")!.fail(new Error("no"));
    await clock.advance(10);
    queue.add("a");
    await clock.advance(0);
    expect(runs).toEqual(["a", "a"]);
  });

  test("comes again when its run asked for it", async () => {
    const { queue, runs, inWork, clock } = manual();
    queue.add("a");
    await clock.advance(0);
    inWork.get("a")!.done({ recheckAfterMs: 30_000 });
    await clock.advance(29_999);
    expect(runs).toEqual(["a"]);
    await clock.advance(1);
    expect(runs).toEqual(["a", "a"]);
  });

  test("due at several later times comes at the earliest", async () => {
    const { queue, runs, clock } = manual();
    queue.addAfter("a", 500);
    queue.addAfter("a", 100);
    queue.addAfter("a", 900);
    await clock.advance(99);
    expect(runs).toEqual([]);
    await clock.advance(1);
    expect(runs).toEqual(["a"]);
  });

  test("that is forgotten has no later time and no backoff", async () => {
    const { queue, runs, inWork, clock } = manual();
    queue.add("a");
    await clock.advance(0);
    for (let i = 0; i < 8; i++) {
      inWork.get("a")!.fail(new Error("no"));
      await clock.advance(2_000);
    }
    inWork.get("a")!.fail(new Error("no"));
    await clock.advance(0);
    queue.forget("a");
    await clock.advance(100_000);
    expect(runs).toHaveLength(9);
    queue.add("a");
    await clock.advance(0);
    inWork.get("a")!.fail(new Error("no"));
    await clock.advance(5);
    expect(runs).toHaveLength(11);
  });

  test("whose handler throws before its promise is a failure like any other", async () => {
    let runs = 0;
    const clock = new FakeClock();
    const queue = new WorkQueue({
      name: "test",
      clock,
      random: () => 0,
      handle: () => {
        runs++;
        throw new Error("at once");
      },
    });
    queue.add("a");
    await clock.advance(5);
    expect(runs).toBe(2);
  });
});

describe("shutdown", () => {
  test("lets what waits and what is in work finish, and drops the later ones", async () => {
    const { queue, runs, inWork, clock } = manual({ concurrency: 1 });
    queue.add("a");
    queue.add("b");
    queue.addAfter("c", 10);
    await clock.advance(0);
    let isDown = false;
    const down = queue.shutdown().then(() => {
      isDown = true;
    });
    queue.add("d");
    await clock.advance(20);
    inWork.get("a")!.done({ recheckAfterMs: 1 });
    await clock.advance(0);
    expect(isDown).toBe(false);
    inWork.get("b")!.fail(new Error("no"));
    await clock.advance(0);
    await down;
    await clock.advance(5_000);
    expect(runs).toEqual(["a", "b"]);
    expect(clock.pending).toBe(0);
  });

  test("drops what waits and aborts what is in work when its time is up", async () => {
    const { queue, runs, inWork, clock } = manual({ concurrency: 1 });
    queue.add("a");
    queue.add("b");
    await clock.advance(0);
    const down = queue.shutdown(2_000);
    const { signal, done } = inWork.get("a")!;
    await clock.advance(1_999);
    expect(signal.aborted).toBe(false);
    await clock.advance(1);
    expect(signal.aborted).toBe(true);
    done();
    await down;
    expect(runs).toEqual(["a"]);
  });

  test("of an idle queue is immediate", async () => {
    const { queue, clock } = manual();
    await queue.shutdown();
    expect(clock.pending).toBe(0);
  });
});

type Step =
  | { readonly do: "add" | "finish" | "fail"; readonly key: string }
  | { readonly do: "addAfter"; readonly key: string; readonly ms: number }
  | { readonly do: "advance"; readonly ms: number };

const key = fc.constantFrom("a", "b", "c", "d");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom("add" as const, "finish" as const, "fail" as const), key }),
  fc.record({ do: fc.constant("addAfter" as const), key, ms: fc.integer({ min: 0, max: 300 }) }),
  fc.record({ do: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 200 }) }),
);

test("whatever happens, no key runs twice at once, no more than the workers, and no added key is lost", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (steps, concurrency) => {
      const { queue, runs, overlaps, inWork, clock } = manual({ concurrency });
      const addedAt = new Map<string, number>(); // how many runs the key had begun when it was added last
      const begun = (key: string) => runs.filter((each) => each === key).length;
      for (const each of steps) {
        if (each.do === "advance") await clock.advance(each.ms);
        else if (each.do === "addAfter") queue.addAfter(each.key, each.ms);
        else if (each.do === "add") queue.add(each.key);
        else if (each.do === "finish") inWork.get(each.key)?.done();
        else inWork.get(each.key)?.fail(new Error("no"));
        if (each.do === "add" || each.do === "addAfter") addedAt.set(each.key, begun(each.key));
        expect(inWork.size).toBeLessThanOrEqual(concurrency);
        await clock.advance(0);
        expect(overlaps).toEqual([]);
      }
      // Let everything come to rest: each added key must have begun a run after its last adding.
      for (let i = 0; i < 200 && (queue.length > 0 || inWork.size > 0 || clock.pending > 0); i++) {
        for (const { done } of [...inWork.values()]) done();
        await clock.advance(100);
      }
      expect(queue.length).toBe(0);
      for (const [key, before] of addedAt) expect(begun(key), key).toBeGreaterThan(before);
    }),
    { numRuns: 150 },
  );
});

test("keys run first come first served", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 20 }), async (keys) => {
      const clock = new FakeClock();
      const runs: string[] = [];
      const queue = new WorkQueue({
        name: "test",
        clock,
        concurrency: 1,
        handle: async (key) => {
          runs.push(key);
          return undefined;
        },
      });
      for (const each of keys) queue.add(each);
      await queue.shutdown();
      expect(runs).toEqual(keys);
    }),
    { numRuns: 50 },
  );
});

test("metrics tell the keys that wait and the runs by outcome", async () => {
  const registry = new Registry();
  const { queue, inWork, clock } = manual({ concurrency: 1, metrics: kubeMetrics(registry) });
  queue.add("a");
  queue.add("b");
  await clock.advance(0);
  expect(await registry.metrics()).toContain('forescale_kube_queue_keys{queue="test"} 1');
  inWork.get("a")!.fail(new Error("no"));
  await clock.advance(0);
  expect(await registry.metrics()).toContain(
    'forescale_kube_reconcile_duration_seconds_count{queue="test",outcome="Failed"} 1',
  );
});
