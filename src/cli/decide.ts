import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type MetricSpec, metricName } from "../api/fields/metrics.ts";
import { algorithmOf } from "../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readManifest } from "../api/validation/read-manifest.ts";
import { parseDuration } from "../api/values/duration.ts";
import { capacityColumns, type Demand, learnFromColumns } from "../capacity/demand.ts";
import type { Decision, DecisionTick } from "../decide/decision.ts";
import { createRecommender, type Recommender } from "../decide/recommender.ts";
import { createLoadForecasts } from "../portrait/load-forecasts.ts";
import { binMeans } from "../series/resample.ts";
import { endMs, type Series } from "../series/series.ts";
import { type Command, type Io, UsageError, type Values } from "./command.ts";
import { pipe } from "./pipe.ts";
import { readHistory } from "./read-history.ts";

export const command: Command = {
  name: "decide",
  summary: "decides a workload's pods tick by tick, one JSON line in, one out",
  usage: "--ihpa FILE --history FILE.csv",
  description: [
    "One workload's whole decision, as the controller makes it; time comes from the input.",
    'In:  {"time", "metrics": {"NAME": value or null}, "replicas": {"online", "cutoff", "standby", "starting"},',
    '      "startup_s": [seconds of pods that became ready since the last line],',
    '      "lag_s": how old the values are, 30 where absent}',
    'Out: {"time", "desired": {"online", "cutoff", "standby"}, "total", "reason", "rung"}, or {"time", "error"}',
  ].join("\n"),
  options: {
    ihpa: { type: "string", value: "FILE", help: "manifest of the IntelligentHorizontalPodAutoscaler (YAML or JSON)" },
    history: {
      type: "string",
      value: "FILE.csv",
      help: "header timestamp,NAME…; the workload's totals, a column a metric, and those that spec.capacity names",
    },
  },
  examples: ["forescale decide --ihpa ihpa.yaml --history history.csv < ticks.jsonl"],
  run,
};

async function run(values: Values, positionals: readonly string[], io: Io): Promise<number> {
  const [ihpa, history] = ["ihpa", "history"].map((name) => {
    if (typeof values[name] === "string") return values[name];
    throw new UsageError(`decide needs --${name} FILE; \`forescale decide --help\` shows an example`);
  });
  const { object, warnings } = await fromFile(io, ihpa, (text) =>
    readManifest(text, { kind: "IntelligentHorizontalPodAutoscaler" }),
  );
  for (const warning of warnings) io.stderr.write(`forescale: ${ihpa}: ${warning}\n`);
  for (const left of madeOutside(object.spec)) io.stderr.write(`forescale: ${ihpa}: ${left}\n`);
  const wanted = object.spec.capacity;
  const names = [...new Set([...metricNames(object.spec), ...(wanted ? capacityColumns(wanted) : [])])];
  const histories = await fromFile(io, history, (text) =>
    readHistory(text, names, (message) => io.stderr.write(`forescale: ${history}: ${message}\n`)),
  );
  const capacity = wanted && learnFromColumns(wanted, histories);
  if (capacity) io.stderr.write(`forescale: ${ihpa}: capacity ${capacity.status.model}: ${capacity.status.message}\n`);
  const recommender = openRecommender(object.spec, histories, capacity?.demand);
  const known = new Set(names);
  return pipe(
    io,
    positionals,
    (line) => ({ time: line.time, ...toLine(recommender.decide(readTick(line, known))) }),
    (line) => ({ time: typeof line?.time === "string" ? line.time : null }),
  );
}

/** A sentence for each provider whose portrait an external program makes: it is not asked here. */
function madeOutside({ portraitProviders }: IntelligentHorizontalPodAutoscalerSpec): string[] {
  return (portraitProviders ?? []).flatMap(({ dynamic }, index) => {
    if (dynamic === undefined) return [];
    const isOutside = dynamic.externalGeneratorName !== undefined || algorithmOf(dynamic) === "External";
    const where = `portraitProviders[${index}] (${dynamic.portraitType})`;
    return isOutside
      ? [`${where} is made by an external program and proposes nothing here; the other providers decide`]
      : [];
  });
}

