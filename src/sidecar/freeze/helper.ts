import { type ChildProcess, spawn } from "node:child_process";
import { SidecarError } from "../sidecar-error.ts";

/** A range of addresses, the end excluded, both at page borders. */
export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** Memory of one process to work on. */
export interface MemoryRange extends AddressRange {
  /** Private pages of a mapped file: what is dropped there reads as the file again, not as zeros. */
  readonly ofFile: boolean;
  /** Its owner wants no huge pages there. */
  readonly smallPages?: boolean;
}

type Answer = Readonly<Record<string, string>>;

/**
 * The native program that carries out what needs fixed threads and raw system calls (native/main.c): one line a command, one
 * line an answer, in order. It decides nothing. It ends with this process, and its end before the drop sets the application
 * free unharmed.
 */
export class Helper {
  readonly #child: ChildProcess;
  readonly #waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];
  readonly #ended: Promise<void>;
  #text = "";
  #end: SidecarError | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding("latin1").on("data", (text: string) => this.#read(text));
    // A write to a helper that has ended fails here; its end is reported below.
    child.stdin?.on("error", () => {});
    this.#ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.#end ??= new SidecarError("HelperDied", `the helper ended while it was needed (${how})`);
        for (const { reject } of this.#waiting.splice(0)) reject(this.#end);
        resolve();
      };
      child.once("error", (error) => end((error as NodeJS.ErrnoException).code ?? error.message));
      child.once("close", (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  /** @throws SidecarError HelperFailed when the program cannot be started */
  static async start(program: string): Promise<Helper> {
    const helper = new Helper(spawn(program, [], { stdio: ["pipe", "pipe", "inherit"], env: {} }));
    try {
      await helper.run("hello");
      return helper;
    } catch (cause) {
      throw new SidecarError("HelperFailed", `the helper ${program} cannot be started: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Sends one command. @throws SidecarError with the helper's word, or HelperDied */
  run(command: string, ...lines: readonly string[]): Promise<Answer> {
    if (this.#end) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin?.write([command, ...lines, ""].join("\n"), "latin1");
    });
  }

  /** Names the pages of a process that the next commands are about. */
  async setRanges(pid: number, ranges: readonly MemoryRange[]): Promise<void> {
    const lines = ranges.map(({ start, end, ofFile, smallPages }) => {
      const kind = ofFile ? 1 : smallPages ? 2 : 0; // enum kind in native/helper.h
      return `${start.toString(16)} ${end.toString(16)} ${kind}`;
    });
    await this.run(`ranges ${pid} ${ranges.length}`, ...lines);
  }

  /** Ends the program; what it had seized and not touched runs on. */
  async close(): Promise<void> {
    this.#child.stdin?.end();
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), 2000);
    await this.#ended;
    clearTimeout(kill);
  }

  #read(text: string): void {
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) this.#answer(line);
  }

  #answer(line: string): void {
    const waiting = this.#waiting.shift();
    const [kind, word, ...rest] = line.split(" ");
    if (kind === "ok") {
      const pairs = line.split(" ").slice(1);
      waiting?.resolve(
        Object.fromEntries(pairs.map((pair) => [pair.split("=")[0], pair.slice(pair.indexOf("=") + 1)])),
      );
      return;
    }
    waiting?.reject(new SidecarError((word ?? "Protocol") as SidecarError["code"], rest.join(" ") || line));
  }
}
