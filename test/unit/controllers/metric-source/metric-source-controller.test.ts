import { beforeEach, expect, test } from "vitest";
import type { MetricSource } from "../../../../src/api/kinds/metric-source.ts";
import { CollectError } from "../../../../src/collect/collect-error.ts";
import { MetricSourceController } from "../../../../src/controllers/metric-source/metric-source-controller.ts";
import type { KubeObject } from "../../../../src/kube/client/resource.ts";
import { Cache } from "../../../../src/kube/watch/cache.ts";
import { iso, nowMs, sourceOf } from "../objects.ts";

let cache: Cache<MetricSource>;
let events: string[];
let written: MetricSource[];
let fault: CollectError | undefined;
let controller: MetricSourceController;

beforeEach(() => {
  [cache, events, written, fault] = [new Cache<MetricSource>(), [], [], undefined];
  const client = {
    instant: async () => {
      if (fault) throw fault;
      return [];
    },
  };
  controller = new MetricSourceController({
    // The cache never hears of it.
    applier: {
      applyStatus: async (_, wanted) => {
        if (isSource(wanted)) written.push(wanted);
        return { outcome: "Applied", object: wanted };
      },
    },
    events: { record: ({ type, reason }) => void events.push(`${type} ${reason}`) },
    sources: { get: async () => ({ kind: "Open", source: { client } }) },
    cache,
    now: () => nowMs,
  });
});

function isSource(object: KubeObject): object is MetricSource {
  return object.kind === "MetricSource";
}

async function conditionsOf(name: string): Promise<object> {
  await controller.reconcile(`/${name}`);
  const { status } = written.findLast(({ metadata }) => metadata.name === name)!;
  return Object.fromEntries(status!.conditions!.map(({ type, status: holds, reason }) => [type, `${holds} ${reason}`]));
}

test("of two default sources the younger reports that the older one is used; both are probed", async () => {
  cache.set(sourceOf("old", { default: true }, { creationTimestamp: iso(1000) }));
  cache.set(sourceOf("young", { default: true }, { creationTimestamp: iso(10) }));
  cache.set(sourceOf("named", {}, { creationTimestamp: iso(9999) }));
  expect(await conditionsOf("old")).toEqual({ Ready: "True SourceReached", Default: "True AsExpected" });
  expect(await conditionsOf("young")).toEqual({ Ready: "True SourceReached", Default: "False DefaultTaken" });
  expect(written.at(-1)?.status?.conditions?.[1].message).toContain("the older MetricSource old is the default");
  expect(await conditionsOf("named")).toEqual({ Ready: "True SourceReached" });
  cache.delete(cache.get({ namespace: "", name: "old" })!);
  expect(await conditionsOf("young")).toEqual({ Ready: "True SourceReached", Default: "True AsExpected" });
});

test("an unchanged status is not reported again while the cache lags behind", async () => {
  cache.set(sourceOf("main"));
  for (let k = 0; k < 3; k++) await controller.reconcile("/main");
  expect(events).toEqual(["Normal SourceReached"]);
  fault = new CollectError("Unauthorized", "metric source main refuses our credentials");
  for (let k = 0; k < 3; k++) await controller.reconcile("/main");
  expect(events).toEqual(["Normal SourceReached", "Warning SourceRefused"]);
  expect(written).toHaveLength(2);
});
