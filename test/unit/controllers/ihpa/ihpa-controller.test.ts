import { Registry } from "prom-client";
import { beforeEach, expect, test } from "vitest";
import type { HorizontalPortrait } from "../../../../src/api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { ReplicaProfile } from "../../../../src/api/kinds/replica-profile.ts";
import { IhpaController } from "../../../../src/controllers/ihpa/ihpa-controller.ts";
import type { HorizontalPodAutoscaler } from "../../../../src/controllers/ihpa/managed-hpa.ts";
import { controllerMetrics } from "../../../../src/controllers/metrics.ts";
import type { Pod } from "../../../../src/controllers/pods/workload-pods.ts";
import type { LiveLoad, PastLoad } from "../../../../src/controllers/workload/metric-subject.ts";
import { Workloads } from "../../../../src/controllers/workload/workload-memory.ts";
import type { KubeObject } from "../../../../src/kube/client/resource.ts";
import { silent } from "../../../../src/kube/log.ts";
import { Cache } from "../../../../src/kube/watch/cache.ts";
import { ihpaOf, nowMs, podOf } from "../objects.ts";

const key = "store/shop";
const minute = 60_000;

let clockMs: number;
let live: LiveLoad;
let answerPast: (past: PastLoad) => void;
let events: string[];
let woken: string[];
let statuses: IntelligentHorizontalPodAutoscaler[];
let controller: IhpaController;

/** Ten days of a load with a daily rhythm, until now. */
function tenDays(): PastLoad {
  const values = Float64Array.from({ length: 14_400 }, (_, k) => 50 + 40 * Math.sin((2 * Math.PI * k) / 1440));
  return { kind: "Known", series: { startMs: nowMs - values.length * minute, stepMs: minute, values } };
}

// The cache never hears of what is written: it lags behind for the whole test.
beforeEach(() => {
  [clockMs, events, woken, statuses] = [nowMs, [], [], []];
  live = { value: 50, lagMs: 30_000 };
  const ihpas = new Cache<IntelligentHorizontalPodAutoscaler>();
  ihpas.set(ihpaOf());
  const pods = new Cache<Pod>();
  for (const name of ["web-a", "web-b", "web-c"]) pods.set(podOf(name, 600));
  const past = new Promise<PastLoad>((resolve) => {
    answerPast = resolve;
  });
  const metrics = controllerMetrics(new Registry());
  controller = new IhpaController({
    client: { remove: async () => true },
    applier: {
      apply: async (_, wanted) => ({ outcome: "Applied", object: wanted }),
      applyStatus: async (_, wanted) => {
        if (isIhpa(wanted)) statuses.push(wanted);
        return { outcome: "Applied", object: wanted };
      },
      forget: () => {},
    },
    scales: {
      read: async () => ({ replicas: 3, statusReplicas: 3, selector: "app=web", resourceVersion: "1", uid: "web-1" }),
    },
    events: { record: ({ type, reason }) => void events.push(`${type} ${reason}`) },
    metricReader: {
      follow: () => {},
      forget: () => {},
      hasAsked: () => true,
      now: () => live,
      pods: async () => [],
      past: () => past,
    },
    store: undefined,
    workloads: new Workloads(),
    burstPortraits: { show: async () => {} },
    checks: { decision: () => undefined, forget: () => {} },
    caches: {
      ihpas,
      pods,
      portraits: new Cache<HorizontalPortrait>(),
      profiles: new Cache<ReplicaProfile>(),
      hpas: new Cache<HorizontalPodAutoscaler>(),
    },
    exactHpa: true,
    tickMs: 15_000,
    syncSeconds: 15,
    metrics,
    log: silent,
    now: () => clockMs,
    onLearnt: (learnt) => void woken.push(learnt),
  });
});

function isIhpa(object: KubeObject): object is IntelligentHorizontalPodAutoscaler {
  return object.kind === "IntelligentHorizontalPodAutoscaler";
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 10));
const last = () => statuses.at(-1)!.status!;
const conditionOf = (type: string) => last().conditions?.find((each) => each.type === type);

test("the first decision waits until the history is read, and then is no fallback", async () => {
  await controller.reconcile(key);
  clockMs += 2_000;
  await controller.reconcile(key);
  expect(statuses).toEqual([]);
  answerPast(tenDays());
  await settled();
  expect(woken).toEqual([key]);
  await controller.reconcile(key);
  expect(last().decision?.rung).toBe("Fresh");
  expect(conditionOf("Fallback")).toMatchObject({ status: "False", reason: "Fresh" });
  expect(events).toEqual(["Normal Ready", "Normal DesiredReplicasChanged"]);
});

test("the first decision does not wait for a history that could not be read; the reason shows when the fallback lasts", async () => {
  await controller.reconcile(key);
  answerPast({ kind: "Unknown", fault: { reason: "SourceUnreachable", message: "main did not answer" } });
  await settled();
  expect(woken).toEqual([key]);
  for (let k = 0; k < 2; k++) {
    await controller.reconcile(key);
    expect(last().decision?.rung).toBe("Reactive");
    expect(events).not.toContain("Warning FallbackEntered");
    clockMs += 15_000;
  }
  await controller.reconcile(key);
  expect(events.filter((event) => event === "Warning FallbackEntered")).toHaveLength(1);
});

test("the first decision waits half a minute for a history that never comes", async () => {
  await controller.reconcile(key);
  clockMs += 29_000;
  await controller.reconcile(key);
  expect(statuses).toEqual([]);
  clockMs += 1_500;
  await controller.reconcile(key);
  expect(last().decision?.total).toBeGreaterThanOrEqual(5);
});

test("an unchanged status is not reported again while the cache lags behind", async () => {
  answerPast(tenDays());
  await controller.reconcile(key);
  await settled();
  for (let k = 0; k < 5; k++) {
    await controller.reconcile(key);
    clockMs += 100;
  }
  expect(statuses).toHaveLength(1);
  expect(events).toEqual(["Normal Ready", "Normal DesiredReplicasChanged"]);
});

test("a metric with neither history nor live value makes the IHPA not Ready, with the metric's reason", async () => {
  live = { value: null, lagMs: 30_000, fault: { reason: "NoMetrics", message: "the source has no value now" } };
  answerPast({ kind: "Unknown", fault: { reason: "NoMetrics", message: "nothing in 14d" } });
  await controller.reconcile(key);
  await settled();
  await controller.reconcile(key);
  expect(last().decision?.rung).toBe("Held");
  expect(conditionOf("Ready")).toMatchObject({
    status: "False",
    reason: "NoMetrics",
    message: expect.stringContaining("load: the source has no value now"),
  });
  expect(conditionOf("Fallback")).toMatchObject({ status: "True", reason: "Held" });
});
