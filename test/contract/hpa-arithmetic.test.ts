import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Behavior } from "../../src/hpa/behavior.ts";
import { createHpa } from "../../src/hpa/hpa.ts";
import type { HpaMetric, MetricReading } from "../../src/hpa/metric-replicas.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { hostService } from "../cluster/host-service.ts";
import { addDeployment, addFakeNode, waitForReady } from "../cluster/objects.ts";
import { waitFor } from "../cluster/processes.ts";
import { describeControlPlane } from "../cluster/suite.ts";

/** What one HPA is given: its deployment's size, its metrics and what the metrics API answers. */
interface Case {
  readonly name: string;
  readonly replicas: number;
  readonly metrics: readonly HpaMetric[];
  /** By metric, as the API serves it: items of an external metric, or `null` for a 500; usage of each pod in cores, `null` for none. */
  readonly served: readonly (readonly (string | null)[] | null)[];
  readonly behavior?: Behavior;
  readonly minReplicas?: number;
  readonly maxReplicas?: number;
}

const average = (value: number, name = "load"): HpaMetric => ({
  type: "External",
  name,
  target: { type: "AverageValue", averageValue: value },
});
const whole = (value: number): HpaMetric => ({ type: "External", name: "load", target: { type: "Value", value } });
const cpu = (percent: number): HpaMetric => ({
  type: "Resource",
  name: "cpu",
  target: { type: "Utilization", averageUtilization: percent },
});
const exact: Behavior = { scaleUp: { tolerance: 0 }, scaleDown: { tolerance: 0, stabilizationWindowSeconds: 0 } };
const noWait: Behavior = { scaleDown: { stabilizationWindowSeconds: 0 } };

const cases: readonly Case[] = [
  { name: "our number, followed up", replicas: 3, metrics: [average(1)], served: [["7"]], behavior: exact },
  { name: "our number, followed down", replicas: 7, metrics: [average(1)], served: [["3"]], behavior: exact },
  { name: "one more of twenty, exact", replicas: 20, metrics: [average(1)], served: [["21"]], behavior: exact },
  { name: "one more of twenty, in the default band", replicas: 20, metrics: [average(1)], served: [["21"]] },
  { name: "beyond the default band", replicas: 20, metrics: [average(1)], served: [["23"]] },
  { name: "items are summed", replicas: 2, metrics: [average(1)], served: [["2", "3500m"]], behavior: exact },
  { name: "thousandths round up to a pod", replicas: 2, metrics: [average(1)], served: [["3001m"]], behavior: exact },
  {
    name: "a target per pod of two and a half",
    replicas: 2,
    metrics: [average(2.5)],
    served: [["11"]],
    behavior: exact,
  },
  { name: "down waits for the window", replicas: 8, metrics: [average(1)], served: [["2"]] },
  { name: "a literal zero", replicas: 5, metrics: [average(1)], served: [["0"]], behavior: exact, minReplicas: 2 },
  { name: "a negative value", replicas: 3, metrics: [average(1)], served: [["-5"]], behavior: exact, maxReplicas: 12 },
  {
    name: "more than maxReplicas",
    replicas: 3,
    metrics: [average(1)],
    served: [["50"]],
    behavior: exact,
    maxReplicas: 9,
  },
  {
    name: "fewer than minReplicas",
    replicas: 6,
    metrics: [average(1)],
    served: [["1"]],
    behavior: exact,
    minReplicas: 4,
  },
  { name: "an error holds the size", replicas: 4, metrics: [average(1)], served: [null], behavior: exact },
  { name: "an empty list holds the size", replicas: 4, metrics: [average(1)], served: [[]], behavior: exact },
  {
    name: "the larger of two metrics",
    replicas: 2,
    metrics: [average(1, "one"), average(2, "two")],
    served: [["4"], ["14"]],
    behavior: exact,
  },
  {
    name: "one metric fails: up still happens",
    replicas: 3,
    metrics: [average(1, "one"), average(1, "two")],
    served: [["6"], null],
    behavior: exact,
  },
  {
    name: "one metric fails: down does not",
    replicas: 6,
    metrics: [average(1, "one"), average(1, "two")],
    served: [["3"], null],
    behavior: exact,
  },
  { name: "Value multiplies by ready pods", replicas: 4, metrics: [whole(10)], served: [["15"]], maxReplicas: 6 },
  {
    name: "two pods a minute up",
    replicas: 2,
    metrics: [average(1)],
    served: [["9"]],
    behavior: { scaleUp: { policies: [{ type: "Pods", value: 2, periodSeconds: 60 }] } },
  },
  {
    name: "up disabled",
    replicas: 2,
    metrics: [average(1)],
    served: [["9"]],
    behavior: { scaleUp: { selectPolicy: "Disabled" } },
  },
  {
    name: "half of the pods a minute down",
    replicas: 8,
    metrics: [average(1)],
    served: [["1"]],
    behavior: {
      scaleDown: { stabilizationWindowSeconds: 0, policies: [{ type: "Percent", value: 50, periodSeconds: 60 }] },
    },
  },
  { name: "cpu over its target", replicas: 2, metrics: [cpu(50)], served: [["0.09", "0.09"]], maxReplicas: 4 },
  { name: "cpu in the band", replicas: 3, metrics: [cpu(50)], served: [["0.052", "0.05", "0.051"]] },
  {
    name: "cpu below its target, but two pods unknown",
    replicas: 4,
    metrics: [cpu(50)],
    served: [["0.04", "0.04", null, null]],
    behavior: noWait,
  },
];
const requestedCores = 0.1;
/** Long enough for several syncs of 2 s, short against any policy's period. */
const settleSeconds = 24;

