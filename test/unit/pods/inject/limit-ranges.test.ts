import { describe, expect, test } from "vitest";
import { type LimitRangeItem, withinLimits } from "../../../../src/pods/inject/limit-ranges.ts";

const usual = { requests: { cpu: "10m", memory: "48Mi" }, limits: { memory: "256Mi" } };
const guaranteed = { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "100m", memory: "128Mi" } };
const spec = { containers: [{ resources: { requests: { cpu: "500m", memory: "1Gi" }, limits: { memory: "2Gi" } } }] };
const ofContainers = (item: LimitRangeItem) => [{ type: "Container", ...item }];

describe("a sidecar within a namespace's LimitRanges", () => {
  test.each<{ name: string; items: LimitRangeItem[]; has?: object; is: object }>([
    { name: "none", items: [], is: usual },
    {
      name: "a minimum above what it asks for",
      items: ofContainers({ min: { cpu: "50m", memory: "64Mi" } }),
      is: { requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: "256Mi" } },
    },
    {
      name: "a minimum above its limit",
      items: ofContainers({ min: { memory: "512Mi" } }),
      is: { requests: { cpu: "10m", memory: "512Mi" }, limits: { memory: "512Mi" } },
    },
    {
      name: "a maximum below its limit, and one that demands a limit",
      items: ofContainers({ max: { cpu: "2", memory: "200Mi" } }),
      is: { requests: { cpu: "10m", memory: "48Mi" }, limits: { cpu: "2", memory: "200Mi" } },
    },
    {
      name: "a ratio: the request grows",
      items: ofContainers({ maxLimitRequestRatio: { memory: "2" } }),
      is: { requests: { cpu: "10m", memory: "134217728" }, limits: { memory: "256Mi" } },
    },
    {
      name: "a ratio of CPU with a default limit, as the API server sets it",
      items: ofContainers({
        default: { cpu: "1" },
        defaultRequest: { cpu: "500m" },
        maxLimitRequestRatio: { cpu: "4" },
      }),
      is: { requests: { cpu: "250m", memory: "48Mi" }, limits: { cpu: "1", memory: "256Mi" } },
    },
    {
      name: "a minimum, for a pod that is to stay Guaranteed",
      items: ofContainers({ min: { cpu: "200m" } }),
      has: guaranteed,
      is: { requests: { cpu: "200m", memory: "128Mi" }, limits: { cpu: "200m", memory: "128Mi" } },
    },
    {
      name: "two, of which the narrower holds",
      items: [
        ...ofContainers({ min: { cpu: "20m" } }),
        ...ofContainers({ min: { cpu: "30m" }, max: { memory: "1Gi" } }),
      ],
      is: { requests: { cpu: "30m", memory: "48Mi" }, limits: { memory: "256Mi" } },
    },
    { name: "enough for the pod", items: [{ type: "Pod", max: { memory: "2304Mi" } }], is: usual },
    { name: "another kind", items: [{ type: "PersistentVolumeClaim", max: { storage: "1Gi" } }], is: usual },
    { name: "one that can't be read", items: ofContainers({ min: { cpu: "much" } as never }), is: usual },
  ])("$name", ({ items, has = usual, is }) => {
    expect(withinLimits(has, spec, items)).toEqual(is);
  });

  test.each<{ name: string; items: LimitRangeItem[] }>([
    { name: "less memory than it works with", items: ofContainers({ max: { memory: "64Mi" } }) },
    { name: "no room in the pod", items: [{ type: "Pod", max: { memory: "2Gi" } }] },
    {
      name: "a ratio that the pod as a whole no longer keeps",
      items: [{ type: "Pod", maxLimitRequestRatio: { memory: "2" } }],
    },
    {
      name: "two that leave nothing between them",
      items: [...ofContainers({ min: { cpu: "2" } }), ...ofContainers({ max: { cpu: "1" } })],
    },
  ])("$name: there is none, with the remedy", ({ items }) => {
    expect(withinLimits(usual, spec, items)).toMatch(
      /^gets no sidecar within the namespace's LimitRange .*; raise its/,
    );
  });

  test("a pod that asks for nothing is given what the LimitRange demands, and nothing else", () => {
    expect(withinLimits(undefined, { containers: [{}] }, [])).toBeUndefined();
    expect(withinLimits(undefined, { containers: [{}] }, ofContainers({ min: { cpu: "20m" } }))).toEqual({
      requests: { cpu: "20m" },
      limits: {},
    });
  });
});
