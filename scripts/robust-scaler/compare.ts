/**
 * Repeats the comparison of the RobustScaler paper on the bundled departures: two pools without a forecast (BP, AdapBP) and the
 * three plans (HP, RT, Cost), each over a range of its parameter. Every departure is a query that takes an instance of its own.
 *
 * Run by `npm run compare:robust-scaler`; writes docs/figures/robust-scaler.svg and the table of docs/robust-scaler.md, between
 * its two marks. A seeded generator places the departures within their minute and draws the samples: the same result each time.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { NhppLearned } from "../../src/forecast/learned-weights.ts";
import { fitNhpp } from "../../src/forecast/nhpp/nhpp-model.ts";
import { type ArrivalRates, drawUnitArrivals, type UnitArrivals } from "./arrivals.ts";
import { planCreations } from "./creation-plan.ts";
import type { PlanProblem } from "./creation-time.ts";
import { drawCurves } from "./figure.ts";

const startupSeconds = 13;
const serviceSeconds = 20;
const intervalSeconds = 10;
const samples = 500;
const mostOutstanding = 80;
const recentSeconds = 600;
const historyDays = 21;
const replayedDays = 7;
const [minute, hour, day] = [60, 3600, 86_400];

/** A policy with one setting of its parameter, and what came of it. */
export interface Outcome {
  readonly policy: string;
  readonly setting: number;
  readonly hitRate: number;
  /** From a query's arrival until it is done. */
  readonly responseSeconds: number;
  /** Lifetime of all instances, where 1 is that of instances created at the arrival of their query. */
  readonly cost: number;
}

interface Workload {
  readonly title: string;
  /** Seconds from the trace's start, ascending. */
  readonly queries: Float64Array;
  /** Queries of each minute. */
  readonly counts: Float64Array;
}

/** When a policy acts: it is asked at every interval and after every arrival. */
interface Policy {
  readonly name: string;
  readonly setting: number;
  /** Creations until the next interval, in seconds from now; 0 for at once. */
  plan(now: number, outstanding: number): readonly number[];
  /** Told of each arrival. */
  arrived?(at: number): void;
}

/** Uniform numbers in [0, 1) (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The departures, or one in so many of them, spread evenly at random within their minute. */
function readWorkload(title: string, oneIn: number): Workload {
  const random = generator(2001);
  const file = join(import.meta.dirname, "..", "..", "src", "demo", "traces", "us-departures-2001.csv.gz");
  const lines = gunzipSync(readFileSync(file)).toString().trim().split("\n").slice(1);
  const queries: number[] = [];
  const counts = new Float64Array(lines.length);
  lines.forEach((line, m) => {
    const within: number[] = [];
    for (let k = Number(line.split(",")[1]); k > 0; k--) if (random() * oneIn < 1) within.push((m + random()) * minute);
    counts[m] = within.length;
    queries.push(...within.sort((a, b) => a - b));
  });
  return { title, queries: Float64Array.from(queries), counts };
}

/** Rates for each hour of the replay, each from what was known when it began; trials and replays of the model once a day. */
function forecastRates({ counts }: Workload, from: number): ArrivalRates[] {
  const rates: ArrivalRates[] = [];
  let learned: NhppLearned | undefined;
  for (let h = 0; h < replayedDays * 24; h++) {
    const end = Math.round((from + h * hour) / minute);
    const values = counts.subarray(end - historyDays * 1440, end);
    const series = { startMs: (end - values.length) * minute * 1000, stepMs: minute * 1000, values };
    const model = fitNhpp(series, 360, { ...(h % 24 !== 0 && learned && { learned }) });
    learned = model.learned;
    rates.push({ startSeconds: end * minute, binSeconds: minute, perSecond: model.rates.map((rate) => rate / minute) });
    if (h % 24 === 0) process.stderr.write(`  day ${h / 24 + 1}: β ${learned.smoothness}, ${learned.periodicity}\n`);
  }
  return rates;
}

function replay({ queries }: Workload, policy: Policy, from: number): Outcome {
  const until = from + replayedDays * day;
  const outstanding: number[] = []; // when each is ready, ascending
  let [hits, waited, lifetime, served] = [0, 0, 0, 0];
  const serve = (at: number) => {
    const ready = outstanding.shift() ?? at + startupSeconds;
    hits += ready <= at ? 1 : 0;
    waited += Math.max(0, ready - at);
    lifetime += startupSeconds + serviceSeconds + Math.max(0, at - ready);
    served++;
  };

  let next = queries.findIndex((at) => at >= from);
  let scheduled: number[] = [];
  const plan = (now: number) => {
    scheduled = [];
    for (const wait of policy.plan(now, outstanding.length))
      if (wait <= 0) outstanding.push(now + startupSeconds);
      else scheduled.push(now + wait);
  };
  let tick = from;
  while (tick < until) {
    const at = next < queries.length ? queries[next] : Number.POSITIVE_INFINITY;
    if (scheduled.length > 0 && scheduled[0] <= Math.min(at, tick)) {
      outstanding.push(scheduled.shift()! + startupSeconds);
    } else if (at < tick) {
      next++;
      serve(at);
      policy.arrived?.(at);
      plan(at);
    } else {
      plan(tick);
      tick += intervalSeconds;
    }
  }
  for (const ready of outstanding) lifetime += Math.max(0, until - ready + startupSeconds);
  return {
    policy: policy.name,
    setting: policy.setting,
    hitRate: hits / served,
    responseSeconds: waited / served + serviceSeconds,
    cost: lifetime / (served * (startupSeconds + serviceSeconds)),
  };
}