describeControlPlane("our HPA arithmetic and the real controller's", () => {
  let plane: ControlPlane;
  let api: Server;
  const pods = new Map<string, string[]>();
  const final = new Map<string, number>();
  const id = (k: number) => `case-${k}`;

  beforeAll(async () => {
    plane = await startControlPlane();
    const { kubectl, pki } = plane;
    for (const node of ["node-1", "node-2"]) await addFakeNode(kubectl, node);
    const { certificate, key } = await pki.servingCertificate({ dnsNames: ["metrics.default.svc"] });
    api = createServer({ cert: certificate, key }, (request, response) => {
      const answer = answerTo(new URL(request.url!, "https://x"), pods);
      response.writeHead(answer ? 200 : 500, { "content-type": "application/json" }).end(JSON.stringify(answer ?? {}));
    });
    const [address] = await plane.hostAddresses(1);
    await new Promise<void>((done) => api.listen(0, address, done));
    await hostService(kubectl, {
      name: "metrics",
      namespace: "default",
      targets: [{ address, port: (api.address() as AddressInfo).port }],
    });
    for (const group of ["external.metrics.k8s.io", "metrics.k8s.io"])
      await kubectl(["apply", "-f", "-"], {
        apiVersion: "apiregistration.k8s.io/v1",
        kind: "APIService",
        metadata: { name: `v1beta1.${group}` },
        spec: {
          group,
          version: "v1beta1",
          groupPriorityMinimum: 100,
          versionPriority: 100,
          caBundle: Buffer.from(pki.clusterAuthority.certificate).toString("base64"),
          service: { name: "metrics", namespace: "default" },
        },
      });
    await Promise.all(
      cases.map(async ({ replicas }, k) => {
        await addDeployment(kubectl, {
          name: id(k),
          replicas,
          startupSeconds: 0,
          requests: { cpu: `${requestedCores * 1000}m` },
        });
        await waitForReady(kubectl, { name: id(k), ready: replicas });
        const names = await kubectl(["get", "pods", "-l", `app=${id(k)}`, "-o", "jsonpath={.items[*].metadata.name}"]);
        pods.set(id(k), names.split(" "));
      }),
    );
    await waitFor(
      "both metrics APIs",
      async () => (await kubectl(["get", "apiservices"])).match(/default\/metrics +True/g)?.length === 2,
    );
    await kubectl(["apply", "-f", "-"], {
      apiVersion: "v1",
      kind: "List",
      items: cases.map((each, k) => hpaObject(each, id(k))),
    });
    await sleep(settleSeconds * 1000);
    for (const k of cases.keys())
      final.set(id(k), Number(await kubectl(["get", "deployment", id(k), "-o", "jsonpath={.spec.replicas}"])));
  }, 900_000);

  afterAll(async () => {
    api?.close();
    await plane?.stop();
  });

  test.each(cases.map((each, k) => ({ ...each, k })))("$name", (each) => {
    expect(final.get(id(each.k))).toBe(ours(each));
  });
});

