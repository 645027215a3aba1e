import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import type { MetricSpec } from "../../../../src/api/fields/metrics.ts";
import { collectMetrics } from "../../../../src/collect/metrics.ts";
import { HistoryStore } from "../../../../src/collect/metrics-api/history-store.ts";
import { selectorText } from "../../../../src/collect/metrics-api/metrics-api.ts";
import { quantityValue } from "../../../../src/collect/metrics-api/quantity.ts";
import { type SampleRequest, Sampler } from "../../../../src/collect/metrics-api/sampler.ts";
import type { PodRecord } from "../../../../src/collect/pods/pod-windows.ts";

const nowMs = Date.UTC(2026, 0, 5, 12);
const ago = (seconds: number) => nowMs - seconds * 1000;
const stamp = (seconds: number) => new Date(ago(seconds)).toISOString();
const target = { type: "AverageValue", averageValue: "1" } as const;

const pod = (name: string, readySinceSeconds: number | undefined): PodRecord => ({
  uid: name,
  namespace: "shop",
  name,
  createdMs: ago(10_000),
  scheduledMs: undefined,
  ready: readySinceSeconds === undefined ? [] : [{ fromMs: ago(readySinceSeconds), toMs: Infinity }],
  startupSeconds: undefined,
  endedMs: undefined,
});

const usage = (name: string, cpu: string, ageSeconds = 10) => ({
  metadata: { name },
  timestamp: stamp(ageSeconds),
  window: "15.5s",
  containers: [
    { name: "app", usage: { cpu, memory: "100Mi" } },
    { name: "proxy", usage: { cpu: "50m", memory: "28Mi" } },
  ],
});

