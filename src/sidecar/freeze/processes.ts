import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SidecarError } from "../sidecar-error.ts";

/** A process for good: an id can go to another one, but not with the same start. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks after boot, field 22 of /proc/PID/stat. */
  readonly started: string;
}

/** What /proc tells of a process. */
export interface ProcessFacts extends ProcessId {
  readonly name: string;
  readonly parent: number;
  /** The letter of /proc/PID/stat: `T` stopped, `t` by a tracer, `Z` ended. */
  readonly state: string;
  /** The tracer's id, 0 without one. */
  readonly tracer: number;
  /** Signals sent to the whole process that it has not taken yet, bit n−1 for signal n. */
  readonly pendingSignals: bigint;
  /** Lines of /proc/PID/cgroup: hierarchy and path. */
  readonly cgroups: ReadonlyMap<string, string>;
}

/** The kernel's flag of a process that is ending, in field 9 of /proc/PID/stat. */
const exiting = 4;

/** Reads one process, or nothing when it is gone or has ended. */
export function readProcess(proc: string, pid: number): ProcessFacts | undefined {
  try {
    const status = readFileSync(join(proc, String(pid), "status"), "latin1");
    const cgroup = readFileSync(join(proc, String(pid), "cgroup"), "utf8");
    // Last, as a process that is ending has left its control group already.
    const stat = readFileSync(join(proc, String(pid), "stat"), "latin1");
    // The name stands in parentheses and may hold any character, a parenthesis too.
    const end = stat.lastIndexOf(")");
    const fields = stat.slice(end + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X" || (Number(fields[6]) & exiting) !== 0) return undefined;
    return {
      pid,
      started: fields[19],
      name: stat.slice(stat.indexOf("(") + 1, end),
      parent: Number(fields[1]),
      state: fields[0],
      tracer: Number(fieldOf(status, "TracerPid")),
      pendingSignals: BigInt(`0x${fieldOf(status, "ShdPnd") || "0"}`),
      cgroups: parseCgroups(cgroup),
    };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Lines `hierarchy:controllers:path` as hierarchy → path. */
export function parseCgroups(text: string): ReadonlyMap<string, string> {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [hierarchy, controllers] = line.split(":", 2);
      return [`${hierarchy}:${controllers}`, line.slice(hierarchy.length + controllers.length + 2)];
    }),
  );
}

/**
 * Which container of the pod a process is in, seen from a container beside it: the pod's own cgroup holds one per container.
 *
 * @returns `Own` for the same container, `Foreign` outside the pod, else the container's name in its cgroup
 */
export function containerOf(
  own: ReadonlyMap<string, string>,
  other: ReadonlyMap<string, string>,
): { kind: "Own" } | { kind: "Foreign" } | { kind: "Beside"; name: string } {
  let name: string | undefined;
  for (const [hierarchy, path] of own) {
    const otherPath = other.get(hierarchy) ?? "";
    // Inside a cgroup namespace the own path is "/" and a neighbour's begins with "/..".
    if (path === "/" ? !otherPath.startsWith("/..") : otherPath === path || otherPath.startsWith(`${path}/`)) continue;
    const pod = path === "/" ? "/.." : path.slice(0, path.lastIndexOf("/"));
    const inside = otherPath.startsWith(`${pod}/`) ? otherPath.slice(pod.length + 1).split("/")[0] : "";
    if (pod === "" || inside === "" || inside === "..") return { kind: "Foreign" };
    name = inside;
  }
  return name === undefined ? { kind: "Own" } : { kind: "Beside", name };
}

/**
 * The application's processes, parents before children: those of the pod's other containers, but for the pause process.
 *
 * @param own this process's id in the namespace that `proc` shows
 * @param beside ids of containers that are not the application's: a runtime names their control groups by them
 * @throws SidecarError NotShared, NotThePods or NoApplication
 */
export function findApplication(proc: string, own: number, beside: readonly string[] = []): ProcessFacts[] {
  const self = readProcess(proc, own);
  const first = readProcess(proc, 1);
  if (!self || own === 1 || !first || containerOf(self.cgroups, first.cgroups).kind === "Own")
    throw new SidecarError(
      "NotShared",
      "the pod's containers do not share a process namespace; set shareProcessNamespace: true",
    );
  const pause = containerOf(self.cgroups, first.cgroups);
  const found: ProcessFacts[] = [];
  for (const name of readdirSync(proc)) {
    if (!/^\d+$/.test(name)) continue;
    const process = readProcess(proc, Number(name));
    if (!process || process.pid === 1) continue;
    const container = containerOf(self.cgroups, process.cgroups);
    if (container.kind === "Own") continue;
    if (container.kind === "Foreign" || pause.kind !== "Beside")
      throw new SidecarError(
        "NotThePods",
        `process ${process.pid} is not in this pod; a pod with hostPID cannot be frozen`,
      );
    if (container.name !== pause.name && !beside.some((id) => container.name.includes(id))) found.push(process);
  }
  if (found.length === 0) throw new SidecarError("NoApplication", "the pod runs no process beside the sidecar");
  return parentsFirst(found);
}

/** Orders processes so that each comes after its parent: a parent still running would see its children stop. */
export function parentsFirst<Process extends { readonly pid: number; readonly parent: number }>(
  processes: readonly Process[],
): Process[] {
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const depth = (process: Process): number => {
    let steps = 0;
    for (let at: Process | undefined = process; at && steps <= processes.length; steps++) at = byPid.get(at.parent);
    return steps;
  };
  return processes.toSorted((a, b) => depth(a) - depth(b) || a.pid - b.pid);
}

/** True when the process still is there, under the same start. */
export function isAlive(proc: string, { pid, started }: ProcessId): boolean {
  return readProcess(proc, pid)?.started === started;
}

/** What its threads did so far: it changes as soon as any of them runs. */
export interface ThreadRecord {
  readonly threads: number;
  readonly switches: number;
  readonly allStopped: boolean;
}

/** Reads every thread of a process; nothing when it is gone. */
export function readThreads(proc: string, pid: number): ThreadRecord | undefined {
  try {
    const folder = join(proc, String(pid), "task");
    let [threads, switches, allStopped] = [0, 0, true];
    for (const thread of readdirSync(folder)) {
      const status = readFileSync(join(folder, thread, "status"), "latin1");
      const state = fieldOf(status, "State")[0];
      if (state === "Z" || state === "X") continue;
      threads++;
      switches += Number(fieldOf(status, "voluntary_ctxt_switches"));
      switches += Number(fieldOf(status, "nonvoluntary_ctxt_switches"));
      allStopped &&= state === "T";
    }
    return threads > 0 ? { threads, switches, allStopped } : undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function fieldOf(status: string, name: string): string {
  const line = status.split("\n").find((text) => text.startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim() ?? "";
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ESRCH";
}
