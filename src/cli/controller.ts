import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import type { Registry } from "prom-client";
import { runControllers } from "../controllers/run.ts";
import { connect } from "../kube/client/client.ts";
import { createLog, createRegistry, type Level } from "../telemetry.ts";
import { type Command, type Io, UsageError, type Values, wholeNumberOf } from "./command.ts";

export const command: Command = {
  name: "controller",
  summary: "runs the controllers: learns, forecasts and decides for every IHPA of a cluster",
  usage: "[--kubeconfig FILE]",
  description: [
    "Waits for the Lease forescale-controller, then decides for all IntelligentHorizontalPodAutoscalers until it is stopped.",
    "Ends with exit code 1 when the Lease is lost, so that a restart begins with what the cluster says; and at its start, with one",
    "sentence, when the API server refuses its credentials or has not answered for half a minute.",
  ].join("\n"),
  options: {
    kubeconfig: {
      type: "string",
      value: "FILE",
      help: "the cluster; by default $KUBECONFIG, the pod's own, or ~/.kube/config",
    },
    context: { type: "string", value: "NAME", help: "context of the kubeconfig" },
    namespace: {
      type: "string",
      value: "NAME",
      default: "forescale-system",
      help: "where the Lease and sources' Secrets are",
    },
    history: { type: "string", value: "FILE", help: "file of the embedded history, for metrics without a Prometheus" },
    "tick-seconds": { type: "string", value: "N", default: "15", help: "time between two decisions for a workload" },
    "hpa-sync-seconds": {
      type: "string",
      value: "N",
      default: "15",
      help: "how often this cluster's HPA looks; part of the lead",
    },
    workers: { type: "string", value: "N", default: "1", help: "threads that forecast" },
    "metrics-port": {
      type: "string",
      value: "PORT",
      default: "8080",
      help: "port of /metrics, /livez and /readyz; 0 for none",
    },
    "bind-address": { type: "string", value: "IP", default: "0.0.0.0", help: "address of the metrics port" },
    "kube-api-qps": { type: "string", value: "N", default: "50", help: "requests a second to the API server" },
    "kube-api-burst": { type: "string", value: "N", default: "100", help: "requests at once to the API server" },
    "allow-loopback-sources": { type: "boolean", default: false, help: "allow metric sources on this machine" },
    "external-programs": {
      type: "string",
      value: "NAME=URL,…",
      default: "",
      help: "external programs that checkers, sorters and traffic controllers may name, with their addresses",
    },
    "log-level": { type: "string", value: "LEVEL", default: "info", help: "debug, info, warn or error" },
  },
  examples: ["forescale controller --kubeconfig ~/.kube/config --history history.db --metrics-port 0"],
  run,
};

async function run(values: Values, positionals: readonly string[], io: Io): Promise<number> {
  if (positionals.length > 0)
    throw new UsageError(`"${positionals[0]}" is not expected; the controller takes options only`);
  const externalPrograms = programsOf(String(values["external-programs"]));
  const number = (name: string, least: number, most: number) => wholeNumberOf(values, name, least, most);
  const level = String(values["log-level"]);
  if (!["debug", "info", "warn", "error"].includes(level))
    throw new UsageError(`--log-level is debug, info, warn or error, not "${level}"`);
  const log = createLog(io.stderr, level as Level);
  const historyFile =
    typeof values.history === "string" ? await historyFileOf(resolve(io.cwd, values.history)) : undefined;
  const registry = createRegistry();
  const client = await connect({
    env: process.env,
    cwd: io.cwd,
    kubeconfig: values.kubeconfig as string | undefined,
    context: values.context as string | undefined,
    qps: number("kube-api-qps", 1, 10_000),
    burst: number("kube-api-burst", 1, 10_000),
    userAgent: "forescale-controller",
    log,
  });
  let isReady = false;
  const port = number("metrics-port", 0, 65_535);
  const server =
    port === 0 ? undefined : await serveMetrics(registry, port, String(values["bind-address"]), () => isReady);
  try {
    await runControllers(
      {
        client,
        namespace: String(values.namespace),
        identity: `${process.env.POD_NAME ?? hostname()}_${randomUUID()}`,
        historyFile,
        tickMs: number("tick-seconds", 1, 300) * 1000,
        syncSeconds: number("hpa-sync-seconds", 1, 600),
        workers: number("workers", 1, 64),
        externalPrograms,
        addresses: { allowLoopback: values["allow-loopback-sources"] === true },
        registry,
        log,
        onReady: () => {
          isReady = true;
          log.info("ready");
        },
      },
      io.signal,
    );
  } finally {
    server?.close();
    server?.closeAllConnections();
  }
  return 0;
}

/** URL by name. The text may hold a password by mistake, so it is not repeated. */
function programsOf(text: string): Map<string, string> {
  const programs = new Map<string, string>();
  for (const [at, entry] of text.split(",").entries()) {
    if (entry.trim() === "") continue;
    const [, name, url] = /^\s*([A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)=(https?:\/\/\S+)\s*$/.exec(entry) ?? [];
    const refuse = (why: string) => new UsageError(`--external-programs: entry ${at + 1} ${why}`);
    if (name === undefined || url === undefined) throw refuse("is not NAME=http://HOST:PORT or NAME=https://HOST:PORT");
    if (programs.has(name)) throw refuse(`gives the name ${name} again`);
    programs.set(name, url);
  }
  return programs;
}

/** The history's path, if it can be written there: a mistyped folder is not to be found out after the Lease was had. */
async function historyFileOf(file: string): Promise<string> {
  const refuse = (why: string) => new UsageError(`--history ${file}: ${why}`);
  const folder = dirname(file);
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) throw refuse(`there is no folder ${folder}; make it, or mount the volume there`);
  if ((await stat(file).catch(() => undefined))?.isDirectory()) throw refuse("that is a folder; name a file in it");
  await access(folder, constants.W_OK).catch(() => {
    throw refuse(`this user may not write to ${folder}; SQLite makes files beside the history`);
  });
  return file;
}

/** `/metrics` for Prometheus, `/livez` and `/readyz` for the kubelet. */
async function serveMetrics(
  registry: Registry,
  port: number,
  address: string,
  isReady: () => boolean,
): Promise<Server> {
  const server = createServer(async (request, response) => {
    if (request.url === "/metrics") {
      response.setHeader("content-type", registry.contentType);
      response.end(await registry.metrics());
    } else if (request.url === "/livez" || request.url === "/readyz") {
      response.statusCode = request.url === "/livez" || isReady() ? 200 : 503;
      response.end(response.statusCode === 200 ? "ok\n" : "waiting for the Lease or the caches\n");
    } else {
      response.statusCode = 404;
      response.end("there are /metrics, /livez and /readyz\n");
    }
  });
  await new Promise<void>((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      fail(
        error.code === "EADDRINUSE"
          ? new Error(`port ${port} is taken; choose another with --metrics-port, or 0 for none`)
          : error,
      ),
    );
    server.listen(port, address, done);
  });
  return server;
}
