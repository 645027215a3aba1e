// Plays the test cluster outside of a test: `main.ts build`, `main.ts up [--node] [--dir D]` until Ctrl-C or `main.ts down`.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startPodStatesRig } from "../e2e/pod-states-rig.ts";
import type { Program } from "../e2e/program.ts";
import { ensureBinaries } from "./binaries.ts";
import { startControlPlane } from "./control-plane.ts";
import { imageNames } from "./images-local.ts";
import { addFakeNode } from "./objects.ts";

const usage = `Usage: main.ts build [--kubelet]   builds what the cache lacks and says where it is
       main.ts up [--node [--external-programs NAME=URL,…]] [--dir D]
                                   starts a control plane with one pretend node, until Ctrl-C or \`down\`; with --node,
                                   as root, a real one (kubelet, containerd), with Forescale's server and controller
       main.ts down [--dir D]      ends the one that \`up\` started there`;

const { positionals, values } = read();
const dir = resolve(values.dir ?? join(tmpdir(), `forescale-cluster-of-${userInfo().username}`));
const pidFile = join(dir, "up.pid");

if (values.help) console.log(usage);
else if (positionals[0] === "build") console.log((await ensureBinaries({ kubelet: values.kubelet })).dir);
else if (positionals[0] === "up") await up();
else if (positionals[0] === "down") await down();
else {
  console.error(usage);
  process.exitCode = 2;
}

function read() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        dir: { type: "string" },
        kubelet: { type: "boolean", default: false },
        node: { type: "boolean", default: false },
        "external-programs": { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`);
    process.exit(2);
  }
}

async function up(): Promise<void> {
  if (runningPid()) throw new Error(`A control plane runs in ${dir} already; end it with \`down\`.`);
  const startedMs = performance.now();
  const { plane, what, programs: ours, stop } = values.node ? await withRealNode() : await withPretendNode();
  writeFileSync(pidFile, String(process.pid));
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const { dir: programs } = await ensureBinaries();
  console.log(`Up in ${seconds} s with ${what}. Logs: ${plane.logs}`);
  console.log(`export KUBECONFIG=${plane.kubeconfig} PATH="${programs}:$PATH"`);
  const watching = setInterval(() => tellEnds(ours), 1000);
  await new Promise<void>((done) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => done());
  });
  clearInterval(watching);
  await stop();
  process.exit();
}

/** Says of each program once that it has ended; nobody starts it again, as a Deployment would. */
function tellEnds(ours: Map<string, Program>): void {
  for (const [name, { isAlive, log }] of ours) {
    if (isAlive) continue;
    ours.delete(name);
    console.error(`Forescale's ${name} has ended; its last words stand in ${log}. \`down\` and \`up\` give a new one.`);
  }
}

async function withPretendNode() {
  const plane = await startControlPlane({ dir });
  await addFakeNode(plane.kubectl, "node-1");
  return { plane, what: "one pretend node", programs: new Map<string, Program>(), stop: () => plane.stop() };
}

async function withRealNode() {
  const programs = values["external-programs"];
  const controllerArgs = programs === undefined ? [] : [`--external-programs=${programs}`];
  const rig = await startPodStatesRig({ dir, controllerArgs });
  const images = `${imageNames.busybox}, ${imageNames.node}, ${imageNames.java}`;
  return {
    plane: rig.plane,
    what: `a real node, Forescale's server and controller, and the images ${images} (imagePullPolicy: Never)`,
    programs: new Map([
      ["server", rig.server],
      ["controller", rig.controller],
    ]),
    stop: () => rig.stop(),
  };
}

async function down(): Promise<void> {
  const pid = runningPid();
  if (!pid) return console.log(`Nothing runs in ${dir}.`);
  process.kill(pid, "SIGTERM");
  while (runningPid() === pid) await sleep(50);
}

/** The pid of the `up` that owns the folder; undefined when it ended, even if its number went to another program. */
function runningPid(): number | undefined {
  if (!existsSync(pidFile)) return undefined;
  const pid = Number(readFileSync(pidFile, "utf8"));
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("main.ts") ? pid : undefined;
  } catch {
    return undefined;
  }
}
