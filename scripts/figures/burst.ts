import { loadAt } from "../../src/backtest/replay/load.ts";
import { curve, place } from "../../src/backtest/report/axes.ts";
import { markup } from "../../src/backtest/report/markup.ts";
import { lagMs, tickMs } from "../../src/backtest/workload.ts";
import { explain } from "../../src/decide/burst/burst-threshold.ts";
import type { Points } from "../../src/decide/demand/grid.ts";
import type { LeadShape } from "../../src/decide/demand/lead-shape.ts";
import { gateRules } from "../../src/decide/gate/accuracy-gate.ts";
import { ForecastEvaluator } from "../../src/decide/gate/forecast-evaluator.ts";
import { LeadDemand } from "../../src/decide/lead/lead-demand.ts";
import { createRecommender } from "../../src/decide/recommender.ts";
import { before, departureRate, hourMs, minuteMs } from "./departures.ts";
import { type Colour, legend, picture, plot, round, stroke, times } from "./picture.ts";
import { ihpaOf, leadSeconds, metric, podCarries } from "./workload.ts";

const beginsMs = Date.UTC(2001, 5, 13, 0);
const shown = { fromMs: Date.UTC(2001, 5, 13, 11), untilMs: Date.UTC(2001, 5, 13, 14) };
const burst = { fromMs: Date.UTC(2001, 5, 13, 12, 10), untilMs: Date.UTC(2001, 5, 13, 12, 22), factor: 2.5 };
const level = 0.95;
const load = departureRate();
const ticks = Math.round((shown.untilMs - beginsMs) / tickMs);

/** The load as it is seen at a tick: `lagMs` old, with the burst put in. */
function seenAt(timeMs: number): number {
  const thenMs = timeMs - lagMs;
  const isBurst = thenMs >= burst.fromMs && thenMs < burst.untilMs;
  return loadAt(load, thenMs) * (isBurst ? burst.factor : 1);
}

/** Pods wanted at each tick with these providers. */
function wanted(providers: readonly string[]): { readonly pods: Float64Array; readonly burstTicks: number } {
  const listed = providers.map((type) => `  - {type: Dynamic, priority: 1, dynamic: {portraitType: ${type}}}\n`);
  const { spec } = ihpaOf(String(100 * level), (text) =>
    text.replace(/portraitProviders:[\s\S]*/, `portraitProviders:\n${listed.join("")}`),
  );
  const recommender = createRecommender(spec, {
    histories: new Map([[metric, before(load, beginsMs)]]),
    tickMs,
  });
  let present = 1;
  let burstTicks = 0;
  const pods = Float64Array.from({ length: ticks }, (_, k) => {
    const timeMs = beginsMs + k * tickMs;
    const { total, proposals } = recommender.decide({
      timeMs,
      loads: new Map([[metric, seenAt(timeMs)]]),
      lagMs,
      replicas: { online: present, cutoff: 0, standby: 0, starting: 0 },
    });
    present = total ?? present;
    if (timeMs >= shown.fromMs && proposals.some(({ provider }) => provider === "Burst")) burstTicks++;
    return present;
  });
  return { pods, burstTicks };
}

/** At each tick the value from which it would have been a burst, pods; and the last severity that is not rare. */
function thresholds(): { readonly from: Float64Array; readonly rare: number } {
  const demand = new LeadDemand(beginsMs, tickMs);
  const judge = new ForecastEvaluator(gateRules(undefined), level);
  const leadMs = leadSeconds * 1000;
  let rare = 1;
  demand.learn(before(load, beginsMs), 1 / podCarries, beginsMs);
  const from = Float64Array.from({ length: ticks }, (_, k) => {
    const timeMs = beginsMs + k * tickMs;
    demand.push(timeMs, lagMs, seenAt(timeMs) / podCarries);
    const forecast = demand.forecast(timeMs, leadMs, lagMs);
    const recent = demand.recent();
    if (recent === undefined) return Number.NaN;
    const { grid, newest, shape } = recent;
    const foretold = judge.settle(grid, newest);
    if (forecast?.method === "Learned") judge.recordLargest(forecast.demand, timeMs, timeMs + shape.lead * tickMs);
    if (timeMs < shown.fromMs) return Number.NaN;
    rare = demand.rareSeverity();
    return firstRare(grid, newest, shape, rare, foretold);
  });
  return { from, rare };
}

