import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { linkName } from "./leftovers.ts";

/** The bridge that a node's pods are on. */
export interface NodeBridge {
  readonly name: string;
  /** The first three numbers of the pods' addresses; `.1` is this host's. */
  readonly subnet: string;
  remove(): void;
}

const ip = (...args: string[]) => execFileSync("ip", args, { encoding: "utf8" });

/** Makes a bridge in a subnet that nothing here has, and removes those of runs that were killed. */
export function addBridge(number: number): NodeBridge {
  sweep();
  // Apart from the numbers that host addresses take.
  const name = linkName(1000 + number);
  const taken = ip("-o", "-4", "address");
  const candidates = Array.from({ length: 256 }, (_, step) => `10.91.${(process.pid + number + step) % 256}`);
  const subnet = candidates.find((each) => !taken.includes(` ${each}.`));
  if (!subnet) throw new Error("All subnets of 10.91.0.0/16 are taken.");
  ip("link", "add", name, "type", "bridge");
  const remove = () => void spawnSync("ip", ["link", "del", name], { stdio: "ignore" });
  try {
    ip("address", "add", `${subnet}.1/24`, "dev", name);
    ip("link", "set", name, "up");
    return { name, subnet, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** A bridge that lost its pods is not running, so that Node does not list it among the network interfaces. */
function sweep(): void {
  for (const name of readdirSync("/sys/class/net")) {
    const pid = Number(name.match(/^fsc(\d+)x1\d\d\d$/)?.[1]);
    if (pid > 0 && !existsSync(`/proc/${pid}`)) spawnSync("ip", ["link", "del", name], { stdio: "ignore" });
  }
}
