import { isQuantity, readQuantity } from "../../api/values/quantity.ts";

/** Kubernetes holds quantities in 64 bits: what is beyond is no reading. */
const largest = 2 ** 63;

/** A quantity in its base unit, as foreign answers have it; NaN for what is none, as nothing missing is zero. */
export function quantityValue(quantity: unknown): number {
  if (typeof quantity === "number") return quantity;
  if (typeof quantity !== "string" || !isQuantity(quantity)) return NaN;
  const value = readQuantity(quantity);
  return Math.abs(value) <= largest ? value : NaN;
}
