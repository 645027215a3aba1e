import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Range } from "../../../../src/collect/http/chunks.ts";
import { type ManySource, podRecordsFromSeries } from "../../../../src/collect/pods/pod-series.ts";
import {
  type PodObject,
  type PodRecord,
  podGone,
  podSeen,
  servedShare,
  startupSeconds,
  totalOfServing,
  totalSamples,
  type Window,
} from "../../../../src/collect/pods/pod-windows.ts";
import type { LabelledSamples } from "../../../../src/collect/samples.ts";

const born = Date.UTC(2026, 0, 5);
const at = (seconds: number) => born + seconds * 1000;
const iso = (seconds: number) => new Date(at(seconds)).toISOString().replace(".000", "");

interface Seen {
  readonly ready?: [status: "True" | "False", since: number];
  readonly scheduled?: number;
  readonly phase?: string;
  readonly started?: number;
  readonly restarts?: number;
  readonly gated?: boolean;
}

function pod({ ready, scheduled, phase = "Running", started, restarts = 0, gated = false }: Seen = {}): PodObject {
  return {
    metadata: { uid: "u1", namespace: "shop", name: "web-1", creationTimestamp: iso(0) },
    status: {
      phase,
      conditions: [
        ...(scheduled === undefined
          ? []
          : [{ type: "PodScheduled", status: "True", lastTransitionTime: iso(scheduled) }]),
        ...(gated ? [{ type: "forescale.io/online", status: "True" }] : []),
        ...(ready ? [{ type: "Ready", status: ready[0], lastTransitionTime: iso(ready[1]) }] : []),
      ],
      containerStatuses:
        started === undefined ? [] : [{ restartCount: restarts, state: { running: { startedAt: iso(started) } } }],
    },
  };
}

/** What is known after a pod was seen so, at these seconds. */
function history(...seen: (readonly [number, Seen])[]): PodRecord {
  return seen.reduce<PodRecord | undefined>((before, [s, what]) => podSeen(before, pod(what), at(s)), undefined)!;
}

describe("our own record of a pod", () => {
  test("created, scheduled, ready, not ready, ready again, gone", () => {
    const record = history(
      [1, { phase: "Pending" }],
      [3, { phase: "Pending", scheduled: 2, ready: ["False", 2] }],
      [21, { scheduled: 2, ready: ["True", 20] }],
      [101, { scheduled: 2, ready: ["False", 100] }],
      [131, { scheduled: 2, ready: ["True", 130] }],
    );
    expect(record.startupSeconds).toBe(20);
    expect(record.scheduledMs).toBe(at(2));
    const gone = podGone(record, at(200));
    expect(gone.ready).toEqual([
      { fromMs: at(20), toMs: at(100) },
      { fromMs: at(130), toMs: at(200) },
    ]);
    expect(gone.endedMs).toBe(at(200));
  });

  test.each<{ name: string; seen: Seen; startup: number | undefined }>([
    {
      name: "Ready just after its container began: its start-up",
      seen: { ready: ["True", 30], started: 5 },
      startup: 30,
    },
    {
      name: "Ready long after its container began: it may have flapped",
      seen: { ready: ["True", 5_000], started: 5 },
      startup: undefined,
    },
    {
      name: "gated, and Ready soon after its start",
      seen: { ready: ["True", 30], started: 20, gated: true },
      startup: 30,
    },
    {
      name: "gated, and back in rotation later",
      seen: { ready: ["True", 110], started: 20, gated: true },
      startup: undefined,
    },
    {
      name: "with a container that restarted",
      seen: { ready: ["True", 30], started: 20, restarts: 1 },
      startup: undefined,
    },
    { name: "without a container's state", seen: { ready: ["True", 30] }, startup: undefined },
  ])("first seen $name", ({ seen, startup }) => {
    const record = podSeen(undefined, pod(seen), at(10_000));
    expect(record.startupSeconds).toBe(startup);
    expect(record.ready).toEqual([{ fromMs: at(seen.ready![1]), toMs: Infinity }]);
  });

  test("a pod that ended serves no more, even if its condition says Ready", () => {
    const record = history([1, {}], [20, { ready: ["True", 20] }], [90, { ready: ["True", 20], phase: "Succeeded" }]);
    expect(record.endedMs).toBe(at(90));
    expect(record.ready.at(-1)?.toMs).not.toBe(Infinity);
  });

  test("a transition that was slept through splits the window", () => {
    const record = history([1, {}], [20, { ready: ["True", 20] }], [500, { ready: ["True", 400] }]);
    expect(record.ready).toEqual([
      { fromMs: at(20), toMs: at(400) },
      { fromMs: at(400), toMs: Infinity },
    ]);
  });

  test("a pod that did not change gives the same record, so nothing is written", () => {
    const record = history([1, {}], [20, { ready: ["True", 20] }]);
    expect(podSeen(record, pod({ ready: ["True", 20] }), at(60))).toBe(record);
  });

  test("whatever is seen, windows are in order, apart and not endless in number", () => {
    const moves = fc.array(
      fc.record({ after: fc.integer({ min: 0, max: 100 }), ready: fc.boolean(), back: fc.nat(200) }),
      { maxLength: 150 },
    );
    fc.assert(
      fc.property(moves, (steps) => {
        let record: PodRecord | undefined;
        let now = 0;
        for (const { after, ready, back } of steps) {
          now += after;
          record = podSeen(record, pod({ ready: [ready ? "True" : "False", now - back] }), at(now));
          expect(record.ready.length).toBeLessThanOrEqual(64);
          for (const [i, { fromMs, toMs }] of record.ready.entries()) {
            expect(fromMs).toBeGreaterThanOrEqual(born);
            expect(toMs).toBeGreaterThanOrEqual(fromMs);
            if (i > 0) expect(fromMs).toBeGreaterThanOrEqual(record.ready[i - 1].toMs);
          }
          expect(record.ready.at(-1)?.toMs === Infinity).toBe(ready);
        }
      }),
    );
  });

  test("start-ups are those of pods created in the span, in order", () => {
    const one = (createdMs: number, startup: number | undefined) => ({
      ...history([1, {}]),
      createdMs,
      startupSeconds: startup,
    });
    expect(startupSeconds([one(3, 30), one(1, 10), one(2, undefined), one(9, 90)], 1, 9)).toEqual([10, 30]);
  });
});

