import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arrivalHeadroom } from "../../../src/capacity/arrival-headroom.ts";
import type { Forecast } from "../../../src/forecast/forecast.ts";
import { forecastByName } from "../../../src/forecast/forecast-by-name.ts";
import { overLead } from "../../../src/portrait/arrivals-over-lead.ts";
import { createLoadForecasts } from "../../../src/portrait/load-forecasts.ts";
import { poissonDraw } from "../../golden/nhpp-series.ts";
import { generator } from "../forecast/robust-series.ts";

const stepMs = 300_000;
const levels = [0.1, 0.5, 0.9, 0.95, 0.99];

/** Five days of requests a second, a few more by day, times `unit`. */
const perSecond = (t: number) => 0.4 + 0.2 * Math.sin((2 * Math.PI * t) / 288);
function history(unit = 1): Float64Array<ArrayBuffer> {
  const { uniform } = generator(5);
  return Float64Array.from({ length: 5 * 288 }, (_, t) => (poissonDraw(300 * perSecond(t), uniform) / 300) * unit);
}
function forecastOf(values: Float64Array, algorithm = "NHPP"): Forecast {
  const series = { startMs: 0, stepMs, values };
  const outcome = forecastByName({ series, horizon: 288, levels, timeZone: "UTC", algorithm });
  if (outcome.kind !== "Forecast") throw new Error(outcome.kind);
  return outcome.forecast;
}
const made = forecastOf(history());

describe("a forecast of arrivals, sized for the lead", () => {
  test("covers what arrives over a minute as its levels say, which quantiles over its steps don't", () => {
    const { uniform } = generator(77);
    const [before, after] = [made, overLead(made, 60)].map(({ quantiles }) => {
      const within = levels.map(() => 0);
      for (let t = 0; t < 288; t++)
        for (let minute = 0; minute < 20; minute++) {
          const rate = poissonDraw(60 * perSecond(t), uniform) / 60;
          levels.forEach((_, k) => {
            if (rate <= quantiles[k][t] + 1e-9) within[k]++;
          });
        }
      return within.map((count) => count / (288 * 20));
    });
    expect(before[3]).toBeLessThan(0.85);
    expect(before[4]).toBeLessThan(0.9);
    expect(Math.abs(after[3] - 0.96)).toBeLessThan(0.02); // whole counts reach a little more than asked
    expect(Math.abs(after[4] - 0.99)).toBeLessThan(0.01);
  });

  test("is the headroom rule's load, and says so", () => {
    const sized = overLead(made, 30);
    const { expected, dispersions } = made.arrivals!;
    const window = { startupSeconds: 30, level: 0.95, dispersion: dispersions[7] };
    expect(sized.quantiles[3][7]).toBeCloseTo(arrivalHeadroom(expected[7] / 300, window).load, 9);
    expect(sized.method).toMatch(/^NHPP, .*; quantiles of the arrivals during a lead of 30 s$/);
    expect(sized.mean).toBe(made.mean);
  });

  test.each([60, 1 / 7])("in %d-fold units of the load: as many times as much", (unit) => {
    const sized = overLead(forecastOf(history(unit)), 60);
    overLead(made, 60).quantiles.forEach((row, k) => {
      const sum = (values: Float64Array) => values.reduce((a, b) => a + b);
      expect(Math.abs(sum(sized.quantiles[k]) / (unit * sum(row)) - 1)).toBeLessThan(0.07);
    });
  });

  test("never falls below the forecast nor crosses, and a shorter lead never needs less over the day", () => {
    const lead = fc.double({ min: 1, max: 299, noNaN: true });
    fc.assert(
      fc.property(lead, (seconds) => {
        const sized = overLead(made, seconds);
        for (let j = 0; j < 288; j += 7)
          levels.forEach((_, k) => {
            expect(sized.quantiles[k][j]).toBeGreaterThanOrEqual(made.quantiles[k][j]);
            if (k > 0) expect(sized.quantiles[k][j]).toBeGreaterThanOrEqual(sized.quantiles[k - 1][j]);
          });
      }),
      { numRuns: 20 },
    );
    const most = ({ quantiles }: Forecast) => quantiles[4].reduce((a, b) => a + b);
    expect(most(overLead(made, 20))).toBeGreaterThan(1.2 * most(overLead(made, 120)));
    expect(most(overLead(made, 120))).toBeGreaterThan(1.05 * most(made));
  });

  test("stays as it is where the lead is no shorter than a step, and where it is none of arrivals", () => {
    expect(overLead(made, 300)).toBe(made);
    const other = forecastOf(history(), "Forecast");
    expect(overLead(other, 30)).toBe(other);
  });
});

test("a load forecast is converted to the measured lead, and anew only when the lead changes", () => {
  let leadSeconds: number | undefined = 30;
  const series = { startMs: 0, stepMs, values: history() };
  const ask = createLoadForecasts({
    history: () => series,
    timeZone: "UTC",
    horizonMs: 3_600_000,
    algorithm: "NHPP",
    leadSeconds: () => leadSeconds,
  });
  const nowMs = 5 * 86_400_000;
  const first = ask("load", nowMs)!;
  expect(first.method).toContain("lead of 30 s");
  leadSeconds = 27;
  expect(ask("load", nowMs + 1000)).toBe(first);
  leadSeconds = 170;
  expect(ask("load", nowMs + 2000)!.method).toContain("during a lead of 170 s");
  leadSeconds = undefined;
  expect(ask("load", nowMs + 3000)!.method).toContain("during a lead of 120 s");
});
