import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startControlPlane } from "../cluster/control-plane.ts";
import { freePorts, waitFor } from "../cluster/processes.ts";
import { externalMetrics, installServe, type Rig } from "../contract/serve-rig.ts";
import { startUpstream, upstreamMetric } from "../contract/serve-upstream.ts";
import { dial, type Peer } from "../unit/serve/dial.ts";

const ours = `${externalMetrics}/namespaces/default/forescale-replicas?labelSelector=forescale.io%2Fihpa%3Dweb`;
const rounds = 3;
const secondsARound = 8;
const connections = 16;

interface Contestant {
  readonly name: string;
  readonly peer: Peer;
  readonly path: string;
  readonly pid: number;
}

interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of the server for one request: what a busy machine changes least. */
  readonly cpuMicroseconds: number;
}

/** Requests per second, latency and memory of the metrics API beside the upstream library's sample adapter. */
export default {
  name: `metrics API: bearer token, ${connections} connections, authentication and access reviews on and warm`,
  async run(): Promise<void> {
    const plane = await startControlPlane();
    const stop: (() => Promise<unknown>)[] = [() => plane.stop()];
    try {
      const rig = await installServe(plane);
      await plane.kubectl(["create", "serviceaccount", "reader"]);
      const rule = { apiGroups: ["external.metrics.k8s.io"], resources: ["*"], verbs: ["list"] };
      const metadata = { name: "reader", namespace: "default" };
      const api = { apiVersion: "rbac.authorization.k8s.io/v1" };
      await rig.apply({ ...api, kind: "Role", metadata, rules: [rule] });
      await plane.kubectl(["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader"]);
      await rig.decide("web", 12);
      const forescale = await startForescale(rig, join(plane.dir, "serve.log"));
      stop.unshift(forescale.stop);
      const upstream = await startUpstream(plane);
      stop.unshift(() => upstream.running.signal("SIGTERM"));
      const contestants: Contestant[] = [
        { name: "forescale", peer: forescale.peer, path: ours, pid: forescale.pid },
        { name: "upstream", peer: upstream.peer, path: upstreamMetric, pid: upstream.running.pid },
      ];
      const token = await rig.token("reader");
      const figures = new Map<string, Figures[]>(contestants.map(({ name }) => [name, []]));
      for (let round = 0; round < rounds; round++)
        for (const each of contestants) {
          await rig.decide("web", 12); // as the controller would, so that the number stays Fresh
          figures.get(each.name)!.push(await load(each, token));
        }
      report(contestants, figures);
    } finally {
      for (const each of stop) await each();
    }
  },
};

/** The program itself, as its Deployment runs it. */
async function startForescale(rig: Rig, logFile: string) {
  const [port] = await freePorts(1);
  const main = join(import.meta.dirname, "../../src/main.ts");
  const address = rig.addresses[0];
  const flags = ["--port", String(port), "--bind-address", address, "--shutdown-delay", "0"];
  const kubeconfig = await rig.serverKubeconfig();
  const log = openSync(logFile, "w");
  const child = spawn(process.execPath, [main, "serve", "--kubeconfig", kubeconfig, ...flags], {
    stdio: ["ignore", log, log],
  });
  const stopped = once(child, "exit");
  const at = { address: { address, port, family: "IPv4" } };
  const isReady = async () => (await dial(await rig.peerOf(at), { path: "/readyz" })).code === 200;
  await waitFor("forescale serve to be ready", isReady, { alive: () => child.exitCode === null, logFile });
  const stop = async () => {
    child.kill("SIGTERM");
    await stopped;
  };
  return { peer: await rig.peerOf(at), pid: child.pid!, stop };
}

/** @throws Error when one answer is not a 2xx, or wrk is not installed */
async function load({ name, peer, path, pid }: Contestant, token: string): Promise<Figures> {
  const url = `https://${peer.host}:${peer.port}${path}`;
  const flags = ["-t1", `-c${connections}`, `-d${secondsARound}s`, "--latency", "-H", `Authorization: Bearer ${token}`];
  const cpuBefore = cpuSeconds(pid);
  const wrk = spawn("wrk", [...flags, url], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  wrk.stdout.setEncoding("utf8").on("data", (chunk) => {
    printed += chunk;
  });
  await once(wrk, "close");
  if (/Non-2xx|Socket errors/.test(printed)) throw new Error(`${name} gave answers that are none:\n${printed}`);
  const number = (pattern: RegExp) => Number(printed.match(pattern)![1]);
  const milliseconds = (percent: number) => {
    const [, value, unit] = printed.match(new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`))!;
    return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as "us" | "ms" | "s"];
  };
  return {
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: milliseconds(50),
    p99Ms: milliseconds(99),
    cpuMicroseconds: ((cpuSeconds(pid) - cpuBefore) / number(/(\d+) requests in/)) * 1e6,
  };
}

function report(contestants: readonly Contestant[], figures: ReadonlyMap<string, readonly Figures[]>): void {
  const columns = ["requests/s", "p50 ms", "p99 ms", "CPU µs/request", "memory MiB"];
  const rows = contestants.map(({ name, pid }) => {
    const middle = (of: (figure: Figures) => number) =>
      figures
        .get(name)!
        .map(of)
        .toSorted((a, b) => a - b)[Math.floor(rounds / 2)];
    const latencies = [middle((f) => f.p50Ms), middle((f) => f.p99Ms)];
    return [middle((f) => f.perSecond), ...latencies, middle((f) => f.cpuMicroseconds), residentMib(pid)];
  });
  const line = (name: string, cells: readonly string[]) => process.stdout.write(`| ${name} | ${cells.join(" | ")} |\n`);
  line("", columns);
  process.stdout.write(`|---|${columns.map(() => "---:|").join("")}\n`);
  for (const [index, { name }] of contestants.entries())
    line(
      name,
      rows[index].map((figure, column) => figure.toFixed([0, 2, 2, 0, 0][column])),
    );
  line(
    "ratio",
    rows[0].map((figure, column) => (figure / rows[1][column]).toFixed(2)),
  );
  process.stdout.write(`\nMedians of ${rounds} rounds of ${secondsARound} s, in turn, on one machine.\n`);
}

/** User and system time of a process so far; the kernel counts in hundredths. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function residentMib(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/VmRSS:\s+(\d+) kB/)![1]) / 1024;
}
