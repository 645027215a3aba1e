import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Running, run, waitFor } from "./processes.ts";

/**
 * What a kubelet sets for the whole machine where it finds something else. It finds this in the box, and changes
 * nothing.
 */
const kernelSettings = {
  "vm/overcommit_memory": "1",
  "vm/panic_on_oom": "0",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
  "kernel/keys/root_maxkeys": "1000000",
  "kernel/keys/root_maxbytes": "25000000",
};

/**
 * A process and a mount namespace in which a node's programs run: all they start dies with the box, all they mount is
 * seen in it only, and what they write to fixed places (/run, /var/lib, /var/log) stays in the box's folder.
 */
export interface NodeBox {
  /** Starts a program in it, with its output at the end of `logFile`; the pid is that of the program as seen here. */
  start(command: string, args: readonly string[], logFile: string): Promise<Running>;
  /** Runs a command in it and gives what it printed. */
  run(command: string, args: readonly string[]): Promise<string>;
  /** Ends all that runs in it; returns when nothing does. */
  stop(): Promise<void>;
  /** The same at once, for a process that ends. */
  kill(): void;
}

/**
 * Makes a box.
 *
 * @param dir a folder for what is written in it
 * @param init the program that becomes its first process: it is to wait for the processes that nobody else waits for
 */
export async function startNodeBox(dir: string, init: string): Promise<NodeBox> {
  const logFile = join(dir, "box.log");
  for (const folder of ["lib", "lib.work", "log", "log.work"]) mkdirSync(join(dir, folder), { recursive: true });
  const settings = Object.entries(kernelSettings).map(([path, value]) => {
    const file = join(dir, path.replaceAll("/", "."));
    writeFileSync(file, `${value}\n`);
    return `if [ -e /proc/sys/${path} ]; then mount --bind "$1/${path.replaceAll("/", ".")}" /proc/sys/${path}; fi`;
  });
  const script = [
    "set -e",
    "mount -t tmpfs -o mode=755 tmpfs /run",
    `for part in lib log; do mount -t overlay overlay -o "lowerdir=/var/$part,upperdir=$1/$part,workdir=$1/$part.work" /var/$part; done`,
    ...settings,
    'echo ready >"$1/ready"',
    'exec "$2"',
  ].join("\n");
  const flags = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const holder = await run("unshare", [...flags, "--", "/bin/sh", "-c", script, "box", dir, init], logFile);
  const isReady = async () => existsSync(join(dir, "ready")) && childOf(holder.pid);
  const first = await waitFor("the node's namespaces", isReady, { alive: holder.isAlive, logFile, everyMs: 20 });
  const enter = (command: string, args: readonly string[]) =>
    ["nsenter", ["--target", String(first), "--mount", "--pid", "--", command, ...args]] as const;
  const kill = () => {
    // The holder never ends before its child does, so that the number is still that process's.
    if (holder.isAlive() && runs(first)) process.kill(first, "SIGKILL");
  };
  return {
    async start(command, args, logFile) {
      const outer = await run(...enter(command, args), logFile);
      const alive = { alive: outer.isAlive, logFile, everyMs: 10 };
      const pid = await waitFor(`${command} to start`, async () => childOf(outer.pid), alive);
      return {
        pid,
        isAlive: outer.isAlive,
        async signal(signal) {
          if (!outer.isAlive()) return;
          process.kill(pid, signal);
          // nsenter stops when its child does, but nothing wakes it with the child.
          if (signal === "SIGCONT") await outer.signal(signal);
          if (signal === "SIGKILL" || signal === "SIGTERM") while (outer.isAlive()) await sleep(10);
        },
      };
    },
    async run(command, args) {
      const { stdout } = await promisify(execFile)(...enter(command, args), { maxBuffer: 1 << 26 });
      return stdout;
    },
    kill,
    async stop() {
      kill();
      // The kernel ends the first process only when all others of its namespace are gone.
      while (holder.isAlive() || runs(first)) await sleep(10);
    },
  };
}

function childOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? undefined : Number(children.split(" ")[0]);
}

/** Whether there is such a process, other than a dead one that nobody has asked about yet. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