/** Where our arithmetic ends after as many syncs. */
function ours({ replicas, metrics, served, behavior, minReplicas = 1, maxReplicas = 100 }: Case): number {
  const hpa = createHpa({ minReplicas, maxReplicas, metrics, behavior });
  let size = replicas;
  for (let second = 0; second < settleSeconds; second += 2) {
    const readings = metrics.map((metric, m): MetricReading => {
      const items = served[m];
      if (items === null) return { kind: "Missing", why: "500" };
      if (metric.type !== "Resource") return { kind: "Values", values: items.map((item) => cores(item!)) };
      // Pods that came later have no usage yet; the metrics API answers for those of the start.
      const known = items.slice(0, size).map((item) => ({
        state: "Ready" as const,
        usage: item === null ? undefined : Number(item),
        request: requestedCores,
      }));
      const unknown = Array.from({ length: Math.max(0, size - items.length) }, () => ({
        state: "Ready" as const,
        usage: undefined,
        request: requestedCores,
      }));
      return { kind: "Pods", pods: [...known, ...unknown] };
    });
    size = hpa.step(second * 1000, readings, { spec: size, status: size, ready: size }).replicas;
  }
  return size;
}

function cores(quantity: string): number {
  return quantity.endsWith("m") ? Number(quantity.slice(0, -1)) / 1000 : Number(quantity);
}

function hpaObject({ metrics, behavior, minReplicas = 1, maxReplicas = 100 }: Case, name: string): object {
  const quantities = (direction: Behavior["scaleUp"]) =>
    direction && { ...direction, ...(direction.tolerance !== undefined && { tolerance: String(direction.tolerance) }) };
  return {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: { name, namespace: "default" },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
      minReplicas,
      maxReplicas,
      ...(behavior && {
        behavior: { scaleUp: quantities(behavior.scaleUp), scaleDown: quantities(behavior.scaleDown) },
      }),
      metrics: metrics.map((metric) =>
        metric.type === "Resource"
          ? { type: "Resource", resource: { name: metric.name, target: metric.target } }
          : {
              type: "External",
              external: {
                metric: { name: metric.name, selector: { matchLabels: { case: name } } },
                target: Object.fromEntries(
                  Object.entries(metric.target).map(([field, value]) => [
                    field,
                    typeof value === "number" ? `${value * 1000}m` : value,
                  ]),
                ),
              },
            },
      ),
    },
  };
}

/** Answers what the HPA controller asks; undefined is an error of the server. */
function answerTo(url: URL, pods: ReadonlyMap<string, string[]>): object | undefined {
  const [, , group, version, , , metric] = url.pathname.split("/");
  if (metric === undefined)
    return {
      kind: "APIResourceList",
      apiVersion: "v1",
      groupVersion: `${group}/${version}`,
      resources:
        group === "metrics.k8s.io"
          ? [{ name: "pods", namespaced: true, kind: "PodMetrics", verbs: ["get", "list"] }]
          : [],
    };
  const name = /case-\d+/.exec(url.searchParams.get("labelSelector") ?? "")?.[0] ?? "";
  const found = cases[Number(name.slice("case-".length))];
  const items = found?.served[found.metrics.findIndex((each) => each.name === metric || each.type === "Resource")];
  const timestamp = new Date().toISOString().replace(/\.\d+/, "");
  if (items === null || items === undefined) return undefined;
  if (group === "external.metrics.k8s.io")
    return {
      kind: "ExternalMetricValueList",
      apiVersion: `${group}/${version}`,
      metadata: {},
      items: items.map((value) => ({ metricName: metric, metricLabels: {}, timestamp, value })),
    };
  return {
    kind: "PodMetricsList",
    apiVersion: `${group}/${version}`,
    metadata: {},
    items: (pods.get(name) ?? []).flatMap((pod, k) =>
      items[k] === null || items[k] === undefined
        ? []
        : [
            {
              metadata: { name: pod, namespace: "default" },
              timestamp,
              window: "1s",
              containers: [{ name: "app", usage: { cpu: `${Math.round(Number(items[k]) * 1000)}m`, memory: "1Mi" } }],
            },
          ],
    ),
  };
}