/** The smallest value of point `n` that is a burst. */
function firstRare({ values, start, length }: Points, n: number, shape: LeadShape, rare: number, foretold: number) {
  const tried = Float64Array.from(values);
  let [low, high] = [0, 1000];
  while (high - low > 0.01) {
    tried[n] = (low + high) / 2;
    const severity = explain({ values: tried, start, length }, n, shape, foretold)?.severity ?? 0;
    if (severity >= rare) high = tried[n];
    else low = tried[n];
  }
  return high;
}

/** A burst put into a day: what is rare, and the pods wanted with and without a provider for it. */
export function burstWanted(): string {
  const without = wanted(["Reactive"]);
  const withBurst = wanted(["Reactive", "Burst"]);
  const { from, rare } = thresholds();
  const first = Math.round((shown.fromMs - beginsMs) / tickMs);
  const part = (values: Float64Array) => values.subarray(first);
  const seen = Float64Array.from({ length: ticks }, (_, k) => seenAt(beginsMs + k * tickMs) / podCarries);
  const present = Float64Array.from({ length: ticks }, (_, k) => seenAt(beginsMs + k * tickMs + lagMs) / podCarries);
  const lead = Math.round((leadSeconds * 1000) / tickMs);
  const shortTicks = (pods: Float64Array) => {
    let count = 0;
    for (let k = first; k < ticks; k++) if (pods[k - lead] < present[k]) count++;
    return count;
  };
  const podMinutes = (pods: Float64Array) => (part(pods).reduce((sum, n) => sum + n, 0) * tickMs) / minuteMs;
  const top = 1.08 * Math.max(...part(withBurst.pods), ...part(seen));
  const more = podMinutes(withBurst.pods) - podMinutes(without.pods);
  return picture(
    `Bursts: ${burst.factor} times the load for twelve minutes, put in at noon of Wednesday 13 June`,
    [
      `A burst from severity ${rare.toFixed(2)} on; proposed at ${withBurst.burstTicks} ticks. Too few pods at ${shortTicks(withBurst.pods)} ticks with the provider, at ${shortTicks(without.pods)} without,`,
      `where pods serve ${leadSeconds} s after they were wanted; ${more.toFixed(0)} pod-minutes more over the three hours. Values are 30 s old; a tick is 15 s.`,
    ],
    [
      legend([
        { text: "load as observed", colour: "ink", kind: "line" },
        { text: "taken as a burst from here on", colour: "bad", kind: "dashed" },
        { text: "wanted: Reactive", colour: "hpa", kind: "line" },
        { text: "wanted: Reactive and Burst", colour: "forescale", kind: "line" },
      ]),
      ...[shown, { fromMs: burst.fromMs - 10 * minuteMs, untilMs: burst.untilMs + 18 * minuteMs }].map(
        ({ fromMs, untilMs }) =>
          plot({
            height: 270,
            x: {
              from: fromMs,
              to: untilMs,
              ticks: untilMs - fromMs > hourMs ? times(fromMs, untilMs) : tens(fromMs, untilMs),
            },
            y: { from: 0, to: top, ticks: round(top, 6), title: "pods" },
            draw: (x, y) => {
              const a = Math.round((fromMs - beginsMs) / tickMs);
              const b = Math.round((untilMs - beginsMs) / tickMs);
              const at = Array.from({ length: b - a }, (_, i) => x(fromMs + i * tickMs));
              const line = (values: Float64Array, colour: Colour, style: string, isStepped: boolean) =>
                markup`<path class="line ${style}" style="${stroke(colour)}" d="${curve(at, values.subarray(a, b), y, isStepped)}"/>`;
              return [
                line(
                  from.map((value) => (value > top ? Number.NaN : value)),
                  "bad",
                  "thin dashed",
                  false,
                ),
                line(without.pods, "hpa", "", true),
                line(withBurst.pods, "forescale", "", true),
                line(seen, "ink", "thin", false),
                markup`<path class="line mark" style="${stroke("soft")}" d="M${place(x(burst.fromMs + lagMs))} ${place(y(0))}V${place(y(top))}"/>`,
              ];
            },
          }),
      ),
    ],
  );
}

function tens(fromMs: number, untilMs: number) {
  const every = 5 * minuteMs;
  const begin = Math.ceil(fromMs / every) * every;
  return Array.from({ length: Math.ceil((untilMs - begin) / every) }, (_, k) => begin + k * every).map((value) => ({
    value,
    label: new Date(value).toISOString().slice(11, 16),
  }));
}
