import { describe, expect, test } from "vitest";
import { initialParameters, layoutOf, type Shape } from "../../../../src/forecast/sntsf/sntsf-layout.ts";
import { type Batch, backward, createWorkspace, forward } from "../../../../src/forecast/sntsf/sntsf-network.ts";
import { seededRandom } from "../../../../src/series/statistics/seeded-random.ts";

const shape: Shape = { context: 4, ahead: 3, series: 2, cardinalities: [3, 2], gates: 2, bottleneck: 2 };

function batchOf({ context, series, cardinalities }: Shape, many: number, seed: number): Batch {
  const random = seededRandom(seed);
  const whole = (below: number) => Math.floor(random() * below);
  const features = () =>
    Int32Array.from(Array.from({ length: many }, () => cardinalities.map((below) => whole(below))).flat());
  return {
    many,
    x: Float64Array.from({ length: many * context }, () => 2 * random()),
    mask: Float64Array.from({ length: many * context }, () => (random() < 0.2 ? 0 : 1)),
    series: Int32Array.from({ length: many }, () => whole(series)),
    first: features(),
    last: features(),
  };
}

describe("the network", () => {
  test.each([
    { name: "a lone window", many: 1 },
    { name: "a batch of whole fours", many: 4 },
    { name: "a batch with a rest", many: 7 },
  ])("$name: the gradient by hand is that of finite differences, at every parameter", ({ many }) => {
    const layout = layoutOf(shape);
    const parameters = initialParameters(layout, seededRandom(3));
    const batch = batchOf(shape, many, 4);
    const workspace = createWorkspace(layout, many);
    const random = seededRandom(5);
    const slope = Float64Array.from({ length: many * shape.ahead }, () => 2 * random() - 1);
    const value = () =>
      forward({ layout, parameters }, batch, workspace).reduce((sum, out, i) => sum + slope[i] * out, 0);

    value();
    const gradient = new Float64Array(layout.count);
    backward({ layout, parameters }, batch, workspace, slope, gradient);
    const h = 1e-5;
    let used = 0;
    for (let i = 0; i < layout.count; i++) {
      const at = parameters[i];
      parameters[i] = at + h;
      const above = value();
      parameters[i] = at - h;
      const below = value();
      parameters[i] = at;
      expect(Math.abs(gradient[i] - (above - below) / (2 * h))).toBeLessThan(1e-6);
      if (gradient[i] !== 0) used++;
    }
    expect(used).toBeGreaterThan(layout.count / 3);
  });

  test("its layers are as wide as the source's, and the mask's L more: D = 4L(1 + K) + L", () => {
    const layout = layoutOf({
      context: 12,
      ahead: 12,
      series: 1,
      cardinalities: [60, 24, 8, 32],
      gates: 4,
      bottleneck: 2,
    });
    expect(layout.width).toBe(4 * 12 * 5 + 12);
    expect(layout.hidden).toBe(126);
    // The source's 235 thousand parameters are these without what the mask adds.
    expect(layout.count).toBe(12 + 124 * 12 + 4 * 2 * 252 * 126 + 12 * 252 + 12);
  });

  test("a window's answer does not depend on those beside it", () => {
    const layout = layoutOf(shape);
    const parameters = initialParameters(layout, seededRandom(3));
    const batch = batchOf(shape, 6, 8);
    const together = forward({ layout, parameters }, batch, createWorkspace(layout, 6)).slice();
    for (let w = 0; w < 6; w++) {
      const one: Batch = {
        many: 1,
        x: batch.x.slice(w * 4, w * 4 + 4),
        mask: batch.mask.slice(w * 4, w * 4 + 4),
        series: batch.series.slice(w, w + 1),
        first: batch.first.slice(w * 2, w * 2 + 2),
        last: batch.last.slice(w * 2, w * 2 + 2),
      };
      forward({ layout, parameters }, one, createWorkspace(layout, 1)).forEach((out, j) => {
        expect(out).toBeCloseTo(together[w * 3 + j], 12);
      });
    }
  });

  test("with gates held open and one head weight, the answer is that input", () => {
    // σ(0) = ½ at every gate: with W₂ = 0 the inputs come through two gates as a quarter of themselves.
    const layout = layoutOf(shape);
    const parameters = new Float64Array(layout.count);
    const xAt = 5 * 4; // after e_s, two e_a, two e_b
    parameters[layout.head + xAt + 2] = 4;
    parameters[layout.head + 3 * layout.width] = 0.5; // bias of the first step
    const batch = batchOf(shape, 2, 9);
    const out = forward({ layout, parameters }, batch, createWorkspace(layout, 2));
    expect(out[0]).toBeCloseTo(batch.x[2] + 0.5, 12);
    expect(out[3]).toBeCloseTo(batch.x[6] + 0.5, 12);
    expect(out[1]).toBe(0);
  });
});
