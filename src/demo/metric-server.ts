import { X509Certificate } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HorizontalPortrait } from "../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { ihpaLabel, replicasMetric } from "../api/labels.ts";
import { readQuantity } from "../api/values/quantity.ts";
import type { MetricReading } from "../hpa/metric-replicas.ts";
import { systemClock } from "../kube/loop/clock.ts";
import { createSchedule } from "../portrait/schedule.ts";
import { MemorySnapshot } from "../serve/metrics-api/snapshot.ts";
import { externalMetricsPath } from "../serve/names.ts";
import { createServer } from "../serve/server.ts";
import { issueAuthority, issueClient, issueServing } from "../serve/tls/certificates.ts";
import { demoNamespace } from "./manifest.ts";

const host = "127.0.0.1";
const reader = "forescale-demo";
const dayMs = 86_400_000;

export interface MetricServerOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Name of the IHPA. */
  readonly name: string;
  /** Simulated times between which the server lives. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** The real server of external metrics, in simulated time, with its objects in memory. */
export interface MetricServer {
  /** A shell line that reads the metric. */
  readonly curl: string;
  /** Holds the certificates; gone after `close`. */
  readonly folder: string;
  /** Moves the server's clock. */
  setTime(timeMs: number): void;
  publish(object: IntelligentHorizontalPodAutoscaler | HorizontalPortrait): void;
  /** Reads the metric as the HPA does: over TLS, with a client certificate. */
  read(): Promise<MetricReading>;
  close(): Promise<void>;
}

/** @throws Error with one sentence when the port is taken or not permitted */
export async function openMetricServer(options: MetricServerOptions): Promise<MetricServer> {
  const { port, name } = options;
  let nowMs = options.fromMs;
  const clock = { ...systemClock, wallMs: () => nowMs, monotonicMs: () => nowMs };
  const snapshot = new MemorySnapshot(clock, createSchedule);

  // The server verifies clients by the trace's clock, curl verifies the server by the machine's: what both look at must
  // be valid in both times.
  const realMs = Date.now();
  const firstMs = Math.min(realMs, options.fromMs) - dayMs;
  const bothMs = Math.max(realMs, options.untilMs) + 30 * dayMs - firstMs;
  const authority = await issueAuthority("forescale demo", bothMs, firstMs);
  const [serving, client] = await Promise.all([
    issueServing(authority, ["localhost", host], 30 * dayMs, realMs),
    issueClient(authority, { name: reader }, bothMs, firstMs),
  ]);
  const clientAuthorities = [new X509Certificate(authority.certificate)];

  const server = createServer({
    certificate: serving,
    snapshot,
    authentication: () => configuration,
    // Without an API server to ask: the demo's own client may read this namespace, no one else may do anything.
    reviewAccess: async ({ user }, attributes) => ({
      isAllowed:
        user === reader &&
        (attributes.kind === "Path"
          ? attributes.verb === "get"
          : attributes.namespace === demoNamespace && ["get", "list"].includes(attributes.verb)),
    }),
    clock,
  });
  const configuration = { frontProxy: undefined, clientAuthorities };
  const address = await server.listen(port, host).catch((error: NodeJS.ErrnoException) => {
    throw new Error(explain(error, port), { cause: error });
  });

  const folder = await mkdtemp(join(tmpdir(), "forescale-")); // made with mode 0700
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove); // also when the user will not wait
  const files = { ca: join(folder, "ca.crt"), cert: join(folder, "client.crt"), key: join(folder, "client.key") };
  await Promise.all([
    writeFile(files.ca, authority.certificate, { mode: 0o600 }),
    writeFile(files.cert, client.certificate, { mode: 0o600 }),
    writeFile(files.key, client.key, { mode: 0o600 }),
  ]);

  const selector = encodeURIComponent(`${ihpaLabel}=${name}`);
  const path = `${externalMetricsPath}/namespaces/${demoNamespace}/${replicasMetric}?labelSelector=${selector}`;
  const agent = new Agent({
    keepAlive: true,
    ca: authority.certificate,
    cert: client.certificate,
    key: client.key,
  });
  const url = `https://${host}:${address.port}${path}`;

  return {
    curl: `curl --cacert ${shell(files.ca)} --cert ${shell(files.cert)} --key ${shell(files.key)} '${url}'`,
    folder,
    setTime(timeMs) {
      nowMs = timeMs;
    },
    publish(object) {
      if (object.kind === "HorizontalPortrait") snapshot.setPortrait(object);
      else snapshot.setIhpa(object);
    },
    read: () => readMetric(url, agent),
    async close() {
      agent.destroy();
      await server.close({ drainMs: 100 });
      remove();
      process.off("exit", remove);
    },
  };
}

function readMetric(url: string, agent: Agent): Promise<MetricReading> {
  return new Promise((resolve) => {
    const missing = (why: string) => resolve({ kind: "Missing", why });
    const asked = request(url, { agent, timeout: 5000 }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => {
        if (response.statusCode !== 200) return missing(`${response.statusCode}: ${body.slice(0, 300)}`);
        const { items } = JSON.parse(body) as { items: { value: string }[] };
        resolve({ kind: "Values", values: items.map(({ value }) => readQuantity(value)) });
      });
    });
    asked.on("timeout", () => asked.destroy(new Error("no answer within 5 s")));
    asked.on("error", (error) => missing(error.message));
    asked.end();
  });
}

function explain({ code, message }: NodeJS.ErrnoException, port: number): string {
  if (code === "EADDRINUSE") return `port ${port} of ${host} is taken; choose another with --port, or 0 for a free one`;
  if (code === "EACCES")
    return `this user may not listen on port ${port}; choose a --port above 1023, or 0 for a free one`;
  return `the server can't listen on ${host}:${port}: ${message}`;
}

/** A path as one word of a shell. */
function shell(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
