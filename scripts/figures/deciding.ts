import { runPolicy } from "../../src/backtest/replay/cluster.ts";
import { forescalePolicy } from "../../src/backtest/replay/forescale-policy.ts";
import { type ReplayInputs, replayInputsOf } from "../../src/backtest/replay/replay-inputs.ts";
import { curve, place } from "../../src/backtest/report/axes.ts";
import { type Markup, markup } from "../../src/backtest/report/markup.ts";
import { rollForecasts } from "../../src/backtest/rolling-forecasts.ts";
import { tickMs } from "../../src/backtest/workload.ts";
import type { Decision } from "../../src/decide/decision.ts";
import { exceedance } from "../../src/decide/demand/residual-tail.ts";
import { LeadDemand } from "../../src/decide/lead/lead-demand.ts";
import { cheapestPods, priceOfQuantile } from "../../src/decide/price/price.ts";
import { before, dayMs, departureRate, hourMs, minuteMs } from "./departures.ts";
import {
  type Colour,
  fill,
  type Key,
  legend,
  type Panel,
  percent,
  picture,
  pictureWidth,
  plot,
  round,
  stroke,
  times,
} from "./picture.ts";
import { leadSeconds, podCarries, startupSeconds, workloadOf } from "./workload.ts";

const replayFromMs = Date.UTC(2001, 5, 13, 4);
const span = { learnFromMs: departureRate().startMs, replayFromMs, replayUntilMs: replayFromMs + dayMs };
const shown = { fromMs: Date.UTC(2001, 5, 13, 5), untilMs: Date.UTC(2001, 5, 13, 8) };

/** A day's replay with one price. */
function replay(quantile: string): { inputs: ReplayInputs; run: ReturnType<typeof runPolicy>; decisions: Decision[] } {
  const inputs = replayInputsOf(workloadOf(quantile), span, { startupSeconds });
  const rolling = outlooks();
  const decisions: Decision[] = [];
  const policy = forescalePolicy(
    inputs,
    (_, timeMs) => rolling.latest(timeMs),
    (decision) => decisions.push(decision),
  );
  return { inputs, run: runPolicy(inputs, policy), decisions };
}

let rolled: ReturnType<typeof rollForecasts> | undefined;

function outlooks(): ReturnType<typeof rollForecasts> {
  rolled ??= rollForecasts(departureRate(), {
    fromMs: replayFromMs,
    untilMs: replayFromMs + dayMs,
    horizonMs: dayMs,
    historyMs: 28 * dayMs,
    timeZone: "UTC",
    everyMs: 6 * hourMs,
  });
  return rolled;
}

/** A morning: what the load needs, what is seen of it, what is wanted, and what is there. */
export function decidingMorning(): string {
  const { inputs, run, decisions } = replay("95");
  const { needed, metrics } = inputs;
  const first = Math.round((shown.fromMs - replayFromMs) / tickMs);
  const count = Math.round((shown.untilMs - shown.fromMs) / tickMs);
  const part = (of: (tick: number) => number) => Float64Array.from({ length: count }, (_, i) => of(first + i));
  const load = part((tick) => needed[tick]);
  const observed = part((tick) => metrics[0].atTick[tick] / podCarries);
  const wanted = part((tick) => decisions[tick].proposals.find((p) => p.provider === "Predictive")?.replicas ?? NaN);
  const pods = part((tick) => run.pods[tick]);
  let [short, over, least] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    if (pods[i] < load[i]) short++;
    over += pods[i];
    least += inputs.oracle[first + i];
  }
  const most = 1.06 * Math.max(...pods, ...load);
  const keys: Key[] = [
    { text: "pods that the load needs", colour: "ink", kind: "line" },
    { text: "the same as observed, 30 s late", colour: "hpa", kind: "dashed" },
    { text: "pods wanted at each tick", colour: "cron", kind: "line" },
    { text: "pods there, after the hold", colour: "forescale", kind: "line" },
  ];
  return picture(
    "Deciding: the morning of Wednesday 13 June, quantile 95, pods start in 60 s",
    [
      `${percent((over - least) / least)} more pod-hours than a clairvoyant's; fewer pods than the load needs at ${short} of ${count} ticks.`,
    ],
    [
      legend(keys),
      plot({
        height: 330,
        x: { from: shown.fromMs, to: shown.untilMs, ticks: halfHours() },
        y: { from: 0, to: most, ticks: round(most, 6), title: "pods; a tick is 15 s" },
        draw: (x, y) => {
          const at = Array.from({ length: count }, (_, i) => x(shown.fromMs + i * tickMs));
          const line = (values: Float64Array, colour: Colour, style: string, isStepped: boolean) =>
            markup`<path class="line ${style}" style="${stroke(colour)}" d="${curve(at, values, y, isStepped)}"/>`;
          return [
            line(wanted, "cron", "thin", true),
            line(pods, "forescale", "", true),
            line(observed, "hpa", "thin dashed", false),
            line(load, "ink", "thin", false),
          ];
        },
      }),
    ],
  );
}

