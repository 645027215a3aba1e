import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type SidecarReport, type StandbyMode, standbyModes } from "../../pods/sidecar-protocol.ts";
import { drain } from "../drain.ts";
import { checkMode } from "../preflight.ts";
import { faultOf, isRefusal, SidecarError } from "../sidecar-error.ts";
import { killAll, readMemory, refuseHeld, sendAll, signalAll } from "./application.ts";
import { defaultFreezerLimits, type FreezerLimits, type FreezerOptions } from "./freezer-options.ts";
import { Helper } from "./helper.ts";
import { checkImage, type Frozen, freezeToImage, restoreFromImage } from "./image-mode.ts";
import { ImageStore } from "./image-store.ts";
import { type FrozenProcess, Journal, type JournalEntry } from "./journal.ts";
import { hasKernelIo } from "./kernel-io.ts";
import { sumMemory } from "./memory-map.ts";
import { findApplication, isAlive, type ProcessFacts, type ProcessId, readProcess } from "./processes.ts";
import { freezeToSwap, prefetch, readSwap, stopAll } from "./swap-mode.ts";

type Report = Omit<SidecarReport, "type">;

/** Signals that ask a process to end: HUP, INT, QUIT, TERM. */
const endingSignals = [1, 2, 3, 15].reduce((bits, signal) => bits | (1n << BigInt(signal - 1)), 0n);
/** How an earlier end of a freeze is reported once the application has to run anyway. */
const remembered: Partial<Record<SidecarReport["state"], string>> = {
  Refused: "it was not frozen when that was wanted last",
  Failed: "freezing failed when that was wanted last",
  Restarted: "it was restarted after a freeze",
};
const mostTries = 3;
const busyTries = 5;

/**
 * Freezes the application beside this sidecar, gives its memory back, and brings both again. Each step is in the journal
 * before it is taken, so `start` recovers from a sidecar killed anywhere. The application never runs on in an uncertain state: when a
 * page may be missing, its processes are killed and the kubelet starts the container anew.
 */
export class Freezer {
  readonly #options: FreezerOptions;
  readonly #limits: FreezerLimits;
  readonly #proc: string;
  readonly #journal: Journal;
  readonly #store: ImageStore;
  readonly #find: () => ProcessFacts[];
  #entry: JournalEntry;
  #report: SidecarReport = { type: "report", state: "Online" };
  #work: Promise<unknown> = Promise.resolve();
  #wantsOnline = false;
  #watch: NodeJS.Timeout | undefined;
  #isClosed = false;
  #beside: readonly string[] = [];

  constructor(options: FreezerOptions) {
    this.#options = options;
    this.#limits = { ...defaultFreezerLimits, ...options.limits };
    this.#proc = options.proc ?? "/proc";
    this.#journal = new Journal(options.folder);
    this.#store = new ImageStore(options.folder, options.keyFolder);
    this.#find = () => findApplication(this.#proc, process.pid, this.#beside);
    this.#entry = this.#online();
  }

  /** Where the application stands. */
  get report(): SidecarReport {
    return this.#report;
  }

  /** Takes up what an earlier sidecar left: continues in Standby, ends what was half done, kills an application in an uncertain state. Called once, first. */
  start(): Promise<SidecarReport> {
    return this.#inTurn(() => this.#recover());
  }

