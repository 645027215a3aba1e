/**
 * One tree of the quantile regression forest against an independent one.
 *
 * Source of the table: scikit-learn 1.9 `DecisionTreeRegressor(min_samples_leaf=10)`, whose splits are exact and by least squares as
 * ours, with Meinshausen's quantile (the least response that a share of the leaf is at or below) taken in numpy over
 * `tree.apply`; 240 rows in closed form, given by `examples` here. With one tree, all rows and all features there is nothing
 * random, so that both grow the same tree. Tolerance 1e-9: the quantiles are responses themselves.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { quantileForest } from "../../src/forecast/proactive/quantile-forest.ts";

interface Table {
  readonly levels: readonly number[];
  readonly rows: readonly { readonly at: readonly number[]; readonly quantiles: readonly number[] }[];
}

const table: Table = JSON.parse(readFileSync(new URL("./qrf.json", import.meta.url), "utf8"));

function examples() {
  const features = new Float64Array(240 * 3);
  const responses = new Float64Array(240);
  for (let i = 0; i < 240; i++) {
    const a = (i * 0.618033988749895) % 1;
    const b = (i * 0.754877666246693) % 1;
    const c = i % 7;
    features.set([a, b, c], i * 3);
    const noise = 3 * ((i * 0.569840290998053) % 1) * (1 + b);
    responses[i] = Math.round((10 * Math.sin(6 * a) + (b > 0.4 ? 4 : 0) + (c >= 5 ? 2 : 0) + noise) * 1e6) / 1e6;
  }
  return { features, width: 3, responses };
}

const tree = quantileForest({ trees: 1, share: 1, tried: 3, leastLeaf: 10 }).fit(examples());

test.each(table.rows)("quantiles at $at", ({ at, quantiles }) => {
  tree.quantiles(at, table.levels).forEach((v, k) => {
    expect(v).toBeCloseTo(quantiles[k], 9);
  });
});
