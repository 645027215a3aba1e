import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { buildHelper } from "../../../scripts/native.ts";
import type { SidecarReport, StandbyMode } from "../../../src/pods/sidecar-protocol.ts";

/** Where control groups of version 2 are mounted here. */
function cgroupRoot(): string | undefined {
  const mounts = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  return mounts.find(([, , type]) => type === "cgroup2")?.[1];
}

/** Why pods cannot be played here; undefined when they can. */
export function whyNoPods(): string | undefined {
  if (process.getuid?.() !== 0) return "namespaces and control groups need root";
  if (!cgroupRoot()) return "control groups of version 2 are not mounted";
  for (const program of ["gcc", "unshare", "nsenter", "java", "javac"])
    if (spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0) return `${program} is not installed`;
  return undefined;
}

/** An application to freeze. */
export interface Application {
  readonly command: readonly string[];
  /** How long it may take to start. */
  readonly startMs?: number;
}

let nextPort = 21_000 + (process.pid % 400) * 20;
const built = join(tmpdir(), "forescale-standby-apps");

/** A C program of this folder, built once for its text. */
export function buildC(name: string): string {
  const source = join(import.meta.dirname, `${name}.c`);
  const digest = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const program = join(built, `${name}-${digest}`);
  if (!existsSync(program)) {
    mkdirSync(built, { recursive: true });
    execFileSync("gcc", ["-O2", "-pthread", "-o", `${program}.${process.pid}`, source]);
    renameSync(`${program}.${process.pid}`, program);
  }
  return program;
}

/** App.java's classes, compiled once for its text. */
export function buildJava(): string {
  const source = join(import.meta.dirname, "App.java");
  const digest = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(built, `java-${digest}`);
  if (!existsSync(folder)) {
    mkdirSync(built, { recursive: true });
    execFileSync("javac", ["-d", `${folder}.${process.pid}`, source]);
    renameSync(`${folder}.${process.pid}`, folder);
  }
  return folder;
}

export const applications = {
  c: (port: number, mib: number, children = 0): Application => ({
    command: [buildC("app"), String(port), String(mib), String(children)],
  }),
  node: (port: number, mib: number): Application => ({
    command: [process.execPath, join(import.meta.dirname, "app.mjs"), String(port), String(mib)],
  }),
  jvm: (port: number, mib: number): Application => ({
    command: ["java", "-XX:+UseG1GC", `-Xmx${mib * 3}m`, "-cp", buildJava(), "App", String(port), String(mib)],
  }),
};

interface SidecarOptions {
  readonly limits?: object;
  readonly dieAt?: string;
  readonly killHelperAt?: string;
  readonly killHelperAfterMs?: number;
  readonly fillAt?: string;
  /** Runs it as another user, or with fewer capabilities: words before its command. */
  readonly wrap?: readonly string[];
}

/** Quick drains and small applications, as the tests have them. */
const limits = {
  preflight: { leastAnonymousBytes: 8 * 2 ** 20, largestUnmovableShare: 0.25 },
  drain: { pollMs: 20, quietMs: 300, owedMs: 2500, limitMs: 5000 },
  watchMs: 100,
};

/** A sidecar in the pod, as a process of its own. */
export class Sidecar {
  readonly reports: SidecarReport[] = [];
  readonly steps: string[] = [];
  readonly stepMs: number[] = [];
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  tookMs = 0;
  readonly #waiting: { resolve(report: SidecarReport): void; reject(error: Error): void }[] = [];
  readonly #onReport = new Set<() => void>();

  constructor(child: ChildProcess) {
    this.child = child;
    this.ended = new Promise((resolve) => child.once("close", () => resolve()));
    void this.ended.then(() => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error("the sidecar ended"));
    });
    child.stdin?.on("error", () => {});
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const said = JSON.parse(line);
      if (said.step) {
        this.steps.push(said.step);
        this.stepMs.push(said.atMs);
      }
      if (said.report) this.reports.push(said.report);
      for (const tell of this.#onReport) tell();
      if (!said.done) return;
      this.tookMs = said.tookMs;
      this.#waiting.shift()?.resolve(said.done);
    });
  }

  answer(): Promise<SidecarReport> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async freeze(mode: StandbyMode): Promise<SidecarReport> {
    this.child.stdin?.write(`freeze ${mode}\n`);
    return this.answer();
  }

  async thaw(): Promise<SidecarReport> {
    this.child.stdin?.write("thaw\n");
    return this.answer();
  }

  /** Ends it as the kernel's memory killer would. */
  killHard(): void {
    this.child.stdin?.end("die\n");
  }

  /** Waits for a report of this state that comes from now on. */
  async untilNext(state: SidecarReport["state"]): Promise<SidecarReport> {
    for (const known = this.reports.length; ; ) {
      const found = this.reports.slice(known).find((report) => report.state === state);
      if (found) return found;
      await new Promise<void>((resolve) => {
        const tell = () => {
          this.#onReport.delete(tell);
          resolve();
        };
        this.#onReport.add(tell);
      });
    }
  }
}

