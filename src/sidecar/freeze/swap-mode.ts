import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { SidecarError } from "../sidecar-error.ts";
import { awaitStopped, type ModeContext, readMemory, takeAll } from "./application.ts";
import type { Helper, MemoryRange } from "./helper.ts";
import type { Frozen } from "./image-mode.ts";
import { isMovable, type Mapping, movableRanges, sumMemory } from "./memory-map.ts";
import type { ProcessId } from "./processes.ts";

const workers = 2;
const canaryPieces = 4n;
const pieceBytes = 1n << 20n;
const leastJudgedBytes = 2 ** 20;
const worstCompression = 0.8;

/** The node's swap. */
export interface SwapFacts {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** All of it is compressed RAM; touching is then the fastest way back, and a second pass is not needed. */
  readonly isZram: boolean;
  /** Names of the zram devices. */
  readonly zram: readonly string[];
}

/** Parses /proc/meminfo and /proc/swaps. */
export function parseSwap(meminfo: string, swaps: string): SwapFacts {
  const kib = (field: string) => Number(meminfo.match(new RegExp(`^${field}:\\s*(\\d+)`, "m"))?.[1] ?? 0);
  const devices = swaps
    .split("\n")
    .slice(1)
    .map((line) => line.split(/\s+/)[0])
    .filter((device) => device !== "");
  const zram = devices.map((device) => basename(device)).filter((device) => /^zram\d+$/.test(device));
  return {
    totalBytes: kib("SwapTotal") * 1024,
    freeBytes: kib("SwapFree") * 1024,
    isZram: devices.length > 0 && zram.length === devices.length,
    zram,
  };
}

export function readSwap(proc: string): SwapFacts {
  return parseSwap(readFileSync(join(proc, "meminfo"), "utf8"), readFileSync(join(proc, "swaps"), "utf8"));
}

/** Stops all processes with SIGSTOP, parents first. */
export async function stopAll(context: ModeContext) {
  await context.step("Stop");
  const held = await takeAll(context, async ({ pid }) => {
    await context.helper.run(`signal ${pid} STOP`);
  });
  return awaitStopped(context.proc, held);
}

/**
 * Stops the application and pushes its anonymous memory out to swap. Nothing is lost at any point: whatever happens, SIGCONT
 * lets it run on.
 *
 * @throws SidecarError NoSwap when swap takes nothing from this pod, PageOutDenied, Incompressible
 */
export async function freezeToSwap(context: ModeContext): Promise<Frozen> {
  const { helper, proc, step } = context;
  const swap = readSwap(proc);
  const processes = await stopAll(context);
  const memory = () => processes.map(({ pid }) => ({ pid, mappings: readMemory(proc, pid) }));
  const before = memory();
  const total = before.reduce((sum, { mappings }) => sum + sumMemory(mappings).anonymous, 0);

  await step("Canary");
  await tryCanary(context, before, swap);
  await step("PageOut");
  for (const { pid, mappings } of before) {
    await helper.setRanges(pid, movableRanges(mappings));
    await helper.run(`pageout ${pid} ${workers}`);
  }
  if (!swap.isZram) {
    // Pages written to a disk stay in RAM as swap cache until they are mapped and pushed out again.
    await step("PageOutAgain");
    for (const { pid } of processes) await helper.run(`touch ${pid} ${workers}`);
    for (const { pid } of processes) await helper.run(`pageout ${pid} ${workers}`);
  }
  await step("Verify");
  const after = memory().reduce((sum, { mappings }) => sum + sumMemory(mappings).anonymous, 0);
  if (total - after < total / 2)
    throw new SidecarError(
      "NoSwap",
      `swap took ${total - after} of ${total} bytes; it is full or this pod may not use it`,
    );
  return { processes: await awaitStopped(proc, processes), savedBytes: total - after };
}

/**
 * Pushes a few MiB out first: without swap for this control group the kernel says that all went well and frees nothing.
 */
async function tryCanary(
  { helper, proc }: ModeContext,
  memory: readonly { readonly pid: number; readonly mappings: readonly Mapping[] }[],
  swap: SwapFacts,
): Promise<void> {
  const candidates = memory.flatMap(({ pid, mappings }) =>
    mappings.filter(isMovable).map((mapping) => ({ pid, mapping })),
  );
  const largest = candidates.toSorted((a, b) => b.mapping.anonymous - a.mapping.anonymous)[0];
  if (!largest) throw new SidecarError("SmallMemory", "the application has no memory that swap could take");
  const { pid, mapping } = largest;
  const sums = () => sumMemory(readMemory(proc, pid));
  const before = { ...sums(), zram: readZram(swap.zram) };
  await helper.setRanges(pid, samplesOf(mapping));
  await helper.run(`pageout ${pid} 1`);
  const after = { ...sums(), zram: readZram(swap.zram) };
  // The mapping may be large and its samples empty: the whole of it tells then.
  if (after.swap === before.swap && mapping.anonymous > Number(mapping.end - mapping.start) / 2)
    throw new SidecarError("NoSwap", "pages pushed out as a trial stayed in RAM: this pod gets no swap, or it is full");
  const original = after.zram.original - before.zram.original;
  const compressed = after.zram.compressed - before.zram.compressed;
  // Pages that an earlier freeze left on the device are not written again, and say nothing.
  if (original >= leastJudgedBytes && compressed / original > worstCompression)
    throw new SidecarError("Incompressible", "the application's memory does not compress, so zram would save nothing");
}

/** A few pieces from all over a mapping. */
function samplesOf({ start, end, inode }: Mapping): MemoryRange[] {
  const ofFile = inode !== 0;
  if (end - start <= canaryPieces * pieceBytes) return [{ start, end, ofFile }];
  const stride = ((end - start) / canaryPieces / 4096n) * 4096n;
  return Array.from({ length: Number(canaryPieces) }, (_, i) => {
    const at = start + BigInt(i) * stride;
    return { start: at, end: at + pieceBytes, ofFile };
  });
}

/** Bytes stored on zram devices, before and after compression; zeros where that cannot be read. */
function readZram(devices: readonly string[]): { original: number; compressed: number } {
  let [original, compressed] = [0, 0];
  for (const device of devices) {
    try {
      const fields = readFileSync(`/sys/block/${device}/mm_stat`, "utf8").trim().split(/\s+/).map(Number);
      original += fields[0];
      compressed += fields[1];
    } catch {
      // Hidden from containers on some nodes: the check is then left out.
    }
  }
  return { original, compressed };
}

/** Brings memory back while the application already runs; how, depends on where it is. Failures cost time alone. */
export async function prefetch(helper: Helper, proc: string, processes: readonly ProcessId[]): Promise<void> {
  const { isZram } = readSwap(proc);
  for (const { pid } of processes) {
    await helper.setRanges(pid, movableRanges(readMemory(proc, pid)));
    await helper.run(`${isZram ? "touch" : "willneed"} ${pid} ${isZram ? 1 : workers}`);
  }
}
