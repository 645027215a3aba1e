import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createHpa, type HpaSpec, recommend } from "../../../src/hpa/hpa.ts";
import type { MetricReading, PodReading } from "../../../src/hpa/metric-replicas.ts";
import { toMilli } from "../../../src/hpa/milli.ts";

const values = (...of: number[]): MetricReading => ({ kind: "Values", values: of });
const gone: MetricReading = { kind: "Missing", why: "503" };
const counts = (spec: number, status = spec, ready = status) => ({ spec, status, ready });
const external = (averageValue: number) =>
  ({ type: "External", name: "load", target: { type: "AverageValue", averageValue } }) as const;
const externalValue = (value: number) =>
  ({ type: "External", name: "load", target: { type: "Value", value } }) as const;
const spec = (more: Partial<HpaSpec> = {}): HpaSpec => ({
  minReplicas: 1,
  maxReplicas: 100,
  metrics: [external(1)],
  ...more,
});
const exact = { scaleUp: { tolerance: 0 }, scaleDown: { tolerance: 0 } };

describe("External AverageValue", () => {
  test.each([
    { name: "items are summed", of: [3, 4], have: counts(2), wants: 7, reason: "DesiredWithinRange" },
    {
      name: "22 is wanted, 24 asked: the default band holds 22",
      of: [24],
      have: counts(22),
      wants: 22,
      reason: "Tolerance",
    },
    { name: "20 replicas, 21 served: held by the band", of: [21], have: counts(20), wants: 20, reason: "Tolerance" },
    {
      name: "inside the band status.replicas comes back, not spec",
      of: [10],
      have: counts(10, 11),
      wants: 11,
      reason: "Tolerance",
    },
    {
      name: "outside it the number is load over target, whatever is ready",
      of: [8],
      have: counts(6, 6, 0),
      wants: 8,
      reason: "DesiredWithinRange",
    },
    {
      name: "sub-milli residue rounds up and adds a pod",
      of: [5.000000001],
      have: counts(1),
      wants: 6,
      reason: "DesiredWithinRange",
    },
    {
      name: "what does not fit thousandths reads as 0",
      of: [1e16],
      have: counts(5),
      wants: 0,
      reason: "DesiredWithinRange",
    },
    {
      name: "9e15 still works, as the largest count there is",
      of: [9e15],
      have: counts(5),
      wants: 2 ** 31 - 1,
      reason: "DesiredWithinRange",
    },
    {
      name: "a negative sum is taken for an overflow",
      of: [5, -6],
      have: counts(5),
      wants: 2 ** 31 - 1,
      reason: "DesiredWithinRange",
    },
    { name: "0 is believed", of: [0], have: counts(5), wants: 0, reason: "DesiredWithinRange" },
  ])("$name", ({ of, have, wants, reason }) => {
    expect(recommend(spec(), [values(...of)], have)).toMatchObject({ replicas: wants, reason });
  });

  test("with tolerance 0 both ways one pod more is one pod more", () => {
    const asked = recommend(spec({ behavior: exact }), [values(21)], counts(20));
    expect(asked).toMatchObject({ replicas: 21, reason: "DesiredWithinRange" });
  });

  test("the tolerance of each direction is its own", () => {
    const behavior = { scaleUp: { tolerance: 0.5 }, scaleDown: { tolerance: 0 } };
    expect(recommend(spec({ behavior }), [values(14)], counts(10)).reason).toBe("Tolerance");
    expect(recommend(spec({ behavior }), [values(9)], counts(10)).replicas).toBe(9);
  });
});

describe("External Value", () => {
  const of = spec({ metrics: [externalValue(10)] });
  test.each([
    { name: "the ratio multiplies ready pods", load: 20, have: counts(4), wants: 8 },
    { name: "unready pods shrink it", load: 20, have: counts(4, 4, 1), wants: 2 },
    { name: "inside the tolerance spec.replicas comes back", load: 10.5, have: counts(4, 5, 5), wants: 4 },
    { name: "from zero the ratio itself counts", load: 25, have: counts(0), wants: 3 },
  ])("$name", ({ load, have, wants }) => {
    expect(recommend(of, [values(load)], have).replicas).toBe(wants);
  });
});