/** BP: a pool of so many instances, whatever comes. */
function pool(size: number): Policy {
  return { name: "BP", setting: size, plan: (_, outstanding) => atOnce(size - outstanding) };
}

/** AdapBP: a pool of what arrived in so many seconds at the mean rate of the last ten minutes. */
function adaptivePool(seconds: number, earlier: readonly number[]): Policy {
  const recent = [...earlier];
  let first = 0;
  return {
    name: "AdapBP",
    setting: seconds,
    arrived: (at) => recent.push(at),
    plan(now, outstanding) {
      while (first < recent.length && recent[first] < now - recentSeconds) first++;
      return atOnce(Math.round(((recent.length - first) / recentSeconds) * seconds) - outstanding);
    },
  };
}

function atOnce(count: number): number[] {
  return new Array(Math.max(0, count)).fill(0);
}

/** HP, RT or Cost, with the hour's rates and the hour's draws; the next query's plan held until it comes, or renewed at every interval. */
function robustScaler(
  problem: PlanProblem,
  rates: readonly ArrivalRates[],
  draws: readonly UnitArrivals[],
  isHeld: boolean,
): Policy {
  const [name, setting] =
    problem.kind === "HittingProbability"
      ? ["HP", problem.missed]
      : problem.kind === "ResponseTime"
        ? ["RT", problem.waitSeconds]
        : ["Cost", problem.idleSeconds];
  const startups = Float64Array.of(startupSeconds);
  // The last arrival, and the instances that were outstanding when its plan had been carried out.
  let [since, had] = [rates[0].startSeconds, 0];
  return {
    name: isHeld ? name : `${name} renewed`,
    setting,
    arrived(at) {
      since = at;
    },
    plan(now, outstanding) {
      const h = Math.min(rates.length - 1, Math.floor(((isHeld ? since : now) - rates[0].startSeconds) / hour));
      const known = {
        problem,
        rates: rates[h],
        nowSeconds: now,
        ...(isHeld && outstanding === had && { sinceSeconds: since }),
      };
      const request = { ...known, outstanding, intervalSeconds, startups };
      const { now: created, later } = planCreations({ ...request, draws: draws[h % draws.length] });
      if (now === since) had = outstanding + created;
      return [...atOnce(created), ...later];
    },
  };
}

/** Value of a policy's curve at a cost, on the line between its neighbours; undefined outside of its range. */
function valueAtCost(curve: readonly Outcome[], cost: number, of: (outcome: Outcome) => number): number | undefined {
  const sorted = curve.toSorted((a, b) => a.cost - b.cost);
  const after = sorted.findIndex((outcome) => outcome.cost >= cost);
  if (after <= 0) return undefined;
  const [a, b] = [sorted[after - 1], sorted[after]];
  const share = (cost - a.cost) / (b.cost - a.cost);
  return of(a) + share * (of(b) - of(a));
}

/** Mean hit rate over the costs from 1 to `until`, on the policy's curve: from none at 1, and held beyond its dearest point. */
function hypervolume(curve: readonly Outcome[], until: number): number {
  const steps = 1000;
  const dearest = curve.reduce((a, b) => (b.cost > a.cost ? b : a));
  const whole = [{ ...dearest, cost: 1, hitRate: 0 }, ...curve.filter(({ cost }) => cost > 1)];
  let sum = 0;
  for (let k = 0; k < steps; k++) {
    const cost = 1 + ((until - 1) * (k + 0.5)) / steps;
    sum += valueAtCost(whole, cost, ({ hitRate }) => hitRate) ?? dearest.hitRate;
  }
  return sum / steps;
}

