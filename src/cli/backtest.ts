import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import type { WriteStream } from "node:tty";
import { type MetricSpec, metricName, metricTarget } from "../api/fields/metrics.ts";
import type { IntelligentHorizontalPodAutoscalerSpec } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { printable } from "../api/validation/problem.ts";
import { ManifestError, readManifest } from "../api/validation/read-manifest.ts";
import { parseDuration } from "../api/values/duration.ts";
import { readQuantity } from "../api/values/quantity.ts";
import type { BacktestResult } from "../backtest/backtest.ts";
import { defaultSpec } from "../backtest/default-spec.ts";
import { busyPods, sizePods } from "../backtest/replay/load.ts";
import { describeMany, describeResult, toJson } from "../backtest/report/describe.ts";
import { reportPage } from "../backtest/report/report.ts";
import { backtestAll } from "../backtest/workers/worker-pool.ts";
import { HistoryError, type ReplayRules, type Workload } from "../backtest/workload.ts";
import { capacityColumns } from "../capacity/demand.ts";
import { isTimeZone } from "../series/calendar.ts";
import type { Series } from "../series/series.ts";
import { type NamedHistories, readHistories } from "./backtest-input.ts";
import { type Command, type Io, numberOf, UsageError, type Values } from "./command.ts";

export const command: Command = {
  name: "backtest",
  summary: "replays the past: what Forescale would have cost and served, and whether to enable it",
  usage: "(--history FILE.csv | --folder DIR | --prometheus URL --query Q) [--ihpa FILE] [--report FILE.html]",
  description: [
    "Learns from all but the last part of a history and replays that part tick by tick through the same stages as the",
    "controller, in a model of a cluster: against a plain HPA (tuned in hindsight, and at 70 %), the past's schedule, a fixed",
    "size, and an oracle that knows the future. Then judges: Enable, KeepObserving or NotPredictable, and why.",
    "Without --ihpa every column or series is a workload of its own; with it, a file holds one workload, a column a metric.",
    "Exit codes: 0 Enable, 3 KeepObserving, 4 NotPredictable (the worst of several), 2 wrong use, 1 failure.",
  ].join("\n"),
  options: {
    history: {
      type: "string",
      value: "FILE.csv",
      help: "header timestamp,NAME…; UTC stamps; the workload's totals; .gz too",
    },
    folder: { type: "string", value: "DIR", help: "every *.csv and *.csv.gz in it" },
    prometheus: { type: "string", value: "URL", help: "a Prometheus, or a store that speaks its API" },
    query: { type: "string", value: "PROMQL", help: "each series that it finds is a workload" },
    range: { type: "string", value: "TIME", help: "how far back the query goes (default 14d)" },
    step: { type: "string", value: "TIME", help: "step of the query (default 1m)" },
    "token-file": { type: "string", value: "FILE", help: "holds the bearer token for --prometheus" },
    "ca-file": { type: "string", value: "FILE", help: "PEM of the authorities that sign its certificate" },
    ihpa: { type: "string", value: "FILE", help: "manifest of the IntelligentHorizontalPodAutoscaler (YAML or JSON)" },
    target: {
      type: "string",
      value: "N",
      help: "load that a full pod carries; where absent, so that the busiest 0.1 % of the time need 50 pods",
    },
    quantile: {
      type: "string",
      value: "P",
      help: "percentile of the load to be ready for, without --ihpa (default 95)",
    },
    "time-zone": {
      type: "string",
      value: "ZONE",
      help: "where the workload's users live, without --ihpa (default UTC)",
    },
    startup: { type: "string", value: "SECONDS", default: "60", help: "from a pod's creation to its readiness" },
    replay: { type: "string", value: "TIME", help: "how much is replayed (default 2d, at most a third)" },
    report: { type: "string", value: "FILE.html", help: "writes a page with plots; it needs nothing else" },
    output: { type: "string", short: "o", value: "json", help: "json: one line with all figures" },
  },
  examples: [
    "forescale backtest --history requests.csv --target 120 --report report.html",
    "forescale backtest --history requests.csv --ihpa ihpa.yaml --startup 180",
    "forescale backtest --prometheus http://localhost:9090 --query 'sum by (app) (rate(http_requests_total[5m]))' -o json",
  ],
  run,
};

const exitCodes = { Enable: 0, KeepObserving: 3, NotPredictable: 4 } as const;

