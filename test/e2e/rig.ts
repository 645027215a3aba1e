import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Exposition, startExposition } from "../cluster/exposition.ts";
import { hostService } from "../cluster/host-service.ts";
import { addFakeNode } from "../cluster/objects.ts";
import { freePorts, waitFor } from "../cluster/processes.ts";
import { type Prometheus, startPrometheus } from "../cluster/prometheus.ts";
import { type Point, shift, splitAt } from "../cluster/replay.ts";
import { programOf } from "./program.ts";

const root = join(import.meta.dirname, "..", "..");
const namespace = "forescale-system";

/** A copy of the bundled trace in time: what stood at `anchor` (UTC) happens `inSeconds` after the start. */
export interface Replay {
  readonly metric: string;
  readonly anchor: string;
  readonly inSeconds: number;
}

/** A cluster with our manifests in it, our programs as processes, and a Prometheus that replays the bundled trace. */
export interface Rig {
  readonly plane: ControlPlane;
  readonly prometheus: Prometheus;
  /** When the replays were laid; `inSeconds` counts from here. */
  readonly startedMs: number;
  /** The load of a replay at a moment. */
  readonly loads: ReadonlyMap<string, readonly Point[]>;
  /** Two servers, at two addresses, as in production. */
  readonly servers: readonly ServerProcess[];
  /** Takes a server out of the Service's endpoints, and puts it back, as readiness would. */
  takeOut(server: ServerProcess): Promise<void>;
  putBack(server: ServerProcess): Promise<void>;
  /** GETs a path of the API server as an administrator over a kept connection. */
  get(path: string): Promise<{ readonly status: number; readonly body: string }>;
  startController(): Promise<void>;
  /** SIGKILL: nothing is handed over. */
  killController(): Promise<void>;
  stop(): Promise<void>;
}

/** One replica of the server. */
export interface ServerProcess {
  readonly address: string;
  start(): Promise<void>;
  /** SIGTERM, as a rolling restart sends; resolves when the process has ended. */
  terminate(): Promise<void>;
}

/** The bundled trace: departures per minute. */
export function bundledTrace(): Point[] {
  const file = join(root, "src", "demo", "traces", "us-departures-2001.csv.gz");
  const [, ...lines] = gunzipSync(readFileSync(file)).toString("utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const [stamp, value] = line.split(",");
    return { timeMs: Date.parse(stamp), value: Number(value) };
  });
}

/** Brings everything up but the controller. */
export async function startRig(replays: readonly Replay[]): Promise<Rig> {
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const each of undo.reverse()) await each().catch((error) => process.stderr.write(`${error}\n`));
  };
  try {
    return await build(replays, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(
  replays: readonly Replay[],
  undo: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<Rig> {
  const plane = await startControlPlane();
  undo.push(() => plane.stop());
  const { kubectl } = plane;
  await addFakeNode(kubectl, "node-1");
  // A second apply settles what the first could not, as kinds are new to the server.
  await kubectl(["apply", "--server-side", "-k", join(import.meta.dirname, "host-overlay")]);

  const trace = bundledTrace();
  const startedMs = Date.now();
  const loads = new Map(
    replays.map(({ metric, anchor, inSeconds }) => [
      metric,
      shift(trace, Date.parse(anchor), startedMs + inSeconds * 1000),
    ]),
  );
  const labels = { namespace: "default" };
  const series = [...loads].map(([metric, points]) => ({ metric, labels, points }));
  const exposition: Exposition = await startExposition(series);
  undo.push(() => exposition.stop());
  const prometheus = await startPrometheus({
    // The labels that a scrape adds: else the past would be a series of its own, and a sum would count both for a while.
    backfill: series.map((each) => ({
      ...each,
      labels: { ...labels, job: "test", instance: exposition.target },
      points: splitAt(each.points, startedMs).past,
    })),
    scrape: [exposition.target],
  });
  undo.push(() => prometheus.stop());
  await kubectl(["apply", "--server-side", "-f", "-"], {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "MetricSource",
    metadata: { name: "prometheus" },
    // Scraped every second, so five seconds are enough to trust a sample.
    spec: { type: "Prometheus", default: true, url: prometheus.url, lag: "5s" },
  });

  const addresses = await plane.hostAddresses(2);
  const [port] = await freePorts(1);
  const servers = await Promise.all(addresses.map((address, index) => serverAt(plane, address, port, index)));
  const targets = addresses.map((address) => ({ address, port }));
  const service = await hostService(kubectl, { name: "forescale-server", namespace, targets });
  const controller = await programOf(plane, "controller", "forescale-controller", [
    `--history=${join(plane.dir, "history.db")}`,
    "--metrics-port=0",
    "--hpa-sync-seconds=2",
    "--tick-seconds=5",
    "--allow-loopback-sources",
  ]);
  undo.push(() => controller.kill("SIGKILL"), ...servers.map((server) => () => server.kill()));
  await Promise.all(servers.map((server) => server.start()));
  await waitFor("the external metrics API to be available", async () => {
    const text = await kubectl([
      "get",
      "apiservice",
      "v1beta1.external.metrics.k8s.io",
      "-o",
      'jsonpath={.status.conditions[?(@.type=="Available")].status}',
    ]);
    return text === "True";
  });
  const admin = await plane.pki.clientCertificate({ user: "admin", groups: ["system:masters"] });
  const agent = new Agent({
    keepAlive: true,
    ca: plane.pki.clusterAuthority.certificate,
    cert: admin.certificate,
    key: admin.key,
  });
  undo.push(async () => agent.destroy());
  return {
    plane,
    prometheus,
    takeOut: ({ address }) => service.setTargets(targets.filter((target) => target.address !== address)),
    putBack: () => service.setTargets(targets),
    get: (path) =>
      new Promise((resolve, reject) => {
        const asked = request(`${plane.url}${path}`, { agent }, (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (chunk) => {
            body += chunk;
          });
          response.once("end", () => resolve({ status: response.statusCode ?? 0, body }));
        });
        asked.once("error", reject).end();
      }),
    startedMs,
    loads,
    servers,
    startController: () => controller.start(),
    killController: () => controller.kill("SIGKILL"),
    stop,
  };
}

async function serverAt(plane: ControlPlane, address: string, port: number, index: number) {
  const program = await programOf(
    plane,
    "serve",
    "forescale-server",
    [`--bind-address=${address}`, `--port=${port}`],
    String(index),
  );
  return {
    address,
    async start() {
      await program.start();
      await waitFor(
        `the server at ${address} to be ready`,
        async () => {
          const { stdout } = await curl([
            "-sk",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            `https://${address}:${port}/readyz`,
          ]);
          return stdout === "200";
        },
        { logFile: program.log },
      );
    },
    terminate: () => program.kill("SIGTERM"),
    kill: () => program.kill("SIGKILL"),
  };
}

async function curl(args: readonly string[]): Promise<{ stdout: string }> {
  const { execFile } = await import("node:child_process");
  const { promisify } = await import("node:util");
  return promisify(execFile)("curl", [...args]);
}
