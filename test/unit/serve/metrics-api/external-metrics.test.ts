import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { negotiate } from "../../../../src/serve/http/accept.ts";
import { readRequestLine } from "../../../../src/serve/http/request-attributes.ts";
import { isRefusal, type Refusal } from "../../../../src/serve/http/status.ts";
import {
  answerMetrics,
  type MetricAnswer,
  readMetricQuery,
} from "../../../../src/serve/metrics-api/external-metrics.ts";
import { MemorySnapshot } from "../../../../src/serve/metrics-api/snapshot.ts";
import { handClock, ihpaOf } from "../serve-world.ts";

const clock = handClock();
const time = new Date(clock.wallMs() - 4700).toISOString();
const load = (name: string, value: number) => ({ name, value });

function snapshotOf(...ihpas: Parameters<typeof ihpaOf>[]): MemorySnapshot {
  const snapshot = new MemorySnapshot(clock);
  for (const each of ihpas) snapshot.setIhpa(ihpaOf(...each));
  return snapshot;
}

function ask(snapshot: MemorySnapshot, url: string): MetricAnswer | Refusal {
  const query = readMetricQuery(
    "GET",
    readRequestLine("GET", `/apis/external.metrics.k8s.io/v1beta1/namespaces/${url}`)!,
  );
  return isRefusal(query) ? query : answerMetrics(query, snapshot, clock.wallMs());
}

function itemsOf(answer: MetricAnswer | Refusal) {
  if (isRefusal(answer)) return answer.code;
  return JSON.parse(answer.body).items as { metricLabels: Record<string, string>; timestamp: string; value: unknown }[];
}

const selector = (text: string) => `labelSelector=${encodeURIComponent(text)}`;

describe("an answer", () => {
  const snapshot = snapshotOf(
    ["web", { decision: { time, total: 12, load: [load("rps", 480.5)] } }],
    ["api", { decision: { time, total: 3, load: [load("rps", 1), load("cpu", 2)] } }],
    ["looking", { spec: { scaleMode: "Preview" }, decision: { time } }],
  );

  test("has one item with a Quantity as text and a time in whole seconds", () => {
    expect(itemsOf(ask(snapshot, `default/forescale-replicas?${selector("forescale.io/ihpa=web")}`))).toEqual([
      {
        metricName: "forescale-replicas",
        metricLabels: { "forescale.io/ihpa": "web", "forescale.io/rung": "Fresh", "forescale.io/reason": "Predicted" },
        timestamp: `${time.slice(0, 19)}Z`,
        value: "12",
      },
    ]);
  });

  test.each([
    ["forescale.io/ihpa in (web, api),forescale.io/ihpa!=api", ["web"]],
    ["forescale.io/ihpa==api", ["api"]],
    ["", ["api", "web"]],
    ["forescale.io/ihpa", ["api", "web"]],
    ["!forescale.io/metric", ["api", "web"]],
    ["forescale.io/ihpa notin (web)", ["api"]],
    ["forescale.io/ihpa=looking", 404],
    ["forescale.io/ihpa=none", 404],
    ["app=web", 404],
    ["forescale.io/ihpa=web,app=web", 404],
    ["!forescale.io/ihpa", 404],
    ["forescale.io/ihpa>3", 404],
    ["targetNamespace=other", 404],
    ["forescale.io/rung=Fresh", 404],
    ["===x,,", 400],
    ["a in (", 400],
    ["a=b=c", 400],
    ["a=b,", 400],
    [",a=b", 400],
    ["a in b", 400],
    ["a=-", 400],
    ["a>b", 400],
    ["!a=b", 400],
    ["/=a", 400],
    [`a=${"x".repeat(64)}`, 400],
    [`a=${"x".repeat(9000)}`, 400],
  ])("to the selector %j is %j", (text, expected) => {
    const items = itemsOf(ask(snapshot, `default/forescale-replicas?${selector(text)}`));
    expect(
      typeof items === "number" ? items : items.map(({ metricLabels }) => metricLabels["forescale.io/ihpa"]),
    ).toEqual(expected);
  });

  test("a plus in a query is a space", () => {
    expect(
      itemsOf(ask(snapshot, "default/forescale-replicas?labelSelector=forescale.io/ihpa+in+%28web%29")),
    ).toHaveLength(1);
  });

  test("of loads is one value, never a sum of different things", () => {
    const value = (text: string) => {
      const items = itemsOf(ask(snapshot, `default/forescale-load?${selector(text)}`));
      return typeof items === "number" ? items : items.map((item) => item.value);
    };
    expect(value("forescale.io/ihpa=web")).toEqual(["480500m"]);
    expect(value("forescale.io/ihpa=api")).toBe(400);
    expect(value("forescale.io/ihpa=api,forescale.io/metric=cpu")).toEqual(["2"]);
    expect(value("forescale.io/ihpa=api,forescale.io/metric=none")).toBe(404);
  });

  test("is an error as a whole when one of its items is", () => {
    const silent = snapshotOf(["web", { decision: { time, total: 12 } }], ["new", {}]);
    const answer = ask(silent, "default/forescale-replicas");
    expect(answer).toMatchObject({ code: 503, reason: "ServiceUnavailable", details: { name: "new" } });
    expect(itemsOf(ask(silent, `default/forescale-replicas?${selector("forescale.io/ihpa=web")}`))).toHaveLength(1);
  });

  test("comes from the namespace of the path alone", () => {
    expect(itemsOf(ask(snapshot, `other/forescale-replicas?${selector("forescale.io/ihpa=web")}`))).toBe(404);
    expect(
      itemsOf(ask(snapshot, `other/forescale-replicas?namespace=default&${selector("forescale.io/ihpa=web")}`)),
    ).toBe(404);
  });
});

