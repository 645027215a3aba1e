import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Swap of this machine, for as long as a test needs it. */
export interface Swap {
  readonly device: string;
  end(): void;
}

const control = "/sys/class/zram-control";

/** Why there can be no zram here; undefined when there can. */
export function whyNoZram(): string | undefined {
  if (process.getuid?.() !== 0) return "swap needs root";
  return existsSync(control) ? undefined : "this kernel has no zram";
}

/** Swap on compressed RAM. */
export function startZram(mib: number): Swap {
  const id = readFileSync(join(control, "hot_add"), "utf8").trim();
  const device = `/dev/zram${id}`;
  const end = () => {
    if (readFileSync("/proc/swaps", "utf8").includes(`${device} `)) execFileSync("swapoff", [device]);
    writeFileSync(`/sys/block/zram${id}/reset`, "1");
    writeFileSync(join(control, "hot_remove"), id);
  };
  try {
    writeFileSync(`/sys/block/zram${id}/disksize`, `${mib}M`);
    execFileSync("mkswap", [device], { stdio: "ignore" });
    execFileSync("swapon", [device]);
  } catch (error) {
    end();
    throw error;
  }
  return { device, end };
}

/** Swap on a file of the disk. */
export function startSwapFile(mib: number): Swap {
  const device = `/var/tmp/forescale-swap-${process.pid}`;
  const end = () => {
    if (readFileSync("/proc/swaps", "utf8").includes(`${device} `)) execFileSync("swapoff", [device]);
    rmSync(device, { force: true });
  };
  try {
    const file = openSync(device, "w", 0o600);
    for (let written = 0; written < mib; written++) writeSync(file, Buffer.alloc(1 << 20));
    closeSync(file);
    execFileSync("mkswap", [device], { stdio: "ignore" });
    execFileSync("swapon", [device]);
  } catch (error) {
    end();
    throw error;
  }
  return { device, end };
}
