import { readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { printable } from "../api/validation/problem.ts";
import { parseDuration } from "../api/values/duration.ts";
import { Credentials } from "../collect/http/credentials.ts";
import { PrometheusClient } from "../collect/prometheus/prometheus.ts";
import { labelText } from "../collect/samples.ts";
import { toSeries } from "../collect/to-series.ts";
import type { Series } from "../series/series.ts";
import { type Io, UsageError, type Values } from "./command.ts";
import { leaveOutNegatives, readHeader, readHistory } from "./read-history.ts";

/** Histories that stand together: the columns of a file, or one series of a query. */
export interface NamedHistories {
  readonly name: string;
  readonly columns: ReadonlyMap<string, Series>;
}

/** What was read, and what could not be: one sentence each. */
export interface Histories {
  readonly read: readonly NamedHistories[];
  readonly failed: readonly { readonly name: string; readonly error: Error }[];
}

/** Where histories come from: exactly one of the three ways. @throws UsageError where none or several are given */
export async function readHistories(values: Values, io: Io): Promise<Histories> {
  const ways = ["history", "folder", "prometheus"].filter((way) => values[way] !== undefined);
  if (ways.length !== 1)
    throw new UsageError(
      ways.length === 0
        ? "backtest needs --history FILE.csv, --folder DIR, or --prometheus URL with --query; `forescale backtest --help` shows examples"
        : `--${ways.join(" and --")} are two ways to say where histories are; give one`,
    );
  const value = String(values[ways[0]]);
  if (ways[0] !== "prometheus") {
    const stray = ["query", "range", "step", "token-file", "ca-file"].find((name) => values[name] !== undefined);
    if (stray !== undefined) throw new UsageError(`--${stray} goes with --prometheus`);
  }
  if (ways[0] === "history") return { read: [await readOne(resolve(io.cwd, value), value, io)], failed: [] };
  if (ways[0] === "folder") return readFolder(resolve(io.cwd, value), value, io);
  return readQuery(value, values, io);
}

async function readFolder(folder: string, shown: string, io: Io): Promise<Histories> {
  const names = await readdir(folder).catch((error) => {
    throw new Error(printable(`the folder ${shown} can't be read (${error.code}); check the path`), { cause: error });
  });
  const files = names.filter((name) => /\.csv(\.gz)?$/i.test(name)).sort();
  if (files.length === 0) throw new Error(printable(`the folder ${shown} has no *.csv or *.csv.gz file`));
  const read: NamedHistories[] = [];
  const failed: { name: string; error: Error }[] = [];
  for (const file of files)
    try {
      read.push(await readOne(join(folder, file), file, io));
    } catch (error) {
      failed.push({ name: nameOf(file), error: error as Error });
    }
  return { read, failed };
}

async function readOne(path: string, shown: string, { stderr }: Io): Promise<NamedHistories> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder; use --folder" : code;
    throw new Error(printable(`the history ${shown} can't be read: ${why}; check the path`), { cause: error });
  }
  try {
    const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString();
    const columns = readHistory(text, readHeader(text), (message) =>
      stderr.write(`forescale: ${printable(`${shown}: ${message}`)}\n`),
    );
    return { name: nameOf(shown), columns };
  } catch (error) {
    throw new Error(printable(`the history ${shown}: ${(error as Error).message}`), { cause: error });
  }
}

/** A file's workload, by the file's name. */
function nameOf(path: string): string {
  return printable(basename(path).replace(/\.csv(\.gz)?$/i, ""));
}

async function readQuery(url: string, values: Values, io: Io): Promise<Histories> {
  const { query } = values;
  if (typeof query !== "string")
    throw new UsageError("--prometheus needs --query, such as 'sum(rate(requests_total[5m]))'");
  const rangeMs = durationOf(values.range ?? "14d", "range");
  const stepMs = durationOf(values.step ?? "1m", "step");
  if (rangeMs < 2 * stepMs) throw new UsageError(`--range ${values.range} is shorter than two steps of ${values.step}`);
  const [bearerToken, ca] = await Promise.all(
    ["token-file", "ca-file"].map((name) => secretOf(values[name], name, io)),
  );
  const client = new PrometheusClient({
    name: "--prometheus",
    url,
    credentials: new Credentials({ ...(bearerToken && { bearerToken }), ...(ca && { ca }) }),
    addresses: { allowLoopback: true }, // a port-forward stands there, and the caller chose it
    timeoutMs: 60_000,
  });
  try {
    const toMs = Math.floor((Date.now() - 30_000) / stepMs) * stepMs;
    const steps = Math.floor(rangeMs / stepMs);
    const startMs = toMs - steps * stepMs;
    // The sample at a step's end speaks about the step.
    const found = await client.range(query, { startMs: startMs + stepMs, endMs: toMs, stepMs }, { signal: io.signal });
    if (found.length === 0)
      throw new Error(
        printable(`the query finds nothing in the last ${values.range ?? "14d"}; try it in the store's own page`),
      );
    const names = namesOf(found.map(({ labels }) => labels));
    const read: NamedHistories[] = [];
    const failed: { name: string; error: Error }[] = [];
    for (const [k, samples] of found.entries()) {
      const name = names[k];
      const series = trimmed(toSeries(samples, { startMs, stepMs, steps }));
      const time = (i: number) => new Date(series.startMs + i * stepMs).toISOString();
      try {
        const warning = leaveOutNegatives(series.values, name, (i) => `${series.values[i]} at ${time(i)}`);
        if (warning !== undefined) io.stderr.write(`forescale: ${name}: ${warning}\n`);
        read.push({ name, columns: new Map([[name, series]]) });
      } catch (error) {
        failed.push({ name, error: error as Error });
      }
    }
    return { read, failed };
  } finally {
    client.close();
  }
}

/** Without the missing steps before the first value and after the last. */
function trimmed({ startMs, stepMs, values }: Series): Series {
  const first = values.findIndex((value) => Number.isFinite(value));
  const last = values.findLastIndex((value) => Number.isFinite(value));
  if (first < 0) return { startMs, stepMs, values: new Float64Array(0) };
  return { startMs: startMs + first * stepMs, stepMs, values: values.slice(first, last + 1) };
}

/** A name for each series: the values of the labels by which they differ. */
function namesOf(all: readonly ReadonlyMap<string, string>[]): string[] {
  const keys = [...new Set(all.flatMap((labels) => [...labels.keys()]))].sort();
  const telling = keys.filter((key) => new Set(all.map((labels) => labels.get(key))).size > 1);
  return all.map((labels) => {
    const values = telling.map((key) => labels.get(key)).filter((value) => value !== undefined && value !== "");
    return printable(values.join("/") || (all.length === 1 ? (labels.get("__name__") ?? "load") : labelText(labels)));
  });
}

function durationOf(text: string | boolean, name: string): number {
  try {
    const ms = parseDuration(String(text));
    if (ms > 0) return ms;
  } catch {} // said below
  throw new UsageError(`--${name} ${text} is no time; give a whole number and s, m, h, d or w, such as 14d`);
}

async function secretOf(path: string | boolean | undefined, name: string, { cwd }: Io): Promise<string | undefined> {
  if (typeof path !== "string") return undefined;
  const text = await readFile(resolve(cwd, path), "utf8").catch((error) => {
    throw new Error(printable(`--${name} ${path} can't be read (${error.code}); check the path`), { cause: error });
  });
  if (text.trim() === "") throw new Error(printable(`--${name} ${path} is empty`));
  return text;
}