test("a value is a decimal text without exponent, whatever was decided", () => {
  const value = fc.oneof(fc.double(), fc.double({ min: 0, max: 1e13 }), fc.integer());
  fc.assert(
    fc.property(value, (decided) => {
      const snapshot = snapshotOf(["web", { decision: { time, load: [load("rps", decided)] } }]);
      const answer = ask(snapshot, "default/forescale-load");
      if (isRefusal(answer)) expect(answer.code).toBe(503);
      else expect((itemsOf(answer) as { value: unknown }[])[0].value).toMatch(/^[0-9]{1,16}m?$/);
    }),
  );
});

test("no selector is answered with an empty list, a crash, or an IHPA that it does not name", () => {
  const snapshot = snapshotOf(["web", { decision: { time } }], ["api", { decision: { time } }]);
  const piece = fc.constantFrom(
    "a",
    "forescale.io/ihpa",
    "web",
    "=",
    "==",
    "!=",
    "!",
    "in",
    "notin",
    "(",
    ")",
    ",",
    " ",
    ">",
    "1",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
      ),
      (text) => {
        const items = itemsOf(ask(snapshot, `default/forescale-replicas?${selector(text)}`));
        if (typeof items === "number") expect([400, 404]).toContain(items);
        else expect(items.length).toBeGreaterThan(0);
      },
    ),
    { numRuns: 1000 },
  );
});

describe("the Accept header", () => {
  const v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  test.each([
    [undefined, "Json"],
    ["", "Json"],
    ["*/*", "Json"],
    ["application/*", "Json"],
    ["Application/JSON; charset=utf-8", "Json"],
    ["application/vnd.kubernetes.protobuf, */*", "Json"],
    ["application/yaml", "None"],
    ["application/json;as=Table;v=v1;g=meta.k8s.io", "None"],
    ["application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "Json"],
    ["application/json;stream=watch", "None"],
    ["application/json;q=0", "None"],
    ["garbage", "None"],
    [v2, "None"],
    [`${v2},application/json`, "Json"],
  ])("%j is answered with %s", (accept, kind) => {
    expect(negotiate(accept).kind).toBe(kind);
  });

  test.each([
    [`${v2},${v2.replace("v=v2", "v=v2beta1")},application/json`, { kind: "Discovery", version: "v2" }],
    [`${v2.replace("v=v2", "v=v2beta1")},application/json`, { kind: "Discovery", version: "v2beta1" }],
    [`${v2};q=0.5,application/json`, { kind: "Json" }],
    [`${v2.replace("v=v2", "v=v3")},application/json`, { kind: "Json" }],
  ])("for discovery, %j is answered with %j", (accept, expected) => {
    expect(negotiate(accept, true)).toEqual(expected);
  });
});
