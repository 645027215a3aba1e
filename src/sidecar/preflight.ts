import type { StandbyMode } from "../pods/sidecar-protocol.ts";
import type { MemorySums } from "./freeze/memory-map.ts";
import { SidecarError } from "./sidecar-error.ts";

/** The bounds of what is worth freezing and safe to freeze. */
export interface PreflightLimits {
  /** Less anonymous memory than this is not worth a mode that gives memory back. */
  readonly leastAnonymousBytes: number;
  /** The largest share of resident memory that may be locked, huge or shared. */
  readonly largestUnmovableShare: number;
}

export const defaultPreflightLimits: PreflightLimits = {
  leastAnonymousBytes: 128 * 2 ** 20,
  largestUnmovableShare: 0.25,
};

/** What is known before an application is stopped. */
export interface PreflightFacts {
  readonly memory: MemorySums;
  /** Free bytes for the image, of the volume it is written to. */
  readonly storageBytes: number;
  /** Of the node, as this container sees it. */
  readonly swap: { readonly totalBytes: number; readonly freeBytes: number };
  /** The kernel works on the application's memory by itself: io_uring with fixed buffers or its own threads. */
  readonly hasKernelIo: boolean;
  readonly hasCipher: boolean;
}

/**
 * Whether a mode is possible, before anything is stopped. What only a trial can show (permissions, a control group without
 * swap) is refused later, in the same words.
 *
 * @throws SidecarError with the reason
 */
export function checkMode(
  mode: Exclude<StandbyMode, "FreezeOnly">,
  facts: PreflightFacts,
  limits: PreflightLimits,
): void {
  const { memory } = facts;
  if (memory.hasUserfaultfd)
    throw new SidecarError("Userfaultfd", "the application handles its own page faults (userfaultfd)");
  if (memory.hasDevice)
    throw new SidecarError(
      "DeviceMemory",
      "the application maps a device's memory, such as a GPU's or a network card's",
    );
  const total = memory.anonymous + memory.swap;
  if (total < limits.leastAnonymousBytes)
    throw new SidecarError(
      "SmallMemory",
      `the application has ${mib(total)} of anonymous memory; from ${mib(limits.leastAnonymousBytes)} on it is worth giving back`,
    );
  if (memory.unmovable > memory.rss * limits.largestUnmovableShare)
    throw new SidecarError(
      "UnmovableMemory",
      `${mib(memory.unmovable)} of ${mib(memory.rss)} resident memory is locked, huge or shared and would stay`,
    );
  if (mode === "Image") checkImage(facts, total);
  else checkSwap(facts, total);
}

function checkImage(facts: PreflightFacts, total: number): void {
  if (!facts.hasCipher)
    throw new SidecarError("NoCipher", "the node's processor has no AES instructions, so an image cannot be encrypted");
  if (facts.memory.hasAio || facts.hasKernelIo)
    throw new SidecarError("AsyncIo", "the kernel may write to the application's memory on its own (asynchronous I/O)");
  if (facts.storageBytes < total * 1.2)
    throw new SidecarError(
      "DiskFull",
      `the image's volume has ${mib(facts.storageBytes)} free, 1.2 times ${mib(total)} is needed`,
    );
}

function checkSwap({ swap }: PreflightFacts, total: number): void {
  if (swap.totalBytes === 0) throw new SidecarError("NoSwap", "the node has no swap");
  if (swap.freeBytes < total * 1.1)
    throw new SidecarError(
      "SwapFull",
      `the node has ${mib(swap.freeBytes)} of swap free, 1.1 times ${mib(total)} is needed`,
    );
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
