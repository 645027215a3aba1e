import { Environment } from "@marcbachmann/cel-js";
import type { Schema } from "../schema.ts";
import { compareQuantities, isQuantity, parseQuantity, type Quantity } from "../values/quantity.ts";
import { isObject, propertySchema } from "./defaults.ts";
import { fieldPath, type Problem } from "./problem.ts";

/** Kubernetes' CEL type Quantity, with the functions of it that our rules use. */
class CelQuantity {
  readonly quantity: Quantity;
  constructor(text: string) {
    this.quantity = parseQuantity(text);
  }
  compare(other: CelQuantity): -1 | 0 | 1 {
    return compareQuantities(this.quantity, other.quantity);
  }
}

const environment = new Environment({ homogeneousAggregateLiterals: false })
  .registerVariable("self", "dyn")
  .registerType("Quantity", CelQuantity)
  .registerFunction("isQuantity(string): bool", isQuantity)
  .registerFunction("quantity(string): Quantity", (text: string) => new CelQuantity(text))
  .registerFunction("Quantity.isGreaterThan(Quantity): bool", (a: CelQuantity, b: CelQuantity) => a.compare(b) > 0)
  .registerFunction("Quantity.compareTo(Quantity): int", (a: CelQuantity, b: CelQuantity) => BigInt(a.compare(b)));

type Program = (context: { self: unknown }) => unknown;
const programs = new Map<string, Program>();

/** Reads a rule once. @throws Error when it is no CEL */
export function compileRule(rule: string): Program {
  const known = programs.get(rule);
  if (known) return known;
  const program: Program = environment.parse(rule);
  programs.set(rule, program);
  return program;
}

/**
 * Evaluates every rule of a schema on a value of the right structure, as the API server does. A rule that cannot be
 * evaluated refuses, as it does there.
 *
 * @param value with defaults filled in, without faults of structure
 */
export function checkRules(schema: Schema, value: unknown, path = ""): Problem[] {
  return [...broken(schema, value, path)];
}

function* broken(schema: Schema, value: unknown, field: string): Generator<Problem> {
  const rules = schema["x-kubernetes-validations"] ?? [];
  const self = rules.length > 0 ? celValue(schema, value) : undefined;
  for (const { rule, message } of rules) if (!holds(rule, self)) yield { field, message };
  if (Array.isArray(value) && schema.items)
    for (const [index, item] of value.entries()) yield* broken(schema.items, item, fieldPath(field, index));
  else if (isObject(value))
    for (const [key, each] of Object.entries(value)) {
      const under = propertySchema(schema, key);
      if (under) yield* broken(under, each, fieldPath(field, key));
    }
}

function holds(rule: string, self: unknown): boolean {
  const program = compileRule(rule);
  try {
    return program({ self }) === true;
  } catch {
    return false;
  }
}

/** The value as CEL sees it: whole numbers as int, objects as maps (so that no key is special). */
function celValue(schema: Schema | undefined, value: unknown): unknown {
  if (typeof value === "number") return schema?.type === "number" || !Number.isInteger(value) ? value : BigInt(value);
  if (Array.isArray(value)) return value.map((item) => celValue(schema?.items, item));
  if (isObject(value))
    return new Map(
      Object.entries(value).map(([key, each]) => [key, celValue(schema && propertySchema(schema, key), each)]),
    );
  return value;
}
