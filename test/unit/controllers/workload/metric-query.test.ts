import { parser } from "@prometheus-io/lezer-promql";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MetricSpec } from "../../../../src/api/fields/metrics.ts";
import { loadQuery, podPattern, podTarget } from "../../../../src/controllers/workload/metric-query.ts";
import { cpuMetric, loadMetric, target } from "../objects.ts";

const average = { type: "AverageValue", averageValue: "1" } as const;

/** What a query is made of, by kinds of nodes, strings left out; undefined where it can't be parsed. */
function shapeOf(query: string): string[] | undefined {
  const shape: string[] = [];
  let isBroken = false;
  parser.parse(query).iterate({
    enter(node) {
      if (node.type.isError) isBroken = true;
      shape.push(node.name);
    },
  });
  return isBroken ? undefined : shape;
}

describe("queries", () => {
  test.each<{ name: string; spec: MetricSpec; query: string | undefined; isPerPod?: boolean; lookbackMs?: number }>([
    { name: "the user's own is the total, as it is", spec: { ...cpuMetric, query: "sum(x)" }, query: "sum(x)" },
    { name: "External", spec: loadMetric, query: 'sum({__name__="load"})' },
    {
      name: "External with a selector",
      spec: {
        type: "External",
        external: {
          metric: {
            name: "http.requests",
            selector: {
              matchLabels: { "app.kubernetes.io/name": "web" },
              matchExpressions: [
                { key: "zone", operator: "In", values: ["a.b", "c"] },
                { key: "old", operator: "DoesNotExist" },
              ],
            },
          },
          target: average,
        },
      },
      query: 'sum({__name__="http.requests",app_kubernetes_io_name="web",zone=~"a\\\\.b|c",old=""})',
    },
    {
      name: "Object",
      spec: {
        type: "Object",
        object: { describedObject: { kind: "Ingress", name: "front" }, metric: { name: "hits" }, target: average },
      },
      query: 'sum({__name__="hits",namespace="store",ingress="front"})',
    },
    {
      name: "Resource cpu: a rate of each pod",
      spec: cpuMetric,
      query:
        'sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="store",pod=~"web-[b-df-hj-np-tv-xz24-9]{1,10}-[b-df-hj-np-tv-xz24-9]{5}",container!=""}[120s]))',
      isPerPod: true,
      lookbackMs: 120_000,
    },
    {
      name: "ContainerResource memory: a level of each pod",
      spec: { type: "ContainerResource", containerResource: { name: "memory", container: "app", target: average } },
      query:
        'sum by (pod) (container_memory_working_set_bytes{namespace="store",pod=~"web-[b-df-hj-np-tv-xz24-9]{1,10}-[b-df-hj-np-tv-xz24-9]{5}",container="app"})',
      isPerPod: true,
    },
    {
      name: "a resource that cAdvisor has no name for",
      spec: { type: "Resource", resource: { name: "nvidia.com/gpu", target: average } },
      query: undefined,
    },
  ])("$name", ({ spec, query, isPerPod = false, lookbackMs = 0 }) => {
    const found = loadQuery(spec, target, "store");
    expect(found).toEqual(query === undefined ? undefined : { query, isPerPod, lookbackMs });
    if (query) expect(shapeOf(query)).toBeDefined();
  });

  test("names of any content stay inside their strings", () => {
    const odd = fc.oneof(
      fc.string({ unit: "binary", minLength: 1 }),
      fc.constantFrom('"', "\\", '"} or up{x="', "a\nb", "`", "$1", "))", "#", '\\"', "{}", "\u2028"),
    );
    const names = fc.record({ metric: odd, label: odd, value: odd, name: odd, namespace: odd, container: odd });
    const specs = ({
      metric,
      label,
      value,
      container,
    }: {
      metric: string;
      label: string;
      value: string;
      container: string;
    }) => {
      const selected = {
        name: metric,
        selector: {
          matchLabels: { [label]: value },
          matchExpressions: [{ key: label, operator: "In" as const, values: [value, metric] }],
        },
      };
      return [
        { type: "External", external: { metric: selected, target: average } },
        { type: "Pods", pods: { metric: selected, target: average } },
        {
          type: "Object",
          object: { describedObject: { kind: label, name: value }, metric: selected, target: average },
        },
        { type: "Resource", resource: { name: "cpu", target: average } },
        { type: "ContainerResource", containerResource: { name: "memory", container, target: average } },
      ] as MetricSpec[];
    };
    const plain = specs({ metric: "m", label: "l", value: "v", container: "c" }).map((spec) =>
      shapeOf(loadQuery(spec, { kind: "StatefulSet", name: "n" }, "ns")!.query),
    );
    fc.assert(
      fc.property(names, (some) => {
        const made = specs(some).map((spec) =>
          shapeOf(loadQuery(spec, { kind: "StatefulSet", name: some.name }, some.namespace)!.query),
        );
        expect(made).toEqual(plain);
      }),
      { numRuns: 500 },
    );
  });
});

