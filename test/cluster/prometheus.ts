import { execFile, spawnSync } from "node:child_process";
import { createWriteStream, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type LabelledSeries, openMetrics } from "./exposition.ts";
import { makeRunFolder, onUnexpectedExit, removeRunFolder } from "./leftovers.ts";
import { freePorts, type Running, run, waitFor } from "./processes.ts";
import type { Point } from "./replay.ts";

/** A metrics store of our own on loopback. */
export interface Prometheus {
  readonly url: string;
  readonly dir: string;
  /** The pid of the process that runs now, if one does. */
  pid(): number | undefined;
  /** Lets the store die; its data stays. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, on the same port with the same data, and waits until it is ready. */
  restart(): Promise<void>;
  /** SIGSTOP, then SIGCONT: it accepts connections and never answers. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Evaluates an expression over a range and gives each series' labels and points. */
  queryRange(expression: string, range: QueryRange): Promise<{ labels: Record<string, string>; points: Point[] }[]>;
  stop(): Promise<void>;
}

/** From where to where, and how densely. */
export interface QueryRange {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepSeconds: number;
}

/** What it knows from the start, and what it scrapes. */
export interface PrometheusOptions {
  /** History to be there from the start; each series ordered by time and over by now, as scraping goes on from there. */
  readonly backfill?: readonly LabelledSeries[];
  /** `HOST:PORT` of loopback, such as an exposition's. */
  readonly scrape?: readonly string[];
  /** 1 s unless given. */
  readonly scrapeSeconds?: number;
  /** Where its files go, empty or absent and removed in the end; a private temporary folder unless given. */
  readonly dir?: string;
}

/** One sentence on why Prometheus cannot be started here; undefined when it can. */
export function whyNoPrometheus(): string | undefined {
  for (const command of ["prometheus", "promtool", "setpriv"])
    if (spawnSync(command, ["--version"], { stdio: "ignore" }).status !== 0)
      return `There is no ${command} (packages prometheus and util-linux).`;
  return undefined;
}

/**
 * Starts Prometheus on a free port of loopback with the given history.
 *
 * @throws Error when it cannot be had here or does not become ready, with the end of its log
 */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<Prometheus> {
  const reason = whyNoPrometheus();
  if (reason) throw new Error(reason);
  const dir = makeRunFolder("prometheus", options.dir);
  const data = join(dir, "data");
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const config = join(dir, "prometheus.json"); // JSON is YAML
  const { scrape = [], scrapeSeconds = 1 } = options;
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: `${scrapeSeconds}s`, scrape_timeout: `${scrapeSeconds}s` },
      scrape_configs: scrape.length === 0 ? [] : [{ job_name: "test", static_configs: [{ targets: scrape }] }],
    }),
  );

  let running: Running | undefined;
  const forget = onUnexpectedExit(() => {
    if (running?.isAlive()) process.kill(running.pid, "SIGKILL");
    removeRunFolder(dir);
  });
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const logFile = join(dir, "prometheus.log");
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${data}`,
    `--web.listen-address=127.0.0.1:${port}`,
    // Backfilled traces may be years old, and the store would drop them.
    "--storage.tsdb.retention.time=100y",
    "--log.level=warn",
  ];
  async function restart(): Promise<void> {
    if (running?.isAlive()) return;
    const started = await run("prometheus", args, logFile);
    running = started;
    const ready = async () => (await fetch(`${url}/-/ready`)).ok;
    await waitFor("Prometheus to be ready", ready, { alive: started.isAlive, logFile });
  }
  const signal = async (name: NodeJS.Signals) => running?.signal(name);
  async function stop(): Promise<void> {
    await signal("SIGKILL");
    forget();
    removeRunFolder(dir);
  }

  try {
    if (options.backfill?.length) await backfill(options.backfill, dir, data);
    await restart();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    dir,
    pid: () => (running?.isAlive() ? running.pid : undefined),
    kill: () => signal("SIGKILL"),
    restart,
    freeze: () => signal("SIGSTOP"),
    thaw: () => signal("SIGCONT"),
    queryRange: (expression, range) => queryRange(url, expression, range),
    stop,
  };
}

/** Writes the series as blocks of the store. It has to be told of them before it starts. */
async function backfill(series: readonly LabelledSeries[], dir: string, data: string): Promise<void> {
  const file = join(dir, "backfill.txt");
  const text = createWriteStream(file);
  // The format wants all series of a metric in one place.
  for (const [metric, members] of Map.groupBy(series, (each) => each.metric)) {
    text.write(`# TYPE ${metric} gauge\n`);
    for (const each of members) text.write(openMetrics(each));
  }
  await new Promise<void>((resolve) => text.end("# EOF\n", resolve));
  // A month in blocks of 2 h, its default, takes half a minute; few large ones take seconds.
  const command = ["tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=512h", file, data];
  await promisify(execFile)("promtool", command);
  rmSync(file);
}

async function queryRange(url: string, expression: string, { startMs, endMs, stepSeconds }: QueryRange) {
  const query = new URLSearchParams({
    query: expression,
    start: String(startMs / 1000),
    end: String(endMs / 1000),
    step: String(stepSeconds),
  });
  const response = await fetch(`${url}/api/v1/query_range?${query}`);
  const body = (await response.json()) as {
    error?: string;
    data?: { result: { metric: Record<string, string>; values: [number, string][] }[] };
  };
  if (!body.data) throw new Error(`Prometheus answered ${response.status}: ${body.error}`);
  return body.data.result.map(({ metric, values }) => ({
    labels: metric,
    points: values.map(([seconds, value]) => ({ timeMs: seconds * 1000, value: Number(value) })),
  }));
}
