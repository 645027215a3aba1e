import { curve, place, type Scale } from "../../src/backtest/report/axes.ts";
import { type Markup, markup } from "../../src/backtest/report/markup.ts";
import { fitCapacity } from "../../src/capacity/fit-capacity.ts";
import { fitSharing, fittedResponse, sizeOneQueue } from "../../src/capacity/response-model.ts";
import type { CapacitySamples } from "../../src/capacity/samples.ts";
import { fitLinearUsage, fitResidualUsage } from "../../src/capacity/usage-model.ts";
import { seededRandom } from "../../src/series/statistics/seeded-random.ts";
import { departuresEvery } from "./departures.ts";
import { type Colour, fill, legend, picture, plot, round, stroke } from "./picture.ts";

const target = 0.6;
const objective = { seconds: 0.2, share: 0.95, measured: undefined };
const idleSeconds = 0.04;
const full = 70;

/** The bundled trace as the requests of a modelled service: its CPU bends upwards, its response times rise as pods fill up. */
function service(): CapacitySamples {
  const { values, startMs, stepMs } = departuresEvery(5);
  const random = seededRandom(7);
  const load = values.map((value) => 2 * value);
  const pods = load.map((requests) => Math.max(2, Math.ceil((requests / 30) * (0.7 + random()))));
  const noise = () => 1 + 0.12 * (random() - 0.5);
  const odd = () => (random() < 0.02 ? 2 + random() : 1);
  const each = (value: (perPod: number) => number) =>
    load.map((requests, i) => value(requests / pods[i]) * noise() * odd());
  const cpu = each((x) => 0.06 + 0.008 * x + 0.0003 * x * x);
  return {
    timesMs: load.map((_, i) => startMs + i * stepMs),
    loads: [load],
    pods,
    usage: cpu.map((value, i) => value * pods[i]),
    responseSeconds: each((x) => idleSeconds / (1 - Math.min(0.9, x / full))),
  };
}

/** What is learnt of usage and of response times, and the pods that follow. */
export function capacityModels(): string {
  const samples = service();
  const { pods } = samples;
  const perPod = samples.loads[0].map((load, i) => load / pods[i]);
  const usage = samples.usage!.map((used, i) => used / pods[i]);
  const line = fitLinearUsage([perPod], usage, true);
  const bent = fitResidualUsage([perPod], usage, line)!;
  const sharing = fitSharing(perPod, samples.responseSeconds!)!;
  const byUsage = fitCapacity(samples, { model: "Auto", usageTarget: target });
  const byResponse = fitCapacity(samples, { model: "Queueing", objective });
  if (byUsage.kind !== "Fitted" || byResponse.kind !== "Fitted") throw new Error(byUsage.message + byResponse.message);
  const queue = sizeOneQueue({ kind: "OneQueue", serviceRate: 1 / idleSeconds, workers: 1 }, objective)!;

  const most = 45;
  const along = (count: number, until: number) => Array.from({ length: count + 1 }, (_, k) => (k / count) * until);
  const dots = (ys: Float64Array, x: Scale, y: Scale, highest: number): Markup[] =>
    [...perPod.keys()]
      .filter((i) => i % 27 === 0 && ys[i] < highest && perPod[i] < most)
      .map(
        (i) =>
          markup`<circle style="${fill("soft")};opacity:.35" cx="${place(x(perPod[i]))}" cy="${place(y(ys[i]))}" r="1.6"/>`,
      );
  const drawn = (xs: readonly number[], value: (x: number) => number, colour: Colour, x: Scale, y: Scale, more = "") =>
    markup`<path class="line ${more}" style="${stroke(colour)}" d="${curve(xs.map(x), xs.map(value), y)}"/>`;
  const half = 430;
  const seconds = samples.responseSeconds!.map((value) => 1000 * value);
  const counts = Array.from({ length: 40 }, (_, k) => k + 1);
  return picture(
    "Pods from load: what a modelled service's past tells",
    [
      `Load: the bundled trace. CPU to ${target} cores a pod: a pod carries ${short(1 / byUsage.pods([1]))} (${byUsage.model}; R² ${byUsage.score.r2.toFixed(2)} on the days held back).`,
      `95 % within 200 ms: a pod carries ${short(1 / byResponse.pods([1]))} (processor sharing; R² ${byResponse.score.r2.toFixed(2)}). 2 % of the moments were made two to three times too high.`,
    ],
    [
      legend([
        { text: "moments seen", colour: "soft", kind: "dot" },
        { text: "straight line", colour: "hpa", kind: "dashed" },
        { text: "learnt", colour: "forescale", kind: "line" },
        { text: "target", colour: "ink", kind: "dashed" },
        { text: "one queue for all pods (M/M/c), 40 ms a request", colour: "oracle", kind: "line" },
        { text: "always busy", colour: "soft", kind: "dashed" },
      ]),
      plot({
        height: 260,
        width: half,
        x: { from: 0, to: most, ticks: round(most, 6), title: "requests a second, per pod" },
        y: { from: 0, to: 1.2, ticks: round(1.2, 6), title: "cores, per pod" },
        draw: (x, y) => [
          ...dots(usage, x, y, 1.2),
          drawn([0, most], (at) => line.usage([at]), "hpa", x, y, "dashed"),
          drawn(along(90, most), (at) => bent.usage([at]), "forescale", x, y),
          drawn([0, most], () => target, "ink", x, y, "dashed"),
        ],
      }),
      plot({
        height: 260,
        width: half,
        isBeside: true,
        x: { from: 0, to: most, ticks: round(most, 6), title: "requests a second, per pod" },
        y: { from: 0, to: 200, ticks: round(200, 5), title: "mean response time, ms" },
        draw: (x, y) => [
          ...dots(seconds, x, y, 200),
          drawn(along(90, most), (at) => 1000 * fittedResponse(sharing, at, at, 1), "forescale", x, y),
        ],
      }),
      plot({
        height: 240,
        x: { from: 0, to: 40, ticks: round(40, 8), title: "pods" },
        y: { from: 0, to: 26, ticks: round(26, 5), title: "requests a second that each carries, 95 % within 200 ms" },
        draw: (x, y) => [
          drawn([0, 40], () => byResponse.carried(1), "forescale", x, y),
          drawn(counts, (count) => queue.carried(count) / count, "oracle", x, y),
          drawn([0, 40], () => 1 / idleSeconds, "soft", x, y, "thin dashed"),
        ],
      }),
    ],
  );
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
