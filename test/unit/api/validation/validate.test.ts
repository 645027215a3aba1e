import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { metricName, metricTarget } from "../../../../src/api/fields/metrics.ts";
import { configuredLeadSeconds, headroomOf } from "../../../../src/api/fields/prediction.ts";
import { algorithmOf } from "../../../../src/api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { type ReplicaProfile, replicaProfileSpec } from "../../../../src/api/kinds/replica-profile.ts";
import { applyDefaults } from "../../../../src/api/validation/defaults.ts";
import { readManifest } from "../../../../src/api/validation/read-manifest.ts";
import { rivalOf, rivalProfileOf, validate } from "../../../../src/api/validation/validate.ts";
import { cronFault, isLocalTime, isTimeZone } from "../../../../src/api/values/cron.ts";
import { costRatio } from "../least-cost.ts";
import { cpu, external, ihpa, load } from "../objects.ts";

function read(spec: object = {}, metadata: object = {}): IntelligentHorizontalPodAutoscaler {
  const text = JSON.stringify(ihpa({ ...spec }, { ...metadata }));
  return readManifest(text, { kind: "IntelligentHorizontalPodAutoscaler" }).object;
}

describe("cron expressions", () => {
  test.each(["0 9 * * 1-5", "*/5 * * * *", "0 0 29 2 *", "0 0 ? * MON", "0 0 31 1,3 *"])('"%s" comes', (text) => {
    expect(cronFault(text, "Europe/Berlin")).toBeUndefined();
  });

  test.each(["0 0 30 2 *", "0 0 31 4 *", "0 0 31 2,4,6,9,11 *"])('"%s" never comes, as is known at once', (text) => {
    expect(cronFault(text, "UTC")).toEqual({ kind: "NeverRuns" });
    // The rarest date that does come is looked for as far.
    const rarest = () => cronFault("0 0 29 2 1", "UTC");
    expect(costRatio(() => cronFault(text, "UTC"), rarest)).toBeLessThan(2000);
  });

  test.each(["", "* * * *", "60 * * * *", "0 0 * * * *", "a b c d e"])('"%s" is none', (text) => {
    expect(cronFault(text, "UTC")?.kind).toBe("Malformed");
  });

  test("any text is judged", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 128 }), (text) => {
        expect([undefined, "Malformed", "NeverRuns"]).toContain(cronFault(text, "UTC")?.kind);
      }),
    );
  });
});

test.each([
  { zone: "Europe/Berlin", exists: true },
  { zone: "UTC", exists: true },
  { zone: "America/Argentina/Buenos_Aires", exists: true },
  { zone: "Mars/Olympus", exists: false },
  { zone: "+01:00", exists: false },
  { zone: "", exists: false },
])("time zone $zone: $exists", ({ zone, exists }) => {
  expect(isTimeZone(zone)).toBe(exists);
});

test.each([
  { text: "2026-11-11", exists: true },
  { text: "2028-02-29", exists: true },
  { text: "2026-02-29", exists: false },
  { text: "2026-13-01", exists: false },
  { text: "2026-11-11T08:00", exists: true },
  { text: "2026-11-11T24:00", exists: false },
  { text: "2026-11-11T08:00:60", exists: false },
])("day $text: $exists", ({ text, exists }) => {
  expect(isLocalTime(text)).toBe(exists);
});

test("a good object has no problem", () => {
  expect(validate(read())).toEqual([]);
});

test("a date alone in until includes its day", () => {
  const bound = { name: "a", from: "2026-03-01", until: "2026-03-01", minReplicas: 2 };
  expect(validate(read({ bounds: [bound] }))).toEqual([]);
});

describe("45: two autoscalers of one target", () => {
  const made = (name: string, creationTimestamp: string, change: object = {}) => ({
    ...read(change, { name }),
    metadata: { name, namespace: "default", creationTimestamp },
  });
  const old = made("b", "2026-01-01T00:00:00Z");
  const young = made("a", "2026-01-02T00:00:00Z");

  test("the older has it, and each knows", () => {
    expect(rivalOf(young, [young, old])).toBe(old);
    expect(rivalOf(old, [young, old])).toBeUndefined();
  });

  test("of equal age, the first by name", () => {
    const twin = made("a", "2026-01-01T00:00:00Z");
    expect(rivalOf(old, [twin])).toBe(twin);
    expect(rivalOf(twin, [old])).toBeUndefined();
  });

  test("one that is not stored yet yields", () => {
    expect(rivalOf(read({}, { name: "0" }), [old])).toBe(old);
  });

  test("another version of the same kind is the same target", () => {
    const beta = { apiVersion: "apps/v1beta2", kind: "Deployment", name: "web" };
    expect(rivalOf(made("c", "2026-01-03T00:00:00Z", { scaleTargetRef: beta }), [old])).toBe(old);
  });

  test.each([
    { name: "another name", ref: { apiVersion: "apps/v1", kind: "Deployment", name: "other" } },
    { name: "another kind", ref: { apiVersion: "apps/v1", kind: "StatefulSet", name: "web" } },
    { name: "another group", ref: { apiVersion: "apps.example/v1", kind: "Deployment", name: "web" } },
  ])("$name is another target", ({ ref }) => {
    expect(rivalOf(made("c", "2026-01-03T00:00:00Z", { scaleTargetRef: ref }), [old])).toBeUndefined();
  });

  test("another namespace is another target", () => {
    const far = { ...young, metadata: { ...young.metadata, namespace: "far" } };
    expect(rivalOf(far, [old])).toBeUndefined();
  });
});

