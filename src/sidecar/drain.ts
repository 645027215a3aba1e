import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Helper } from "./freeze/helper.ts";
import type { ProcessId } from "./freeze/processes.ts";
import { SidecarError } from "./sidecar-error.ts";
import {
  type Activity,
  type DrainLimits,
  type DrainProgress,
  drainStep,
  inboundConnections,
  parseActivities,
  parseSockets,
} from "./sockets.ts";

/**
 * Waits until no request to the application is under way: nothing waits in a connection's queues, nothing moved for a while, and
 * nothing came in that has no answer yet.
 *
 * @param processes the application's
 * @param helper tells when connections last moved data
 * @param look called before each look; may throw to cancel the drain
 * @throws SidecarError Busy after the limit
 */
export async function drain(
  proc: string,
  limits: DrainLimits,
  processes: readonly ProcessId[],
  helper: Pick<Helper, "run">,
  look: () => Promise<void>,
): Promise<void> {
  const isTheirs = ownership(proc, processes);
  const until = performance.now() + limits.limitMs;
  for (let progress: DrainProgress | undefined; ; await sleep(limits.pollMs)) {
    await look();
    const activities = await readActivities(helper);
    const sockets = ["tcp", "tcp6"].flatMap((name) => parseSockets(readNet(proc, processes[0].pid, name)));
    const inbound = inboundConnections(sockets, isTheirs).map((socket) => {
      const activity = activities.get(socket.inode);
      return activity ? { ...socket, activity } : socket;
    });
    progress = drainStep(progress, inbound, performance.now(), limits);
    if (progress.isDrained) return;
    if (performance.now() > until)
      throw new SidecarError("Busy", `${inbound.length} connections are still in use after ${limits.limitMs / 1000} s`);
  }
}

/** Nothing where the kernel does not tell. */
async function readActivities(helper: Pick<Helper, "run">): Promise<ReadonlyMap<string, Activity>> {
  try {
    return parseActivities((await helper.run("connections")).connections ?? "");
  } catch (error) {
    if (error instanceof SidecarError && error.code === "NoDiagnosis") return new Map();
    throw error;
  }
}

/** Which sockets are the application's; where its files cannot be seen, all that are not this process's own. */
function ownership(proc: string, processes: readonly ProcessId[]): (inode: string) => boolean {
  try {
    const theirs = new Set(processes.flatMap(({ pid }) => socketsOf(proc, pid)));
    return (inode) => theirs.has(inode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    const own = new Set(socketsOf(proc, process.pid));
    return (inode) => !own.has(inode);
  }
}

/** Inodes of the sockets that a process holds. */
function socketsOf(proc: string, pid: number): string[] {
  const folder = join(proc, String(pid), "fd");
  try {
    return readdirSync(folder).flatMap((file) => {
      const inode = readLink(join(folder, file))?.match(/^socket:\[(\d+)\]$/)?.[1];
      return inode === undefined ? [] : [inode];
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return [];
    throw error;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // closed meanwhile
    throw error;
  }
}

function readNet(proc: string, pid: number, name: string): string {
  try {
    return readFileSync(join(proc, String(pid), "net", name), "latin1");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EINVAL" || code === "ESRCH") return ""; // ended, or a node without IPv6
    throw error;
  }
}
