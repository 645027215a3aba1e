import { curve, place, type Scale } from "../../src/backtest/report/axes.ts";
import { type Markup, markup } from "../../src/backtest/report/markup.ts";
import { detectPeriods, type Period } from "../../src/forecast/periods/robust-period.ts";
import type { Series } from "../../src/series/series.ts";
import { autocorrelation } from "../../src/series/statistics/autocorrelation.ts";
import { finiteOf, median, robustScale } from "../../src/series/statistics/robust-statistics.ts";
import { powerOf, realSpectrum } from "../../src/series/transforms/fft.ts";
import { damaged } from "./damage.ts";
import { departuresEvery, hourMs } from "./departures.ts";
import { legend, picture, plot, stroke } from "./picture.ts";

const minutes = 15;
const perHour = 60 / minutes;

/** The series, undamaged and damaged, in frequency and in lag, with the periods found in each. */
export function periodsFound(): string {
  const whole = departuresEvery(minutes);
  const broken = damaged(whole, {
    lost: 0.2,
    gap: { fromMs: Date.UTC(2001, 4, 23, 6), untilMs: Date.UTC(2001, 4, 25, 6) },
    shift: { fromMs: Date.UTC(2001, 5, 4, 9), by: 12 },
    spikes: 0.02,
    spike: 100,
  });
  const found = [whole, broken].map(({ values, stepMs }) => detectPeriods(values, { stepMs }));
  const spectra = [whole, broken].map(spectrumOf);
  const longest = 24 * 8.5 * perHour;
  const correlations = [whole, broken].map(({ values }) => autocorrelation(values, longest));
  const n = whole.values.length;
  const periodAt = (k: number) => n / k / perHour; // hours of bin k
  const [lowest, highest] = [1e-3, 1];
  const strongest = Math.max(...spectra[0]);
  const shown = Array.from({ length: n / 2 - 1 }, (_, k) => k + 1).filter(
    (k) => periodAt(k) <= 400 && periodAt(k) >= 1,
  );
  const hours = [1, 2, 4, 6, 8, 12, 24, 48, 84, 168, 336].map((value) => ({
    value: -Math.log(value),
    label: value < 48 ? `${value} h` : value === 84 ? "3.5 d" : `${value / 24} d`,
  }));
  return picture(
    `Periods of the bundled trace: 35 days in steps of ${minutes} minutes`,
    [
      `Found in the trace: ${describe(found[0])}.`,
      `Found after damage: ${describe(found[1])}. Damage: 20 % of the samples and two whole days lost, 2 % spikes of +100, a lasting shift of +12.`,
    ],
    [
      legend([
        { text: "the trace", colour: "forescale", kind: "line" },
        { text: "damaged, as an ordinary periodogram and autocorrelation see it", colour: "hpa", kind: "line" },
        { text: "periods found", colour: "ink", kind: "dashed" },
      ]),
      plot({
        height: 240,
        x: { from: -Math.log(400), to: 0, ticks: hours, title: "period" },
        y: {
          from: Math.log10(lowest),
          to: Math.log10(highest),
          ticks: [-3, -2, -1, 0].map((value) => ({ value, label: ["0.001", "0.01", "0.1", "1"][value + 3] })),
          title: "power, as a share of the strongest line of the trace",
        },
        draw: (x, y) => [
          ...marks(found[0], x, y, Math.log10(lowest), Math.log10(highest), (hours) => -Math.log(hours)),
          ...[1, 0].map(
            (which) =>
              markup`<path class="line thin" style="${stroke(which === 0 ? "forescale" : "hpa")}" d="${curve(
                shown.map((k) => x(-Math.log(periodAt(k)))),
                shown.map((k) => Math.log10(Math.min(highest, Math.max(lowest, spectra[which][k] / strongest)))),
                y,
              )}"/>`,
          ),
        ],
      }),
      plot({
        height: 240,
        x: {
          from: 0,
          to: longest / perHour,
          ticks: [0, 1, 2, 3, 4, 5, 6, 7, 8].map((day) => ({ value: day * 24, label: `${day} d` })),
          title: "lag",
        },
        y: {
          from: -0.6,
          to: 1,
          ticks: [-0.5, 0, 0.5, 1].map((value) => ({ value, label: String(value) })),
          title: "autocorrelation",
        },
        draw: (x, y) => [
          ...marks(found[0], x, y, -0.6, 1, (hours) => hours),
          ...[1, 0].map(
            (which) =>
              markup`<path class="line thin" style="${stroke(which === 0 ? "forescale" : "hpa")}" d="${curve(
                Array.from(correlations[which], (_, lag) => x(lag / perHour)),
                correlations[which],
                y,
              )}"/>`,
          ),
        ],
      }),
    ],
  );
}

/** The plain periodogram; what is missing stands at the median. */
function spectrumOf({ values }: Series): Float64Array {
  const present = finiteOf(values);
  const center = median(present);
  const scale = robustScale(present, center);
  return powerOf(realSpectrum(values.map((value) => (Number.isFinite(value) ? (value - center) / scale : 0))));
}

function marks(
  periods: readonly Period[],
  x: Scale,
  y: Scale,
  low: number,
  high: number,
  place_: (hours: number) => number,
): Markup[] {
  return periods.map(({ period }) => {
    const at = place(x(place_(period / perHour)));
    return markup`<path class="line mark" style="${stroke("ink")}" d="M${at} ${place(y(low))}V${place(y(high))}"/><text class="label" x="${Number(at) + 5}" y="${place(y(high) + 10)}">${name(period)}</text>`;
  });
}

function describe(periods: readonly Period[]): string {
  if (periods.length === 0) return "none";
  return periods.map(({ period, strength }) => `${name(period)} (strength ${strength.toFixed(2)})`).join(", ");
}

function name(period: number): string {
  const hours = Number(((period * minutes * 60_000) / hourMs).toFixed(2));
  return hours % 24 === 0 && hours > 24 ? `${hours / 24} d` : `${hours} h`;
}
