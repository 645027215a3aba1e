import { readQuantity } from "../../api/values/quantity.ts";

/** Part of a pod as it came in a review: anybody may send one, so nothing of its shape is believed. */
export type Fields = Readonly<Record<string, unknown>>;

/** One step of a JSON patch (RFC 6902). */
export interface PatchOperation {
  readonly op: "add" | "replace";
  readonly path: string;
  readonly value: unknown;
}

/** A value's fields; none where it is no object. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** The fields of each item of a list, at the places that they have in it; empty where there is no list. */
export function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : [];
}

/** A text; "" for any other value. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Adds items to the end of a list that may not be there yet. */
export function append(path: string, list: unknown, items: readonly unknown[]): PatchOperation[] {
  if (!Array.isArray(list)) return items.length > 0 ? [{ op: "add", path, value: items }] : [];
  return items.map((value) => ({ op: "add", path: `${path}/-`, value }));
}

/** The number that a quantity of a pod stands for; NaN for what is none, which the API server refuses itself. */
export function amountOf(quantity: unknown): number {
  if (typeof quantity !== "string" && typeof quantity !== "number") return Number.NaN;
  try {
    return readQuantity(quantity);
  } catch {
    return Number.NaN;
  }
}
