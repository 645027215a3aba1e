import type { FromSchema, Schema, Written } from "../schema.ts";
import { fieldPath } from "./problem.ts";

type Json = { [key: string]: unknown };

/**
 * Fills in the defaults of a schema as the API server does: an absent field with a default takes it, then its own
 * fields take theirs; a null stands for absent.
 *
 * @param value what was written; not changed
 */
export function applyDefaults<const S extends Schema>(schema: S, value: Written<S>): FromSchema<S> {
  return filled(schema, value) as FromSchema<S>;
}

function filled(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value)) return schema.items ? value.map((item) => filled(schema.items!, item)) : value;
  if (!isObject(value)) return value;
  const result: Json = {};
  for (const [key, field] of Object.entries(value)) {
    const under = propertySchema(schema, key);
    if (field === null && under) continue;
    set(result, key, under ? filled(under, field) : field);
  }
  for (const [key, under] of Object.entries(schema.properties ?? {}))
    if (under.default !== undefined && !Object.hasOwn(result, key)) set(result, key, filled(under, under.default));
  return result;
}

/** Drops what a schema does not know, as the API server does, and gives the paths dropped. */
export function prune(schema: Schema, value: unknown, path = ""): { value: unknown; dropped: string[] } {
  const dropped: string[] = [];
  const visit = (node: Schema, each: unknown, at: string): unknown => {
    if (node["x-kubernetes-preserve-unknown-fields"] && !node.properties) return each;
    if (Array.isArray(each))
      return node.items ? each.map((item, index) => visit(node.items!, item, fieldPath(at, index))) : each;
    if (!isObject(each) || (!node.properties && !node.additionalProperties)) return each;
    const result: Json = {};
    for (const [key, field] of Object.entries(each)) {
      const under = propertySchema(node, key);
      if (under) set(result, key, visit(under, field, fieldPath(at, key)));
      else dropped.push(fieldPath(at, key));
    }
    return result;
  };
  return { value: visit(schema, value, path), dropped };
}

/** Schema of a property: its own, or that of every value of a free map. */
export function propertySchema(schema: Schema, key: string): Schema | undefined {
  if (schema.properties && Object.hasOwn(schema.properties, key)) return schema.properties[key];
  return schema.additionalProperties;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Sets an own property whatever its name, `__proto__` included. */
function set(object: Json, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}
