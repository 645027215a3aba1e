import { statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, expectTypeOf, test } from "vitest";
import { conditionTypes } from "../../../src/api/conditions.ts";
import { definitions, objectSchema } from "../../../src/api/kinds/definitions.ts";
import type {
  IntelligentHorizontalPodAutoscaler,
  IntelligentHorizontalPodAutoscalerSpecWritten,
} from "../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { type Kind, kinds, listPath, objectPath } from "../../../src/api/kinds.ts";
import type { FromSchema, Schema, Written } from "../../../src/api/schema.ts";
import { applyDefaults } from "../../../src/api/validation/defaults.ts";
import { checkRules, compileRule } from "../../../src/api/validation/rules.ts";
import { checkStructure } from "../../../src/api/validation/structure.ts";

const all = Object.keys(kinds) as Kind[];

/** Every node of a schema with its path. */
function* nodes(schema: Schema, path = ""): Generator<{ path: string; node: Schema }> {
  yield { path, node: schema };
  if (schema.items) yield* nodes(schema.items, `${path}[]`);
  if (schema.additionalProperties) yield* nodes(schema.additionalProperties, `${path}{}`);
  for (const [name, field] of Object.entries(schema.properties ?? {})) yield* nodes(field, `${path}.${name}`);
}

const fieldsOf = (kind: Kind) => [
  ...nodes(definitions[kind].spec, "spec"),
  ...nodes(definitions[kind].status, "status"),
];

describe.each(all)("%s", (kind) => {
  test("every field has a description", () => {
    const bare = fieldsOf(kind).filter(({ path, node }) => !/(\[\]|\{\})$/.test(path) && !node.description);
    expect(bare.map(({ path }) => path)).toEqual([]);
  });

  test("every text, list and map has a limit, so that the rules' cost has one", () => {
    const endless = fieldsOf(kind).filter(({ node }) => {
      if (node.type === "string" || node["x-kubernetes-int-or-string"])
        return node.maxLength === undefined && !node.enum && !node.format;
      if (node.type === "array") return node.maxItems === undefined;
      return node.additionalProperties !== undefined && node.maxProperties === undefined;
    });
    expect(endless.map(({ path }) => path)).toEqual([]);
  });

  test("every rule is CEL and its message is one line", () => {
    for (const { node } of nodes(objectSchema(kind)))
      for (const { rule, message } of node["x-kubernetes-validations"] ?? []) {
        expect(compileRule(rule)).toBeTypeOf("function");
        expect(message).toMatch(/^.{20,}[^.\s]$/);
      }
  });

  test("every default is good by its own schema", () => {
    for (const { path, node } of fieldsOf(kind)) {
      if (node.default === undefined) continue;
      const value = applyDefaults(node, node.default as never);
      expect([...checkStructure(node, value, path), ...checkRules(node, value, path)]).toEqual([]);
    }
  });

  test("the CRD stays below 200 kB", () => {
    const { size } = statSync(join(import.meta.dirname, `../../../manifests/crds/${kinds[kind].plural}.yaml`));
    expect(size).toBeLessThan(200_000);
  });

  test("conditions, columns and status stand together", () => {
    expect(definitions[kind].status.properties).toHaveProperty("conditions");
    expect(definitions[kind].status.properties).toHaveProperty("observedGeneration");
    for (const { jsonPath } of definitions[kind].columns) {
      const condition = /conditions\[\?\(@\.type=="(\w+)"\)\]/.exec(jsonPath)?.[1];
      if (condition) expect(Object.keys(conditionTypes[kind])).toContain(condition);
      else if (jsonPath !== ".metadata.creationTimestamp")
        expect(fieldsOf(kind).map(({ path }) => `.${path}`)).toContain(jsonPath);
    }
  });
});

test("kubectl get ihpa has the columns that operators know", () => {
  const { columns } = definitions.IntelligentHorizontalPodAutoscaler;
  const names = (wide: boolean) => columns.filter(({ priority }) => (priority === 1) === wide).map(({ name }) => name);
  expect(names(false).join(" ")).toBe(
    "Target Mode Min Max Current Desired Forecast Driver Rung Decided Ready Accuracy Age",
  );
  expect(names(true).join(" ")).toBe("Paused Fallback Gray% Stable HPA LastScale");
});

test("paths follow the API's conventions", () => {
  const base = "/apis/autoscaling.forescale.io/v1alpha1";
  expect(listPath("HorizontalPortrait")).toBe(`${base}/horizontalportraits`);
  expect(listPath("HorizontalPortrait", "shop")).toBe(`${base}/namespaces/shop/horizontalportraits`);
  expect(listPath("MetricSource", "shop")).toBe(`${base}/metricsources`);
  expect(objectPath("ReplicaProfile", "a/b", "shop")).toBe(`${base}/namespaces/shop/replicaprofiles/a%2Fb`);
  expect(objectPath("MetricSource", "main")).toBe(`${base}/metricsources/main`);
  expect(() => objectPath("ReplicaProfile", "web")).toThrow(TypeError);
});

describe("one literal gives the types", () => {
  test("a field with a default is there when read, and may be left out when written", () => {
    const schema = {
      type: "object",
      required: ["name"],
      properties: {
        name: { type: "string" },
        mode: { type: "string", enum: ["A", "B"], default: "A" },
        size: { type: "integer" },
        amounts: { type: "array", items: { "x-kubernetes-int-or-string": true } },
        free: { type: "object", additionalProperties: { type: "boolean" } },
      },
    } as const satisfies Schema;
    expectTypeOf<FromSchema<typeof schema>>().toEqualTypeOf<{
      readonly name: string;
      readonly mode: "A" | "B";
      readonly size?: number;
      readonly amounts?: readonly (number | string)[];
      readonly free?: { readonly [key: string]: boolean };
    }>();
    expectTypeOf<Written<typeof schema>["mode"]>().toEqualTypeOf<"A" | "B" | undefined>();
    expect(applyDefaults(schema, { name: "x" })).toEqual({ name: "x", mode: "A" });
  });

  test("of the autoscaler too", () => {
    type Spec = IntelligentHorizontalPodAutoscaler["spec"];
    expectTypeOf<Spec["minReplicas"]>().toEqualTypeOf<number>();
    expectTypeOf<Spec["scaleMode"]>().toEqualTypeOf<"Auto" | "Preview">();
    expectTypeOf<Spec["prediction"]["timeZone"]>().toEqualTypeOf<string>();
    expectTypeOf<Spec["prediction"]["quantile"]>().toEqualTypeOf<string | number | undefined>();
    expectTypeOf<IntelligentHorizontalPodAutoscalerSpecWritten["minReplicas"]>().toEqualTypeOf<number | undefined>();
  });
});
