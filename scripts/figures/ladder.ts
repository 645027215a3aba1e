import type { Rung } from "../../src/api/conditions.ts";
import type { HorizontalPortrait } from "../../src/api/kinds/horizontal-portrait.ts";
import { apiVersion } from "../../src/api/kinds.ts";
import { loadAt } from "../../src/backtest/replay/load.ts";
import { SimulatedDeployment } from "../../src/backtest/replay/simulated-deployment.ts";
import { curve, place } from "../../src/backtest/report/axes.ts";
import { markup } from "../../src/backtest/report/markup.ts";
import { lagMs, tickMs } from "../../src/backtest/workload.ts";
import { perPodTarget } from "../../src/capacity/linear.ts";
import type { Decision } from "../../src/decide/decision.ts";
import { createRecommender } from "../../src/decide/recommender.ts";
import { createLoadForecasts } from "../../src/portrait/load-forecasts.ts";
import { predictivePortrait } from "../../src/portrait/predictive.ts";
import { createSchedule } from "../../src/portrait/schedule.ts";
import { servedReplicas } from "../../src/serve/metrics-api/served-number.ts";
import { before, dayMs, departureRate } from "./departures.ts";
import { type Colour, fill, legend, type Panel, picture, plot, round, stroke, times } from "./picture.ts";
import { ihpaOf, leadSeconds, metric, podCarries, startupSeconds, syncSeconds } from "./workload.ts";

const shown = { fromMs: Date.UTC(2001, 5, 14, 4), untilMs: Date.UTC(2001, 5, 14, 9) };
const outage = { fromMs: Date.UTC(2001, 5, 14, 5, 15), untilMs: Date.UTC(2001, 5, 14, 7, 15) };
const ticks = (shown.untilMs - shown.fromMs) / tickMs;
const timeOf = (tick: number) => shown.fromMs + tick * tickMs;
const isOut = (timeMs: number) => timeMs >= outage.fromMs && timeMs < outage.untilMs;

const rungColours: Readonly<Record<Rung, Colour>> = {
  Fresh: "good",
  Coasting: "forescale",
  Reactive: "band",
  Held: "hpa",
  Expired: "bad",
};

/** What was served at each tick; no number where the metric answers with an error. */
interface Served {
  readonly replicas: Float64Array;
  readonly rungs: readonly Rung[];
  readonly pods: Float64Array;
}

/** One outage of two hours, from the source's side and from the controllers'. */
export function ladder(): string {
  const foretold = sourceSilent(true);
  const blind = sourceSilent(false);
  const alone = controllersGone();
  return picture(
    "The ladder over an outage of two hours in a steep morning, Thursday 14 June",
    [
      "Strips: the rung of the number served. While it is Expired, the metric answers with an error and the HPA leaves the size as it is.",
    ],
    [
      legend([
        { text: "pods that the load needs", colour: "ink", kind: "line" },
        { text: "number served", colour: "forescale", kind: "line" },
        { text: "no number: pods as they were", colour: "bad", kind: "dashed" },
        { text: "outage", colour: "oracle", kind: "area" },
        ...Object.entries(rungColours).map(([text, colour]) => ({ text, colour, kind: "block" as const })),
      ]),
      panel("metric source silent, forecast stored: pods", foretold),
      panel("metric source silent, no forecast (Reactive alone): pods", blind),
      panel("controllers gone, servers go on from the published portraits: pods", alone, true),
    ],
  );
}

/** The decision path, its source silent during the outage; the HPA follows the number. */
function sourceSilent(hasForecast: boolean): Served {
  const { spec } = ihpaOf("95", (text) => (hasForecast ? text : text.replace(/.*portraitType: Predictive.*\n/, "")));
  const load = departureRate();
  const outlook = createLoadForecasts({
    history: (name) => recommender.history(name),
    timeZone: "UTC",
    horizonMs: dayMs,
    stepMs: load.stepMs,
  });
  const recommender = createRecommender(spec, {
    ...(hasForecast && { histories: new Map([[metric, before(load, shown.fromMs)]]), forecast: outlook }),
    tickMs,
    syncSeconds,
  });
  return follow((timeMs, deployment, startups) => {
    const value = loadAt(load, timeMs - lagMs);
    const { total, rung } = recommender.decide({
      timeMs,
      loads: new Map([[metric, isOut(timeMs) || Number.isNaN(value) ? null : value]]),
      lagMs,
      replicas: { online: deployment.online, cutoff: 0, standby: 0, starting: deployment.starting },
      startupSeconds: startups,
    });
    return { total, rung };
  });
}

