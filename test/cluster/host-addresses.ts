import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { linkName } from "./leftovers.ts";

const ip = (...args: string[]) => promisify(execFile)("ip", args);
let links = 0;

/** One sentence on why no addresses can be added here; undefined when they can. */
export function whyNoHostAddresses(): string | undefined {
  if (spawnSync("ip", ["-V"], { stdio: "ignore" }).status !== 0) return "There is no ip command (package iproute2).";
  const capabilities = readFileSync("/proc/self/status", "utf8").match(/^CapEff:\s*(\w+)/m)![1];
  const netAdmin = 12n;
  if (!((BigInt(`0x${capabilities}`) >> netAdmin) & 1n)) return "Adding addresses needs CAP_NET_ADMIN (root).";
  return undefined;
}

/**
 * Adds addresses to an interface of their own, for servers on this host that an EndpointSlice is to name: validation
 * refuses loopback ones there. They are host routes (/32), so that nothing but traffic to themselves changes.
 *
 * @throws Error when {@link whyNoHostAddresses} has a reason
 */
export async function addHostAddresses(count: number): Promise<{ addresses: string[]; remove: () => void }> {
  const reason = whyNoHostAddresses();
  if (reason) throw new Error(reason);
  const link = linkName(++links);
  // Kernels of small machines lack one or the other type; an empty bridge does as well as a dummy.
  await ip("link", "add", link, "type", "dummy").catch(() => ip("link", "add", link, "type", "bridge"));
  const remove = () => void spawnSync("ip", ["link", "del", link], { stdio: "ignore" });
  try {
    const subnet = await freeSubnet();
    const addresses = Array.from({ length: count }, (_, index) => `${subnet}.${index + 1}`);
    for (const address of addresses) await ip("address", "add", `${address}/32`, "dev", link);
    await ip("link", "set", link, "up");
    return { addresses, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** The first three numbers of a subnet that no interface has; the search starts by pid, so that runs rarely meet. */
async function freeSubnet(): Promise<string> {
  const { stdout } = await ip("-o", "-4", "address");
  for (let step = 0; step < 256; step++) {
    const subnet = `10.89.${(process.pid + links + step) % 256}`;
    if (!stdout.includes(` ${subnet}.`)) return subnet;
  }
  throw new Error("All subnets of 10.89.0.0/16 are taken.");
}
