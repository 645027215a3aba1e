import { expect, test } from "vitest";
import { follows, managedHpa } from "../../../../src/controllers/ihpa/managed-hpa.ts";
import { hpaOf, ihpaOf } from "../objects.ts";

interface Direction {
  readonly stabilizationWindowSeconds: number;
  readonly tolerance?: string;
  readonly selectPolicy: string;
  readonly policies: readonly { readonly value: number }[];
}
interface ManagedSpec {
  readonly metrics: readonly object[];
  readonly behavior: { readonly scaleUp: Direction; readonly scaleDown: Direction };
}

const limits = { minReplicas: 2, maxReplicas: 40 };
const spec = (...args: Parameters<typeof managedHpa>) => managedHpa(...args).spec as ManagedSpec;

test("the managed HPA uses the served value as it is: AverageValue 1, not multiplied by ready pods", () => {
  expect(spec(ihpaOf(), limits, true).metrics).toEqual([
    {
      type: "External",
      external: {
        metric: { name: "forescale-replicas", selector: { matchLabels: { "forescale.io/ihpa": "shop" } } },
        target: { type: "AverageValue", averageValue: "1" },
      },
    },
  ]);
});

test("the managed HPA belongs to its IHPA and is found by it", () => {
  const { metadata } = managedHpa(ihpaOf(), limits, true);
  expect(metadata).toMatchObject({
    name: "forescale-shop",
    namespace: "store",
    labels: { "forescale.io/ihpa": "shop" },
    ownerReferences: [{ kind: "IntelligentHorizontalPodAutoscaler", uid: "ihpa-1", controller: true }],
  });
});

test.each([
  { name: "exact where the cluster can", exact: true, behavior: {}, up: "Max", down: "Max", tolerance: "0" },
  {
    name: "with the cluster's band below 1.35",
    exact: false,
    behavior: {},
    up: "Max",
    down: "Max",
    tolerance: undefined,
  },
  {
    name: "up forbidden",
    exact: true,
    behavior: { scaleUp: { disabled: true } },
    up: "Disabled",
    down: "Max",
    tolerance: "0",
  },
  {
    name: "down forbidden",
    exact: true,
    behavior: { scaleDown: { disabled: true } },
    up: "Max",
    down: "Disabled",
    tolerance: "0",
  },
])("behavior: $name", ({ exact, behavior, up, down, tolerance }) => {
  const { scaleUp, scaleDown } = spec(ihpaOf({ behavior }), limits, exact).behavior;
  for (const direction of [scaleUp, scaleDown]) {
    expect(direction.stabilizationWindowSeconds).toBe(0);
    expect(direction.tolerance).toBe(tolerance);
    // From one pod to the most that there can be within one round.
    expect(direction.policies[0].value / 100).toBeGreaterThan(1_000_000);
  }
  expect([scaleUp.selectPolicy, scaleDown.selectPolicy]).toEqual([up, down]);
});

test("a minimum of 0 becomes 1, as an HPA accepts no lower one", () => {
  expect(spec(ihpaOf({ minReplicas: 0 }), { minReplicas: 0, maxReplicas: 5 }, true)).toMatchObject({
    minReplicas: 1,
    maxReplicas: 5,
  });
});

test("an HPA follows an IHPA by the metric's name and label together", () => {
  expect(follows(hpaOf("theirs", { follows: true }), "shop")).toBe(true);
  expect(follows(hpaOf("theirs", { follows: true }), "other")).toBe(false);
  expect(follows(hpaOf("theirs"), "shop")).toBe(false);
});