interface PodOptions {
  /** Size of the volume for the image; the disk's when not given. */
  readonly storageMib?: number;
  /** A network of its own, as pods have; slower to ask. */
  readonly ownNetwork?: boolean;
  /** A user namespace of its own, as with `hostUsers: false`: root in it has no capability outside. */
  readonly ownUsers?: boolean;
}

/** A pod as a node plays it: a process namespace whose first process is a pause, and a control group for each container. */
export class Pod {
  readonly port: number;
  readonly folder: string;
  readonly keyFolder: string;
  readonly #cgroup: string;
  readonly #pause: ChildProcess;
  readonly #children: ChildProcess[] = [];
  readonly #hasMount: boolean;
  readonly #ownNetwork: boolean;
  readonly #ownUsers: boolean;
  #pausePid = 0;

  private constructor({ storageMib, ownNetwork = false, ownUsers = false }: PodOptions) {
    this.port = nextPort++;
    this.folder = mkdtempSync(join(tmpdir(), "forescale-pod-"));
    this.#hasMount = storageMib !== undefined;
    if (this.#hasMount) execFileSync("mount", ["-t", "tmpfs", "-o", `size=${storageMib}m`, "tmpfs", this.folder]);
    this.keyFolder = mkdtempSync("/dev/shm/forescale-key-");
    this.#cgroup = mkdtempSync(join(cgroupRoot()!, "forescale-pod-"));
    for (const container of ["pause", "sidecar", "app"]) mkdirSync(join(this.#cgroup, container));
    this.#ownNetwork = ownNetwork;
    this.#ownUsers = ownUsers;
    const more = `${ownNetwork ? "--net" : ""} ${ownUsers ? "--user --map-root-user" : ""}`;
    this.#pause = spawn("sh", [
      "-c",
      `echo 0 > ${this.#cgroup}/pause/cgroup.procs && exec unshare ${more} --pid --mount --fork --mount-proc --kill-child ${buildC("pause")}`,
    ]);
  }

  static async start(options: PodOptions = {}): Promise<Pod> {
    const pod = new Pod(options);
    for (let tries = 0; pod.#pausePid === 0; tries++) {
      if (tries > 500) throw new Error("the pod's namespace did not start");
      await sleep(10);
      const children = readFileSync(`/proc/${pod.#pause.pid}/task/${pod.#pause.pid}/children`, "utf8").trim();
      const pid = Number(children.split(" ")[0]);
      if (pid && readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("pause")) pod.#pausePid = pid;
    }
    if (options.ownNetwork) pod.#inNetwork("ip", "link", "set", "lo", "up");
    return pod;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Starts a program in one of the pod's containers, or in its process namespace alone (`Elsewhere`). */
  run(
    container: "sidecar" | "app" | "Elsewhere",
    command: readonly string[],
    stdio: "pipe" | "ignore" = "ignore",
  ): ChildProcess {
    const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const enter = container === "Elsewhere" ? "" : `echo 0 > ${this.#cgroup}/${container}/cgroup.procs && `;
    const script = `${enter}exec ${words}`;
    const child = spawn(
      "nsenter",
      [
        ...["--target", String(this.#pausePid), "--net", "--pid", "--mount"],
        ...(this.#ownUsers ? ["--user", "--preserve-credentials"] : []),
        ...["--", "sh", "-c", script],
      ],
      {
        stdio: [stdio, stdio, "inherit"],
      },
    );
    this.#children.push(child);
    return child;
  }

  #inNetwork(...command: string[]) {
    return spawnSync("nsenter", ["--target", String(this.#pausePid), "--net", "--", ...command], { encoding: "utf8" });
  }

  /** Starts an application and waits until it answers. @returns milliseconds to the first answer */
  async startApplication(application: Application): Promise<number> {
    const beganMs = performance.now();
    const child = this.run("app", application.command);
    while ((await this.ask()) === undefined) {
      if (child.exitCode !== null) throw new Error(`${application.command[0]} ended with ${child.exitCode}`);
      await sleep(2);
    }
    return performance.now() - beganMs;
  }

  /** The application's answer, or undefined when it has none within the time. */
  async ask(path = "", timeoutMs = 60_000): Promise<string | undefined> {
    if (this.#ownNetwork) {
      const { status, stdout } = this.#inNetwork(
        "curl",
        "--silent",
        "--max-time",
        String(timeoutMs / 1000),
        this.url + path,
      );
      return status === 0 ? stdout.trim() : undefined;
    }
    try {
      const answer = await fetch(this.url + path, { signal: AbortSignal.timeout(timeoutMs) });
      return (await answer.text()).trim();
    } catch {
      return undefined;
    }
  }

  /** Keeps a connection to the application open. @returns what closes it */
  async hold(): Promise<() => void> {
    const socket = connect(this.port, "127.0.0.1");
    await new Promise((resolve) => socket.once("connect", resolve));
    return () => socket.destroy();
  }

  async startSidecar(options: SidecarOptions = {}): Promise<Sidecar> {
    const given = JSON.stringify({
      folder: this.folder,
      keyFolder: this.keyFolder,
      helper: buildHelper(),
      url: this.url,
      ...options,
      limits: { ...limits, ...options.limits },
    });
    const script = join(import.meta.dirname, "sidecar.ts");
    const flags = ["--disable-warning=ExperimentalWarning"];
    const sidecar = new Sidecar(
      this.run("sidecar", [...(options.wrap ?? []), process.execPath, ...flags, script, given], "pipe"),
    );
    await sidecar.answer();
    return sidecar;
  }

  /** Lets a user write to the pod's volumes. */
  giveTo(uid: number): void {
    for (const folder of [this.folder, this.keyFolder]) chownSync(folder, uid, uid);
  }

  /** Ids of the application's processes, outside the namespace. */
  get applicationPids(): number[] {
    return this.#pidsIn("app");
  }

  /** Ids of the sidecar's processes, outside the namespace. */
  get sidecarPids(): number[] {
    return this.#pidsIn("sidecar");
  }

  #pidsIn(container: string): number[] {
    const text = readFileSync(join(this.#cgroup, container, "cgroup.procs"), "utf8");
    return text.trim().split("\n").filter(Boolean).map(Number);
  }

  /** True as soon as none is left; false when one stays. */
  async isGone(): Promise<boolean> {
    for (let tries = 0; tries < 300; tries++) {
      if (this.applicationPids.length === 0) return true;
      await sleep(10);
    }
    return false;
  }

  /** Resident anonymous memory of the application, bytes. */
  get anonymousBytes(): number {
    return this.applicationPids.reduce((sum, pid) => {
      const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
      return sum + Number(text.match(/^Anonymous:\s+(\d+)/m)?.[1] ?? 0) * 1024;
    }, 0);
  }

  /** States of the application's processes, sorted, such as `SS` or `T`. */
  get states(): string {
    const stateOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) (.).*$/s, "$1");
    return this.applicationPids.map(stateOf).toSorted().join("");
  }

  async end(): Promise<void> {
    this.#pause.kill("SIGKILL");
    try {
      process.kill(this.#pausePid, "SIGKILL");
    } catch {
      // Gone with its parent.
    }
    // nsenter stops with its child, and then stays stopped.
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(
      this.#children.map(
        (child) => child.exitCode ?? child.signalCode ?? new Promise((done) => child.once("close", done)),
      ),
    );
    for (const container of readdirSync(this.#cgroup, { withFileTypes: true })) {
      if (!container.isDirectory()) continue;
      const path = join(this.#cgroup, container.name);
      await removeGroup(path);
    }
    await removeGroup(this.#cgroup);
    if (this.#hasMount) execFileSync("umount", ["--lazy", this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.keyFolder, { recursive: true, force: true });
  }
}

/** Processes that were killed keep their control group until they are buried. */
async function removeGroup(path: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return rmdirSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EBUSY" || tries > 500) throw error;
      await sleep(10);
    }
  }
}