function compare(workload: Workload): Outcome[] {
  const from = (workload.counts.length / 1440 - replayedDays) * day;
  process.stderr.write(`${workload.title}: fitting ${replayedDays * 24} times …\n`);
  const rates = forecastRates(workload, from);
  const random = generator(13);
  const draws = Array.from({ length: 12 }, () => drawUnitArrivals(samples, mostOutstanding, random));
  const earlier = [...workload.queries.filter((at) => at >= from - recentSeconds && at < from)];
  const busiest = (workload.queries.length / workload.counts.length / minute) * startupSeconds;
  const sizes = [...new Set([0, 0.3, 0.6, 1, 1.4, 1.8, 2.2, 2.7, 3.3, 4, 5, 6].map((c) => Math.round(c * busiest)))];
  const plans = (of: (value: number) => PlanProblem, values: readonly number[]) =>
    [true, false].flatMap((isHeld) => values.map((value) => robustScaler(of(value), rates, draws, isHeld)));
  const policies = [
    ...(busiest < 1 ? [0, 1, 2, 3, 4] : sizes).map(pool),
    ...(busiest < 1 ? [30, 40, 50, 60, 75, 100, 130, 160, 200] : [4, 8, 12, 16, 20, 25, 30, 40, 60]).map((seconds) =>
      adaptivePool(seconds, earlier),
    ),
    ...plans(
      (missed) => ({ kind: "HittingProbability", missed }),
      busiest < 1
        ? [0.9, 0.7, 0.5, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.02]
        : [0.95, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02],
    ),
    ...plans(
      (waitSeconds) => ({ kind: "ResponseTime", waitSeconds }),
      busiest < 1 ? [11, 9, 7, 5, 3, 2, 1.5, 1, 0.6, 0.3] : [11, 8, 5, 3, 1.5, 0.7, 0.3, 0.1],
    ),
    ...plans(
      (idleSeconds) => ({ kind: "Cost", idleSeconds }),
      busiest < 1 ? [5, 20, 40, 70, 100, 130, 170, 230, 300] : [0.2, 0.7, 1.5, 3, 6, 9, 14, 25],
    ),
  ];
  return policies.map((policy) => {
    const outcome = replay(workload, policy, from);
    process.stderr.write(
      `  ${outcome.policy} ${outcome.setting}: hit ${(100 * outcome.hitRate).toFixed(1)} %, response ${outcome.responseSeconds.toFixed(2)} s, cost ${outcome.cost.toFixed(3)}\n`,
    );
    return outcome;
  });
}

/** What HP asks of its hits, and what came of it. */
function promiseTable(results: readonly { readonly title: string; readonly outcomes: readonly Outcome[] }[]): string {
  const asked = [0.5, 0.2, 0.1, 0.05, 0.02];
  const head = ["HP asks for", ...asked.map((missed) => `${Math.round(100 * (1 - missed))} %`)];
  const rows = results.flatMap(({ title, outcomes }) =>
    ["HP", "HP renewed"].map((name) => [
      `${title}: ${name}`,
      ...asked.map((missed) => {
        const found = outcomes.find(({ policy, setting }) => policy === name && setting === missed);
        return found ? `${(100 * found.hitRate).toFixed(1)} %` : "–";
      }),
    ]),
  );
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function tableOf(outcomes: readonly Outcome[], costs: readonly number[], until: number): string {
  const names = [...new Set(outcomes.map(({ policy }) => policy))];
  const head = [
    "policy",
    ...costs.map((cost) => `hit rate at cost ${cost}`),
    ...costs.map((cost) => `response at cost ${cost}`),
    `hypervolume to ${until}`,
  ];
  const rows = names.map((name) => {
    const curve = outcomes.filter(({ policy }) => policy === name);
    const hits = costs.map((cost) => valueAtCost(curve, cost, ({ hitRate }) => hitRate));
    const times = costs.map((cost) => valueAtCost(curve, cost, ({ responseSeconds }) => responseSeconds));
    return [
      name,
      ...hits.map((hit) => (hit === undefined ? "–" : `${(100 * hit).toFixed(1)} %`)),
      ...times.map((time) => (time === undefined ? "–" : `${time.toFixed(1)} s`)),
      hypervolume(curve, until).toFixed(3),
    ];
  });
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

const docs = join(import.meta.dirname, "..", "..", "docs");
const workloads = [readWorkload("All departures", 1), readWorkload("One departure in 40", 40)];
const results = workloads.map((workload) => ({ title: workload.title, outcomes: compare(workload) }));
writeFileSync(join(docs, "figures", "robust-scaler.svg"), drawCurves(results, serviceSeconds, startupSeconds));
const tables = results.map(
  ({ title, outcomes }, k) =>
    `**${title}**\n\n${tableOf(outcomes, k === 0 ? [1.05, 1.1, 1.2, 1.4] : [1.5, 2, 3, 5], k === 0 ? 1.5 : 6)}`,
);
const page = join(docs, "robust-scaler.md");
const [begin, end] = ["<!-- table: begin -->", "<!-- table: end -->"];
const text = readFileSync(page, "utf8");
const [start, stop] = [text.indexOf(begin), text.indexOf(end)];
if (start < 0 || stop < start) throw new Error(`${page} has lost the marks of its table`);
writeFileSync(
  page,
  `${text.slice(0, start + begin.length)}\n\n${[...tables, "**What HP promises and keeps**", promiseTable(results)].join("\n\n")}\n\n${text.slice(stop)}`,
);
