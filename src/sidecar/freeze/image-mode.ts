import { setTimeout as sleep } from "node:timers/promises";
import { SidecarError } from "../sidecar-error.ts";
import { awaitStopped, type ModeContext, readMemory, stoodStill, takeAll } from "./application.ts";
import type { Helper, MemoryRange } from "./helper.ts";
import type { ImageStore } from "./image-store.ts";
import type { FrozenProcess } from "./journal.ts";
import { movableRanges, sumMemory } from "./memory-map.ts";

/** What was frozen, and what that gave back. */
export interface Frozen {
  readonly processes: readonly FrozenProcess[];
  readonly savedBytes: number;
}

const workers = 2;
/** More than cores: some wait for the disk while others write pages back. */
const restoreWorkers = 6;
// What disks were writing into the application when it stopped is there after this.
const settleMs = 20;

/**
 * Freezes the application and gives its anonymous memory back: every thread is held, the pages are copied to an encrypted
 * image, the image is read again and compared with the memory, and only then the application's own thread is made to drop
 * it. At the end all processes stand under SIGSTOP, free of any tracer.
 *
 * @param aboutToDrop called right before the first page goes: from here on a failure means that the application must end
 * @throws SidecarError with the reason; before `aboutToDrop` the application runs on once the helper is closed
 */
export async function freezeToImage(
  context: ModeContext,
  store: ImageStore,
  aboutToDrop: (processes: readonly FrozenProcess[]) => void,
): Promise<Frozen> {
  const { helper, proc, step } = context;
  await step("Seize");
  const keep = new Map<number, readonly bigint[]>();
  const held = await takeAll(context, async ({ pid }) => {
    const seized = await helper.run(`seize ${pid}`);
    keep.set(pid, seized.keep === "" ? [] : seized.keep.split(",").map((address) => BigInt(`0x${address}`)));
  });
  await step("Rehearse");
  for (const { pid } of held) await helper.run(`rehearse ${pid}`);
  await sleep(settleMs);

  await step("Copy");
  const before = residentBytes(context, held);
  const ranges = new Map(held.map(({ pid }) => [pid, movableRanges(readMemory(proc, pid), keep.get(pid))]));
  for (const { pid } of held) await helper.setRanges(pid, ranges.get(pid) ?? []);
  store.renewKey();
  await helper.run(`key ${store.key}`);
  await helper.run(`create ${store.image}`);
  await helper.run(`copy ${workers}`);
  await step("Seal");
  await helper.run("seal");
  await step("Verify");
  await helper.run(`verify ${workers}`);

  await step("Drop");
  await helper.run("hello"); // up to here its death does no harm
  aboutToDrop(
    held.map(({ pid, started }) => ({ pid, started, threads: 0, switches: 0, ranges: written(ranges.get(pid) ?? []) })),
  );
  for (const { pid } of held) {
    await step("Dropping");
    await helper.run(`drop ${pid}`);
  }
  await step("Park");
  await helper.run("park");
  const frozen = await awaitStopped(proc, held);
  await step("Parked");
  return {
    processes: frozen.map((process) => ({ ...process, ranges: written(ranges.get(process.pid) ?? []) })),
    savedBytes: before - residentBytes(context, held),
  };
}

/**
 * Takes hold of frozen processes and looks whether all is as it was left.
 *
 * @param isFirst nothing was written back yet, so nothing may stand in what was dropped
 * @throws SidecarError when the application ran, was traced or ended, or when image or key are not what was written
 */
export async function checkImage(
  context: Pick<ModeContext, "helper" | "proc" | "step">,
  store: ImageStore,
  processes: readonly FrozenProcess[],
  isFirst: boolean,
): Promise<void> {
  const { helper, proc, step } = context;
  await step("Check");
  // Commands are answered in order: they need not wait for each other, nor the look at the threads for them.
  const answers = Promise.all([
    ...processes.map(({ pid, started }) => helper.run(`open ${pid} ${started}`)),
    ...processes.map(({ pid, ranges }) => helper.setRanges(pid, ranges.map(read))),
    helper.run(`key ${store.key}`),
    helper.run(`load ${store.image}`),
  ]);
  const moved = processes.find((process) => !stoodStill(proc, process));
  await answers;
  if (moved) throw new SidecarError("Touched", `process ${moved.pid} ran while it was frozen`);
  if (isFirst) await helper.run("untouched");
}

/**
 * Writes every page back and reads each again; the application stays stopped.
 *
 * @returns how long that took, for the log
 * @throws SidecarError at the first doubt
 */
export async function restoreFromImage(helper: Helper): Promise<{ pages: number; tookMs: number; cpuMs: number }> {
  const { pages, us, cpu_us } = await helper.run(`restore ${restoreWorkers}`);
  return { pages: Number(pages), tookMs: Number(us) / 1000, cpuMs: Number(cpu_us) / 1000 };
}

function residentBytes({ proc }: ModeContext, processes: readonly { readonly pid: number }[]): number {
  return processes.reduce((sum, { pid }) => sum + sumMemory(readMemory(proc, pid)).anonymous, 0);
}

function written(ranges: readonly MemoryRange[]): string[] {
  return ranges.map(({ start, end, ofFile }) => `${start.toString(16)}-${end.toString(16)}${ofFile ? "-file" : ""}`);
}

function read(range: string): MemoryRange {
  const [start, end, kind] = range.split("-");
  return { start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), ofFile: kind === "file" };
}
