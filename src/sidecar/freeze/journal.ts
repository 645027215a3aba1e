import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StandbyMode } from "../../pods/sidecar-protocol.ts";
import type { ProcessId } from "./processes.ts";

/** A frozen process, with what tells later whether it ran meanwhile. */
export interface FrozenProcess extends ProcessId {
  readonly threads: number;
  readonly switches: number;
  /** What was dropped, as `start-end` in hexadecimal, with `-file` behind for private pages of a file; image mode only. */
  readonly ranges: readonly string[];
}

/**
 * Where an application stands, written before each step is taken, so that a sidecar that comes after one killed anywhere
 * knows what may have happened:
 *
 * - `Dropping`: pages may be missing, and whether all steps were taken is unknown;
 * - `Restoring`: pages are being written back, the application has not run since it was frozen;
 * - `Continuing`: every page is back and verified, the application may run.
 */
export interface JournalEntry {
  readonly state: "Online" | "Draining" | "Freezing" | "Dropping" | "Standby" | "Restoring" | "Continuing";
  readonly mode?: StandbyMode;
  /** The kernel's boot: process ids and starts mean nothing in another. */
  readonly boot: string;
  /** When the application was frozen, milliseconds since the epoch; counts for the dead-man limit. */
  readonly frozenMs?: number;
  readonly processes: readonly FrozenProcess[];
  readonly savedBytes?: number;
  /** Why a less preferred mode was taken. */
  readonly note?: string;
}

/** The journal's file in a folder that outlives the sidecar's container. */
export class Journal {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The last entry written; undefined before the first; `Damaged` when the file is not what was written. */
  read(): JournalEntry | undefined | "Damaged" {
    let text: string;
    try {
      text = readFileSync(join(this.#folder, "journal"), "utf8");
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : "Damaged";
    }
    const [digest, body] = text.split("\n", 2);
    if (body === undefined || digest !== digestOf(body)) return "Damaged";
    return JSON.parse(body) as JournalEntry;
  }

  /**
   * Replaces the entry whole or not at all. It outlives this process, not the kernel, and need not: after a reboot there is
   * nothing frozen. So nothing waits for the disk, least of all an application that is asked for.
   *
   * @throws the file system's error
   */
  write(entry: JournalEntry): void {
    const body = JSON.stringify(entry);
    const fresh = join(this.#folder, "journal.new");
    writeFileSync(fresh, `${digestOf(body)}\n${body}\n`, { mode: 0o600 });
    renameSync(fresh, join(this.#folder, "journal"));
  }
}

function digestOf(body: string): string {
  return createHash("sha256").update(body).digest("hex");
}