describe("samples of pods that did not serve are dropped", () => {
  const always = [{ fromMs: -Infinity, toMs: Infinity }];

  test.each<{ name: string; windows: Window[]; span: [number, number]; share: number }>([
    { name: "all the time", windows: always, span: [0, 30], share: 1 },
    { name: "not yet", windows: [{ fromMs: 40, toMs: Infinity }], span: [0, 30], share: 0 },
    { name: "the last third", windows: [{ fromMs: 20, toMs: Infinity }], span: [0, 30], share: 1 / 3 },
    {
      name: "with a hole",
      windows: [
        { fromMs: 0, toMs: 10 },
        { fromMs: 20, toMs: 40 },
      ],
      span: [0, 30],
      share: 2 / 3,
    },
    { name: "an instant within", windows: [{ fromMs: 20, toMs: 40 }], span: [20, 20], share: 1 },
    { name: "an instant without", windows: [{ fromMs: 20, toMs: 40 }], span: [19, 19], share: 0 },
  ])("the share of a span that was served: $name", ({ windows, span, share }) => {
    expect(servedShare(windows, ...span)).toBeCloseTo(share, 12);
  });

  test.each<{ name: string; values: number[]; part?: number; total: number }>([
    { name: "all known", values: [1, 2, 3], total: 6 },
    { name: "one missing counts as the mean of the others", values: [1, 3, NaN], total: 6 },
    { name: "with most missing the total is missing", values: [1, NaN, NaN], total: NaN },
    { name: "nobody serves: missing, not zero", values: [], total: NaN },
    { name: "only pods that began meanwhile: missing", values: [], part: 0.5, total: NaN },
    { name: "one that began at half time counts half, whatever it used", values: [2, 4], part: 0.5, total: 7.5 },
  ])("$name", ({ values, part = 0, total }) => {
    const whole = values.map((value) => ({ value, share: 1 }));
    expect(totalOfServing([...whole, { value: 1000, share: part }])).toBe(total);
  });

  test("a fleet that doubles under a steady load never looks like a doubled load", () => {
    // Rates over 120 s: ten pods carry 100 each until ten more share it with them.
    for (let s = 0; s <= 120; s += 10) {
      const old = { value: (100 * (120 - s) + 50 * s) / 120, share: 1 };
      const young = { value: 400, share: s / 120 };
      const total = totalOfServing([
        ...Array<typeof old>(10).fill(old),
        ...Array<typeof old>(s < 120 ? 10 : 0).fill(young),
      ]);
      if (s < 120) expect(total).toBeGreaterThanOrEqual(1000);
      expect(total).toBeLessThanOrEqual(1125 + 1e-9);
    }
  });

  test("over time: start-ups are left out, and a pod that is gone stops counting with its samples", () => {
    const samples = (pairs: [number, number][]) => ({
      timesMs: Float64Array.from(pairs, ([time]) => time),
      values: Float64Array.from(pairs, ([, value]) => value),
    });
    const steady = {
      samples: samples([
        [0, 10],
        [60, 10],
        [120, 10],
        [180, 10],
      ]),
      windows: always,
    };
    const young = {
      samples: samples([
        [120, 500],
        [180, 12],
      ]),
      windows: [{ fromMs: 90, toMs: Infinity }],
    };
    const gone = {
      samples: samples([
        [0, 20],
        [60, 20],
      ]),
      windows: [{ fromMs: -500, toMs: 400 }],
    };
    const total = totalSamples([steady, young, gone], 60);
    expect([...total.timesMs]).toEqual([0, 60, 120, 180]);
    // At 120 the young one has served half of the minute; at 180 all of it.
    expect([...total.values]).toEqual([30, 30, 15, 22]);
  });
});