function halfHours() {
  return times(shown.fromMs, shown.untilMs).flatMap(({ value, label }) => [
    { value, label },
    { value: value + 30 * minuteMs, label: label.replace(":00", ":30") },
  ]);
}

const prices: readonly { readonly quantile: number; readonly text: string }[] = [
  { quantile: 0.95, text: "95" },
  { quantile: 0.99, text: "99" },
  { quantile: 0.999, text: "99.9" },
];

/** What each number of pods costs at two moments, and what each price costs and gives over a day. */
export function decidingPrice(): string {
  const width = pictureWidth / 2;
  const [calm, wild] = calmestAndWildest();
  const panels = [costOf(calm, "cron", width, false), costOf(wild, "hpa", width, true)];
  const days = ["80", "90", "95", "98", "99", "99.9"].map((quantile) => {
    const { run, inputs } = replay(quantile);
    const oracle = inputs.oracle.reduce((sum, pods) => sum + pods, 0) * (tickMs / hourMs);
    return { quantile, cost: run.podHours / oracle, short: (run.underProvisionedMinutes * minuteMs) / dayMs };
  });
  const dearest = Math.max(...days.map(({ cost }) => cost));
  const shortest = Math.max(...days.map(({ short }) => short));
  const root = (share: number) => Math.sqrt(share);
  return picture(
    "The price of a shortage buys headroom where it is worth most",
    [
      "Above: r ÷ c̄ + K·P(largest demand over the lead > r) for each number of pods r, and the cheapest for three quantiles, at the two quarter hours of the day whose headroom at 99 is the smallest and the largest. Dashed, thin and thick: 95, 99 and 99.9.",
      "Below: the whole day of 13 June, replayed with each quantile, K = 0.16 ÷ (1 − quantile).",
    ].flatMap((note) => wrapped(note)),
    [
      ...panels,
      plot({
        height: 250,
        x: {
          from: 1,
          to: 1 + 1.08 * (dearest - 1),
          ticks: round(1.08 * (dearest - 1), 7).map(({ value }) => ({
            value: 1 + value,
            label: `${Number((1 + value).toFixed(2))}×`,
          })),
          title: "pod-hours, as a multiple of a clairvoyant's",
        },
        y: {
          from: 0,
          to: 1.08 * root(shortest),
          ticks: [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4]
            .filter((share) => share <= shortest * 1.1)
            .map((share) => ({ value: root(share), label: `${Number((100 * share).toFixed(1))} %` })),
          title: "share of the day with fewer pods than the load needs",
        },
        draw: (x, y) => [
          markup`<path class="line thin dashed" style="${stroke("forescale")}" d="${curve(
            days.map(({ cost }) => x(cost)),
            days.map(({ short }) => root(short)),
            y,
          )}"/>`,
          ...days.map(
            ({ quantile, cost, short }) =>
              markup`<circle class="dot" style="${fill("forescale")}" cx="${place(x(cost))}" cy="${place(y(root(short)))}" r="5"><title>quantile ${quantile}: ${cost.toFixed(2)} × a clairvoyant's pod-hours, short ${percent(short, 2)} of the day</title></circle><text class="label" x="${place(x(cost) + 8)}" y="${place(y(root(short)) - 7)}">${quantile}</text>`,
          ),
        ],
      }),
    ],
  );
}

