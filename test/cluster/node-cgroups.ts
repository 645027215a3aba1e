import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The names carry their owner's pid, so that a later run can tell whose owner died. */
const prefix = "forescale-test-";

/** The control groups of one real node: a folder of the same name in each hierarchy of this machine. */
export interface NodeCgroups {
  /** What a kubelet takes as `cgroupRoot`. */
  readonly root: string;
  /** The folder of a group below the root, in the hierarchy of this controller. */
  folder(controller: "memory" | "cpu", group: string): string;
  /** Removes them all; their processes must be on their way out, and are waited for up to some seconds. */
  remove(): void;
}

/**
 * Makes control groups for a node, and removes those of runs that were killed.
 *
 * @throws Error with the system's own reason when they cannot be made here
 */
export function makeNodeCgroups(number: number): NodeCgroups {
  sweep();
  const name = `${prefix}${process.pid}x${number}`;
  const all = hierarchies();
  for (const { path, controllers } of all) {
    mkdirSync(join(path, name));
    // A new group of version 1 allows no CPU and no memory node at all.
    if (controllers.includes("cpuset"))
      for (const file of ["cpuset.cpus", "cpuset.mems"])
        writeFileSync(join(path, name, file), readFileSync(join(path, file)));
  }
  return {
    root: `/${name}`,
    folder(controller, group) {
      const found = all.find(({ controllers }) => controllers.includes(controller)) ?? all.find(({ isV2 }) => isV2);
      if (!found) throw new Error(`There is no control group hierarchy for ${controller}.`);
      return join(found.path, name, group);
    },
    remove: () => remove(name),
  };
}

/** The pids, as this process sees them, of a group and of those below it. */
export function pidsBelow(folder: string): number[] {
  return groupsBelow(folder).flatMap((group) =>
    readFileSync(join(group, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number),
  );
}

function remove(name: string): void {
  for (const { path } of hierarchies()) {
    const folder = join(path, name);
    for (let attempt = 0; existsSync(folder) && attempt < 50; attempt++) {
      try {
        for (const group of groupsBelow(folder).toReversed()) rmdirSync(group);
      } catch {
        // A group stays busy for as long as the kernel takes its last process apart.
        spawnSync("sleep", ["0.1"]);
      }
    }
    if (existsSync(folder)) process.stderr.write(`cluster fixture: could not remove ${folder}\n`);
  }
}

/** A folder and all groups below it, parents first. */
function groupsBelow(folder: string): string[] {
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [folder, ...below.flatMap((entry) => groupsBelow(join(folder, entry.name)))];
}

function hierarchies(): { path: string; controllers: string[]; isV2: boolean }[] {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const found = mounts.map((line) => line.match(/^\S+ \S+ \S+ \/ (\S+) .* - (cgroup2?) \S+ (\S+)$/)).filter((m) => m);
  return found.map((match) => {
    const [, path, type, options] = match!;
    return { path, controllers: type === "cgroup" ? options.split(",") : [], isV2: type === "cgroup2" };
  });
}

function sweep(): void {
  const names = new Set(hierarchies().flatMap(({ path }) => readdirSync(path)));
  for (const name of names) {
    const pid = Number(name.match(/^forescale-test-(\d+)x\d+$/)?.[1]);
    if (pid > 0 && !existsSync(`/proc/${pid}`)) remove(name);
  }
}
