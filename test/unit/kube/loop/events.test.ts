import { Registry } from "prom-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EventRecorder, type Happening } from "../../../../src/kube/loop/events.ts";
import { kubeMetrics } from "../../../../src/kube/metrics.ts";
import { CountingClient } from "../counting-client.ts";
import { FakeApiServer, status } from "../fake-api-server.ts";
import { FakeClock } from "../fake-clock.ts";

const base = "/apis/events.k8s.io/v1/namespaces/shop/events";

let server: FakeApiServer;
let clock: FakeClock;
let client: CountingClient;
let recorder: EventRecorder;
let registry: Registry;

beforeEach(async () => {
  server = await new FakeApiServer().start();
  clock = new FakeClock();
  registry = new Registry();
  client = new CountingClient(server.connection(), { clock, qps: 1000, burst: 1000 });
  recorder = new EventRecorder({
    client,
    controller: "forescale.io/controller",
    instance: "controller-0",
    clock,
    metrics: kubeMetrics(registry),
  });
});
afterEach(async () => server.kill());

const happening = (more: Partial<Happening> = {}): Happening => ({
  regarding: {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "IntelligentHorizontalPodAutoscaler",
    metadata: { name: "web", namespace: "shop", uid: "u-1" },
  },
  type: "Normal",
  reason: "ScaledUp",
  action: "Rescale",
  note: "3 to 5 pods: the forecast asks for them",
  ...more,
});

interface EventObject {
  metadata: { name: string; namespace: string };
  series?: { count: number; lastObservedTime: string };
  note: string;
}
const stored = () => [...server.objects.values()] as unknown as EventObject[];
const outcomes = async (outcome: string) =>
  Number(
    (await registry.getSingleMetric("forescale_kube_events_total")!.get()).values.find(
      (v) => v.labels.outcome === outcome,
    )?.value ?? 0,
  );

test("an Event says what, why, about which object and by whom", async () => {
  recorder.record(happening());
  await recorder.flush();
  expect(server.requests("POST")[0].path).toBe(base);
  expect(stored()[0]).toMatchObject({
    type: "Normal",
    reason: "ScaledUp",
    action: "Rescale",
    note: "3 to 5 pods: the forecast asks for them",
    reportingController: "forescale.io/controller",
    reportingInstance: "controller-0",
    regarding: { kind: "IntelligentHorizontalPodAutoscaler", namespace: "shop", name: "web", uid: "u-1" },
  });
  expect(stored()[0].metadata.name).toMatch(/^web\.[0-9a-f]{16}$/);
});

test("the same again is counted on the first Event: at once for the second, then every 30 s", async () => {
  for (let i = 0; i < 50; i++) {
    recorder.record(happening());
    await client.idle();
    await clock.advance(1_000);
  }
  await recorder.flush();
  expect(stored()).toHaveLength(1);
  expect(stored()[0].series?.count).toBe(50);
  expect(server.requests("POST")).toHaveLength(1);
  expect(server.requests("PATCH").length).toBeLessThanOrEqual(3);
});

test("a series that was silent for 6 minutes starts anew", async () => {
  recorder.record(happening());
  await recorder.flush();
  await clock.advance(6 * 60_000);
  recorder.record(happening());
  await recorder.flush();
  expect(stored()).toHaveLength(2);
});

test("different notes for one object and reason: five at once, then two a minute; another reason is not held up", async () => {
  for (let i = 0; i < 20; i++) recorder.record(happening({ note: `note ${i}` }));
  recorder.record(happening({ reason: "Held", type: "Warning" }));
  await recorder.flush();
  expect(stored()).toHaveLength(6);
  expect(await outcomes("Limited")).toBe(15);
  await clock.advance(30_000);
  recorder.record(happening({ note: "later" }));
  recorder.record(happening({ note: "too soon" }));
  await recorder.flush();
  expect(stored()).toHaveLength(7);
});

test("an API server that refuses Events is counted and disturbs nobody; the same again is tried anew", async () => {
  server.intercept = (_, response) => {
    status(response, 403, "Forbidden", "events.k8s.io is forbidden");
    return true;
  };
  expect(() => recorder.record(happening())).not.toThrow();
  await recorder.flush();
  expect(await outcomes("Failed")).toBe(1);
  server.intercept = () => false;
  recorder.record(happening());
  await recorder.flush();
  expect(stored()).toHaveLength(1);
});

test("what cannot even be described does not throw", async () => {
  recorder.record(happening({ regarding: undefined as never }));
  await recorder.flush();
  expect(await outcomes("Failed")).toBe(1);
});

test("an Event that expired at the server starts anew", async () => {
  recorder.record(happening());
  await recorder.flush();
  server.remove(base, stored()[0].metadata.name);
  recorder.record(happening());
  await recorder.flush();
  recorder.record(happening());
  await recorder.flush();
  expect(stored()).toHaveLength(1);
});

test("a note is cut at 1024 bytes and keeps whole characters", async () => {
  recorder.record(happening({ note: "é".repeat(900) }));
  await recorder.flush();
  const { note } = stored()[0];
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024);
  expect(note).toMatch(/^é+…$/);
});

test("an Event about a cluster-scoped object stands in the namespace default", async () => {
  recorder.record(happening({ regarding: { kind: "MetricSource", metadata: { name: "prometheus" } } }));
  await recorder.flush();
  expect(stored()[0].metadata.namespace).toBe("default");
});

test("500 Events may wait; more are dropped and counted", async () => {
  server.intercept = () => new Promise(() => {});
  for (let i = 0; i < 600; i++) {
    const { regarding, ...rest } = happening();
    recorder.record({ ...rest, regarding: { ...regarding, metadata: { ...regarding.metadata, uid: `u-${i}` } } });
  }
  expect(await outcomes("Limited")).toBe(100);
});
