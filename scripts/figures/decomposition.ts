import { curve, place } from "../../src/backtest/report/axes.ts";
import { type Markup, markup } from "../../src/backtest/report/markup.ts";
import { robustStl } from "../../src/forecast/decomposition/robust-stl.ts";
import { detectPeriods } from "../../src/forecast/periods/robust-period.ts";
import { damaged } from "./damage.ts";
import { dayMs, departuresEvery, hourMs } from "./departures.ts";
import { type Colour, type Panel, picture, plot, round, stroke, times } from "./picture.ts";

const minutes = 30;
const shift = { fromMs: Date.UTC(2001, 5, 13, 12), by: 15 };
const spikes = [
  Date.UTC(2001, 5, 10, 15),
  Date.UTC(2001, 5, 12, 2),
  Date.UTC(2001, 5, 14, 18),
  Date.UTC(2001, 5, 16, 10),
];

/** The last days of the trace in their parts, a shift and spikes among them. */
export function decompositionParts(): string {
  const series = damaged(departuresEvery(minutes), { shift, spikes, spike: 35 });
  const { startMs, stepMs, values } = series;
  const periods = detectPeriods(values, { stepMs }).map(({ period }) => period);
  const { trend, seasons, remainder } = robustStl({ periods }).fit(values);
  const endMs = startMs + values.length * stepMs;
  const fromMs = endMs - 8 * dayMs;
  const first = Math.round((fromMs - startMs) / stepMs);
  const at = (timeMs: number) => Math.floor((timeMs - startMs) / stepMs);
  const meanOf = (fromMs: number, untilMs: number) => {
    const part = trend.subarray(at(fromMs), at(untilMs));
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  };
  const rise = meanOf(shift.fromMs + dayMs, endMs) - meanOf(fromMs, shift.fromMs - dayMs);
  const kept = spikes.filter((timeMs) => remainder[at(timeMs)] > 17.5).length;

  const panel = (height: number, title: string, part: Float64Array, colour: Colour, isLast = false): Panel => {
    const shown = part.subarray(first);
    const low = Math.min(0, ...shown);
    const high = Math.max(...shown);
    const [from, to] = [low * 1.05, high + 0.05 * (high - low)];
    const ticks = [
      ...round(to, 3),
      ...round(-from, 3)
        .slice(1)
        .map(({ value }) => ({ value: -value, label: `−${value}` })),
    ];
    const spaced = ticks.filter(({ value }) => value >= 0 || high < 3 * -low);
    return plot({
      height,
      x: { from: fromMs, to: endMs, ticks: isLast ? times(fromMs, endMs) : [] },
      y: { from, to, ticks: spaced, title },
      draw: (x, y): Markup[] => [
        ...(part === seasons[0] ? [] : marks(x, y(from), y(to))),
        markup`<path class="line thin" style="${stroke(colour)}" d="${curve(
          Array.from(shown, (_, i) => x(fromMs + (i + 0.5) * stepMs)),
          shown,
          y,
        )}"/>`,
      ],
    });
  };
  const marks = (x: (timeMs: number) => number, low: number, high: number) => [
    markup`<path class="line mark" style="${stroke("hpa")}" d="M${place(x(shift.fromMs))} ${place(low)}V${place(high)}"/>`,
    ...spikes.map(
      (timeMs) =>
        markup`<path class="line mark" style="${stroke("oracle")}" d="M${place(x(timeMs + (minutes / 120) * hourMs))} ${place(low)}V${place(high)}"/>`,
    ),
  ];
  const names = periods.map((period) => (period * stepMs) / hourMs);
  return picture(
    "RobustSTL: the trace's last 8 days, with a shift of +15 and four spikes of +35 put in",
    [
      `The trend takes ${rise.toFixed(1)} of the shift (orange line); ${kept} of the 4 spikes (grey lines) stay in the remainder with more than half of their height.`,
      "All in departures a minute; fitted on 35 days in steps of 30 minutes, with the periods that RobustPeriod found.",
    ],
    [
      panel(150, "series", values, "ink"),
      panel(120, "trend", trend, "forescale"),
      ...seasons.map((season, s) => panel(120, `season of ${nameOf(names[s])}`, season, "cron")),
      panel(140, "remainder", remainder, "fixed", true),
    ],
  );
}

function nameOf(hours: number): string {
  const whole = Number(hours.toFixed(1));
  return whole === 24 ? "a day" : whole === 168 ? "a week" : `${whole} h`;
}
