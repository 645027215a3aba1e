import { existsSync, mkdirSync, readFileSync, rmSync, watch } from "node:fs";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { type ProbeTarget, readProbeTargets } from "../pods/probes.ts";
import type { DesiredState, ServerMessage, SidecarReport, StandbyMode } from "../pods/sidecar-protocol.ts";
import { Freezer } from "./freeze/freezer.ts";
import type { FreezerLog, FreezerOptions } from "./freeze/freezer-options.ts";
import { AuthoritiesFile, PodLabels } from "./pod-files.ts";
import { askTarget, createProbeProxy, type Presence, type ProbeProxy } from "./probe-proxy.ts";
import { openStream, type ServerStream } from "./stream.ts";

/** Where a sidecar finds its files. */
export interface SidecarFiles {
  readonly state: string;
  readonly key: string;
  readonly leaving: string;
  readonly token: string;
  readonly labels: string;
  readonly annotations: string;
}

export interface SidecarOptions {
  /** `host:port` of the gateway. */
  readonly server: string;
  /** The name in the gateway's certificate, where it is not the host. */
  readonly serverName?: string;
  /** PEM of the authorities when the pod was made. */
  readonly authorities: string;
  /** The pod's probes, see `readProbeTargets`. */
  readonly probes: string;
  readonly probePort: number;
  /** Whether this sidecar was given the capabilities of swap mode. */
  readonly hasSwap?: boolean;
  readonly files: SidecarFiles;
  /** Path of the native helper. */
  readonly helper: string;
  readonly log: FreezerLog;
  readonly limits?: FreezerOptions["limits"];
}

/** How often the files of the pod are read where nothing reports a change. */
const filesEveryMs = 5000;
/** A freeze or a thaw that takes longer than this is no longer on its way. */
const longestWayMs = 10 * 60_000;
const usualLongestFreezeMs = 12 * 3_600_000;

/**
 * Runs beside the application until the signal: holds the stream to the server, freezes and thaws as asked, and answers the
 * probes. Without the server everything stays as it is, but a pod whose labels ask for it back, or that is about to end, thaws. So
 * that labels can ask, a pod is frozen only once its own labels, which the kubelet brings a second or a minute after the server's
 * message, say Standby too: when they no longer do, it is wanted back.
 *
 * @throws RangeError when the probes can't be read; Error with `code` EADDRINUSE when the probe port is taken
 */
export async function runSidecar(options: SidecarOptions, signal: AbortSignal): Promise<void> {
  const sidecar = new Sidecar(options);
  await sidecar.start();
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await sidecar.stop();
}

class Sidecar {
  readonly #options: SidecarOptions;
  readonly #targets: readonly ProbeTarget[];
  readonly #authorities: AuthoritiesFile;
  readonly #labels: PodLabels;
  readonly #freezer: Freezer;
  readonly #proxy: ProbeProxy;
  readonly #watchers: { close(): void }[] = [];
  #stream: ServerStream | undefined;
  #desired: DesiredState = { type: "want", state: "Online" };
  /** Since when the application is frozen, or on its way there or back; undefined while it serves. */
  #awayMs: number | undefined;
  #sentToken = "";
  #isLeaving = false;
  #waitsForLabels = false;