async function run(values: Values, positionals: readonly string[], io: Io): Promise<number> {
  if (positionals.length > 0)
    throw new UsageError(`"${positionals[0]}" is not expected; a history is given with --history FILE.csv`);
  if (values.output !== undefined && values.output !== "json")
    throw new UsageError(`-o ${values.output} is none; give -o json, or leave it out`);
  const rules = rulesOf(values);
  const plan = await planOf(values, io);
  const { read, failed } = await readHistories(values, io).catch((error) => {
    if (io.signal.aborted) return { read: [], failed: [] };
    throw error;
  });
  if (io.signal.aborted) return 130;

  const failures = failed.map(({ name, error }) => ({ name, message: `${name}: ${error.message}` }));
  const workloads: Workload[] = [];
  for (const histories of read)
    try {
      workloads.push(...plan(histories, read.length > 1));
    } catch (error) {
      if (!(error instanceof HistoryError)) throw error;
      failures.push({ name: histories.name, message: named(histories.name, error) });
    }

  const progress = showProgress(io, workloads.length);
  let results: BacktestResult[] = [];
  try {
    const outcomes = await backtestAll(workloads, {
      rules,
      threads: availableParallelism(),
      signal: io.signal,
      onProgress: progress.show,
    });
    results = outcomes.flatMap((outcome) => (outcome.kind === "Result" ? [outcome.result] : []));
    for (const outcome of outcomes)
      if (outcome.kind === "Failed") failures.push({ name: outcome.name, message: named(outcome.name, outcome.error) });
  } catch (error) {
    if (io.signal.aborted) return 130;
    throw error;
  } finally {
    progress.end();
  }
  for (const { name, capacity } of results)
    if (capacity)
      io.stderr.write(`forescale: ${printable(`${name}: capacity ${capacity.model}: ${capacity.message}`)}\n`);
  for (const { message } of failures) io.stderr.write(`forescale: ${printable(message)}\n`);

  if (typeof values.report === "string" && results.length > 0) await writeReport(values.report, results, failures, io);
  const codes = results.map(({ verdict }) => exitCodes[verdict]);
  const worst = results.find(({ verdict }) => exitCodes[verdict] === Math.max(...codes))?.verdict ?? null;
  if (values.output === "json")
    io.stdout.write(`${JSON.stringify({ verdict: worst, workloads: results.map(toJson), failures })}\n`);
  else if (results.length > 0) io.stdout.write(`${textOf(results, values).join("\n")}\n`);
  return failures.length > 0 ? 1 : Math.max(0, ...codes);
}

/** What went wrong with a workload, its name first, and once. */
function named(name: string, { message }: Error): string {
  return message.startsWith(`${name} `) ? message : `${name}: ${message}`;
}

function textOf(results: readonly BacktestResult[], values: Values): string[] {
  const assumed =
    values.target === undefined && values.ihpa === undefined
      ? [
          "",
          `No --target was given: a pod was taken to carry so much that the busiest 0.1 % of the time need ${busyPods} pods${results.length === 1 ? ` (${Object.values(results[0].podTargets)[0]})` : ""}.`,
        ]
      : [];
  if (results.length === 1) return [...describeResult(results[0]), ...assumed];
  const starred = results.some(({ policies }) => policies.hpaTuned.isAsGood === false);
  return [
    ...describeMany(results),
    ...(starred ? ["", "* no target of the plain HPA lacks pods as little as Forescale; its best is compared"] : []),
    ...assumed,
  ];
}

function rulesOf(values: Values): ReplayRules {
  const startupSeconds = numberOf(values, "startup", 0, 3600);
  if (values.replay === undefined) return { startupSeconds };
  try {
    return { startupSeconds, replayMs: parseDuration(String(values.replay)) };
  } catch {
    throw new UsageError(`--replay ${values.replay} is no time; give a whole number and h or d, such as 2d`);
  }
}

type Plan = (histories: NamedHistories, isOneOfMany: boolean) => Workload[];

