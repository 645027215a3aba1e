import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import type { WriteStream } from "node:tty";
import { gunzipSync } from "node:zlib";
import { printable } from "../api/validation/problem.ts";
import { ManifestError } from "../api/validation/read-manifest.ts";
import { parseDuration } from "../api/values/duration.ts";
import { sizePods } from "../backtest/replay/load.ts";
import { LineDisplay } from "../demo/line-display.ts";
import { type Display, runDemo } from "../demo/run.ts";
import { describeSpeed, describeSummary } from "../demo/summary.ts";
import { TerminalDisplay } from "../demo/terminal.ts";
import { historyEndMs, layTrace, objectName, type Trace, trailingMean } from "../demo/trace.ts";
import { type Command, type Io, numberOf, UsageError, type Values } from "./command.ts";
import { readHeader, readRows, stepOf } from "./read-history.ts";

export const command: Command = {
  name: "demo",
  summary: "replays a real load through the real server and decision path, no cluster needed",
  usage: "[--trace FILE.csv] [--speed 600] [--duration 60s] [-o json]",
  description: [
    "Forescale, a plain HPA and an oracle that knows the future scale the same workload, side by side. Forescale learns from",
    "the trace's past, decides every 15 simulated seconds and serves its number over TLS; an HPA with Kubernetes' own",
    "arithmetic reads it there. The bundled trace counts aircraft departures in the United States, five weeks of 2001.",
    "Ends by itself after --duration or the whole trace; Ctrl-C ends it too.",
  ].join("\n"),
  options: {
    trace: {
      type: "string",
      value: "FILE.csv",
      help: "your own load: header timestamp,NAME; UTC stamps; 2 days or more",
    },
    speed: { type: "string", value: "N", default: "600", help: "simulated seconds a second" },
    duration: { type: "string", value: "TIME", help: "end after this long, such as 60s, 5m or 1h" },
    output: { type: "string", short: "o", value: "json", help: "json: one summary line at the end, nothing else" },
    port: {
      type: "string",
      value: "PORT",
      default: "0",
      help: "of 127.0.0.1, where the metric is served; 0 takes a free one",
    },
    quantile: {
      type: "string",
      value: "P",
      default: "95",
      help: "percentile of the load to be ready for, 50 to 99.99",
    },
  },
  examples: [
    "forescale demo",
    "forescale demo --speed 3600 --duration 60s -o json",
    "forescale demo --trace requests.csv --quantile 99",
  ],
  run,
};

const bundledFile = new URL("../demo/traces/us-departures-2001.csv.gz", import.meta.url);
const dayMs = 86_400_000;

async function run(values: Values, positionals: readonly string[], io: Io): Promise<number> {
  if (positionals.length > 0)
    throw new UsageError(`"${positionals[0]}" is not expected; a trace is given with --trace FILE.csv`);
  const speed = numberOf(values, "speed", 0.1, 1e6);
  const port = numberOf(values, "port", 0, 65_535);
  if (!Number.isInteger(port)) throw new UsageError(`--port ${port} is no port; give a whole number from 0 to 65535`);
  const durationMs = durationOf(values);
  const { output, quantile } = values;
  if (output !== undefined && output !== "json")
    throw new UsageError(`-o ${output} is none; give -o json, or leave it out`);
  const isJson = output === "json";

  const { trace, notes } = await (typeof values.trace === "string" ? readTrace(values.trace, io) : readBundled());
  for (const note of notes) io.stderr.write(`forescale: ${note}\n`);
  if (isTerminal(io) && !isJson) io.stdout.write("Forescale demo: certificates, a server, and a first forecast …\n");
  const hangUp = new AbortController();
  process.once("SIGHUP", () => hangUp.abort(new Error("SIGHUP")));
  const summary = await runDemo(
    { trace, speed, durationMs, port, quantile: String(quantile), signal: AbortSignal.any([io.signal, hangUp.signal]) },
    displayOf(io, isJson),
  ).catch((error) => {
    if (error instanceof ManifestError)
      throw new UsageError(`--quantile ${quantile} is none; give a percentile from 50 to 99.99, such as 95 or 99.9`);
    throw error;
  });
  if (summary.speed < speed)
    io.stderr.write(
      `forescale: ${describeSpeed(speed)} was asked for, ${describeSpeed(summary.speed)} is what this machine reached\n`,
    );
  if (isJson) io.stdout.write(`${JSON.stringify(summary)}\n`);
  else io.stdout.write(`\n${describeSummary(summary, columnsOf(io)).join("\n")}\n`);
  return 0;
}