  constructor(options: SidecarOptions) {
    this.#options = options;
    const { files, helper, limits, log } = options;
    this.#targets = readProbeTargets(options.probes);
    mkdirSync(files.state, { recursive: true });
    // Of an earlier container of this pod.
    rmSync(files.leaving, { force: true });
    this.#authorities = new AuthoritiesFile(join(files.state, "authorities.pem"), options.authorities);
    this.#labels = new PodLabels(files);
    this.#freezer = new Freezer({
      folder: files.state,
      keyFolder: files.key,
      helper,
      log,
      limits,
      declined: () => this.#labels.refusal(),
      answers: () => this.#answersReadiness(),
      onReport: (report) => {
        this.#note(report);
        this.#stream?.send(report);
      },
    });
    this.#proxy = createProbeProxy({ targets: this.#targets, presence: () => this.#presence() });
  }

  async start(): Promise<void> {
    const { files, log, probePort, server, serverName } = this.#options;
    await this.#proxy.listen(probePort);
    // What an earlier sidecar left is settled first, before any message of the server.
    this.#note(await this.#freezer.start());
    const [host, port = "443"] = splitHost(server);
    this.#stream = openStream({
      server: new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`),
      serverName,
      authorities: () => this.#authorities.read(),
      token: () => this.#readToken(),
      onMessage: (message) => this.#receive(message),
      onOpen: () => this.#stream?.send(this.#freezer.report),
      onTrouble: (why) => log.warn("no stream to the server; the pod stays as it is", { why }),
    });
    this.#watchers.push(watch(dirname(files.leaving), () => existsSync(files.leaving) && this.#leave()));
    if (existsSync(files.leaving)) this.#leave();
    // The kubelet renews all files of a volume at once, by a link to their folder.
    this.#watchers.push(watch(dirname(files.labels), () => this.#readFiles()));
    const timer = setInterval(() => this.#readFiles(), filesEveryMs);
    this.#watchers.push({ close: () => clearInterval(timer) });
  }

  async stop(): Promise<void> {
    for (const watcher of this.#watchers) watcher.close();
    // Whoever ends the sidecar may be ending the pod: a frozen application would never receive the signal.
    this.#isLeaving = true;
    const thaw = this.#freezer
      .thaw()
      .catch((error: Error) => this.#options.log.warn("the application stays frozen", { error: error.message }));
    // It may have ended as soon as it could: no client waits for its answers any more.
    await this.#freezer.close();
    await thaw;
    this.#stream?.close();
    await this.#proxy.close();
  }

  #receive(message: ServerMessage): void {
    if (message.type === "authorities") {
      try {
        this.#authorities.keep(message.pem);
      } catch (error) {
        this.#options.log.warn("the server's authorities could not be stored", { error: (error as Error).message });
      }
      return;
    }
    this.#desired = message;
    this.#applyDesiredState();
  }

  /** Runs with each message and each change of the labels; the freezer takes one order at a time, as a desired state is a level. */
  #applyDesiredState(): void {
    const { log } = this.#options;
    const desired = this.#desired;
    const isWanted = desired.state === "Standby" && !this.#isLeaving;
    const waits = isWanted && this.#freezer.report.state !== "Standby" && this.#labels.state() !== "Standby";
    if (waits && !this.#waitsForLabels) log.info("waiting for the pod's labels to say Standby before freezing");
    this.#waitsForLabels = waits;
    if (waits) return;
    const work = isWanted ? this.#freezer.freeze(this.#modeOf(desired), desired.beside) : this.#freezer.thaw();
    work.catch((error: Error) => log.warn("the desired state could not be reached", { desired, error: error.message }));
  }

  /** A sidecar without the capabilities of swap mode was added for image mode. */
  #modeOf({ mode = "Image" }: DesiredState): StandbyMode {
    return mode === "Swap" && !this.#options.hasSwap ? "Image" : mode;
  }

  #readFiles(): void {
    const isFrozen = this.#freezer.report.state === "Standby";
    if (isFrozen && this.#stream?.isOpen !== true && (this.#labels.state() ?? "Standby") !== "Standby") {
      this.#options.log.info("the server is away and the pod's labels no longer say Standby: thawing");
      this.#desired = { type: "want", state: "Online" };
      this.#applyDesiredState();
    } else if (this.#waitsForLabels) this.#applyDesiredState();
    this.#renewToken();
  }

  #renewToken(): void {
    try {
      const before = this.#sentToken;
      const token = this.#readToken();
      if (this.#stream?.isOpen && before !== token) this.#stream.send({ type: "token", token: token.trim() });
    } catch {
      // Not there yet, or being replaced: the next look finds it.
    }
  }

  #readToken(): string {
    this.#sentToken = readFileSync(this.#options.files.token, "utf8");
    return this.#sentToken;
  }

  #leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#options.log.info("the pod is terminating: thawing the application so that it receives the signal");
    this.#applyDesiredState();
  }

  #note({ state }: SidecarReport): void {
    const isAway = state === "Freezing" || state === "Standby" || state === "Resuming";
    this.#awayMs = isAway ? (this.#awayMs ?? performance.now()) : undefined;
  }

  #presence(): Presence {
    if (this.#awayMs === undefined) return "Serves";
    const longest = (this.#options.limits?.longestFreezeMs ?? usualLongestFreezeMs) + longestWayMs;
    return performance.now() - this.#awayMs > longest ? "Overdue" : "Away";
  }

  async #answersReadiness(): Promise<boolean> {
    const readiness = this.#targets.filter(({ probe }) => probe === "readiness");
    const asked = await Promise.all(readiness.map((target) => askTarget(target, ownAddress())));
    return asked.every(({ code }) => code < 400);
  }
}

/** The pod's address, as the kubelet's probes reach it. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.find(({ internal }) => !internal)?.address ?? "127.0.0.1";
}

/** `host:port`, `[v6]:port` or a host alone. */
function splitHost(text: string): [string, string?] {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) throw new RangeError(`the server "${text}" is no HOST:PORT`);
  return [host, port];
}
