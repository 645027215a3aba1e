import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { noStandbyAnnotation, podStateLabel } from "../api/labels.ts";
import { readProbeTargets } from "../pods/probes.ts";
import type { DesiredState, ServerMessage, SidecarReport, StandbyMode } from "../pods/sidecar-protocol.ts";
import { Freezer } from "./freeze/freezer.ts";
import type { FreezerLog, FreezerOptions } from "./freeze/freezer-options.ts";
import { readPodFile } from "./pod-files.ts";
import { askTarget, createProbeProxy, type Presence } from "./probe-proxy.ts";
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

/** How often the files of the pod are looked at where nobody tells of a change. */
const filesEveryMs = 5000;
/** A freeze or a thaw that takes longer than this is no longer on its way. */
const longestWayMs = 10 * 60_000;

/**
 * Runs beside the application until the signal: holds the stream to the server, freezes and thaws as wished, and answers the
 * probes. Without the server everything stays as it is, but a pod that is wanted back, or that is to end, thaws. So that this
 * can be told, a pod is frozen only once its own labels, which the kubelet brings a second or a minute after the server's
 * word, say so too: when they no longer do, it is wanted back.
 *
 * @throws RangeError when the probes can't be read; Error with `code` EADDRINUSE when the probe port is taken
 */
export async function runSidecar(options: SidecarOptions, signal: AbortSignal): Promise<void> {
  const { files, log } = options;
  const targets = readProbeTargets(options.probes);
  const authoritiesFile = join(files.state, "authorities.pem");
  mkdirSync(files.state, { recursive: true });
  // Of an earlier container of this pod.
  rmSync(files.leaving, { force: true });
  let isLeaving = false;
  let wish: DesiredState = { type: "want", state: "Online" };
  let awayMs: number | undefined;
  let sentToken = "";
  let isWaitingForLabels = false;
  let stream: ServerStream | undefined;

  const freezer = new Freezer({
    folder: files.state,
    keyFolder: files.key,
    helper: options.helper,
    log,
    limits: options.limits,
    declined: () =>
      (readPodFile(files.annotations)?.get(noStandbyAnnotation) ?? "false") !== "false"
        ? `the pod's annotation ${noStandbyAnnotation} forbids it`
        : undefined,
    async answers() {
      const readiness = targets.filter(({ probe }) => probe === "readiness");
      const asked = await Promise.all(readiness.map((target) => askTarget(target, ownAddress())));
      return asked.every(({ code }) => code < 400);
    },
    onReport(report) {
      note(report);
      stream?.send(report);
    },
  });

  function note({ state }: SidecarReport): void {
    const isAway = state === "Freezing" || state === "Standby" || state === "Resuming";
    awayMs = isAway ? (awayMs ?? performance.now()) : undefined;
  }

  function presence(): Presence {
    if (awayMs === undefined) return "Serves";
    const longest = (options.limits?.longestFreezeMs ?? 12 * 3_600_000) + longestWayMs;
    return performance.now() - awayMs > longest ? "Overdue" : "Away";
  }

  /** One at a time by the freezer's own order; asked again with each message and each change of the labels, as a wish is a level. */
  function reconcilePods(): void {
    const isWanted = wish.state === "Standby" && !isLeaving;
    const waits = isWanted && freezer.report.state !== "Standby" && labelledState() !== "Standby";
    if (waits && !isWaitingForLabels) log.info("to be frozen once the pod's labels say so too");
    isWaitingForLabels = waits;
    if (waits) return;
    const work = isWanted ? freezer.freeze(modeOf(wish), wish.beside) : freezer.thaw();
    work.catch((error: Error) =>
      log.warn("the application could not be brought about", { wish, error: error.message }),
    );
  }

  /** A sidecar without the capabilities of swap mode was added for image mode. */
  function modeOf({ mode = "Image" }: DesiredState): StandbyMode {
    return mode === "Swap" && !options.hasSwap ? "Image" : mode;
  }

  /** The pod's state by its labels, as the kubelet wrote them last; undefined while they can't be read. */
  function labelledState(): string | undefined {
    const labels = readPodFile(files.labels);
    return labels && (labels.get(podStateLabel) ?? "Online");
  }

  function hear(message: ServerMessage): void {
    if (message.type === "authorities") {
      keepAuthorities(message.pem);
      return;
    }
    wish = message;
    reconcilePods();
  }

  function keepAuthorities(pem: string): void {
    try {
      const fresh = `${authoritiesFile}.new`;
      writeFileSync(fresh, pem);
      renameSync(fresh, authoritiesFile);
    } catch (error) {
      log.warn("the server's authorities could not be kept", { error: (error as Error).message });
    }
  }

  function lookAtFiles(): void {
    const isFrozen = freezer.report.state === "Standby";
    if (isFrozen && stream?.isOpen !== true && (labelledState() ?? "Standby") !== "Standby") {
      log.info("the pod's labels want it back, and the server is away");
      wish = { type: "want", state: "Online" };
      reconcilePods();
    } else if (isWaitingForLabels) reconcilePods();
    renewToken();
  }

  function renewToken(): void {
    try {
      const before = sentToken;
      const token = readToken();
      if (stream?.isOpen && before !== token) stream.send({ type: "token", token: token.trim() });
    } catch {
      // Not there yet, or being replaced: the next look finds it.
    }
  }

  function leave(): void {
    if (isLeaving) return;
    isLeaving = true;
    log.info("the pod is to end: the application is brought back to hear of it");
    reconcilePods();
  }

  const [host, port = "443"] = splitHost(options.server);
  const readToken = () => {
    sentToken = readFileSync(files.token, "utf8");
    return sentToken;
  };
  const proxy = createProbeProxy({ targets, presence });
  await proxy.listen(options.probePort);
  // What an earlier sidecar left comes first, before anybody's wish.
  note(await freezer.start());
  stream = openStream({
    server: new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`),
    serverName: options.serverName,
    authorities: () => (existsSync(authoritiesFile) ? readFileSync(authoritiesFile, "utf8") : options.authorities),
    token: readToken,
    onMessage: hear,
    onOpen: () => stream?.send(freezer.report),
    onTrouble(why) {
      log.warn("no stream to the server; everything stays as it is", { why });
    },
  });
  const watcher = watch(dirname(files.leaving), () => existsSync(files.leaving) && leave());
  if (existsSync(files.leaving)) leave();
  // The kubelet renews all files of a volume at once, by a link to their folder.
  const filesWatcher = watch(dirname(files.labels), lookAtFiles);
  const timer = setInterval(lookAtFiles, filesEveryMs);

  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  clearInterval(timer);
  watcher.close();
  filesWatcher.close();
  // Whoever ends the sidecar may be ending the pod: an application that stays frozen would never hear of it.
  isLeaving = true;
  const thaw = freezer
    .thaw()
    .catch((error: Error) => log.warn("the application stays frozen", { error: error.message }));
  // It may have ended as soon as it could: nobody waits for its answers any more.
  await freezer.close();
  await thaw;
  stream.close();
  await proxy.close();
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
