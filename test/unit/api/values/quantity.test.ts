import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compareQuantities,
  formatQuantity,
  isQuantity,
  largestServed,
  parseQuantity,
  readQuantity,
} from "../../../../src/api/values/quantity.ts";
import { costRatio } from "../least-cost.ts";

describe("a quantity is read as Kubernetes reads it", () => {
  test.each([
    { text: "0", milli: 0n, value: 0 },
    { text: "4", milli: 4000n, value: 4 },
    { text: 4, milli: 4000n, value: 4 },
    { text: "500m", milli: 500n, value: 0.5 },
    { text: "0.9", milli: 900n, value: 0.9 },
    { text: ".5", milli: 500n, value: 0.5 },
    { text: "5.", milli: 5000n, value: 5 },
    { text: "+1.5", milli: 1500n, value: 1.5 },
    { text: "-0.5", milli: -500n, value: -0.5 },
    { text: "2Gi", milli: 2_147_483_648_000n, value: 2_147_483_648 },
    { text: "1.5Ki", milli: 1_536_000n, value: 1536 },
    { text: "1k", milli: 1_000_000n, value: 1000 },
    { text: "1E", milli: 10n ** 21n, value: 1e18 },
    { text: "1e3", milli: 1_000_000n, value: 1000 },
    { text: "1E-3", milli: 1n, value: 0.001 },
    // What is left below a thousandth rounds away from zero: 5000000001n is 5.000000001.
    { text: "5000000001n", milli: 5001n, value: 5.000000001 },
    { text: "1n", milli: 1n, value: 1e-9 },
    { text: "-1u", milli: -1n, value: -1e-6 },
  ])("$text", ({ text, milli, value }) => {
    expect(parseQuantity(text)).toMatchObject({ milli, value });
    expect(readQuantity(text)).toBe(value);
  });

  test.each(["", "fast", "1x", "1 Gi", "1,5", "0x10", "NaN", "Infinity", "1e", "--1", "1ki", "1e1.5"])(
    '"%s" is none',
    (text) => {
      expect(isQuantity(text)).toBe(false);
      expect(() => parseQuantity(text)).toThrow(RangeError);
    },
  );

  test("an exponent without end costs nothing", () => {
    expect(compareQuantities(parseQuantity("1e999999999"), parseQuantity("9e12"))).toBe(1);
    expect(compareQuantities(parseQuantity("1e-999999999"), parseQuantity("0"))).toBe(1);
    const many = (text: string) => () => {
      for (let k = 0; k < 1000; k++) parseQuantity(text);
    };
    expect(costRatio(many("1e999999999"), many("1e9"))).toBeLessThan(50);
  });

  test("comparison agrees with the numbers that the texts stand for", () => {
    const whole = fc.integer({ min: -1e6, max: 1e6 });
    const suffix = fc.constantFrom("n", "u", "m", "", "k", "M", "Ki", "Mi", "e3", "E-2");
    fc.assert(
      fc.property(whole, suffix, whole, suffix, (a, sa, b, sb) => {
        const [left, right] = [parseQuantity(`${a}${sa}`), parseQuantity(`${b}${sb}`)];
        const sign = Math.sign(left.value - right.value);
        expect(compareQuantities(left, right) || 0).toBe(sign || 0);
      }),
    );
  });
});

describe("a value is written for the HPA", () => {
  test.each([
    { value: 0, text: "0" },
    { value: 7, text: "7" },
    { value: 0.5, text: "500m" },
    { value: 3.25, text: "3250m" },
    { value: 0.0005, text: "0" },
    { value: 0.0015, text: "2m" },
    { value: 0.0025, text: "2m" },
    { value: 0.00251, text: "3m" },
    { value: 0.9995, text: "1" },
    { value: 1e-21, text: "0" },
    { value: 5.000000001, text: "5" },
    { value: 8_999_999_999_999.5, text: "8999999999999500m" },
    { value: largestServed, text: "9000000000000" },
  ])("$value", ({ value, text }) => {
    expect(formatQuantity(value)).toBe(text);
  });

  test.each([-1, -1e-9, Number.NaN, Number.POSITIVE_INFINITY, 9.1e12, 1e30])("%d is refused", (value) => {
    expect(() => formatQuantity(value)).toThrow(RangeError);
  });

  const servable = fc.double({ min: 0, max: largestServed, noNaN: true });

  test("it is plain, and within half a thousandth of the value", () => {
    fc.assert(
      fc.property(servable, (value) => {
        const text = formatQuantity(value);
        expect(text).toMatch(/^[0-9]+m?$/);
        expect(Math.abs(readQuantity(text) - value)).toBeLessThanOrEqual(0.0005 + value * Number.EPSILON);
      }),
    );
  });

  test("written, read and written again, it stays", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 9_000_000_000_000n }), (milli) => {
        const text = formatQuantity(Number(milli) / 1000);
        expect(parseQuantity(text).milli).toBe(milli);
      }),
    );
  });

  test("a larger value is never written smaller", () => {
    fc.assert(
      fc.property(servable, servable, (a, b) => {
        const [low, high] = a <= b ? [a, b] : [b, a];
        expect(parseQuantity(formatQuantity(low)).milli).toBeLessThanOrEqual(parseQuantity(formatQuantity(high)).milli);
      }),
    );
  });
});
