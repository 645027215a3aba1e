import { afterEach, beforeEach, expect, test } from "vitest";
import type { MetricSource } from "../../../../src/api/kinds/metric-source.ts";
import { Sources } from "../../../../src/controllers/metric-source/sources.ts";
import { RegressionWatch } from "../../../../src/controllers/stability/regression-watch.ts";
import { Cache } from "../../../../src/kube/watch/cache.ts";
import { matrixOf, type Stub, startStub, succeed } from "../../collect/stub.ts";
import { nowMs, sourceOf } from "../objects.ts";

const change = {
  from: 4,
  to: 2,
  online: 3,
  percent: 50,
  beganMs: nowMs - 600_000,
  stepMs: nowMs - 300_000,
  isWatched: true,
};
const spec = {
  errorRate: { query: "errors / requests" },
  responseTime: { query: "latency" },
  tolerance: "20%",
};

/** What the store has at an instant, by the first word of the query. */
let valueAt: (query: string, timeMs: number) => number | undefined;
let stub: Stub;
let sources: Sources;
let watch: RegressionWatch;
let clockMs: number;

beforeEach(async () => {
  clockMs = nowMs;
  valueAt = () => 0.01;
  stub = await startStub(({ parameters }, response) => {
    const [start, end, step] = ["start", "end", "step"].map((name) => Number(parameters.get(name)));
    const query = parameters.get("query")!;
    const points = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, k) => start + k * step);
    const values = points.flatMap((at) => {
      const value = valueAt(query, at * 1000);
      return value === undefined ? [] : [[at, String(value)] as const];
    });
    succeed(response, "matrix", values.length > 0 ? matrixOf(values) : []);
  });
  const cache = new Cache<MetricSource>();
  cache.set(sourceOf("main", { default: true, url: stub.url, lag: "1s" }));
  sources = new Sources({
    cache,
    readSecret: async () => "",
    addresses: { allowLoopback: true },
    now: () => clockMs,
  });
  watch = new RegressionWatch({ sources, now: () => clockMs });
});
afterEach(async () => {
  sources.close();
  await stub.close();
});

const check = (more: Partial<typeof spec> = {}, under: typeof change | undefined = change) =>
  watch.check("store/shop/stabilityCheckers[0]", { ...spec, ...more }, "store", under);
const after = (was: number, is: number) => (_: string, timeMs: number) => (timeMs > change.stepMs ? is : was);

test("an unchanged measure passes, and so does every measure without a change in progress", async () => {
  expect(await check()).toEqual({ kind: "Passed" });
  const asked = stub.requests.length;
  expect(await watch.check("store/shop", spec, "store", undefined)).toEqual({ kind: "Passed" });
  expect(stub.requests).toHaveLength(asked);
});

test("each query is confined to the workload's namespace", async () => {
  await check();
  for (const { parameters } of stub.requests)
    expect(parameters.get("query")).toMatch(
      /^(errors\{namespace="store"\} \/ requests\{namespace="store"\}|latency\{namespace="store"\})$/,
    );
});

test.each([
  { measure: "error rate", of: "errors", was: 0.01, is: 0.03 },
  { measure: "response time", of: "latency", was: 0.1, is: 0.2 },
])("a $measure that rose after the change fails", async ({ measure, of, was, is }) => {
  const risen = after(was, is);
  valueAt = (query, timeMs) => (query.startsWith(of) ? risen(query, timeMs) : 0.01);
  expect(await check()).toEqual({
    kind: "Failed",
    message: `the ${measure} rose from ${was} to ${is} after the change`,
  });
});

test("a rise within the tolerance or the slack passes", async () => {
  valueAt = after(0.1, 0.115);
  expect(await check()).toEqual({ kind: "Passed" });
  valueAt = after(0.0001, 0.004);
  expect(await check({ tolerance: "20%" }, { ...change, beganMs: change.beganMs - 1 })).toEqual({ kind: "Passed" });
});

test("samples from before a change are read once, later ones at each check", async () => {
  await check();
  const first = stub.requests.length;
  clockMs += 15_000;
  await check();
  expect(first).toBe(4);
  expect(stub.requests.length - first).toBe(2);
});

test("a store without values, a failing store and a missing source give Unknown", async () => {
  valueAt = () => undefined;
  expect(await check()).toMatchObject({ kind: "Unknown", message: expect.stringContaining("before the change") });
  await stub.close();
  expect(await check({}, { ...change, beganMs: change.beganMs - 1 })).toMatchObject({
    kind: "Unknown",
    message: expect.stringMatching(/the error rate can't be read: metric source main .*refuses the connection/),
  });
  const elsewhere = { ...spec, errorRate: { source: "none", query: "errors" } };
  expect(await watch.check("store/shop", elsewhere, "store", change)).toMatchObject({
    kind: "Unknown",
    message: expect.stringContaining("MetricSource none does not exist"),
  });
});
