import { curve, place } from "../../src/backtest/report/axes.ts";
import { markup } from "../../src/backtest/report/markup.ts";
import { AccuracyGate, gateRules } from "../../src/decide/gate/accuracy-gate.ts";
import { RollingSums } from "../../src/decide/gate/rolling-sums.ts";
import { dayMs, departureRate, hourMs, minuteMs } from "./departures.ts";
import { fill, legend, type Panel, percent, picture, plot, round, stroke, times } from "./picture.ts";
import { podCarries } from "./workload.ts";

const load = departureRate();
const { stepMs } = load;
const shown = { fromMs: Date.UTC(2001, 5, 5), untilMs: Date.UTC(2001, 5, 10) };
/** The day that comes six hours late, from the quiet of one night to that of the next. */
const late = { fromMs: Date.UTC(2001, 5, 6, 4), untilMs: Date.UTC(2001, 5, 7, 4), byMs: 6 * hourMs };
/** The forecast is the mean of so many days at the same minute; the quantile that sizes pods is their largest. */
const days = 7;
const level = days / (days + 1);
const rules = gateRules(undefined);
/** Ratios are drawn from an eighth to eight: powers of two up to this one. */
const furthest = 3;

interface Judged {
  readonly timeMs: number;
  readonly actual: number;
  readonly forecast: number;
  /** Over the gate's window. */
  readonly relativeError: number;
  readonly coverage: number;
  readonly isTrusted: boolean;
}

/** A day that comes six hours late: the forecast's error against repeating yesterday, its coverage, and the gate's verdict. */
export function accuracyGate(): string {
  const judged = outcomes();
  const lost = stretches(judged);
  const hours = lost.reduce((sum, { fromMs, untilMs }) => sum + untilMs - fromMs, 0) / hourMs;
  const first = lost.find(({ fromMs }) => fromMs >= late.fromMs);
  if (first === undefined) throw new Error("a day six hours late costs trust");
  const after = (first.fromMs - late.fromMs) / hourMs;
  const at = (scale: (value: number) => number) => judged.map(({ timeMs }) => scale(timeMs));
  const values = (of: (each: Judged) => number) => Float64Array.from(judged, of);
  const panel = (title: string, options: Pick<Parameters<typeof plot>[0], "height" | "y" | "draw">, isLast = false) =>
    plot({
      height: options.height,
      x: { from: shown.fromMs, to: shown.untilMs, ticks: isLast ? times(shown.fromMs, shown.untilMs) : [] },
      y: { ...options.y, title },
      draw: (x, y, frame) => {
        const [top, base] = [frame.top, frame.height - frame.bottom];
        return [
          markup`<rect style="${fill("oracle")};opacity:.18" x="${place(x(late.fromMs))}" y="${top}" width="${place(x(late.untilMs) - x(late.fromMs))}" height="${base - top}"/>`,
          markup`<rect style="${fill("good")};opacity:.8" x="${place(x(shown.fromMs))}" y="${top}" width="${place(x(shown.untilMs) - x(shown.fromMs))}" height="9"><title>Trusted</title></rect>`,
          ...lost.map(
            ({ fromMs, untilMs }) =>
              markup`<rect style="${fill("bad")}" x="${place(x(fromMs))}" y="${top}" width="${place(x(untilMs) - x(fromMs))}" height="9"><title>Distrusted</title></rect>`,
          ),
          ...options.draw(x, y, frame),
        ];
      },
    });
  const most = 1.15 * Math.max(...judged.map(({ actual, forecast }) => Math.max(actual, forecast)));
  const line = (x: (value: number) => number, y: (value: number) => number, of: (each: Judged) => number) =>
    curve(at(x), values(of), y);
  const threshold = (x: (value: number) => number, at: number) =>
    markup`<path class="line dashed" style="${stroke("bad")}" d="M${place(x(shown.fromMs))} ${place(at)}H${place(x(shown.untilMs))}"/>`;
  const panels: Panel[] = [
    panel("pods", {
      height: 190,
      y: { from: 0, to: most, ticks: round(most, 4), title: "" },
      draw: (x, y) => [
        markup`<path class="line thin" style="${stroke("ink")}" d="${line(x, y, ({ actual }) => actual)}"/>`,
        markup`<path class="line" style="${stroke("forescale")}" d="${line(x, y, ({ forecast }) => forecast)}"/>`,
      ],
    }),
    panel("error over the last hour ÷ that of repeating yesterday; 1 = as good", {
      height: 220,
      y: {
        from: -furthest,
        to: furthest + 0.6,
        ticks: ["⅛", "¼", "½", "1", "2", "4", "8"].map((label, k) => ({ value: k - furthest, label })),
        title: "",
      },
      draw: (x, y) => [
        threshold(x, y(Math.log2(rules.maxError))),
        markup`<path class="line" style="${stroke("forescale")}" d="${line(x, y, ({ relativeError }) =>
          Math.max(-furthest, Math.min(furthest, Math.log2(relativeError))),
        )}"/>`,
      ],
    }),
    panel(
      "share of the last hour at or below the quantile",
      {
        height: 150,
        y: { from: 0, to: 1.2, ticks: [0, 0.5, 1].map((value) => ({ value, label: percent(value) })), title: "" },
        draw: (x, y) => [
          threshold(x, y(level / 2)),
          markup`<path class="line" style="${stroke("cron")}" d="${line(x, y, ({ coverage }) => coverage)}"/>`,
        ],
      },
      true,
    ),
  ];
  return picture(
    "The accuracy gate: Wednesday 6 June comes six hours late, Thursday is on time again",
    [
      `Forecast: the mean of the ${days} days before at the same minute; its quantile: their largest. Distrusted for ${hours.toFixed(1)} of ${(shown.untilMs - shown.fromMs) / hourMs} hours,`,
      `first ${after.toFixed(1)} h into the late day. An error clearly above 1, or a coverage below half of its level, must last an hour, half of one with drift.`,
    ],
    [
      legend([
        { text: "pods that the load needs", colour: "ink", kind: "line" },
        { text: "forecast; its error", colour: "forescale", kind: "line" },
        { text: "coverage", colour: "cron", kind: "line" },
        { text: "threshold", colour: "bad", kind: "dashed" },
        { text: "late day", colour: "oracle", kind: "area" },
        { text: "Trusted", colour: "good", kind: "block" },
        { text: "Distrusted", colour: "bad", kind: "block" },
      ]),
      ...panels,
    ],
  );
}

