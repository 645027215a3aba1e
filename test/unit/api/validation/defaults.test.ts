import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { definitions } from "../../../../src/api/kinds/definitions.ts";
import { applyDefaults, prune } from "../../../../src/api/validation/defaults.ts";
import { goodCases } from "../good-cases.ts";

const schema = definitions.IntelligentHorizontalPodAutoscaler.spec;

describe("defaults", () => {
  test.each(goodCases)("filled in twice are filled in once, and the input stays: $name", ({ object }) => {
    const before = structuredClone(object.spec);
    const once = applyDefaults(definitions[object.kind].spec, object.spec);
    expect(object.spec).toEqual(before);
    expect(applyDefaults(definitions[object.kind].spec, once as never)).toEqual(once);
  });

  test("two objects never share a default", () => {
    const [a, b] = [1, 2].map(() => applyDefaults(schema, {} as never)) as { portraitProviders: unknown[] }[];
    expect(a.portraitProviders).toEqual(b.portraitProviders);
    expect(a.portraitProviders).not.toBe(b.portraitProviders);
    expect(a.portraitProviders[0]).not.toBe(b.portraitProviders[0]);
  });
});

describe("pruning", () => {
  test.each(goodCases)("leaves what the schema knows: $name", ({ object }) => {
    expect(prune(definitions[object.kind].spec, object.spec)).toEqual({ value: object.spec, dropped: [] });
  });

  test("drops every unknown field, however deep, and names it", () => {
    const { value, dropped } = prune(
      schema,
      { a: 1, scaleTargetRef: { name: "web", b: 2 }, metrics: [{ type: "Pods", "c d": 3 }] },
      "spec",
    );
    expect(value).toEqual({ scaleTargetRef: { name: "web" }, metrics: [{ type: "Pods" }] });
    expect(dropped).toEqual(["spec.a", "spec.scaleTargetRef.b", 'spec.metrics[0]["c d"]']);
  });

  test("keeps free-form fields whole", () => {
    const config = { any: [{ depth: true }] };
    const spec = { portraitType: "Burst", algorithm: { type: "X", config } };
    expect(prune(definitions.HorizontalPortrait.spec, spec)).toEqual({ value: spec, dropped: [] });
  });

  test("never throws and gives no prototype away, whatever comes", () => {
    fc.assert(
      fc.property(fc.object({ key: fc.constantFrom("__proto__", "metrics", "spec", "toString", "x") }), (value) => {
        const { value: kept } = prune(schema, value);
        applyDefaults(schema, kept as never);
        expect(({} as { x?: unknown }).x).toBeUndefined();
        expect(Object.getPrototypeOf(kept)).toBe(Object.prototype);
      }),
    );
  });
});
