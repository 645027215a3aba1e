import type { Schema } from "../schema.ts";
import { isObject, propertySchema } from "./defaults.ts";
import { fieldPath, type Problem, printable } from "./problem.ts";

/** Checks types, enumerations, ranges, lengths, patterns and required fields; each fault once, with its remedy. */
export function checkStructure(schema: Schema, value: unknown, path = ""): Problem[] {
  return [...faults(schema, value, path)];
}

function* faults(schema: Schema, value: unknown, field: string): Generator<Problem> {
  const wrongType = typeFault(schema, value);
  if (wrongType) yield { field, message: wrongType };
  else if (Array.isArray(value)) yield* listFaults(schema, value, field);
  else if (isObject(value)) yield* objectFaults(schema, value, field);
  else {
    const message =
      typeof value === "string"
        ? textFault(schema, value)
        : typeof value === "number"
          ? numberFault(schema, value)
          : "";
    if (message) yield { field, message };
  }
}

function typeFault(schema: Schema, value: unknown): string | undefined {
  const is = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  if (schema["x-kubernetes-int-or-string"]) {
    if (Number.isSafeInteger(value) || is === "string") return undefined;
    return is === "number"
      ? `${value} is a fraction, which is written as text; put it in quotes: "${value}"`
      : `${show(value)} is neither a whole number nor text; give one of the two`;
  }
  switch (schema.type) {
    case "integer":
      if (Number.isSafeInteger(value)) return undefined;
      return `${show(value)} is no whole number; give one${is === "string" && Number.isInteger(Number(value)) ? " without quotes" : ""}`;
    case "number":
      return Number.isFinite(value) ? undefined : `${show(value)} is no number; give one without quotes`;
    case "string":
      if (is === "string") return undefined;
      return is === "number" || is === "boolean"
        ? `${show(value)} is no text; put it in quotes: "${value}"`
        : `${show(value)} is no text; give text`;
    case "boolean":
      return is === "boolean" ? undefined : `${show(value)} is neither true nor false; give one of the two, unquoted`;
    case "array":
      return is === "array" ? undefined : `${show(value)} is no list; start each entry with a dash`;
    case "object":
      return is === "object" ? undefined : `${show(value)} is no object; give fields with values`;
    case undefined:
      return undefined;
  }
}

function* listFaults(schema: Schema, list: readonly unknown[], field: string): Generator<Problem> {
  const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  if (list.length > maxItems) {
    yield { field, message: `${list.length} entries are too many; give at most ${maxItems}` };
    return;
  }
  if (list.length < minItems) yield { field, message: `${list.length} entries are too few; give at least ${minItems}` };
  if (!items) return;
  for (const [index, item] of list.entries()) yield* faults(items, item, fieldPath(field, index));
  yield* repeatedKeys(schema, list, field);
}

/** Lists of type set or map hold each value, or each key, once. */
function* repeatedKeys(schema: Schema, list: readonly unknown[], field: string): Generator<Problem> {
  const type = schema["x-kubernetes-list-type"];
  if (type !== "set" && type !== "map") return;
  const names = schema["x-kubernetes-list-map-keys"] ?? [];
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    const key = JSON.stringify(isObject(item) ? names.map((name) => item[name]) : item);
    if (seen.has(key)) yield { field: fieldPath(field, index), message: `${key} is there twice; keep it once` };
    seen.add(key);
  }
}

function* objectFaults(schema: Schema, object: Readonly<Record<string, unknown>>, field: string): Generator<Problem> {
  const { maxProperties = Number.POSITIVE_INFINITY, required = [], properties } = schema;
  const size = Object.keys(object).length;
  if (size > maxProperties) {
    yield { field, message: `${size} keys are too many; give at most ${maxProperties}` };
    return;
  }
  for (const key of required)
    if (!Object.hasOwn(object, key))
      yield { field: fieldPath(field, key), message: `is missing; add it${hint(properties?.[key]?.description)}` };
  for (const [key, value] of Object.entries(object)) {
    const under = propertySchema(schema, key);
    if (under) yield* faults(under, value, fieldPath(field, key));
  }
}

function textFault(schema: Schema, text: string): string | undefined {
  const { enum: allowed, minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, format, description } = schema;
  if (allowed && !allowed.includes(text)) {
    const near = allowed.find((each) => each.toLowerCase() === text.toLowerCase());
    return `${show(text)} is not allowed; ${near ? `write ${near}` : `give one of ${allowed.join(", ")}`}`;
  }
  const length = [...text].length;
  if (length > maxLength) return `has ${length} characters; give at most ${maxLength}`;
  if (length < minLength) return `${show(text)} is too short; give at least ${minLength} characters`;
  if (pattern !== undefined && !new RegExp(pattern, "u").test(text))
    return `${show(text)} has the wrong format${hint(description)}`;
  if (format === "date-time" && !isTime(text)) return `${show(text)} is no time; give one such as 2026-01-31T09:00:00Z`;
  return undefined;
}

function numberFault({ minimum, maximum }: Schema, value: number): string | undefined {
  if (minimum !== undefined && value < minimum) return `${value} is too small; give ${minimum} or more`;
  if (maximum !== undefined && value > maximum) return `${value} is too large; give ${maximum} or less`;
  return undefined;
}

function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text));
}

/** What the field is, as the end of a sentence. */
function hint(description: string | undefined): string {
  return description === undefined ? "" : ` (${description.replace(/\.$/, "")})`;
}

/** A value in a message: short, and without characters that could act on a terminal. */
function show(value: unknown): string {
  const plain = printable(JSON.stringify(value) ?? String(value));
  return plain.length > 60 ? `${plain.slice(0, 57)}…` : plain;
}