function isTerminal({ stdout }: Io): boolean {
  return (stdout as WriteStream).isTTY === true && process.env.TERM !== "dumb";
}

function displayOf(io: Io, isJson: boolean): Display {
  const { stdout } = io;
  if (isJson) return { begin() {}, show() {}, end() {} };
  if (isTerminal(io)) return new TerminalDisplay(stdout as WriteStream, !process.env.NO_COLOR, () => performance.now());
  return new LineDisplay((line) => stdout.write(`${line}\n`));
}

function columnsOf({ stdout }: Io): number {
  return (stdout as WriteStream).columns ?? 120;
}

function durationOf({ duration }: Values): number | undefined {
  if (duration === undefined) return undefined;
  let durationMs = 0;
  try {
    durationMs = parseDuration(String(duration));
  } catch {} // said below
  if (durationMs > 0) return durationMs;
  throw new UsageError(`--duration ${duration} is no time; give a whole number and s, m or h, such as 60s`);
}

async function readBundled(): Promise<{ trace: Trace; notes: string[] }> {
  const { stamps, columns } = readRows(gunzipSync(await readFile(bundledFile)).toString(), ["departures"]);
  const counted = layTrace({ stamps, values: columns.get("departures")! }, stepOf(stamps));
  // Departures are scheduled, and often written down, at whole five minutes: a rate over five is what a monitor would show.
  const load = trailingMean(counted, 300_000);
  const untilMs = load.startMs + load.values.length * load.stepMs;
  const trace: Trace = {
    name: "us-departures-2001",
    title: "aircraft departures in the United States, taken as requests",
    source: "flights-3m.parquet of vega-datasets (BSD-3-Clause): departures a minute, as a rate over 5 minutes",
    metric: "departures",
    unit: "departures/min",
    load,
    // Four weeks to learn from, and the night: the first thing to see is the steep start of a day.
    replayFromMs: load.startMs + 28 * dayMs + 4.5 * 3_600_000,
    replayUntilMs: untilMs,
    podCarries: sizePods(load),
  };
  return { trace, notes: [] };
}

async function readTrace(path: string, { cwd }: Io): Promise<{ trace: Trace; notes: string[] }> {
  let bytes: Buffer;
  try {
    bytes = await readFile(resolve(cwd, path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : code;
    throw new Error(printable(`the trace ${path} can't be read: ${why}; check the path`), { cause: error });
  }
  try {
    const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString();
    const [column, ...others] = readHeader(text);
    const { stamps, columns, warnings } = readRows(text, [column]);
    const load = layTrace({ stamps, values: columns.get(column)! }, stepOf(stamps));
    const name = printable(column);
    const which = others.length > 0 ? `column ${name}, the first of ${others.length + 1}` : `column ${name}`;
    const trace: Trace = {
      name: printable(basename(path)),
      title: printable(`${basename(path)}, ${which}`),
      source: printable(`${path}, ${which}`),
      metric: objectName(column),
      unit: name,
      load,
      replayFromMs: historyEndMs(load),
      replayUntilMs: load.startMs + load.values.length * load.stepMs,
      podCarries: sizePods(load),
    };
    const notes =
      others.length > 0
        ? [
            printable(
              `${path} has ${others.length + 1} columns; the first, ${column}, is replayed, the others are left out`,
            ),
          ]
        : [];
    return { trace, notes: [...notes, ...warnings.map((warning) => printable(`${path}: ${warning}`))] };
  } catch (error) {
    throw new Error(printable(`the trace ${path}: ${(error as Error).message}`), { cause: error });
  }
}
