import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";

/** The folder and interface names carry their owner's pid, so that a later run can tell whose owner died. */
const folderPrefix = "forescale-test-";
const linkPrefix = "fsc";
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const cleanups = new Set<() => void>();

/**
 * Registers what must be undone if the process ends before it was stopped in order. Such a cleanup is synchronous, as
 * nothing else still runs then.
 *
 * @returns forgets the cleanup
 */
export function onUnexpectedExit(cleanup: () => void): () => void {
  if (cleanups.size === 0) {
    process.on("exit", cleanUp);
    for (const signal of signals) process.on(signal, leave);
  }
  cleanups.add(cleanup);
  return () => {
    cleanups.delete(cleanup);
    if (cleanups.size > 0) return;
    process.off("exit", cleanUp);
    for (const signal of signals) process.off(signal, leave);
  };
}

/**
 * Makes a private folder, and removes those of runs that were killed (unless FORESCALE_TEST_KEEP=1 kept them).
 *
 * @param dir a place of the caller's choice, which must be empty or absent, as it is removed in the end
 */
export function makeRunFolder(kind: string, dir?: string): string {
  sweep();
  if (!dir) return mkdtempSync(join(tmpdir(), `${folderPrefix}${kind}-${process.pid}-`));
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (readdirSync(dir).length > 0) throw new Error(`${dir} is not empty; remove it or choose another folder.`);
  return dir;
}

/** Removes the folder, or leaves it and says where it is with FORESCALE_TEST_KEEP=1. */
export function removeRunFolder(dir: string): void {
  if (process.env.FORESCALE_TEST_KEEP === "1") {
    writeFileSync(join(dir, "keep"), "");
    process.stderr.write(`cluster fixture: kept ${dir}\n`);
  } else rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
}

/** A name for a network interface of this process, at most 15 characters as Linux demands. */
export function linkName(number: number): string {
  return `${linkPrefix}${process.pid}x${number}`;
}

function cleanUp(): void {
  for (const cleanup of cleanups) cleanup();
  cleanups.clear();
}

function leave(signal: NodeJS.Signals): void {
  // Someone else who listens decides when the process ends.
  if (process.listenerCount(signal) > 1) return;
  process.exit(128 + constants.signals[signal]);
}

/** Removes what runs left behind that were killed before any cleanup. Their processes died with them. */
function sweep(): void {
  for (const name of readdirSync(tmpdir()).filter((name) => name.startsWith(folderPrefix))) {
    const dir = join(tmpdir(), name);
    const pid = Number(name.split("-").at(-2));
    if (!(pid > 0) || isAlive(pid)) continue;
    if (statSync(join(dir, "keep"), { throwIfNoEntry: false })) continue;
    rmSync(dir, { recursive: true, force: true });
  }
  // Not by os.networkInterfaces(), which hides links that nobody uses.
  for (const name of readdirSync("/sys/class/net")) {
    const pid = Number(name.match(/^fsc(\d+)x\d+$/)?.[1]);
    if (pid > 0 && !isAlive(pid)) spawnSync("ip", ["link", "del", name], { stdio: "ignore" });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
