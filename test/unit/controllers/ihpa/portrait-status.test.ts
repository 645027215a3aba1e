import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { HorizontalPortraitStatus } from "../../../../src/api/kinds/horizontal-portrait.ts";
import { publishedLoadForecast } from "../../../../src/controllers/ihpa/published-load-forecast.ts";
import { withinSize } from "../../../../src/controllers/portrait/portrait-size.ts";
import { predictivePortrait } from "../../../../src/portrait/predictive.ts";
import { publishedForecast } from "../../../../src/portrait/published-forecast.ts";
import { iso, nowMs } from "../objects.ts";

const levels = [0.5, 0.9, 0.95, 0.99];

/** A forecast of a day whose load changes at every step. */
function forecastOf(seed: number) {
  const steps = 300;
  const quantiles = levels.map((level) =>
    Float64Array.from({ length: steps }, (_, k) => 123_456 * level * (1 + ((k * 7919 + seed * 104_729) % 997) / 997)),
  );
  return {
    startMs: nowMs,
    stepMs: 300_000,
    levels,
    quantiles,
    mean: quantiles[0],
    periods: [],
    method: "x",
    coverage: [],
  };
}

function statusOf(metrics: number): HorizontalPortraitStatus {
  const forecasts = Array.from({ length: metrics }, (_, i) => ({
    name: `metric-${i}-${"n".repeat(50)}`,
    forecast: forecastOf(i),
    capacity: { pods: (load: number) => load / 10, reason: "" },
  }));
  const condition = (type: string) => ({
    type,
    status: "True" as const,
    reason: "ForecastPublished",
    message: "m".repeat(256),
    lastTransitionTime: iso(),
    observedGeneration: 1,
  });
  return {
    observedGeneration: 1,
    portraitData: predictivePortrait(forecasts, {
      nowMs,
      horizonMs: 86_400_000,
      leadMs: 120_000,
      quantile: 0.95,
      minReplicas: 0,
      maxReplicas: 100_000,
    }),
    forecast: {
      generatedAt: iso(),
      metrics: forecasts.map(({ name, forecast }) => publishedForecast(name, forecast, levels)),
    },
    accuracy: {
      coverage: levels.map((level) => ({ level, observed: 0.987, samples: 123_456 })),
      samples: 123_456,
      updateTime: iso(),
      message: "m".repeat(256),
    },
    periods: [86_400, 604_800],
    conditions: [condition("PortraitGenerated"), condition("ForecastReady")],
  };
}

describe("a portrait's status stays below 8 KiB", () => {
  test.each([1, 2, 5, 8])("with %i metrics whose load varies all the time", (metrics) => {
    const status = statusOf(metrics);
    const small = withinSize(status);
    expect(Buffer.byteLength(JSON.stringify(small))).toBeLessThan(8192);
    // What acts is whole; every metric is still shown.
    expect(small.portraitData).toEqual(status.portraitData);
    expect(small.forecast!.metrics).toHaveLength(metrics);
  });

  test("a status that fits is not changed", () => {
    const status = { conditions: [] };
    expect(withinSize(status)).toBe(status);
  });

  test("a band with fewer points is nowhere below the forecast", () => {
    const status = statusOf(8);
    const at = (each: HorizontalPortraitStatus, metric: number, seconds: number) =>
      each.forecast!.metrics![metric].points.findLast(({ time }) => time <= seconds)!.values;
    const small = withinSize(status);
    for (const [metric, { points }] of status.forecast!.metrics!.entries())
      for (const { time, values } of points)
        for (const [k, value] of at(small, metric, time).entries()) expect(value).toBeGreaterThanOrEqual(values[k]);
  });
});

describe("a published forecast is used after a restart", () => {
  test("as the portrait shows it, until it expires", () => {
    const values = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 12, maxLength: 200 });
    fc.assert(
      fc.property(values, (loads) => {
        const row = Float64Array.from(loads);
        const forecast = { ...forecastOf(0), levels: [0.5], quantiles: [row], mean: row };
        const published = publishedForecast("load", forecast, [0.5]);
        const expireTime = new Date(nowMs + loads.length * 300_000).toISOString();
        const outlook = publishedLoadForecast(
          { portraitData: { type: "Static", expireTime }, forecast: { generatedAt: iso(), metrics: [published] } },
          "load",
        )!;
        expect(outlook.startMs).toBe(nowMs);
        const reachMs = outlook.startMs + outlook.stepMs * outlook.quantiles[0].length;
        expect(reachMs - Date.parse(expireTime)).toBeLessThan(outlook.stepMs);
        expect(reachMs).toBeGreaterThanOrEqual(Date.parse(expireTime));
        for (const [k, load] of loads.entries())
          expect(outlook.quantiles[0][Math.floor((k * 300_000) / outlook.stepMs)]).toBeGreaterThanOrEqual(
            Number(load.toPrecision(3)),
          );
      }),
    );
  });

  test("only where the status has one and says how far it reaches", () => {
    const metrics = [publishedForecast("load", forecastOf(0), levels)];
    expect(publishedLoadForecast({}, "load")).toBeUndefined();
    expect(publishedLoadForecast({ forecast: { generatedAt: iso(), metrics } }, "load")).toBeUndefined();
    expect(
      publishedLoadForecast(
        { portraitData: { type: "Static", expireTime: iso(-600) }, forecast: { generatedAt: iso(), metrics } },
        "other",
      ),
    ).toBeUndefined();
  });
});