/** How histories become workloads: by the manifest given, or each column by a default one. */
async function planOf(values: Values, io: Io): Promise<Plan> {
  const target = values.target === undefined ? undefined : numberOf(values, "target", Number.MIN_VALUE, 1e300);
  if (values.ihpa === undefined) {
    const quantile = String(values.quantile ?? "95");
    const timeZone = String(values["time-zone"] ?? "UTC");
    if (!isTimeZone(timeZone))
      throw new UsageError(`--time-zone ${timeZone} is none; give an IANA name such as Europe/Berlin`);
    const spec = specOf(quantile, timeZone);
    return ({ name, columns }, isOneOfMany) =>
      [...columns].map(([column, load]) => {
        const podTarget = target ?? sizePods(load);
        const peak = load.values.reduce((most, value) => Math.max(most, value || 0), 0) / podTarget;
        return {
          name: columns.size > 1 || !isOneOfMany ? (isOneOfMany ? `${name}/${column}` : column) : name,
          spec: { ...spec, maxReplicas: Math.max(spec.maxReplicas, Math.ceil(4 * peak) || 0) },
          loads: new Map([["load", load]]),
          podTargets: new Map([["load", podTarget]]),
        };
      });
  }
  for (const name of ["quantile", "time-zone"])
    if (values[name] !== undefined)
      throw new UsageError(`--${name} and --ihpa do not go together: the manifest says it`);
  const path = String(values.ihpa);
  const text = await readFile(resolve(io.cwd, path), "utf8").catch((error) => {
    throw new Error(printable(`--ihpa ${path} can't be read (${error.code}); check the path`), { cause: error });
  });
  const { object, warnings } = manifestOf(text, path);
  for (const warning of warnings) io.stderr.write(`forescale: ${path}: ${warning}\n`);
  const podTargets = targetsOf(object.spec, target, path);
  return ({ name, columns }) => {
    const metrics = [...podTargets.keys()];
    const loads = new Map<string, Series>();
    for (const metric of metrics) {
      // One column for one metric is meant, whatever it is called.
      const [only] = metrics.length === 1 && columns.size === 1 ? columns.keys() : [];
      const column = columns.has(metric) ? metric : (only ?? metric);
      const load = columns.get(column);
      if (column !== metric)
        io.stderr.write(`forescale: ${printable(`${name}: the column ${column} is taken for the metric ${metric}`)}\n`);
      if (load === undefined)
        throw new HistoryError(
          `there is no column "${metric}" as ${path} names it; the history has ${[...columns.keys()].join(", ")}`,
        );
      loads.set(metric, load);
    }
    const { capacity } = object.spec;
    const found = (capacity ? capacityColumns(capacity) : []).map((each) => [each, columns.get(each)] as const);
    const beside = new Map(found.filter((each): each is [string, Series] => each[1] !== undefined));
    return [{ name, spec: object.spec, loads, podTargets, columns: beside }];
  };
}

function manifestOf(text: string, path: string) {
  try {
    return readManifest(text, { kind: "IntelligentHorizontalPodAutoscaler" });
  } catch (error) {
    if (error instanceof ManifestError) throw new Error(`${printable(path)}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** What a full pod carries of each metric that dynamic providers use. */
function targetsOf(
  spec: IntelligentHorizontalPodAutoscalerSpec,
  target: number | undefined,
  path: string,
): Map<string, number> {
  const shared: readonly MetricSpec[] = spec.metrics ?? [];
  const used: readonly MetricSpec[] = (spec.portraitProviders ?? []).flatMap(({ dynamic }) =>
    dynamic === undefined ? [] : dynamic.metrics?.length ? dynamic.metrics : shared,
  );
  const specs = used.length > 0 ? used : shared; // a schedule alone is judged by the load all the same
  const names = [...new Set(specs.map(metricName))];
  if (names.length === 0) throw new Error(printable(`${path} names no metric; a backtest needs spec.metrics`));
  if (target !== undefined && names.length > 1)
    throw new UsageError(`--target is one number, ${path} has ${names.length} metrics; give their targets there`);
  return new Map(
    names.map((name) => {
      const { averageValue } = metricTarget(specs.find((metric) => metricName(metric) === name)!) ?? {};
      const each = target ?? (averageValue === undefined ? Number.NaN : readQuantity(averageValue));
      if (each > 0 && Number.isFinite(each)) return [name, each];
      throw new Error(
        printable(`${path}: metric ${name} does not tell what one pod carries; give --target N, in the history's unit`),
      );
    }),
  );
}

/** What a new workload gets: forecast and observation, whichever asks for more. */
function specOf(quantile: string, timeZone: string): IntelligentHorizontalPodAutoscalerSpec {
  try {
    return defaultSpec({ prediction: { quantile, timeZone } });
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new UsageError(`--quantile ${quantile} is none; give a percentile from 50 to 99.99, such as 95 or 99.9`);
  }
}

async function writeReport(
  path: string,
  results: readonly BacktestResult[],
  failures: readonly { readonly name: string; readonly message: string }[],
  { cwd, stderr }: Io,
): Promise<void> {
  await writeFile(resolve(cwd, path), reportPage(results, failures)).catch((error) => {
    throw new Error(printable(`the report ${path} can't be written (${error.code}); check the path`), { cause: error });
  });
  stderr.write(`forescale: the report is in ${printable(path)}\n`);
}

/** One line that is written over on a terminal; elsewhere a line each tenth. */
function showProgress({ stderr }: Io, workloads: number) {
  const isTerminal = (stderr as WriteStream).isTTY === true;
  let said = "";
  return {
    show(done: number, share: number) {
      const shown = isTerminal ? Math.floor(share * 100) : Math.floor(share * 10) * 10;
      const text = `forescale: ${done} of ${workloads} ${workloads === 1 ? "workload" : "workloads"} done, ${shown} %`;
      if (text === said || (!isTerminal && said.endsWith(` ${shown} %`))) return;
      said = text;
      stderr.write(isTerminal ? `\r${text}\x1b[K` : `${text}\n`);
    },
    end() {
      if (isTerminal && said !== "") stderr.write("\r\x1b[K");
    },
  };
}
