import { area, curve, place } from "../../src/backtest/report/axes.ts";
import { markup } from "../../src/backtest/report/markup.ts";
import { rollForecasts } from "../../src/backtest/rolling-forecasts.ts";
import { forecast } from "../../src/forecast/experts/expert-forecast.ts";
import type { Forecast } from "../../src/forecast/forecast.ts";
import { bucketsOf } from "../../src/forecast/quantiles/lead-buckets.ts";
import { before, between, dayMs, departuresEvery, hourMs } from "./departures.ts";
import { type Colour, fill, legend, percent, picture, plot, round, stroke, times } from "./picture.ts";

const levels = [0.05, 0.25, 0.5, 0.75, 0.95];
const originMs = Date.UTC(2001, 5, 13, 4);

let shownDay: Forecast | undefined;

function made(): Forecast {
  if (shownDay !== undefined) return shownDay;
  const outcome = forecast({
    series: before(departuresEvery(5), originMs),
    horizon: 288,
    levels,
    timeZone: "UTC",
  });
  if (outcome.kind !== "Forecast") throw new Error(`no forecast: ${outcome.kind}`);
  shownDay = outcome.forecast;
  return shownDay;
}

/** A day's forecast, and what came. */
export function forecastDay(): string {
  const { quantiles, stepMs } = made();
  const came = between(departuresEvery(5), originMs, originMs + dayMs).values;
  const known = between(departuresEvery(5), originMs - 6 * hourMs, originMs).values;
  const share = (low: number, high: number) =>
    came.reduce((n, value, i) => n + (value >= quantiles[low][i] && value <= quantiles[high][i] ? 1 : 0), 0) / 288;
  const median = quantiles[2];
  const error = came.reduce((sum, value, i) => sum + Math.abs(value - median[i]), 0) / came.reduce((a, b) => a + b, 0);
  const [fromMs, untilMs] = [originMs - 6 * hourMs, originMs + dayMs];
  const most = 1.05 * Math.max(...quantiles[4], ...came);
  return picture(
    "One day ahead, from 30 days of history: Wednesday 13 June 2001, 04:00",
    [
      `Of 288 values that came, ${percent(share(0, 4))} lie in the 5 to 95 % band and ${percent(share(1, 3))} in the 25 to 75 % one; the median was off by ${percent(error, 1)} of the load.`,
    ],
    [
      legend([
        { text: "what came", colour: "ink", kind: "line" },
        { text: "median", colour: "forescale", kind: "dashed" },
        { text: "25 to 75 %, and 5 to 95 %", colour: "band", kind: "area" },
      ]),
      plot({
        height: 320,
        x: { from: fromMs, to: untilMs, ticks: times(fromMs, untilMs) },
        y: { from: 0, to: most, ticks: round(most, 5), title: "departures a minute; the trace's own hours" },
        draw: (x, y) => {
          const at = (fromMs: number, count: number) =>
            Array.from({ length: count }, (_, i) => x(fromMs + (i + 0.5) * stepMs));
          const ahead = at(originMs, 288);
          return [
            markup`<path class="wide" style="${fill("band")}" d="${area(ahead, quantiles[0], quantiles[4], y)}"/>`,
            markup`<path class="narrow" style="${fill("band")}" d="${area(ahead, quantiles[1], quantiles[3], y)}"/>`,
            markup`<path class="line thin" style="${stroke("ink")}" d="${curve(at(fromMs, known.length), known, y)}"/>`,
            markup`<path class="line thin" style="${stroke("ink")}" d="${curve(ahead, came, y)}"/>`,
            markup`<path class="line dashed" style="${stroke("forescale")}" d="${curve(ahead, median, y)}"/>`,
            markup`<path class="line mark" style="${stroke("soft")}" d="M${place(x(originMs))} ${place(y(0))}V${place(y(most))}"/>`,
            markup`<text class="label" x="${place(x(originMs) - 6)}" y="${place(y(most) + 12)}" text-anchor="end">known</text>`,
            markup`<text class="label" x="${place(x(originMs) + 6)}" y="${place(y(most) + 12)}">foretold</text>`,
          ];
        },
      }),
    ],
  );
}

const shownLevels = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99];
const parts: readonly { readonly text: string; readonly untilHours: number; readonly colour: Colour }[] = [
  { text: "first hour", untilHours: 1, colour: "forescale" },
  { text: "1 to 8 h", untilHours: 8, colour: "cron" },
  { text: "8 to 24 h", untilHours: 24, colour: "hpa" },
];

const dayStartsMs = 5 * hourMs;