describe("what a spec means", () => {
  test.each([
    { spec: undefined, headroom: { kind: "Quantile", quantile: 0.95 } },
    { spec: { quantile: 99 }, headroom: { kind: "Quantile", quantile: 0.99 } },
    { spec: { quantile: "99.9" }, headroom: { kind: "Quantile", quantile: 0.999 } },
    { spec: { objective: { underProvisioned: "0.1%" } }, headroom: { kind: "Objective", underProvisioned: 0.001 } },
  ])("headroom of $spec", ({ spec, headroom }) => {
    expect(headroomOf(spec)).toEqual(headroom);
  });

  test("the lead is measured unless it is given", () => {
    expect(configuredLeadSeconds(undefined)).toBeUndefined();
    expect(configuredLeadSeconds({ lead: "Measured" })).toBeUndefined();
    expect(configuredLeadSeconds({ lead: 90 })).toBe(90);
  });

  test.each([
    { spec: { portraitType: "Predictive" }, algorithm: "Forecast" },
    { spec: { portraitType: "Reactive" }, algorithm: "KubeHPA" },
    { spec: { portraitType: "Burst" }, algorithm: "Burst" },
    { spec: { portraitType: "Predictive", algorithm: { type: "NHPP" } }, algorithm: "NHPP" },
    { spec: { portraitType: "Predictive", algorithm: { type: "Magic" } }, algorithm: "External" },
  ] as const)("algorithm of $spec", ({ spec, algorithm }) => {
    expect(algorithmOf(spec)).toBe(algorithm);
  });

  test("a metric without a name is called after what it measures", () => {
    const [first, second] = read({ metrics: [load, cpu] }).spec.metrics ?? [];
    expect([metricName(first), metricName(second)]).toEqual(["load", "cpu"]);
    expect(metricTarget(second)).toEqual({ type: "Utilization", averageUtilization: 60 });
  });
});

test("a target is accepted when it is above 0 and at most 9e12, however it is written", () => {
  const accepts = (target: string | number) => {
    try {
      readManifest(JSON.stringify(external(target)));
      return true;
    } catch {
      return false;
    }
  };
  const milli = fc.oneof(
    fc.bigInt({ min: -10n, max: 10n }),
    fc.bigInt({ min: 8_999_999_999_999_990n, max: 9_000_000_000_000_010n }),
  );
  fc.assert(
    fc.property(milli, (value) => {
      expect(accepts(`${value}m`)).toBe(value > 0n && value <= 9_000_000_000_000_000n);
    }),
  );
});

test("of several profiles of one target an autoscaler's comes first, then the oldest that is not on its way out", () => {
  const profile = (name: string, day: number, more: object = {}, target = "web"): ReplicaProfile => ({
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "ReplicaProfile",
    metadata: { name, namespace: "shop", creationTimestamp: `2026-11-0${day}T00:00:00Z`, ...more },
    spec: applyDefaults(replicaProfileSpec, {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: target },
      onlineReplicas: 1,
    }),
  });
  const owned = profile("of-ihpa", 5, { labels: { "forescale.io/ihpa": "web" } });
  const old = profile("old", 1);
  const young = profile("young", 2);
  const all = [young, old, owned, profile("elsewhere", 1, { namespace: "other" }), profile("another", 1, {}, "db")];
  expect(all.map((each) => rivalProfileOf(each, [old, young])?.metadata.name)).toEqual([
    "old",
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(rivalProfileOf(old, all)).toBe(owned);
  const leaving = { ...owned, metadata: { ...owned.metadata, deletionTimestamp: "2026-11-09T00:00:00Z" } };
  expect(rivalProfileOf(old, [leaving, young])).toBeUndefined();
});