/** The quarter hours of the day, from 06:00 on, at which quantile 99 asks for the least and the most over what is observed. */
function calmestAndWildest(): [number, number] {
  const { inputs, decisions } = replay("99");
  let [calm, wild] = [0, 0];
  const shares = decisions.map(({ proposals, timeMs }, tick) => {
    const wanted = proposals.find(({ provider }) => provider === "Predictive")?.replicas ?? Number.NaN;
    const isAsked = timeMs % (15 * minuteMs) === 0 && timeMs % dayMs >= 6 * hourMs;
    return isAsked ? (wanted * podCarries) / inputs.metrics[0].atTick[tick] : Number.NaN;
  });
  shares.forEach((share, tick) => {
    if (share < shares[calm] || Number.isNaN(shares[calm])) calm = tick;
    if (share > shares[wild] || Number.isNaN(shares[wild])) wild = tick;
  });
  return [decisions[calm].timeMs, decisions[wild].timeMs];
}

function costOf(timeMs: number, colour: Colour, width: number, isBeside: boolean): Panel {
  const learnt = new LeadDemand(timeMs, tickMs);
  learnt.learn(before(departureRate(), timeMs), 1 / podCarries, timeMs);
  const forecast = learnt.forecast(timeMs, leadSeconds * 1000, 30_000);
  if (forecast?.method !== "Learned") throw new Error("five weeks are enough to learn from");
  const { demand, meanPods, newest } = forecast;
  const cost = (r: number, price: number) =>
    r / meanPods + price * exceedance(demand.tail, (r - demand.base) / demand.scale);
  const chosen = prices.map(({ quantile }) =>
    cheapestPods(demand, priceOfQuantile(quantile), meanPods, Math.ceil(newest), 1000),
  );
  const from = Math.floor(newest) - 1;
  const to = Math.max(...chosen) + 4;
  const sizes = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const most = 1.8 * Math.max(...chosen.map((r, k) => cost(r, priceOfQuantile(prices[k].quantile))));
  return plot({
    height: 260,
    width,
    isBeside,
    x: {
      from,
      to,
      ticks: sizes
        .filter((r) => r % Math.max(1, Math.round(sizes.length / 8)) === 0)
        .map((r) => ({ value: r, label: String(r) })),
      title: "pods r",
    },
    y: {
      from: 0,
      to: most,
      ticks: round(most, 4),
      title: `cost at ${new Date(timeMs).toISOString().slice(11, 16)}; ${newest.toFixed(1)} pods observed`,
    },
    draw: (x, y): Markup[] =>
      prices.flatMap(({ quantile, text }, k) => {
        const price = priceOfQuantile(quantile);
        const values = Float64Array.from(sizes, (r) => {
          const value = cost(r, price);
          return value > most ? Number.NaN : value;
        });
        return [
          markup`<path class="line${k === 0 ? " thin dashed" : k === 1 ? " thin" : ""}" style="${stroke(colour)}" d="${curve(sizes.map(x), values, y)}"/>`,
          markup`<circle class="dot" style="${fill(colour)}" cx="${place(x(chosen[k]))}" cy="${place(y(cost(chosen[k], price)))}" r="5"/>`,
          // Neighbours may choose alike: each has a line of its own.
          markup`<text class="label" x="${place(x(chosen[k]))}" y="${place(y(0) - 10 - 16 * (2 - k))}" text-anchor="middle">${text}: ${chosen[k]} pods</text>`,
        ];
      }),
  });
}

/** A sentence in lines that fit the picture. */
function wrapped(text: string): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1];
    if (last.length + word.length > 132) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines;
}