/** The recommender of one workload, with forecasts that are made when it asks for them. */
function openRecommender(
  spec: IntelligentHorizontalPodAutoscalerSpec,
  histories: ReadonlyMap<string, Series>,
  demand: Demand | undefined,
): Pick<Recommender, "decide"> {
  const algorithm = spec.portraitProviders?.find(({ dynamic }) => dynamic?.portraitType === "Predictive")?.dynamic
    ?.algorithm?.type;
  // Between its points the recommender's own memory knows lines only, along which arrivals don't scatter as they came.
  const countsArrivals = algorithm === "NHPP";
  let leadSeconds: number | undefined;
  const forecast = createLoadForecasts({
    leadSeconds: () => leadSeconds,
    history: (metric) => {
      const lived = recommender.history(metric);
      return countsArrivals ? continued(histories.get(metric), lived) : lived;
    },
    timeZone: spec.prediction?.timeZone ?? "UTC",
    horizonMs: parseDuration(spec.prediction?.horizon ?? "24h"),
    stepMs: Math.max(0, ...[...histories.values()].map(({ stepMs }) => stepMs)),
    algorithm,
  });
  const recommender = createRecommender(spec, { histories, forecast, ...(demand && { demand }) });
  const decide = (tick: DecisionTick) => {
    const decision = recommender.decide(tick);
    leadSeconds = decision.lead.seconds;
    return decision;
  };
  return { decide };
}

/** A history as it was read, continued in its own steps by what was lived since; what was lived where that can't be. */
function continued(history: Series | undefined, lived: Series | undefined): Series | undefined {
  if (history === undefined || lived === undefined) return lived;
  const each = history.stepMs / lived.stepMs;
  const from = Math.round((endMs(history) - lived.startMs) / lived.stepMs);
  if (!(Number.isInteger(each) && from >= 0)) return lived;
  return { ...history, values: joined(history.values, binMeans(lived.values.subarray(from), each)) };
}

function joined(a: Float64Array, b: Float64Array): Float64Array {
  const both = new Float64Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** Names of all metrics that dynamic providers use. */
function metricNames(spec: IntelligentHorizontalPodAutoscalerSpec): string[] {
  const specs: MetricSpec[] = [...(spec.metrics ?? [])];
  for (const { dynamic } of spec.portraitProviders ?? []) specs.push(...(dynamic?.metrics ?? []));
  return [...new Set(specs.map(metricName))];
}

async function fromFile<T>(io: Io, path: string, read: (text: string) => T): Promise<T> {
  let text: string;
  try {
    text = await readFile(resolve(io.cwd, path), "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`${path} can't be read (${code}); check the path`, { cause: error });
  }
  try {
    return read(text);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function readTick(line: Record<string, unknown>, names: ReadonlySet<string>): DecisionTick {
  const { time, metrics, replicas, startup_s: startups, lag_s: lag } = line;
  // Without a zone the platform would take the machine's own.
  const hasZone = typeof time === "string" && /(Z|[+-]\d\d:?\d\d)$/.test(time);
  const timeMs = typeof time === "string" ? Date.parse(hasZone ? time : `${time}Z`) : Number.NaN;
  if (Number.isNaN(timeMs))
    throw new Error(`time is ${JSON.stringify(time)}; give a UTC time such as "2025-11-22T06:00:00Z"`);
  if (!isRecord(metrics)) throw new Error('metrics is missing; give {"NAME": value or null}');
  if (!isRecord(replicas)) throw new Error("replicas is missing; give online, cutoff, standby and starting");
  return {
    timeMs,
    loads: new Map(
      Object.entries(metrics).map(([name, value]) => {
        if (value !== null && typeof value !== "number")
          throw new Error(`metrics.${name} is ${JSON.stringify(value)}; give a number or null`);
        if (!names.has(name))
          throw new Error(`metrics.${name} is no metric of the manifest; there is ${[...names].join(", ") || "none"}`);
        return [name, value];
      }),
    ),
    replicas: {
      online: count(replicas, "online"),
      cutoff: count(replicas, "cutoff"),
      standby: count(replicas, "standby"),
      starting: count(replicas, "starting"),
    },
    ...(startups !== undefined && { startupSeconds: numbers(startups, "startup_s") }),
    ...(lag !== undefined && { lagMs: numbers([lag], "lag_s")[0] * 1000 }),
  };
}

function count(replicas: Record<string, unknown>, state: string): number {
  const value = replicas[state] ?? 0;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw new Error(`replicas.${state} is ${JSON.stringify(value)}; give a whole number from 0`);
}

function numbers(value: unknown, field: string): number[] {
  if (Array.isArray(value) && value.every((each) => typeof each === "number" && each >= 0)) return value;
  throw new Error(`${field} is ${JSON.stringify(value)}; give seconds from 0`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function toLine({ desired, total, rung, reason, message }: Decision): object {
  if (desired === undefined) return { error: `${rung}: ${message}` };
  return { desired, total, reason: `${reason}: ${message}`, rung };
}