describe("Resource Utilization", () => {
  const cpu: HpaSpec = spec({
    metrics: [{ type: "Resource", name: "cpu", target: { type: "Utilization", averageUtilization: 50 } }],
  });
  const pod = (usage: number | undefined, state: PodReading["state"] = "Ready"): PodReading => ({
    state,
    usage,
    request: 1,
  });
  test.each([
    { name: "twice the target doubles", pods: [pod(1), pod(1)], wants: 4 },
    { name: "percentages are cut to whole ones: 55.9 % is inside the band", pods: [pod(0.559), pod(0.559)], wants: 2 },
    {
      name: "a pod without metrics is thought fully used when shrinking",
      pods: [pod(0.1), pod(0.1), pod(undefined)],
      wants: 3,
    },
    { name: "a pod without metrics is thought idle when growing", pods: [pod(1), pod(1), pod(undefined)], wants: 4 },
    { name: "an unready pod is thought idle when growing", pods: [pod(1), pod(1), pod(5, "Unready")], wants: 4 },
    { name: "an unready pod plays no part when shrinking", pods: [pod(0.1), pod(0.1), pod(5, "Unready")], wants: 1 },
    { name: "a pod on its way out plays no part", pods: [pod(1), pod(1), pod(9, "Ignored")], wants: 4 },
  ])("$name", ({ pods, wants }) => {
    expect(recommend(cpu, [{ kind: "Pods", pods }], counts(pods.length)).replicas).toBe(wants);
  });

  test("with no ready pod's metrics the size stays", () => {
    const reading: MetricReading = { kind: "Pods", pods: [pod(undefined)] };
    expect(recommend(cpu, [reading], counts(1))).toMatchObject({ replicas: undefined, reason: "MetricMissing" });
  });
});

describe("several metrics", () => {
  const two = spec({ metrics: [external(1), { ...external(2), name: "other" }] });
  test.each([
    { name: "the largest proposal wins", readings: [values(6), values(20)], wants: 10 },
    { name: "a missing one does not block a rise", readings: [values(9), gone], wants: 9 },
    { name: "a missing one blocks a fall", readings: [values(2), gone], wants: undefined },
    { name: "an empty list is a missing metric", readings: [values(2), values()], wants: undefined },
    { name: "all missing keeps the size", readings: [gone, gone], wants: undefined },
  ])("$name", ({ readings, wants }) => {
    expect(recommend(two, readings, counts(5)).replicas).toBe(wants);
  });
});

