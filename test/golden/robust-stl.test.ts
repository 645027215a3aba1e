/**
 * RobustSTL on the synthetic recipe of its paper (section 4.1), from a seeded generator.
 *
 * Source of the table: our own implementation (`npx vitest run test/golden/robust-stl.test.ts` compares it), as neither the
 * paper's data nor its code is published; it holds the fit still. Tolerance 1e-6: only sums in another order may differ.
 * The bounds against the truth that the recipe knows are claims of their own.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { robustStl } from "../../src/forecast/decomposition/robust-stl.ts";
import { paperSeries } from "./robust-stl-series.ts";

interface Row {
  readonly seed: number;
  readonly at: readonly number[];
  readonly trend: readonly number[];
  readonly season: readonly number[];
}

const table: readonly Row[] = JSON.parse(readFileSync(new URL("./robust-stl.json", import.meta.url), "utf8"));

describe.each(table)("seed $seed", ({ seed, at, trend, season }) => {
  const series = paperSeries(seed);
  const fitted = robustStl({ periods: [50] }).fit(series.values);
  test("trend and season are those of the table", () => {
    at.forEach((t, i) => {
      expect(fitted.trend[t]).toBeCloseTo(trend[i], 6);
      expect(fitted.seasons[0][t]).toBeCloseTo(season[i], 6);
    });
  });
});

test("over eight seeds, trend and season are near the truth and the spikes in the remainder", () => {
  let spikes = 0;
  let kept = 0;
  let trendError = 0;
  let seasonError = 0;
  for (let seed = 1; seed <= 8; seed++) {
    const series = paperSeries(seed);
    const fitted = robustStl({ periods: [50] }).fit(series.values);
    for (const t of series.spikes) {
      spikes++;
      if (Math.abs(fitted.remainder[t]) > 5) kept++;
    }
    for (let t = 0; t < 750; t++) {
      trendError += Math.abs(fitted.trend[t] - series.trend[t]) / 6000;
      seasonError += Math.abs(fitted.seasons[0][t] - series.season[t]) / 6000;
    }
  }
  expect(kept / spikes).toBeGreaterThan(0.9);
  expect(trendError).toBeLessThan(0.1);
  expect(seasonError).toBeLessThan(0.13);
});