/** The servers' own arithmetic: the controllers' last decision and portrait, growing old during the outage. */
function controllersGone(): Served {
  const ihpa = ihpaOf("95");
  const load = departureRate();
  const schedule = createSchedule(ihpa.spec);
  const outlook = createLoadForecasts({
    history: (name) => recommender.history(name),
    timeZone: "UTC",
    horizonMs: dayMs,
    stepMs: load.stepMs,
  });
  /** Controllers that start at a moment: what they know then is the metric store's past and the pods there are. */
  const start = (timeMs: number) =>
    createRecommender(ihpa.spec, {
      histories: new Map([[metric, before(load, timeMs)]]),
      forecast: outlook,
      tickMs,
      syncSeconds,
    });
  let recommender = start(shown.fromMs);
  let decision: Decision | undefined;
  let portraits: HorizontalPortrait[] = [];
  return follow((timeMs, deployment, startups) => {
    if (!isOut(timeMs)) {
      if (timeMs === outage.untilMs) recommender = start(timeMs);
      const value = loadAt(load, timeMs - lagMs);
      decision = recommender.decide({
        timeMs,
        loads: new Map([[metric, Number.isNaN(value) ? null : value]]),
        lagMs,
        replicas: { online: deployment.online, cutoff: 0, standby: 0, starting: deployment.starting },
        startupSeconds: startups,
      });
      const forecast = outlook(metric, timeMs);
      const data =
        forecast &&
        predictivePortrait([{ name: metric, forecast, capacity: perPodTarget(podCarries) }], {
          nowMs: timeMs,
          horizonMs: dayMs,
          leadMs: leadSeconds * 1000,
          quantile: 0.95,
          minReplicas: 1,
          maxReplicas: ihpa.spec.maxReplicas,
        });
      portraits = data === undefined ? [] : [portraitOf(ihpa.spec.scaleTargetRef, data)];
    }
    if (decision === undefined || decision.total === null) throw new Error("the first tick decides");
    const { total, rung, reason, message } = decision;
    const served = servedReplicas(
      {
        ihpa: {
          ...ihpa,
          status: {
            decision: {
              time: new Date(decision.timeMs).toISOString(),
              ...(decision.desired ?? { online: 0, cutoff: 0, standby: 0 }),
              total,
              rung,
              reason,
              message,
            },
          },
        },
        portraits,
        schedule,
        decisionAgeMs: timeMs - decision.timeMs,
        target: { replicas: deployment.total, ageMs: 0 },
      },
      timeMs,
    );
    return served.kind === "Number"
      ? { total: served.value, rung: served.rung }
      : { total: null, rung: served.rung ?? "Expired" };
  });
}

function portraitOf(
  scaleTargetRef: HorizontalPortrait["spec"]["scaleTargetRef"],
  portraitData: NonNullable<ReturnType<typeof predictivePortrait>>,
): HorizontalPortrait {
  return {
    apiVersion,
    kind: "HorizontalPortrait",
    metadata: { name: `${metric}-predictive`, namespace: "demo" },
    spec: { portraitType: "Predictive", scaleTargetRef },
    status: { portraitData },
  } as HorizontalPortrait;
}

/** Lets a deployment follow what is served; an error leaves it as it is. */
function follow(
  serve: (
    timeMs: number,
    deployment: SimulatedDeployment,
    startups: readonly number[],
  ) => { readonly total: number | null; readonly rung: Rung },
): Served {
  const needed = loadAt(departureRate(), shown.fromMs) / podCarries;
  const deployment = new SimulatedDeployment(Math.max(1, Math.ceil(needed)), startupSeconds * 1000);
  const replicas = new Float64Array(ticks);
  const pods = new Float64Array(ticks);
  const rungs: Rung[] = [];
  for (let tick = 0; tick < ticks; tick++) {
    const timeMs = timeOf(tick);
    const startups = deployment.advance(timeMs);
    pods[tick] = deployment.online;
    const { total, rung } = serve(timeMs, deployment, startups);
    rungs.push(rung);
    replicas[tick] = total ?? Number.NaN;
    if (total !== null) deployment.scale(total, timeMs + tickMs / 2);
  }
  return { replicas, rungs, pods };
}

function panel(title: string, { replicas, rungs, pods }: Served, isLast = false): Panel {
  const load = departureRate();
  const needed = Float64Array.from({ length: ticks }, (_, tick) => loadAt(load, timeOf(tick)) / podCarries);
  const left = pods.map((online, tick) => (Number.isNaN(replicas[tick]) ? online : Number.NaN));
  const most = 1.15 * Math.max(...needed.filter(Number.isFinite), ...replicas.filter(Number.isFinite));
  let short = 0;
  for (let tick = 0; tick < ticks; tick++) if (isOut(timeOf(tick)) && pods[tick] < needed[tick]) short++;
  const note = `fewer than needed for ${Math.round((short * tickMs) / 60_000)} of 120 minutes`;
  return plot({
    height: isLast ? 220 : 200,
    x: { from: shown.fromMs, to: shown.untilMs, ticks: isLast ? times(shown.fromMs, shown.untilMs) : [] },
    y: { from: 0, to: most, ticks: round(most, 4), title: `${title}; ${note}` },
    draw: (x, y) => {
      const at = Array.from({ length: ticks }, (_, tick) => x(timeOf(tick)));
      const top = y(most);
      return [
        markup`<rect style="${fill("oracle")};opacity:.18" x="${place(x(outage.fromMs))}" y="${place(top)}" width="${place(x(outage.untilMs) - x(outage.fromMs))}" height="${place(y(0) - top)}"/>`,
        ...stretches(rungs).map(
          ({ rung, from, to }) =>
            markup`<rect style="${fill(rungColours[rung])};opacity:.8" x="${place(x(timeOf(from)))}" y="${place(top)}" width="${place(x(timeOf(to)) - x(timeOf(from)))}" height="9"><title>${rung}</title></rect>`,
        ),
        markup`<path class="line thin" style="${stroke("ink")}" d="${curve(at, needed, y)}"/>`,
        markup`<path class="line" style="${stroke("forescale")}" d="${curve(at, replicas, y, true)}"/>`,
        markup`<path class="line dashed" style="${stroke("bad")}" d="${curve(at, left, y, true)}"/>`,
      ];
    },
  });
}

function stretches(rungs: readonly Rung[]): { rung: Rung; from: number; to: number }[] {
  const found: { rung: Rung; from: number; to: number }[] = [];
  rungs.forEach((rung, tick) => {
    const last = found.at(-1);
    if (last?.rung === rung) last.to = tick + 1;
    else found.push({ rung, from: tick, to: tick + 1 });
  });
  return found;
}
