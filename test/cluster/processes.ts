import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A program that the fixture started. */
export interface Running {
  readonly pid: number;
  readonly isAlive: () => boolean;
  /**
   * Sends the signal and waits until it has taken effect: the end with SIGKILL and SIGTERM, every thread stopped with SIGSTOP, none
   * with SIGCONT. Nothing happens to a dead one.
   */
  signal(signal: NodeJS.Signals): Promise<void>;
}

/**
 * Starts a program whose output goes to the end of `logFile`.
 *
 * The kernel kills it when this process dies, however that comes (setpriv's parent death signal), so that not even a
 * killed test worker leaves one behind. It has a process group of its own: Ctrl-C reaches us alone, and we stop things
 * in order.
 */
export async function run(command: string, args: readonly string[], logFile: string): Promise<Running> {
  const log = openSync(logFile, "a");
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", command, ...args], {
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    pid: child.pid!,
    isAlive: () => hasNotEnded(child),
    async signal(signal) {
      if (!hasNotEnded(child)) return;
      child.kill(signal);
      if (signal === "SIGKILL" || signal === "SIGTERM") await ended;
      if (signal === "SIGSTOP" || signal === "SIGCONT")
        await waitFor(
          `process ${child.pid} to take ${signal}`,
          async () => isStopped(child.pid!) === (signal === "SIGSTOP"),
          {
            everyMs: 5,
            alive: () => hasNotEnded(child),
          },
        );
    },
  };
}

/**
 * Asks `probe` until it gives a value.
 *
 * @throws Error naming `what`, with the last failure, when `timeoutMs` passed or `alive` says that waiting is in vain
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  options: { timeoutMs?: number; everyMs?: number; alive?: () => boolean; logFile?: string } = {},
): Promise<T> {
  const { timeoutMs = 60_000, everyMs = 100, alive = () => true, logFile } = options;
  const untilMs = Date.now() + timeoutMs;
  let last: unknown;
  while (alive() && Date.now() < untilMs) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value as T;
    } catch (error) {
      last = error;
    }
    await sleep(everyMs);
  }
  const why = alive() ? `not within ${timeoutMs / 1000} s` : "it ended";
  const log = logFile ? `\n${readFileSync(logFile, "utf8").slice(-2000)}` : "";
  throw new Error(`${what}: ${why}${last === undefined ? "" : ` (${last})`}${log}`, { cause: last });
}

/**
 * Finds ports on loopback that are free now, all different. They lie below the range that the system takes for
 * outgoing connections, so that a component that was killed finds its port free when it comes back.
 */
export async function freePorts(count: number): Promise<number[]> {
  const held = new Map<number, Server>();
  while (held.size < count) {
    const port = randomInt(20_000, 32_000);
    const server = held.has(port) ? undefined : await listenOn(port);
    if (server) held.set(port, server);
  }
  await Promise.all([...held.values()].map((server) => new Promise((resolve) => server.close(resolve))));
  return [...held.keys()];
}

function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(undefined)).listen(port, "127.0.0.1", () => resolve(server));
  });
}

/** Whether every thread of a process is stopped, by the states in /proc. */
function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  // The name before the state may hold blanks and brackets: the state follows the last bracket.
  const states = threads.map((tid) => readFileSync(`/proc/${pid}/task/${tid}/stat`, "utf8").split(") ").at(-1)?.[0]);
  return states.every((state) => state === "T");
}

function hasNotEnded(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}