  /**
   * Freezes in this mode or the next one that is possible. In Standby it does nothing.
   *
   * @param beside ids of containers that run on
   */
  freeze(mode: StandbyMode, beside: readonly string[] = []): Promise<SidecarReport> {
    this.#wantsOnline = false;
    return this.#inTurn(() => {
      this.#beside = beside;
      return this.#freeze(mode);
    });
  }

  /** Brings the application back, or calls off a freeze that has dropped nothing yet. Ends when the application answers. */
  thaw(): Promise<SidecarReport> {
    this.#wantsOnline = true;
    return this.#inTurn(() => this.#thaw());
  }

  /** Stops watching; what is frozen stays frozen. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#watch);
    await this.#work;
  }

  #inTurn(work: () => Promise<void>): Promise<SidecarReport> {
    const done = this.#work.then(work).then(() => this.#report);
    this.#work = done.catch(() => {});
    return done;
  }

  #say(report: Report): void {
    this.#report = { type: "report", ...report };
    const { message: why, ...rest } = report;
    this.#options.log.info("standby", { ...rest, ...(why !== undefined && { why }) });
    this.#options.onReport(this.#report);
  }

  #online(): JournalEntry {
    return { state: "Online", boot: bootOf(this.#proc), processes: [] };
  }

  #write(entry: Partial<JournalEntry> & Pick<JournalEntry, "state">): void {
    this.#entry = { ...this.#entry, boot: bootOf(this.#proc), ...entry };
    this.#journal.write(this.#entry);
  }

  #toOnline(): void {
    this.#entry = this.#online();
    this.#store.clear();
    try {
      this.#journal.write(this.#entry);
    } catch (error) {
      // What stands there instead leads a later sidecar to the same end.
      this.#options.log.warn("the journal cannot be written", { error: String(error) });
    }
  }

  /** What the journal says; a function, as each call may have changed it. */
  #at(): JournalEntry["state"] {
    return this.#entry.state;
  }

  async #step(name: string, helper?: Helper): Promise<void> {
    const isHarmless = this.#at() === "Draining" || this.#at() === "Freezing";
    if (this.#wantsOnline && isHarmless) throw new SidecarError("Cancelled", "the freeze was called off");
    await this.#options.onStep?.(name, helper?.pid);
  }

  // Into Standby.

  async #freeze(mode: StandbyMode): Promise<void> {
    if (this.#entry.state !== "Online") return;
    const declined = this.#options.declined?.();
    if (declined !== undefined) return this.#say({ state: "Refused", reason: "Declined", message: declined });
    const notes: string[] = [];
    let processes: readonly ProcessFacts[] = [];
    try {
      processes = this.#find();
      refuseHeld(this.#proc, processes);
      this.#write({ state: "Draining" });
      this.#say({ state: "Draining" });
      await this.#drain(processes);
      for (const candidate of standbyModes.slice(standbyModes.indexOf(mode))) {
        const refusal = await this.#tryMode(candidate, notes.join("; "));
        if (!refusal) return;
        notes.push(`${candidate}: ${refusal.message}`);
        if (candidate === "FreezeOnly") return this.#notFrozen("Refused", refusal.code, notes.join("; "));
      }
    } catch (thrown) {
      const error = faultOf(thrown);
      if (this.#at() === "Dropping") return this.#kill(this.#entry.processes, error);
      if (error.code === "Cancelled") return this.#notFrozen("Online");
      if (processes.length > 0 && !processes.some((process) => isAlive(this.#proc, process)))
        return this.#notFrozen("Restarted", error.code, `${error.message}; the application ended with it`);
      this.#notFrozen(isRefusal(error) ? "Refused" : "Failed", error.code, error.message);
    }
  }

  async #drain(processes: readonly ProcessFacts[]): Promise<void> {
    const helper = await Helper.start(this.#options.helper);
    try {
      await drain(this.#proc, this.#limits.drain, processes, helper, () => this.#step("Drain"));
    } finally {
      await helper.close();
    }
  }

  #notFrozen(state: "Online" | "Refused" | "Failed" | "Restarted", reason?: string, message?: string): void {
    this.#toOnline();
    this.#say({ state, reason, message });
  }

  /** @returns why this mode is not possible; nothing when the application is frozen */
  async #tryMode(mode: StandbyMode, note: string): Promise<SidecarError | undefined> {
    for (let attempt = 1; ; attempt++) {
      this.#write({ state: "Freezing", mode, note: note === "" ? undefined : note });
      this.#say({ state: "Freezing", mode });
      const helper = await Helper.start(this.#options.helper);
      try {
        this.#preflight(mode);
        const frozen = await this.#freezeIn(mode, helper);
        this.#write({ state: "Standby", frozenMs: Date.now(), ...frozen });
        await this.#options.onStep?.("Standby", helper.pid);
        this.#sayStandby();
        this.#watchSoon();
        return undefined;
      } catch (thrown) {
        const error = faultOf(thrown);
        if (this.#at() !== "Freezing") throw error;
        await this.#undo(mode, helper);
        if (!isRefusal(error)) throw error;
        if (error.code !== "Busy" || attempt === busyTries) return error;
      } finally {
        await helper.close();
      }
      await sleep(100);
    }
  }

  #preflight(mode: StandbyMode): void {
    const processes = this.#find();
    refuseHeld(this.#proc, processes);
    if (mode === "FreezeOnly") return;
    const memory = sumMemory(processes.flatMap(({ pid }) => readMemory(this.#proc, pid)));
    checkMode(
      mode,
      {
        memory,
        storageBytes: this.#store.freeBytes,
        swap: readSwap(this.#proc),
        hasKernelIo: mode === "Image" && processes.some(({ pid }) => hasKernelIo(this.#proc, pid)),
        hasCipher: /^flags\s*:.*\baes\b/m.test(readFileSync(join(this.#proc, "cpuinfo"), "latin1")),
      },
      this.#limits.preflight,
    );
  }

  async #freezeIn(mode: StandbyMode, helper: Helper): Promise<Frozen> {
    const context = { helper, proc: this.#proc, find: this.#find, step: (name: string) => this.#step(name, helper) };
    if (mode === "Swap") return freezeToSwap(context);
    if (mode === "FreezeOnly") return { processes: await stopAll(context), savedBytes: 0 };
    return freezeToImage(context, this.#store, (processes) => this.#write({ state: "Dropping", processes }));
  }

  /** Lets the application run on; nothing was taken from it. Works without the helper that began. */
  async #undo(mode: StandbyMode, began: Helper): Promise<void> {
    await began.close();
    this.#store.clear();
    if (mode === "Image") return; // its threads were held by the helper alone
    await this.#continue(this.#find().filter(({ state }) => state === "T"));
  }

  #continue(processes: readonly ProcessId[]): Promise<void> {
    return signalAll(this.#options.helper, processes, "CONT", this.#proc);
  }

  #sayStandby(): void {
    const { mode, savedBytes, note } = this.#entry;
    this.#say({ state: "Standby", mode, savedBytes, message: note });
  }

  // Out of Standby.

  async #thaw(): Promise<void> {
    if (this.#entry.state === "Online") {
      // It runs; why it was not frozen stays reported, for people who look for the reason later.
      const { state, reason, message } = this.#report;
      if (state !== "Online") await this.#awaitAnswer([], `${remembered[state] ?? state}: ${reason}: ${message}`);
      return;
    }
    clearTimeout(this.#watch);
    this.#say({ state: "Resuming" });
    const { mode, processes } = this.#entry;
    try {
      if (mode === "Image" && this.#at() !== "Continuing") await this.#restore(processes);
      else await this.#resume(mode, processes);
    } catch (error) {
      return this.#kill(processes, faultOf(error));
    }
    await this.#awaitAnswer(processes);
  }

  /** Every page back, whichever helper dies on the way; only then does the application run. */
  async #restore(processes: readonly FrozenProcess[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const helper = await Helper.start(this.#options.helper);
      const step = (name: string) => this.#step(name, helper);
      const isRestored = this.#at() === "Continuing";
      try {
        if (!isRestored) {
          await checkImage({ helper, proc: this.#proc, step }, this.#store, processes, this.#at() === "Standby");
          this.#write({ state: "Restoring" });
          await step("Restore");
          this.#options.log.info("every page is back", await restoreFromImage(helper));
          await step("Restored");
          this.#write({ state: "Continuing" });
        }
        await step("Continue");
        if (isRestored) await this.#continue(processes);
        else await sendAll(helper, processes.toReversed(), "CONT");
        return;
      } catch (error) {
        // Writing the same pages again is the remedy for a helper that died; anything else is doubt.
        if (!(error instanceof SidecarError && error.code === "HelperDied") || attempt === mostTries) throw error;
        this.#options.log.warn("the helper died while it restored; again", { attempt });
      } finally {
        void helper.close();
      }
    }
  }

  /** Nothing was taken that the kernel would not bring back: the application runs first, its memory follows. */
  async #resume(mode: StandbyMode | undefined, processes: readonly FrozenProcess[]): Promise<void> {
    this.#write({ state: "Continuing" });
    await this.#step("Continue");
    await this.#continue(processes);
    if (mode === "Swap") void this.#prefetch(processes);
  }

  async #prefetch(processes: readonly ProcessId[]): Promise<void> {
    try {
      const helper = await Helper.start(this.#options.helper);
      try {
        for (const { pid, started } of processes) await helper.run(`open ${pid} ${started}`);
        await prefetch(helper, this.#proc, processes);
      } finally {
        await helper.close();
      }
    } catch (error) {
      this.#options.log.warn("memory comes back on demand alone", { error: String(error) });
    }
  }

  async #awaitAnswer(processes: readonly ProcessId[], note?: string): Promise<void> {
    const { answerMs } = this.#limits;
    const until = performance.now() + answerMs;
    for (let pauseMs = 2; !(await this.#options.answers().catch(() => false)); pauseMs = Math.min(pauseMs * 1.5, 250)) {
      if (!processes.every((process) => isAlive(this.#proc, process)))
        return this.#notFrozen("Restarted", "Gone", "a process of the application ended as soon as it could run again");
      if (performance.now() > until || this.#isClosed) {
        const message = `the application runs but did not answer within ${answerMs / 1000} s`;
        return this.#notFrozen("Failed", "NotAnswering", message);
      }
      await sleep(pauseMs);
    }
    this.#notFrozen("Online", undefined, note && `the application runs; ${note}`);
  }

  /** The end of a doubt. */
  async #kill(processes: readonly ProcessId[], { code, message }: SidecarError): Promise<void> {
    this.#options.log.warn("the application is in doubt and is killed", { reason: code, error: message });
    // Children that were not yet in the journal belong to it too.
    const all = new Map<number, ProcessId>(processes.map((process) => [process.pid, process]));
    for (const process of this.#findForKill()) all.set(process.pid, process);
    try {
      await killAll(this.#options.helper, [...all.values()], this.#proc);
    } catch (error) {
      // Nothing was continued, so nothing is wrong but that it stands: the journal keeps saying so.
      return this.#say({
        state: "Failed",
        reason: code,
        message: `${message}; ${(error as Error).message}`,
      });
    }
    this.#toOnline();
    this.#say({ state: "Restarted", reason: code, message: `${message}; the container was killed` });
  }

  /** Whatever of the application is stopped; what runs has been started anew. */
  #findForKill(): ProcessFacts[] {
    try {
      return this.#find().filter(({ state }) => state === "T" || state === "t");
    } catch {
      return [];
    }
  }

  // Looking after a frozen application, and after what an earlier sidecar left.

  #watchSoon(): void {
    clearTimeout(this.#watch);
    if (this.#isClosed) return;
    this.#watch = setTimeout(() => void this.#inTurn(() => this.#look()), this.#limits.watchMs);
    this.#watch.unref();
  }

  async #look(): Promise<void> {
    const { state, processes, mode, frozenMs = 0 } = this.#entry;
    if (state !== "Standby" || this.#isClosed) return;
    const now = processes.map((process) => ({ process, facts: readProcess(this.#proc, process.pid) }));
    if (now.some(({ process, facts }) => facts?.started !== process.started))
      return this.#kill(processes, new SidecarError("Gone", "a process of the application ended while it was frozen"));
    if (now.some(({ facts }) => facts?.state !== "T")) {
      if (mode === "Image")
        return this.#kill(processes, new SidecarError("Touched", "another program continued the frozen application"));
      return this.#thaw();
    }
    // A frozen process cannot take the signal that asks it to end; awake it can.
    if (now.some(({ facts }) => ((facts?.pendingSignals ?? 0n) & endingSignals) !== 0n)) return this.#thaw();
    if (Date.now() - frozenMs > this.#limits.longestFreezeMs) {
      this.#options.log.warn("the freeze has reached its limit", { longestFreezeMs: this.#limits.longestFreezeMs });
      return this.#thaw();
    }
    this.#watchSoon();
  }

  async #recover(): Promise<void> {
    const left = this.#journal.read();
    if (left === "Damaged") {
      const cause = new SidecarError("JournalDamaged", "the journal is not what was written");
      const stopped = this.#findForKill();
      if (stopped.length > 0) return this.#kill(stopped, cause);
      return this.#notFrozen("Online");
    }
    if (left === undefined || left.boot !== bootOf(this.#proc)) return this.#notFrozen("Online");
    this.#entry = left;
    switch (left.state) {
      case "Online":
      case "Draining":
        return this.#notFrozen("Online");
      case "Freezing":
        return this.#recoverFreezing(left);
      case "Dropping":
        return this.#kill(
          left.processes,
          new SidecarError("Interrupted", "the sidecar ended while memory was dropped"),
        );
      case "Standby":
        return this.#recoverStandby(left);
      case "Restoring":
      case "Continuing":
        return this.#thaw();
    }
  }

  async #recoverFreezing({ mode }: JournalEntry): Promise<void> {
    const message = "the sidecar ended while it froze the application, which runs on";
    try {
      if (mode !== "Image") await this.#continue(this.#find().filter(({ state }) => state === "T"));
    } catch (error) {
      if (!(error instanceof SidecarError && error.code === "NoApplication")) throw error;
    }
    // No refusal: nothing speaks against another try, and a sidecar that ends each time is held back by the kubelet.
    this.#notFrozen("Online", "Interrupted", message);
  }

  async #recoverStandby({ mode, processes }: JournalEntry): Promise<void> {
    if (!processes.every((process) => isAlive(this.#proc, process)))
      return this.#kill(processes, new SidecarError("Gone", "a process of the application ended while it was frozen"));
    if (mode === "Image" && !this.#store.isComplete)
      return this.#kill(processes, new SidecarError("KeyLost", "the image or its key is gone"));
    this.#sayStandby();
    this.#watchSoon();
  }
}

function bootOf(proc: string): string {
  return readFileSync(join(proc, "sys/kernel/random/boot_id"), "utf8").trim();
}