describe("records from kube-state-metrics' series", () => {
  const range: Range = { startMs: at(0), endMs: at(600), stepMs: 60_000 };
  const series = (name: string, pairs: (readonly [number, number])[], uid = "u1"): LabelledSamples => ({
    labels: new Map([
      ["pod", name],
      ["uid", uid],
    ]),
    timesMs: Float64Array.from(pairs, ([s]) => at(s)),
    values: Float64Array.from(pairs, ([, v]) => v),
  });

  function storeOf(parts: Record<string, LabelledSamples[]>): ManySource & { queries: string[] } {
    const queries: string[] = [];
    return {
      queries,
      async range(query) {
        queries.push(query);
        return Object.entries(parts).find(([metric]) => query.includes(`(${metric}{`))?.[1] ?? [];
      },
    };
  }

  test("a pod created, Ready, deleted within the range", async () => {
    const store = storeOf({
      kube_pod_status_ready: [
        series("web-1", [
          [60, 0],
          [120, 1],
          [180, 1],
          [240, 0],
          [300, 1],
          [360, 1],
        ]),
      ],
      kube_pod_created: [series("web-1", [[60, at(50) / 1000]])],
      kube_pod_status_ready_time: [series("web-1", [[120, at(95) / 1000]])],
    });
    const [record] = await podRecordsFromSeries(store, { namespace: "shop", namePattern: "web-.+" }, range);
    expect(record).toMatchObject({ uid: "u1", name: "web-1", createdMs: at(50), startupSeconds: 45, endedMs: at(420) });
    expect(record.ready).toEqual([
      { fromMs: at(120), toMs: at(180) },
      { fromMs: at(300), toMs: at(360) },
    ]);
  });

  test("a pod that was there before tells no start-up, and one that lasts has an open window", async () => {
    const store = storeOf({
      kube_pod_status_ready: [
        series(
          "web-1",
          [0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600].map((s) => [s, 1]),
        ),
      ],
      kube_pod_created: [series("web-1", [[0, at(-86_400) / 1000]])],
    });
    const [record] = await podRecordsFromSeries(store, { namespace: "shop", namePattern: "web-.+" }, range);
    expect(record.startupSeconds).toBeUndefined();
    expect(record.ready).toEqual([{ fromMs: at(0), toMs: Infinity }]);
    expect(record.endedMs).toBeUndefined();
  });

  test("without the exact time the first sample that says Ready bounds the start-up; a phase other than Running is no service", async () => {
    const store = storeOf({
      kube_pod_status_ready: [
        series("web-1", [
          [60, 0],
          [120, 1],
          [180, 1],
        ]),
      ],
      kube_pod_status_phase: [
        series("web-1", [
          [120, 1],
          [180, 0],
        ]),
      ],
      kube_pod_created: [series("web-1", [[60, at(50) / 1000]])],
    });
    const [record] = await podRecordsFromSeries(store, { namespace: "shop", namePattern: "web-.+" }, range);
    expect(record.startupSeconds).toBe(70);
    expect(record.ready).toEqual([{ fromMs: at(120), toMs: at(120) }]);
  });

  test("a long hole ends a window, a missed scrape does not", async () => {
    const store = storeOf({
      kube_pod_status_ready: [
        series("web-1", [
          [0, 1],
          [120, 1],
          [420, 1],
        ]),
      ],
    });
    const [record] = await podRecordsFromSeries(store, { namespace: "shop", namePattern: "web-.+" }, range);
    expect(record.ready).toEqual([
      { fromMs: at(0), toMs: at(120) },
      { fromMs: at(420), toMs: at(420) },
    ]);
  });

  test("two pods of one name are told apart by uid, and without kube-state-metrics there is nothing", async () => {
    const store = storeOf({
      kube_pod_status_ready: [series("db-0", [[0, 1]], "u1"), series("db-0", [[300, 1]], "u2")],
    });
    expect(
      (await podRecordsFromSeries(store, { namespace: "shop", namePattern: "db-.+" }, range)).map(({ uid }) => uid),
    ).toEqual(["u1", "u2"]);
    expect(await podRecordsFromSeries(storeOf({}), { namespace: "shop", namePattern: "db-.+" }, range)).toEqual([]);
  });

  test("names stay inside their strings", async () => {
    const store = storeOf({});
    await podRecordsFromSeries(store, { namespace: 'a"} or up{x="', namePattern: 'web\\.v2-.+"} or {x="' }, range);
    expect(store.queries[0]).toBe(
      'max by (pod,uid) (kube_pod_status_ready{condition="true",namespace="a\\"} or up{x=\\"",pod=~"web\\\\.v2-.+\\"} or {x=\\""})',
    );
  });
});
