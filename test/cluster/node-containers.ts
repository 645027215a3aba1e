import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Kubectl } from "./kubectl.ts";
import { type NodeCgroups, pidsBelow } from "./node-cgroups.ts";

/** One container of a pod of the default namespace, or of `namespace`. */
export interface ContainerRef {
  readonly pod: string;
  readonly container: string;
  readonly namespace?: string;
}

/** A container's memory, in bytes. */
export interface ContainerMemory {
  /** All of it, files that were read included. */
  readonly usage: number;
  /** What the application itself holds: neither files nor what its processes share through memory files. */
  readonly anonymous: number;
}

/** What a test does with the containers of a real node. */
export interface NodeContainers {
  /** Runs a command in a container and gives what it printed; fails with its messages when it does. */
  exec(container: ContainerRef, command: readonly string[]): Promise<string>;
  /** What a container's last run printed so far, without times. */
  logs(container: ContainerRef): Promise<string>;
  /** The pids of a container's processes as this host sees them, the first one first. */
  pids(container: ContainerRef): Promise<number[]>;
  /** What a container is charged for now, as its control group counts it. */
  memory(container: ContainerRef): Promise<ContainerMemory>;
}

/**
 * Finds containers by what the API says of their pods.
 *
 * @param logs the folder that is the node's /var/log
 */
export function nodeContainers(
  kubectl: Kubectl,
  ctr: (...args: readonly string[]) => Promise<string>,
  cgroups: NodeCgroups,
  logs: string,
): NodeContainers {
  let execs = 0;
  const groupOf = async (controller: "memory" | "cpu", ref: ContainerRef) => {
    const { id, uid, qosClass } = await find(kubectl, ref);
    const parent = qosClass === "Guaranteed" ? "" : qosClass.toLowerCase();
    return cgroups.folder(controller, join("kubepods", parent, `pod${uid}`, id));
  };
  return {
    async exec(ref, command) {
      const { id } = await find(kubectl, ref);
      return ctr("tasks", "exec", `--exec-id=test-${++execs}`, id, ...command);
    },
    async logs(ref) {
      const { uid } = await find(kubectl, ref);
      const folder = join(logs, "pods", `${ref.namespace ?? "default"}_${ref.pod}_${uid}`, ref.container);
      const runs = readdirSync(folder).toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
      return readFileSync(join(folder, runs.at(-1)!), "utf8").replaceAll(/^\S+ std(?:out|err) [FP] /gm, "");
    },
    pids: async (ref) => pidsBelow(await groupOf("cpu", ref)).toSorted((a, b) => a - b),
    async memory(ref) {
      const folder = await groupOf("memory", ref);
      const isV2 = existsSync(join(folder, "memory.current"));
      const read = (file: string) => readFileSync(join(folder, file), "utf8");
      const anonymous = read("memory.stat").match(isV2 ? /^anon (\d+)$/m : /^total_rss (\d+)$/m);
      if (!anonymous) throw new Error(`The control group of ${ref.pod}/${ref.container} does not count memory.`);
      return {
        usage: Number(read(isV2 ? "memory.current" : "memory.usage_in_bytes")),
        anonymous: Number(anonymous[1]),
      };
    },
  };
}

async function find(kubectl: Kubectl, { pod, container, namespace = "default" }: ContainerRef) {
  const { metadata, status } = JSON.parse(await kubectl(["get", "pod", pod, "-n", namespace, "-o", "json"]));
  const statuses: { name: string; containerID?: string }[] = [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
  ];
  const id = statuses.find((each) => each.name === container)?.containerID?.replace("containerd://", "");
  if (!id) throw new Error(`Pod ${namespace}/${pod} has no container ${container} that was started.`);
  return { id, uid: String(metadata.uid), qosClass: String(status.qosClass) };
}
