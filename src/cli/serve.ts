import { hostname } from "node:os";
import { connect, type KubeClient } from "../kube/client/client.ts";
import type { Log } from "../kube/log.ts";
import { kubeMetrics } from "../kube/metrics.ts";
import { createSchedule } from "../portrait/schedule.ts";
import { createAuditLog } from "../serve/access/audit.ts";
import { findOwnImage } from "../serve/admission/own-image.ts";
import { explainStart, serveCluster } from "../serve/cluster-server.ts";
import { createLog, createRegistry, version } from "../telemetry.ts";
import { type Command, type Io, UsageError, type Values } from "./command.ts";

export const command: Command = {
  name: "serve",
  summary: "answers the external metrics API, validates objects and prepares pods, for the API server",
  usage: "[--kubeconfig FILE] [--port 6443]",
  description: [
    "The aggregated API server: the native HPA reads forescale-replicas and forescale-load from it. Each replica answers",
    "from its own copy of the objects. Certificates are made and rotated in the Secret forescale-server-tls, and the",
    "caBundle of the APIService is kept right. Logs and one audit line a request go to standard output, as JSON.",
  ].join("\n"),
  options: {
    kubeconfig: {
      type: "string",
      value: "FILE",
      help: "cluster and credentials; else $KUBECONFIG, the pod's own, ~/.kube/config",
    },
    context: { type: "string", value: "NAME", help: "context of the kubeconfig" },
    port: { type: "string", value: "PORT", default: "6443", help: "where to listen; 0 takes a free one" },
    "bind-address": { type: "string", value: "ADDRESS", help: "address to listen on; all of them unless given" },
    namespace: {
      type: "string",
      value: "NAME",
      default: "forescale-system",
      help: "where the Service and the Secret are",
    },
    "service-name": {
      type: "string",
      value: "NAME",
      default: "forescale-server",
      help: "the Service that the APIService names",
    },
    "extra-name": { type: "string", value: "NAME,…", help: "more DNS names or addresses for the certificate" },
    "sidecar-image": {
      type: "string",
      value: "IMAGE",
      help: "image of the sidecar that pods get for Standby; by default, in a cluster, this server's own",
    },
    "sidecar-pull-policy": {
      type: "string",
      value: "POLICY",
      help: "Always, IfNotPresent or Never, for that image; else the cluster's default",
    },
    "sidecar-server": {
      type: "string",
      value: "HOST:PORT",
      help: "where sidecars reach this server; by default the Service",
    },
    "swap-namespaces": {
      type: "string",
      value: "NAME,…",
      help: "namespaces whose pods may ask for swap mode: their sidecar is root with SYS_PTRACE, SYS_NICE and KILL",
    },
    "shutdown-delay": {
      type: "string",
      value: "SECONDS",
      default: "10",
      help: "serving on after SIGTERM, while endpoints forget us",
    },
    "log-level": { type: "string", value: "LEVEL", default: "info", help: "debug, info, warn or error" },
  },
  examples: ["forescale serve", "forescale serve --kubeconfig ~/.kube/config --port 0 --bind-address 127.0.0.1"],
  run,
};

async function run(values: Values, positionals: readonly string[], io: Io): Promise<number> {
  if (positionals.length > 0)
    throw new UsageError(`"${positionals[0]}" is not expected; \`forescale serve --help\` lists the options`);
  const port = readInteger(values, "port", 65_535);
  const delaySeconds = readInteger(values, "shutdown-delay", 3600);
  const host = values["bind-address"] as string | undefined;
  const level = String(values["log-level"]);
  if (level !== "debug" && level !== "info" && level !== "warn" && level !== "error")
    throw new UsageError(`--log-level ${level} is none; give debug, info, warn or error`);
  const log = createLog(io.stdout, level);
  const pullPolicy = readPullPolicy(values["sidecar-pull-policy"]);
  const sidecarServer = readHostPort(values["sidecar-server"]);
  const registry = createRegistry();
  const measured = kubeMetrics(registry);
  const client = await connect({
    kubeconfig: values.kubeconfig as string | undefined,
    context: values.context as string | undefined,
    env: process.env,
    cwd: io.cwd,
    userAgent: `forescale-server/${version}`,
    metrics: measured,
    log,
  });
  const audit = createAuditLog(io.stdout);
  const image = await sidecarImage(values, client, log);
  const starting = serveCluster({
    client,
    host,
    port,
    namespace: String(values.namespace),
    serviceName: String(values["service-name"]),
    extraNames: readList(values["extra-name"]),
    registry,
    kubeMetrics: measured,
    readSchedule: createSchedule,
    audit,
    log,
    version,
    ...(image && {
      sidecar: {
        image,
        imagePullPolicy: pullPolicy,
        swapNamespaces: readList(values["swap-namespaces"]),
        ...(sidecarServer && { server: sidecarServer }),
      },
    }),
  });
  const server = await starting.catch((error: Error) => {
    throw new Error(explainStart(error, { host, port }) ?? error.message, { cause: error });
  });
  log.info("serving", { address: server.address.address, port: server.address.port });
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) resolve();
    else io.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  log.info("leaving", { delaySeconds });
  await server.close({ delayMs: delaySeconds * 1000 });
  return 0;
}

/** The sidecar's image; undefined, and so no Standby, where none was given and the server's own can't be known. */
async function sidecarImage(values: Values, client: KubeClient, log: Log): Promise<string | undefined> {
  const given = values["sidecar-image"];
  if (given !== undefined) return String(given);
  if (process.env.KUBERNETES_SERVICE_HOST === undefined) return undefined;
  const pod = { namespace: String(values.namespace), name: process.env.POD_NAME ?? hostname() };
  try {
    return await findOwnImage(client, pod);
  } catch (error) {
    log.warn("pods get no sidecar: its image is not known; set --sidecar-image", { error: (error as Error).message });
    return undefined;
  }
}

function readList(value: Values[string]): string[] {
  return String(value ?? "")
    .split(",")
    .filter(Boolean);
}

function readPullPolicy(value: Values[string]) {
  if (value === undefined || value === "Always" || value === "IfNotPresent" || value === "Never") return value;
  throw new UsageError(`--sidecar-pull-policy ${value} is none; give Always, IfNotPresent or Never`);
}

function readHostPort(value: Values[string]): string | undefined {
  if (value === undefined || /^.+:[0-9]{1,5}$/.test(String(value))) return value as string | undefined;
  throw new UsageError(`--sidecar-server ${value} is not HOST:PORT`);
}

function readInteger(values: Values, name: string, most: number): number {
  const text = String(values[name]);
  const number = Number(text);
  if (!/^[0-9]+$/.test(text) || number > most)
    throw new UsageError(`--${name} ${text} is not a whole number from 0 to ${most}`);
  return number;
}
