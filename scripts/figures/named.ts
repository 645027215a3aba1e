import { area, curve } from "../../src/backtest/report/axes.ts";
import { markup } from "../../src/backtest/report/markup.ts";
import { forecastByName, forecasterNames } from "../../src/forecast/forecast-by-name.ts";
import { before, between, dayMs, departuresEvery } from "./departures.ts";
import { fill, legend, percent, picture, pictureWidth, plot, round, stroke, times } from "./picture.ts";

const levels = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
const scored = levels.slice(1, -1);
const stepMinutes = 10;
const originMs = Date.UTC(2001, 5, 13, 4);
const historyMs = 14 * dayMs;

/** The same day as each algorithm foretells it, beside what came. */
export function namedAlgorithms(): string {
  const load = departuresEvery(stepMinutes);
  const came = between(load, originMs, originMs + dayMs).values;
  const lastDay = between(load, originMs - dayMs, originMs).values;
  const sum = came.reduce((a, b) => a + b, 0);
  // Repeating the last day says one value for all quantiles: its pinball loss over symmetric levels is half the error.
  const repeated = came.reduce((total, value, i) => total + Math.abs(value - lastDay[i]) / 2, 0);
  const top = 1.2 * Math.max(...came);
  const panels = forecasterNames.map((algorithm, n) => {
    const outcome = forecastByName({
      series: between(before(load, originMs), originMs - historyMs, originMs),
      horizon: came.length,
      levels,
      timeZone: "UTC",
      algorithm,
    });
    if (outcome.kind !== "Forecast") throw new Error(`no forecast by ${algorithm}: ${outcome.kind}`);
    const { quantiles, mean } = outcome.forecast;
    const loss =
      scored.reduce((total, level) => {
        const at = quantiles[levels.indexOf(level)];
        return total + came.reduce((all, y, i) => all + Math.max(level * (y - at[i]), (level - 1) * (y - at[i])), 0);
      }, 0) / scored.length;
    const error = came.reduce((total, value, i) => total + Math.abs(value - mean[i]), 0) / sum;
    const clipped = (values: Float64Array) => values.map((value) => Math.min(value, top));
    return plot({
      height: 200,
      width: pictureWidth / 2,
      isBeside: n % 2 === 1,
      x: {
        from: originMs,
        to: originMs + dayMs,
        ticks: times(originMs, originMs + dayMs).filter((_, k) => k % 2 === 0),
      },
      y: {
        from: 0,
        to: top,
        ticks: round(top, 4),
        title: `${algorithm}: off by ${percent(error, 1)}, wQL ${(loss / repeated).toFixed(2)}`,
      },
      draw: (x, y) => {
        const at = [...came.keys()].map((i) => x(originMs + (i + 0.5) * stepMinutes * 60_000));
        return [
          markup`<path class="narrow" style="${fill("band")}" d="${area(at, clipped(quantiles[0]), clipped(quantiles[levels.length - 1]), y)}"/>`,
          markup`<path class="line thin" style="${stroke("ink")}" d="${curve(at, came, y)}"/>`,
          markup`<path class="line dashed" style="${stroke("forescale")}" d="${curve(at, clipped(mean), y)}"/>`,
        ];
      },
    });
  });
  return picture(
    "One day by each algorithm, from two weeks of ten-minute steps: Wednesday 13 June 2001, 04:00",
    [
      "Departures a minute. In the headings: the median's error as a share of the load, and the pinball loss relative to that of",
      "repeating the last day (below 1 is better). One day is an example, not a ranking.",
    ],
    [
      legend([
        { text: "what came", colour: "ink", kind: "line" },
        { text: "median", colour: "forescale", kind: "dashed" },
        { text: "5 to 95 %", colour: "band", kind: "area" },
      ]),
      ...panels,
    ],
  );
}
