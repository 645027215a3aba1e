/**
 * The gated network's answers against an independent forward pass.
 *
 * Source of the table: the same network in numpy 2.4, as matrix products written from its description (embeddings, products,
 * quasi-difference, mask, two gates, head), with parameters sin(1 + 12.9898·i)·0.4 in the order of `Layout`. Tolerance 1e-9:
 * sums in another order.
 */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { layoutOf } from "../../src/forecast/sntsf/sntsf-layout.ts";
import { createWorkspace, forward } from "../../src/forecast/sntsf/sntsf-network.ts";

interface Row {
  readonly x: readonly number[];
  readonly mask: readonly number[];
  readonly series: number;
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly out: readonly number[];
}

const table: readonly Row[] = JSON.parse(readFileSync(new URL("./sntsf.json", import.meta.url), "utf8"));
const layout = layoutOf({ context: 4, ahead: 3, series: 2, cardinalities: [3, 2], gates: 2, bottleneck: 2 });
const parameters = Float64Array.from({ length: layout.count }, (_, i) => Math.sin(1 + 12.9898 * i) * 0.4);

test("the network's answers are those of the table", () => {
  const batch = {
    many: table.length,
    x: Float64Array.from(table.flatMap(({ x }) => x)),
    mask: Float64Array.from(table.flatMap(({ mask }) => mask)),
    series: Int32Array.from(table, ({ series }) => series),
    first: Int32Array.from(table.flatMap(({ first }) => first)),
    last: Int32Array.from(table.flatMap(({ last }) => last)),
  };
  const out = forward({ layout, parameters }, batch, createWorkspace(layout, table.length));
  expect(table.length).toBe(3);
  table.forEach((row, w) => {
    row.out.forEach((v, j) => {
      expect(out[w * 3 + j]).toBeCloseTo(v, 9);
    });
  });
});
