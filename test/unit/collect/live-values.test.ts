import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CollectError } from "../../../src/collect/collect-error.ts";
import { AfterOutage } from "../../../src/collect/http/after-outage.ts";
import { type InstantSource, LiveValues } from "../../../src/collect/live-values.ts";
import type { InstantValue } from "../../../src/collect/prometheus/prometheus.ts";
import { batchLabel, batchQuery, isSelfContained } from "../../../src/collect/prometheus/promql-batch.ts";

/** A store in which the query `vN` gives N, `bad…` is refused, `two` finds two series and others find nothing. */
class FakeStore implements InstantSource {
  readonly name = "main";
  readonly asked: string[] = [];
  fails: (query: string) => CollectError | undefined = (query) =>
    query.includes("bad") ? new CollectError("BadQuery", "parse error") : undefined;

  async instant(query: string): Promise<InstantValue[]> {
    this.asked.push(query);
    const error = this.fails(query);
    if (error) throw error;
    const parts = query.includes("label_replace")
      ? [...query.matchAll(/label_replace\(\n(.*?)\n,"forescale_key","(\d+)"/g)].map(([, part, key]) => ({ part, key }))
      : [{ part: query, key: undefined }];
    return parts.flatMap(({ part, key }) => {
      const labels = (pod?: string) =>
        new Map([...(key ? [[batchLabel, key] as const] : []), ...(pod ? [["pod", pod] as const] : [])]);
      if (part === "two") return ["a", "b"].map((pod) => ({ labels: labels(pod), timeMs: 1, value: 1 }));
      if (part === "nan") return [{ labels: labels(), timeMs: 1, value: NaN }];
      const number = /^v(\d+)/.exec(part)?.[1];
      return number === undefined ? [] : [{ labels: labels(), timeMs: 1, value: Number(number) }];
    });
  }
}

const many = (count: number) => Array.from({ length: count }, (_, i) => ({ key: `w${i}`, query: `v${i}` }));

describe("live values", () => {
  test("50 workloads are one request", async () => {
    const store = new FakeStore();
    const values = await new LiveValues().read(store, many(50));
    expect(store.asked).toHaveLength(1);
    expect(values.get("w49")).toEqual({ kind: "Value", value: 49, timeMs: 1 });
    expect(values.size).toBe(50);
  });

  test("batches stay below the length that stores take", async () => {
    const store = new FakeStore();
    const queries = many(60).map(({ key, query }) => ({ key, query: `${query} # ${"x".repeat(1_000)}` }));
    await new LiveValues().read(store, queries);
    expect(Math.max(...store.asked.map(({ length }) => length))).toBeLessThan(16_384);
    expect(store.asked.length).toBeLessThan(10);
  });

  test("a bad query takes no other with it, is found in few requests, and is asked alone from then on", async () => {
    const store = new FakeStore();
    const live = new LiveValues();
    const queries = [...many(63), { key: "broken", query: "bad" }];
    const values = await live.read(store, queries);
    expect(values.get("broken")).toMatchObject({ kind: "Failed", error: { code: "BadQuery" } });
    for (const { key } of many(63)) expect(values.get(key)?.kind).toBe("Value");
    expect(store.asked.length).toBeLessThanOrEqual(13);
    store.asked.length = 0;
    await live.read(store, queries);
    expect(store.asked).toHaveLength(2);
  });

  test("what is not there, NaN or two series belongs to its own key", async () => {
    const queries = ["v1", "none", "nan", "two"].map((query) => ({ key: query, query }));
    const values = await new LiveValues().read(new FakeStore(), queries);
    expect(values.get("v1")).toMatchObject({ kind: "Value", value: 1 });
    expect(values.get("none")).toEqual({ kind: "Missing" });
    expect(values.get("nan")).toEqual({ kind: "Missing" });
    const two = values.get("two");
    expect(two).toMatchObject({ kind: "Failed", error: { code: "ManySeries" } });
    expect(two?.kind === "Failed" && two.error.message).toMatch(/\{pod="a"\} and \{pod="b"\}/);
  });

  test("F16: a source that is down fails every key after one request", async () => {
    const store = new FakeStore();
    store.fails = () => new CollectError("Unreachable", "down");
    const values = await new LiveValues().read(store, [...many(250), { key: "x", query: "1, 2" }]);
    expect(values.size).toBe(251);
    expect([...values.values()].every((value) => value.kind === "Failed" && value.error.code === "Unreachable")).toBe(
      true,
    );
    expect(store.asked.length).toBeLessThanOrEqual(4); // as many as may run at once
  });

  test("a source that takes only small batches gets small batches from then on", async () => {
    const store = new FakeStore();
    store.fails = (query) => (query.length > 1_000 ? new CollectError("TooLarge", "too long") : undefined);
    const live = new LiveValues();
    expect([...(await live.read(store, many(40))).values()].every(({ kind }) => kind === "Value")).toBe(true);
    store.asked.length = 0;
    await live.read(store, many(40));
    expect(store.asked.every(({ length }) => length <= 1_000)).toBe(true);
  });
});

describe("a query in a batch", () => {
  test.each([
    "up",
    'sum by (a, b) (rate(x{a="}),"}[5m]))',
    "a # , ) comment",
    "`raw\\`",
    "{__name__=~\"a|b\",x='it\\'s'}",
    "max_over_time((a)[5m:1m])",
  ])("%s stands on its own", (query) => {
    expect(isSelfContained(query)).toBe(true);
  });

  test.each([
    'up,"k","1","","") or label_replace(up',
    "a, b",
    "a)",
    "(a",
    "a[5m)",
    '"open',
    "'line\nbreak'",
    'a "',
    "# only a comment hides the rest\n)",
    "",
  ])("%s is asked alone", (query) => {
    expect(isSelfContained(query)).toBe(false);
  });

  test("no self-contained query ends its argument early: brackets of the batch still pair up around it", () => {
    const piece = fc.constantFrom(
      "up",
      "(",
      ")",
      "{",
      "}",
      "[",
      "]",
      ",",
      '"',
      "'",
      "`",
      "\\",
      "#",
      "\n",
      " or ",
      '"k"',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const query = pieces.join("");
        if (!isSelfContained(query)) return;
        expect(isSelfContained(batchQuery([query]))).toBe(true);
        // The argument is all that stands between the opening and the first comma of its depth.
        expect(isSelfContained(`${query}\n,`)).toBe(false);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("F18: zeros right after an outage are not believed", () => {
  const value = (number: number) => ({ kind: "Value", value: number, timeMs: 0 }) as const;
  const missing = { kind: "Missing" } as const;

  test("for two windows, and only where there was load before", () => {
    const outage = new AfterOutage();
    const at = (key: string, seen: Parameters<AfterOutage["plausible"]>[1], minutes: number) =>
      outage.plausible(key, seen, minutes * 60_000, 60_000);
    expect(at("busy", value(100), 0)).toEqual(value(100));
    expect(at("idle", value(0), 0)).toEqual(value(0));
    at("busy", missing, 5);
    at("idle", missing, 5);
    expect(at("busy", value(0), 5.25)).toEqual(missing);
    expect(at("idle", value(0), 5.25)).toEqual(value(0));
    expect(at("busy", value(0), 6.9)).toEqual(missing);
    expect(at("busy", value(0), 7)).toEqual(value(0)); // two windows later it is the truth
    expect(at("busy", value(0), 7.25)).toEqual(value(0));
  });

  test("a value above zero counts at once, and a zero without an outage is believed", () => {
    const outage = new AfterOutage();
    outage.plausible("a", value(5), 0, 60_000);
    expect(outage.plausible("a", value(0), 15_000, 60_000)).toEqual(value(0));
    outage.plausible("a", value(5), 30_000, 60_000);
    outage.plausible("a", { kind: "Failed", error: new CollectError("Unreachable", "down") }, 45_000, 60_000);
    expect(outage.plausible("a", value(3), 60_000, 60_000)).toEqual(value(3));
  });
});