/** How often what came was at or below each quantile, over the last days of the trace. */
export function forecastCoverage(): string {
  const load = departuresEvery(5);
  const endMs = load.startMs + load.values.length * load.stepMs;
  const rolling = rollForecasts(load, {
    fromMs: endMs - 8 * dayMs,
    untilMs: endMs - dayMs,
    horizonMs: dayMs,
    historyMs: 28 * dayMs,
    timeZone: "UTC",
    everyMs: 11 * hourMs,
  });
  const { actual } = rolling;
  const counts = parts.map(() => ({ atOrBelow: shownLevels.map(() => 0), samples: 0 }));
  for (const { startMs, stepMs, levels, quantiles, mean } of rolling.made) {
    const first = Math.round((startMs - actual.startMs) / stepMs);
    for (let j = 0; j < mean.length; j++) {
      const value = actual.values[first + j];
      // At night nothing departs: a value of 0 at a quantile of 0 says nothing of it.
      const isNight = (startMs + j * stepMs) % dayMs < dayStartsMs;
      if (!Number.isFinite(value) || isNight) continue;
      const part = counts[parts.findIndex(({ untilHours }) => j * stepMs < untilHours * hourMs)];
      part.samples++;
      shownLevels.forEach((level, k) => {
        if (value <= quantiles[levels.indexOf(level)][j]) part.atOrBelow[k]++;
      });
    }
  }
  return picture(
    `Coverage by level: ${rolling.made.length} forecasts of a day, made every 11 h over the trace's last 8 days`,
    [
      "From 05:00 to midnight. A dot belongs on its bar's black end; above it the quantile was too high, below it too low.",
    ],
    [
      legend(
        parts.map(({ text, colour }, p) => ({ text: `${text}, ${counts[p].samples} values`, colour, kind: "dot" })),
      ),
      plot({
        height: 330,
        x: {
          from: -0.5,
          to: shownLevels.length - 0.5,
          ticks: shownLevels.map((level, value) => ({ value, label: percent(level) })),
          title: "quantile",
        },
        y: {
          from: 0,
          to: 1,
          ticks: [0, 0.25, 0.5, 0.75, 1].map((value) => ({ value, label: percent(value) })),
          title: "share of values at or below it",
        },
        draw: (x, y) =>
          shownLevels.flatMap((level, k) => [
            markup`<rect style="fill:var(--line)" x="${place(x(k - 0.32))}" y="${place(y(level))}" width="${place(x(0.64) - x(0))}" height="${place(y(0) - y(level))}"/>`,
            markup`<path class="line" style="${stroke("ink")}" d="M${place(x(k - 0.32))} ${place(y(level))}H${place(x(k + 0.32))}"/>`,
            ...parts.map(({ text, colour }, p) => {
              const share = counts[p].atOrBelow[k] / counts[p].samples;
              return markup`<circle class="dot" style="${fill(colour)}" cx="${place(x(k + (p - 1) * 0.2))}" cy="${place(y(share))}" r="5"><title>${text}: ${percent(share, 1)} at or below the ${percent(level)} quantile</title></circle>`;
            }),
          ]),
      }),
    ],
  );
}

const expertColours: readonly Colour[] = [
  "forescale",
  "hpa",
  "cron",
  "fixed",
  "band",
  "good",
  "wait",
  "bad",
  "oracle",
  "ink",
  "soft",
];

/** What each expert counted, by how far ahead. */
export function forecastExperts(): string {
  const { weights } = made();
  if (weights === undefined || !("experts" in weights)) throw new Error("there was no backtest");
  const { experts, horizon, stepMs, origins } = weights;
  const stepsPerHour = hourMs / stepMs;
  const buckets = bucketsOf(horizon, stepsPerHour);
  const mean = (k: number) => weights.weights.reduce((sum, row) => sum + row[k], 0);
  const order = experts.map((_, k) => k).sort((a, b) => mean(b) - mean(a));
  const colour = (rank: number) => expertColours[rank % expertColours.length];
  return picture(
    `What each expert counts, by how far ahead: the forecast of 13 June, 04:00`,
    [
      `Weights from a backtest at ${origins} origins of the last week: (loss ÷ least loss)^−4 of the pinball loss, times the expert's prior weight.`,
    ],
    [
      legend(order.map((k, rank) => ({ text: experts[k], colour: colour(rank), kind: "block" }))),
      plot({
        height: 300,
        x: {
          from: -0.5,
          to: buckets.length - 0.5,
          ticks: buckets.map(({ from, to }, value) => ({
            value,
            label: `${Math.round(from / stepsPerHour)} to ${Math.round(to / stepsPerHour)} h ahead`,
          })),
        },
        y: {
          from: 0,
          to: 1,
          ticks: [0, 0.25, 0.5, 0.75, 1].map((value) => ({ value, label: percent(value) })),
          title: "share of the vote",
        },
        draw: (x, y) =>
          buckets.flatMap((_, b) => {
            let sum = 0;
            return order.map((k, rank) => {
              const from = sum;
              sum += weights.weights[b][k];
              const [high, low] = [y(sum), y(from)];
              return markup`<g><title>${experts[k]}: ${percent(sum - from)}</title><rect style="${fill(colour(rank))};opacity:.8;stroke:var(--card)" x="${place(x(b - 0.45))}" y="${place(high)}" width="${place(x(0.9) - x(0))}" height="${place(low - high)}"/>${low - high > 15 && markup`<text x="${place(x(b))}" y="${place((low + high) / 2 + 4)}" text-anchor="middle" style="fill:var(--card);font-weight:600">${experts[k]} ${percent(sum - from)}</text>`}</g>`;
            });
          }),
      }),
    ],
  );
}
