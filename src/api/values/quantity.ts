/** A Kubernetes quantity, exactly: `digits · 10^exponent`. */
export interface Quantity {
  readonly digits: bigint;
  readonly exponent: number;
  /** In thousandths, as Kubernetes' `MilliValue`: what is left below a thousandth rounds away from zero. */
  readonly milli: bigint;
  /** The nearest double. */
  readonly value: number;
}

const decimal: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const binary: Readonly<Record<string, bigint>> = {
  Ki: 1n << 10n,
  Mi: 1n << 20n,
  Gi: 1n << 30n,
  Ti: 1n << 40n,
  Pi: 1n << 50n,
  Ei: 1n << 60n,
};

/** Beyond this power of ten a quantity is past every limit that we have; larger exponents are cut to it. */
const exponentLimit = 64;

/** The largest value that the HPA counts right: beyond some 9.2e12, 9e12 with room, its milli units overflow. */
export const largestServed = 9e12;

/** Whether a text is a quantity such as `500m`, `1.5`, `2Gi` or `1e3`. */
export function isQuantity(text: string): boolean {
  return parts(text) !== undefined;
}

/**
 * Reads a quantity exactly.
 *
 * @param quantity text such as `"500m"`, `"1.5"`, `"2Gi"`, `"1e3"`, or a number
 * @throws RangeError when it is none
 */
export function parseQuantity(quantity: string | number): Quantity {
  const found = parts(String(quantity));
  if (!found) throw new RangeError(`"${quantity}" is no quantity; write a number such as "100", "0.5" or "500m"`);
  const { digits, exponent } = found;
  return { digits, exponent, milli: scaled(digits, exponent + 3), value: Number(`${digits}e${exponent}`) };
}

/** The number that a quantity stands for: the nearest double. @throws RangeError when it is no quantity */
export function readQuantity(quantity: string | number): number {
  return parseQuantity(quantity).value;
}

/** Compares two quantities: below 0, 0 or above 0. */
export function compareQuantities(a: Quantity, b: Quantity): -1 | 0 | 1 {
  const exponent = Math.min(a.exponent, b.exponent);
  const [left, right] = [a, b].map((each) => each.digits * 10n ** BigInt(each.exponent - exponent));
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * Writes a value for the HPA: whole, or in thousandths with the suffix m; half-even, never an exponent.
 *
 * @param value from 0 to 9e12
 * @throws RangeError when it is not in that range, as the HPA would read it as something else
 */
export function formatQuantity(value: number): string {
  if (!(value >= 0 && value <= largestServed)) throw new RangeError(`${value} cannot be served: it is not in 0…9e12`);
  const milli = roundToMilli(value);
  return milli % 1000n === 0n ? String(milli / 1000n) : `${milli}m`;
}

function parts(text: string): { digits: bigint; exponent: number } | undefined {
  const match = /^([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$/.exec(text);
  if (!match) return undefined;
  const [, sign, mantissa, suffix = ""] = match;
  const [whole, fraction = ""] = mantissa.split(".");
  const digits = BigInt(whole + fraction) * (sign === "-" ? -1n : 1n);
  if (suffix in binary) return { digits: digits * binary[suffix], exponent: -fraction.length };
  const power = suffix in decimal ? decimal[suffix] : Number(suffix.slice(1));
  return { digits, exponent: Math.min(Math.max(power, -exponentLimit), exponentLimit) - fraction.length };
}

/** `digits · 10^exponent`, a fraction rounded away from zero. */
function scaled(digits: bigint, exponent: number): bigint {
  if (exponent >= 0) return digits * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  const rest = digits % divisor;
  return digits / divisor + (rest === 0n ? 0n : rest > 0n ? 1n : -1n);
}

/** The thousandths nearest to the shortest decimal that stands for the double; ties go to the even one. */
function roundToMilli(value: number): bigint {
  const [mantissa, power = "0"] = value.toString().split("e");
  const [whole, fraction = ""] = mantissa.split(".");
  const digits = BigInt(whole + fraction);
  const exponent = Number(power) - fraction.length + 3;
  if (exponent >= 0) return digits * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  const [floor, rest] = [digits / divisor, digits % divisor];
  const isUp = rest * 2n > divisor || (rest * 2n === divisor && floor % 2n === 1n);
  return isUp ? floor + 1n : floor;
}
