import { expect, test } from "vitest";
import { forecastAlgorithms } from "../../../src/api/kinds/horizontal-portrait.ts";
import { forecastByName, forecasterNames } from "../../../src/forecast/forecast-by-name.ts";

const stepMs = 3_600_000;
const series = {
  startMs: Date.UTC(2025, 2, 3),
  stepMs,
  values: Float64Array.from({ length: 240 }, (_, i) => 50 + 30 * Math.sin((2 * Math.PI * i) / 24) + ((i * 7919) % 13)),
};

test("what the API names is what there is", () => {
  expect([...forecastAlgorithms]).toEqual(forecasterNames);
});

test.each(forecasterNames)("%s forecasts the next day of a daily seasonality", (algorithm) => {
  const outcome = forecastByName({ series, horizon: 24, levels: [0.1, 0.5, 0.9], timeZone: "UTC", algorithm });
  if (outcome.kind !== "Forecast") throw new Error(outcome.kind);
  const [low, middle, high] = outcome.forecast.quantiles;
  for (let k = 0; k < 24; k++) {
    expect(low[k]).toBeLessThanOrEqual(middle[k]);
    expect(middle[k]).toBeLessThanOrEqual(high[k]);
    if (algorithm !== "RobustTrend") expect(Math.abs(middle[k] - series.values[k + 216])).toBeLessThan(20);
  }
});

test.each(forecasterNames)("%s ignores an outlier as last value", (algorithm) => {
  const request = { series: { ...series, values: series.values.with(239, 1e9) }, horizon: 24, levels: [0.5, 0.9] };
  const outcome = forecastByName({ ...request, timeZone: "UTC", algorithm });
  if (outcome.kind !== "Forecast") throw new Error(outcome.kind);
  for (const row of outcome.forecast.quantiles) expect(Math.max(...row)).toBeLessThan(300);
  expect(outcome.forecast.method).toMatch(/outlier removed|spike clipped/);
});

test("a name that none has is refused with those there are", () => {
  expect(() => forecastByName({ series, horizon: 1, levels: [0.5], timeZone: "UTC", algorithm: "Oracle" })).toThrow(
    /no forecast algorithm Oracle; use one of Forecast, RobustSTL/,
  );
});