/** The gate fed minute by minute, from two days before those shown; every fifth minute is drawn. */
function outcomes(): Judged[] {
  const gate = new AccuracyGate(rules, level);
  const window = new RollingSums(rules.windowMs, 12);
  const judged: Judged[] = [];
  for (let timeMs = shown.fromMs - 2 * dayMs; timeMs < shown.untilMs; timeMs += stepMs) {
    const past = Array.from({ length: days }, (_, k) => pods(timeMs - (k + 1) * dayMs)).filter(Number.isFinite);
    const forecast = past.reduce((sum, each) => sum + each, 0) / past.length;
    const outcome = {
      timeMs,
      actual: pods(timeMs),
      forecast,
      upper: Math.max(...past),
      naive: pods(timeMs - dayMs),
    };
    gate.add(outcome);
    window.add(outcome);
    if (timeMs < shown.fromMs || timeMs % (5 * minuteMs) !== 0) continue;
    const { comparedError, naiveError, covered, count } = window.sums(timeMs);
    judged.push({
      timeMs,
      actual: outcome.actual,
      forecast,
      relativeError: comparedError / naiveError,
      coverage: covered / count,
      isTrusted: gate.isTrusted,
    });
  }
  return judged;
}

/** What the load needs, with the late day put in. */
function pods(timeMs: number): number {
  const { startMs, values } = load;
  const isLate = timeMs >= late.fromMs && timeMs < late.untilMs;
  return values[Math.floor((timeMs - (isLate ? late.byMs : 0) - startMs) / stepMs)] / podCarries;
}

/** Where the forecast is distrusted. */
function stretches(judged: readonly Judged[]): { fromMs: number; untilMs: number }[] {
  const found: { fromMs: number; untilMs: number }[] = [];
  for (const { timeMs, isTrusted } of judged) {
    if (isTrusted) continue;
    const last = found.at(-1);
    if (last?.untilMs === timeMs) last.untilMs += 5 * minuteMs;
    else found.push({ fromMs: timeMs, untilMs: timeMs + 5 * minuteMs });
  }
  return found;
}