/** An API server that has these paths, and remembers what it was asked. */
function apiOf(paths: Record<string, unknown>) {
  const asked: string[] = [];
  const get = async (path: string) => {
    asked.push(path);
    const answer = paths[path];
    if (answer === undefined) throw Object.assign(new Error("not found"), { code: "NotFound" });
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { get, asked };
}

const request = (spec: object, pods: PodRecord[] = []): SampleRequest => ({
  key: "shop/web/load",
  namespace: "shop",
  selector: "app=web",
  spec: spec as MetricSpec,
  stepMs: 60_000,
  pods,
});

async function sampled(paths: Record<string, unknown>, asking: SampleRequest) {
  const { values } = await new Sampler({ get: apiOf(paths).get, now: () => nowMs }).sample([asking]);
  return values.get(asking.key)!;
}

const podMetrics = "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods?labelSelector=app%3Dweb";
const cpu = { type: "Resource", resource: { name: "cpu", target } };

describe("resource metrics", () => {
  test.each<{ name: string; items: unknown[]; pods: PodRecord[]; value: number | undefined }>([
    {
      name: "are summed over containers and ready pods, in cores",
      items: [usage("a", "250m"), usage("b", "450000000n")],
      pods: [pod("a", 600), pod("b", 600)],
      value: 0.8,
    },
    {
      name: "of pods that are not ready do not count",
      items: [usage("a", "250m"), usage("b", "4")],
      pods: [pod("a", 600), pod("b", undefined)],
      value: 0.3,
    },
    {
      name: "of a pod's own start-up do not count: it stands in with the mean of the others, for the time it served",
      items: [usage("a", "250m"), usage("b", "4")],
      pods: [pod("a", 600), pod("b", 17.75)],
      value: 0.45,
    },
    {
      name: "of a pod that has none yet: the mean of the others",
      items: [usage("a", "250m"), usage("b", "450m")],
      pods: [pod("a", 600), pod("b", 600), pod("c", 600)],
      value: 1.2,
    },
    {
      name: "of most pods missing: missing",
      items: [usage("a", "1")],
      pods: [pod("a", 600), pod("b", 600), pod("c", 600)],
      value: undefined,
    },
    { name: "of no pod: missing, not zero", items: [], pods: [], value: undefined },
    { name: "of pods that nobody knows: missing", items: [usage("x", "1")], pods: [pod("a", 600)], value: undefined },
    { name: "that stopped long ago: missing", items: [usage("a", "1", 400)], pods: [pod("a", 900)], value: undefined },
    { name: "of the future: missing", items: [usage("a", "1", -90)], pods: [pod("a", 900)], value: undefined },
    { name: "that cannot be read: missing", items: [usage("a", "lots")], pods: [pod("a", 900)], value: undefined },
  ])("$name", async ({ items, pods, value }) => {
    const found = await sampled({ [podMetrics]: { items } }, request(cpu, pods));
    if (value === undefined) expect(found).toEqual({ kind: "Missing" });
    else expect(found).toMatchObject({ kind: "Value", value: expect.closeTo(value, 9), timeMs: ago(10) });
  });

  test("memory is in bytes, and one container's is its own", async () => {
    const paths = { [podMetrics]: { items: [usage("a", "1")] } };
    const memory = { type: "Resource", resource: { name: "memory", target } };
    const proxy = { type: "ContainerResource", containerResource: { name: "memory", container: "proxy", target } };
    expect(await sampled(paths, request(memory, [pod("a", 600)]))).toMatchObject({ value: 128 * 2 ** 20 });
    expect(await sampled(paths, request(proxy, [pod("a", 600)]))).toMatchObject({ value: 28 * 2 ** 20 });
  });
});

describe("custom and external metrics", () => {
  const discovery = { "/apis/custom.metrics.k8s.io": { versions: [{ version: "v1beta1" }, { version: "v1beta2" }] } };
  const item = (name: string, value: string) => ({ describedObject: { name }, timestamp: stamp(5), value });

  test("Pods are summed over ready pods", async () => {
    const path =
      "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/rps?labelSelector=app%3Dweb&metricLabelSelector=verb%3DGET";
    const spec = {
      type: "Pods",
      pods: { metric: { name: "rps", selector: { matchLabels: { verb: "GET" } } }, target },
    };
    const paths = { ...discovery, [path]: { items: [item("a", "1500m"), item("b", "2"), item("gone", "9")] } };
    expect(await sampled(paths, request(spec, [pod("a", 60), pod("b", 60)]))).toEqual({
      kind: "Value",
      value: 3.5,
      timeMs: ago(5),
    });
  });

  test("Object is the object's own, its kind found by discovery", async () => {
    const spec = {
      type: "Object",
      object: {
        describedObject: { apiVersion: "networking.k8s.io/v1", kind: "Ingress", name: "main" },
        metric: { name: "hits" },
        target,
      },
    };
    const paths = {
      ...discovery,
      "/apis/networking.k8s.io/v1": {
        resources: [
          { name: "ingresses/status", kind: "Ingress" },
          { name: "ingresses", kind: "Ingress" },
        ],
      },
      "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/ingresses.networking.k8s.io/main/hits": {
        items: [item("main", "12k")],
      },
    };
    expect(await sampled(paths, request(spec))).toMatchObject({ kind: "Value", value: 12_000 });
    const unknown = {
      ...spec,
      object: { ...spec.object, describedObject: { ...spec.object.describedObject, kind: "Ingres" } },
    };
    expect(await sampled(paths, request(unknown))).toMatchObject({ kind: "Failed", error: { code: "NotFound" } });
  });

  test("External is the sum of its items, and one that is no number makes it missing", async () => {
    const path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue?labelSelector=q+in+%28a%2Cb%29";
    const spec = {
      type: "External",
      external: {
        metric: { name: "queue", selector: { matchExpressions: [{ key: "q", operator: "In", values: ["a", "b"] }] } },
        target,
      },
    };
    expect(await sampled({ [path]: { items: [item("", "3"), item("", "4")] } }, request(spec))).toMatchObject({
      value: 7,
    });
    expect(await sampled({ [path]: { items: [item("", "3"), item("", "NaN")] } }, request(spec))).toEqual({
      kind: "Missing",
    });
  });

  test("our own answers are no load", async () => {
    const spec = { type: "External", external: { metric: { name: "forescale-replicas" }, target } };
    expect(await sampled({}, request(spec))).toMatchObject({ kind: "Failed", error: { code: "BadQuery" } });
  });

  test("discovery is asked once, and again after a failure", async () => {
    const spec = { type: "Pods", pods: { metric: { name: "rps" }, target } };
    const path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/rps?labelSelector=app%3Dweb";
    const paths: Record<string, unknown> = { [path]: { items: [] } };
    const { get, asked } = apiOf(paths);
    const sampler = new Sampler({ get, now: () => nowMs });
    expect((await sampler.sample([request(spec)])).values.get("shop/web/load")).toMatchObject({ kind: "Failed" });
    Object.assign(paths, discovery);
    for (let i = 0; i < 3; i++) await sampler.sample([request(spec)]);
    expect(asked.filter((each) => each === "/apis/custom.metrics.k8s.io")).toHaveLength(2);
  });
});

describe("a round", () => {
  test("one workload's failure is its own, and values are kept as steps", async () => {
    const store = new HistoryStore({ file: ":memory:" });
    const paths = { [podMetrics]: { items: [usage("a", "950m")] } };
    const sampler = new Sampler({ get: apiOf(paths).get, store, now: () => nowMs });
    const good = request(cpu, [pod("a", 600)]);
    const bad = { ...good, key: "other/web/load", namespace: "other" };
    const { values, storeFault } = await sampler.sample([bad, good]);
    expect(storeFault).toBeUndefined();
    expect(values.get(bad.key)).toMatchObject({
      kind: "Failed",
      error: { code: "NotFound", message: expect.stringContaining("adapter is installed") },
    });
    await sampler.sample([good]); // the same value told again
    expect([...store.read(good.key, 60_000, ago(600), nowMs).values]).toEqual([1]);
    expect(store.read(bad.key, 60_000, ago(600), nowMs).values).toHaveLength(0);
    store.close();
  });

  test("a store that fails loses history, not the present", async () => {
    const store = new HistoryStore({ file: ":memory:" });
    store.close();
    const sampler = new Sampler({
      get: apiOf({ [podMetrics]: { items: [usage("a", "1")] } }).get,
      store,
      now: () => nowMs,
    });
    const { values, storeFault } = await sampler.sample([request(cpu, [pod("a", 600)])]);
    expect(values.get("shop/web/load")?.kind).toBe("Value");
    expect(storeFault?.code).toBe("StoreFailed");
  });
});

test.each([
  ["250m", 0.25],
  ["1.5Gi", 1.5 * 2 ** 30],
  ["100n", 1e-7],
  ["2e3", 2000],
  ["-1", -1],
  ["5", 5],
  [7, 7],
  ["1E", 1e18],
  ["", NaN],
  ["abc", NaN],
  ["1 Gi", NaN],
  ["0x10", NaN],
  ["1e999", NaN],
  [null, NaN],
])("the quantity %o is %d", (quantity, value) => {
  expect(quantityValue(quantity)).toBe(value);
});

test("selectors are written as the API reads them", () => {
  const matchExpressions = [
    { key: "a", operator: "NotIn", values: ["x", "y"] },
    { key: "b", operator: "Exists" },
    { key: "c", operator: "DoesNotExist" },
  ];
  expect(selectorText({ matchLabels: { app: "web" }, matchExpressions })).toBe("app=web,a notin (x,y),b,!c");
  expect(selectorText(undefined)).toBe("");
});

test("requests, samples and gaps are counted", async () => {
  const registry = new Registry();
  const metrics = collectMetrics(registry);
  metrics.request({ source: "main", code: "OK", seconds: 0.2, samples: 5 });
  metrics.request({ source: "main", code: "Timeout", seconds: 10, samples: 0 });
  metrics.history("main", Float64Array.of(1, NaN, NaN));
  const text = await registry.metrics();
  expect(text).toContain('forescale_collect_requests_total{source="main",code="Timeout"} 1');
  expect(text).toContain('forescale_collect_samples_total{source="main"} 5');
  expect(text).toContain('forescale_collect_gaps_total{source="main"} 2');
  expect(text).toContain('forescale_collect_request_duration_seconds_count{source="main"} 2');
});
