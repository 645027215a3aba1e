import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SidecarError } from "../sidecar-error.ts";
import { Helper } from "./helper.ts";
import type { FrozenProcess } from "./journal.ts";
import { type Mapping, parseSmaps } from "./memory-map.ts";
import { isAlive, type ProcessFacts, type ProcessId, parentsFirst, readProcess, readThreads } from "./processes.ts";

/** What a mode needs to work on the application. */
export interface ModeContext {
  readonly helper: Helper;
  readonly proc: string;
  /** Finds the application's processes anew, parents first. */
  find(): ProcessFacts[];
  /** Said before each step; throws when the freeze was called off. */
  step(name: string): Promise<void>;
}

const stopWaitMs = 5000;
const mostRounds = 10;

/** @throws SidecarError Traced or Stopped when another program than this process's own helper traces or stopped the application */
export function refuseHeld(proc: string, processes: readonly ProcessFacts[]): void {
  const traced = processes.find(({ tracer }) => tracer !== 0 && readProcess(proc, tracer)?.parent !== process.pid);
  if (traced)
    throw new SidecarError(
      "Traced",
      `a debugger or tracer is attached to process ${traced.pid} (${traced.name}); detach it first`,
    );
  const stopped = processes.find(({ state }) => state === "T");
  if (stopped)
    throw new SidecarError("Stopped", `process ${stopped.pid} (${stopped.name}) was stopped by another program`);
}

/**
 * Takes hold of every process, parents first, until a look finds no new one: a process may start others until it stands.
 *
 * @param take called once for each process, in order
 * @returns all of them, parents first
 */
export async function takeAll(
  { find, helper, proc }: ModeContext,
  take: (process: ProcessFacts) => Promise<void>,
): Promise<ProcessFacts[]> {
  const held = new Map<number, ProcessFacts>();
  for (let round = 0; round < mostRounds; round++) {
    const found = find();
    const fresh = found.filter(({ pid }) => !held.has(pid));
    refuseHeld(proc, fresh);
    if (fresh.length === 0) return parentsFirst([...held.values()]);
    for (const process of fresh) {
      try {
        await helper.run(`open ${process.pid} ${process.started}`);
        await take(process);
        held.set(process.pid, process);
      } catch (error) {
        if (isAlive(proc, process)) throw error;
        // It ended by itself before it was held.
      }
    }
  }
  throw new SidecarError("NotStopping", `the application starts new processes without end`);
}

/** Waits until every thread stands in a stop, and gives the record to compare with later. @throws SidecarError NotStopping */
export async function awaitStopped(proc: string, processes: readonly ProcessId[]): Promise<FrozenProcess[]> {
  const until = performance.now() + stopWaitMs;
  const frozen: FrozenProcess[] = [];
  for (const { pid, started } of processes) {
    for (;;) {
      const record = readThreads(proc, pid);
      if (!record) throw new SidecarError("Gone", `process ${pid} ended while it was being stopped`);
      if (record.allStopped) {
        frozen.push({ pid, started, threads: record.threads, switches: record.switches, ranges: [] });
        break;
      }
      if (performance.now() > until) throw new SidecarError("NotStopping", `process ${pid} did not stop in time`);
      await sleep(2);
    }
  }
  return frozen;
}

/** A process stands as it was left: alive, all threads stopped, none of them ran, no debugger traces it. */
export function stoodStill(proc: string, frozen: FrozenProcess): boolean {
  const facts = readProcess(proc, frozen.pid);
  const threads = readThreads(proc, frozen.pid);
  return (
    facts?.started === frozen.started &&
    facts.tracer === 0 &&
    threads?.allStopped === true &&
    threads.threads === frozen.threads &&
    threads.switches === frozen.switches
  );
}

/**
 * Sends a signal to each process, by pidfd as long as there is a helper: children before their parents, as a parent that
 * runs would see its children stand.
 *
 * @throws SidecarError SignalDenied
 */
export async function signalAll(
  program: string,
  processes: readonly ProcessId[],
  signal: "CONT" | "KILL",
  proc: string,
) {
  const left = processes.filter((process) => isAlive(proc, process)).toReversed();
  let helper: Helper | undefined;
  try {
    helper = await Helper.start(program);
    for (const { pid, started } of left) await helper.run(`open ${pid} ${started}`);
    await sendAll(helper, left, signal);
  } catch (error) {
    if (!(error instanceof SidecarError) || (error.code !== "HelperFailed" && error.code !== "HelperDied")) throw error;
    // The id of a stopped process cannot have gone to another one in the moment since it was read.
    for (const each of left) if (isAlive(proc, each)) process.kill(each.pid, `SIG${signal}`);
  } finally {
    await helper?.close();
  }
}

/** Sends a signal to processes in this order, all held by the helper. */
export async function sendAll(helper: Helper, processes: readonly ProcessId[], signal: "CONT" | "KILL"): Promise<void> {
  for (const { pid } of processes) await helper.run(`signal ${pid} ${signal}`);
}

/**
 * Kills processes and waits until they are gone; their container is then restarted by the kubelet.
 *
 * @throws SidecarError SignalDenied when one stays
 */
export async function killAll(program: string, processes: readonly ProcessId[], proc: string): Promise<void> {
  const until = performance.now() + stopWaitMs;
  for (let alive = processes; ; await sleep(5)) {
    alive = alive.filter((process) => isAlive(proc, process));
    if (alive.length === 0) return;
    if (performance.now() > until)
      throw new SidecarError("SignalDenied", `process ${alive[0].pid} cannot be killed; delete the pod`);
    await signalAll(program, alive, "KILL", proc).catch(() => {}); // ended meanwhile, or seen above
  }
}

/** The memory of a process. @throws SidecarError PtraceDenied or Gone */
export function readMemory(proc: string, pid: number): Mapping[] {
  try {
    return parseSmaps(readFileSync(join(proc, String(pid), "smaps"), "latin1"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") throw new SidecarError("Gone", `process ${pid} has ended`);
    throw new SidecarError("PtraceDenied", `the memory map of process ${pid} cannot be read (${code})`);
  }
}