describe("the pattern of pod names matches a workload's pods and no others", () => {
  const takes = (ref: { kind: string; name: string }, pod: string) => new RegExp(`^(?:${podPattern(ref)})$`).test(pod);
  const long = "a-name-of-a-deployment-that-is-as-long-as-names-may-be-in-here";
  test.each([
    { kind: "Deployment", name: "web", pod: "web-7d9f4c6b5d-x2kqz", is: true },
    { kind: "Deployment", name: "web", pod: "web-api-7d9f4c6b5d-x2kqz", is: false },
    { kind: "Deployment", name: "web-api", pod: "web-7d9f4c6b5d-x2kqz", is: false },
    { kind: "Deployment", name: "web", pod: "my-web-7d9f4c6b5d-x2kqz", is: false },
    { kind: "Deployment", name: "web", pod: "web-0", is: false },
    { kind: "Deployment", name: "web.v2", pod: "webxv2-7d9f4c6b5d-x2kqz", is: false },
    { kind: "StatefulSet", name: "db", pod: "db-10", is: true },
    { kind: "StatefulSet", name: "db", pod: "db-0-x", is: false },
    { kind: "StatefulSet", name: "db", pod: "db-read-0", is: false },
    { kind: "ReplicaSet", name: "web-7d9f4c6b5d", pod: "web-7d9f4c6b5d-x2kqz", is: true },
    { kind: "CloneSet", name: "web", pod: "web-x2kqz", is: true },
    { kind: "Rollout", name: "web", pod: "web-7d9f4c6b5d-x2kqz", is: true },
    // Kubernetes cuts the base at 58 characters, wherever that is.
    { kind: "Deployment", name: long, pod: `${long}-7d9f4c6b5d-`.slice(0, 58) + "x2kqz", is: true },
    {
      kind: "Deployment",
      name: long.slice(0, 50),
      pod: `${long.slice(0, 50)}-7d9f4c6b5d-`.slice(0, 58) + "x2kqz",
      is: true,
    },
  ])("$kind $name: $pod $is", ({ kind, name, pod, is }) => {
    expect(takes({ kind, name }, pod)).toBe(is);
  });
});

describe("what one pod should carry", () => {
  const requests = (resource: string, container?: string) =>
    resource === "cpu" ? (container === "side" ? 0.1 : 0.5) : undefined;
  test.each<{ name: string; spec: MetricSpec; requests?: typeof requests; says: number | RegExp }>([
    { name: "an average is it", spec: loadMetric, says: 10 },
    { name: "a share of the pod's requests", spec: cpuMetric, requests, says: 0.25 },
    {
      name: "a share of the container's own requests",
      spec: {
        type: "ContainerResource",
        containerResource: { name: "cpu", container: "side", target: { type: "Utilization", averageUtilization: 50 } },
      },
      requests,
      says: 0.05,
    },
    {
      name: "no request: what to do",
      spec: { type: "Resource", resource: { name: "memory", target: { type: "Utilization", averageUtilization: 50 } } },
      requests,
      says: /request no memory; add a request or give averageValue/,
    },
    { name: "no pod yet", spec: cpuMetric, says: /no pod yet/ },
    {
      name: "a Value says nothing of one pod",
      spec: {
        type: "Object",
        object: {
          describedObject: { kind: "Ingress", name: "x" },
          metric: { name: "hits" },
          target: { type: "Value", value: "5" },
        },
      },
      says: /Value target/,
    },
  ])("$name", ({ spec, requests, says }) => {
    const found = podTarget(spec, requests);
    if (typeof says === "number") expect(found).toEqual({ value: says });
    else expect(found).toEqual({ why: expect.stringMatching(says) });
  });
});