describe("limits and windows", () => {
  /** Runs an HPA over wanted numbers a tick apart, its target following at once. */
  const run = (of: HpaSpec, wanted: readonly number[], from: number, tickMs = 15_000) => {
    const hpa = createHpa(of);
    let have = from;
    return wanted.map((value, k) => {
      const step = hpa.step(k * tickMs, [values(value)], counts(have));
      have = step.replicas;
      return `${step.replicas} ${step.reason}`;
    });
  };

  test("from 4 to 40 takes four rounds by the default policies", () => {
    expect(run(spec({ behavior: {} }), [40, 40, 40, 40], 4)).toEqual([
      "8 ScaleUpLimit",
      "16 ScaleUpLimit",
      "32 ScaleUpLimit",
      "40 DesiredWithinRange",
    ]);
  });

  test("without a behavior small fleets double only", () => {
    expect(run(spec(), [40, 40, 40], 1)).toEqual(["4 ScaleUpLimit", "8 ScaleUpLimit", "16 ScaleUpLimit"]);
  });

  test("a fall waits for five minutes of falls", () => {
    const steps = run(spec(), [10, ...Array.from({ length: 21 }, () => 4)], 10);
    expect(steps.slice(1, 20)).toEqual(Array.from({ length: 19 }, () => "10 ScaleDownStabilized"));
    expect(steps[20]).toBe("4 DesiredWithinRange");
  });

  test("no window of its own follows a fall at once", () => {
    const behavior = { scaleDown: { stabilizationWindowSeconds: 0 } };
    expect(run(spec({ behavior }), [10, 4], 10)[1]).toBe("4 DesiredWithinRange");
  });

  test("a scale-up window takes the lowest of what was said", () => {
    const behavior = { scaleUp: { stabilizationWindowSeconds: 30 } };
    const steps = run(spec({ behavior }), [5, 9, 9, 9], 5);
    expect(steps).toEqual(["5 Tolerance", "5 ScaleUpStabilized", "9 DesiredWithinRange", "9 Tolerance"]);
  });

  test("policies of a period count what was done within it", () => {
    const behavior = { scaleUp: { policies: [{ type: "Pods", value: 3, periodSeconds: 60 } as const] } };
    const steps = run(spec({ behavior }), [50, 50, 50, 50, 50, 50], 2);
    expect(steps.map((step) => Number.parseInt(step, 10))).toEqual([5, 5, 5, 5, 8, 8]);
  });

  test("the smallest change is chosen where asked for, and Disabled forbids", () => {
    const policies = [
      { type: "Pods", value: 1, periodSeconds: 15 },
      { type: "Percent", value: 50, periodSeconds: 15 },
    ] as const;
    const min = { scaleDown: { policies, selectPolicy: "Min", stabilizationWindowSeconds: 0 } } as const;
    expect(run(spec({ behavior: min }), [2], 10)).toEqual(["9 ScaleDownLimit"]);
    const never = { scaleDown: { selectPolicy: "Disabled", stabilizationWindowSeconds: 0 } } as const;
    expect(run(spec({ behavior: never }), [2], 10)).toEqual(["10 ScaleDownLimit"]);
  });

  test.each([
    {
      name: "above the maximum it comes down whatever the metrics say",
      have: 120,
      load: 200,
      wants: "100 MaxReplicas",
    },
    { name: "below the minimum it goes up", have: 1, load: 1, wants: "3 MinReplicas" },
    { name: "zero by hand switches the HPA off", have: 0, load: 50, wants: "0 ScalingDisabled" },
    {
      name: "a controller that has just begun holds the size it found",
      have: 3,
      load: 0,
      wants: "3 ScaleDownStabilized",
    },
  ])("$name", ({ have, load, wants }) => {
    expect(run(spec({ minReplicas: 3 }), [load], have)).toEqual([wants]);
  });

  test("a failing metric freezes the size", () => {
    const hpa = createHpa(spec());
    expect(hpa.step(0, [gone], counts(7))).toMatchObject({ replicas: 7, reason: "MetricMissing" });
  });

  test("the ratchet: serving counted pods during a surge grows the fleet without end, serving spec does not", () => {
    const surge = (serve: (spec: number, status: number) => number) => {
      const hpa = createHpa(spec({ behavior: exact }));
      let have = 10;
      for (let k = 0; k < 12; k++) {
        const status = Math.ceil(have * 1.25);
        have = hpa.step(k * 15_000, [values(serve(have, status))], counts(have, status)).replicas;
      }
      return have;
    };
    expect(surge((_, status) => status)).toBe(100);
    expect(surge((have) => have)).toBe(10);
  });

  test("whatever happens, the number stays within the limits once it was", () => {
    const loads = fc.array(fc.oneof(fc.double({ min: -5, max: 500, noNaN: true }), fc.constant(undefined)), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(loads, fc.integer({ min: 2, max: 100 }), (sequence, from) => {
        const hpa = createHpa(spec({ minReplicas: 2, behavior: {} }));
        let have = from;
        sequence.forEach((load, k) => {
          have = hpa.step(k * 15_000, [load === undefined ? gone : values(load)], counts(have)).replicas;
          expect(have).toBeGreaterThanOrEqual(2);
          expect(have).toBeLessThanOrEqual(100);
        });
      }),
    );
  });
});

test.each([
  { value: 0.3, milli: 300 },
  { value: 0.0001, milli: 1 },
  { value: 1.0005, milli: 1001 },
  { value: 1e30, milli: 0 },
])("$value is $milli thousandths", ({ value, milli }) => {
  expect(toMilli(value)).toBe(milli);
});
