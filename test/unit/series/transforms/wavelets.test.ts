import fc from "fast-check";
import { expect, test } from "vitest";
import { boundary, modwt, squaredGain } from "../../../../src/series/transforms/wavelets.ts";

const series = fc
  .array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 3, maxLength: 64 })
  .map((values) => Float64Array.from(values));
const energy = (values: Float64Array) => values.reduce((sum, v) => sum + v * v, 0);

test("the levels share the series' energy among them", () => {
  fc.assert(
    fc.property(series, fc.integer({ min: 1, max: 5 }), fc.constantFrom(2, 4, 8), (values, levels, moments) => {
      const { details, smooth } = modwt(values, levels, moments as 2 | 4 | 8);
      const total = details.reduce((sum, detail) => sum + energy(detail), energy(smooth));
      expect(total).toBeCloseTo(energy(values), 6);
    }),
  );
});

test("a constant is all smooth", () => {
  const { details, smooth } = modwt(new Float64Array(100).fill(5), 4);
  for (const detail of details) expect(Math.max(...detail.map(Math.abs))).toBeLessThan(1e-9);
  for (const v of smooth) expect(v).toBeCloseTo(5, 9);
});

test.each([{ period: 3 }, { period: 6 }, { period: 12 }, { period: 24 }, { period: 48 }])(
  "a sine of $period samples is strongest in the level that names it",
  ({ period }) => {
    const values = Float64Array.from({ length: 960 }, (_, t) => Math.sin((2 * Math.PI * t) / period));
    const { details } = modwt(values, 6);
    const energies = details.map(energy);
    expect(energies.indexOf(Math.max(...energies)) + 1).toBe(Math.floor(Math.log2(period)));
    // On a whole number of cycles each level's energy is exactly its gain.
    energies.forEach((e, j) => {
      expect(e / energy(values)).toBeCloseTo(squaredGain(j + 1, 1 / period), 6);
    });
  },
);

test("the boundary grows with the level and ends at the series' length", () => {
  expect(boundary(1, 1000)).toBe(15);
  expect(boundary(4, 1000)).toBe(225);
  expect(boundary(9, 1000)).toBe(1000);
});

test("no samples, or no level, is refused", () => {
  expect(() => modwt(new Float64Array(0), 3)).toThrow(RangeError);
  expect(() => modwt(new Float64Array(9), 0)).toThrow(RangeError);
});
