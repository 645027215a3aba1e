import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type Log, silent } from "../../kube/log.ts";
import { type Clock, systemClock, type Timer } from "../../kube/loop/clock.ts";
import { lineOf, readLines } from "../../pods/message-lines.ts";
import {
  type DesiredState,
  keepAliveMs,
  readSidecarMessage,
  type SidecarReport,
  silenceMs,
  streamPath,
  streamProtocol,
} from "../../pods/sidecar-protocol.ts";
import { bearerToken } from "../access/authenticator.ts";
import type { GatewayMetrics } from "./gateway-metrics.ts";
import type { PodIdentity, PodTokenReviewer } from "./pod-tokens.ts";

export interface GatewayOptions {
  readonly reviewToken: PodTokenReviewer;
  /** What a pod's sidecar is to do; undefined while the pod is not known under this uid. */
  readonly wishOf: (pod: PodIdentity) => DesiredState | undefined;
  /** Hears of each report, the first of a stream included. */
  readonly onReport: (pod: PodIdentity, report: SidecarReport) => void;
  /** The authorities, as PEM, that vouch for the server; told at the start and at each change. */
  readonly authorities: () => string;
  readonly metrics?: GatewayMetrics;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly mostStreams?: number;
}

/** Holds one stream of each sidecar. */
export interface Gateway {
  /** Takes a request to upgrade; answers it either way. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Tells a pod's sidecar what is wanted, where that is not what it was told last. */
  refresh(namespace: string, name: string): void;
  /** Tells every sidecar the authorities, where they changed. */
  refreshAuthorities(): void;
  readonly streams: number;
  /** Ends all streams: sidecars come back to another replica. */
  close(): void;
}

interface Stream {
  pod: PodIdentity;
  readonly socket: Duplex;
  heardMs: number;
  told: string;
  isReviewing: boolean;
}

/** Handshakes and reviews under way at once; sidecars come back all at once after a restart. */
const mostReviews = 32;
/** The API server takes a token a little longer than it says. */
const tokenGraceMs = 60_000;

/**
 * Where sidecars report and hear what is wanted. Levels only: whatever was lost with a stream is said again with the
 * next one, and nothing that a pod does depends on this server being there.
 */
export function createGateway(options: GatewayOptions): Gateway {
  const { clock = systemClock, log = silent, metrics, mostStreams = 20_000 } = options;
  const streams = new Map<string, Stream>();
  const waiting: (() => void)[] = [];
  let reviews = 0;
  let ticking: Timer | undefined;
  let authorities = options.authorities();
  let isClosed = false;

  async function handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    const refuse = (status: string, why: string) => {
      metrics?.refusals.inc({ status: status.slice(0, 3) });
      const body = `${why}\n`;
      socket.end(
        `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    };
    const [path] = (request.url ?? "").split("?", 1);
    if (path !== streamPath) return refuse("404 Not Found", `the gateway is at ${streamPath}`);
    if (request.headers.upgrade?.toLowerCase() !== streamProtocol)
      return refuse("426 Upgrade Required", `upgrade to ${streamProtocol}`);
    const token = bearerToken(request.headers.authorization);
    if (token === undefined) return refuse("401 Unauthorized", "a pod-bound token is needed");
    if (isClosed) return refuse("503 Service Unavailable", "this replica is leaving; connect again");
    if (streams.size >= mostStreams) return refuse("503 Service Unavailable", "this replica holds all that it can");
    let pod: PodIdentity | string;
    try {
      pod = await reviewed(token);
    } catch (error) {
      log.warn("the API server could not be asked about a sidecar's token", { error: (error as Error).message });
      return refuse("503 Service Unavailable", "the API server could not be asked about the token; connect again");
    }
    if (socket.destroyed) return;
    if (typeof pod === "string") return refuse("401 Unauthorized", pod);
    const wish = options.wishOf(pod);
    // A pod of a moment ago, or one that this replica's watch has not told of yet.
    if (wish === undefined)
      return refuse("503 Service Unavailable", `pod ${pod.namespace}/${pod.name} is not known here yet; connect again`);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${streamProtocol}\r\n\r\n${lineOf({ type: "authorities", pem: authorities })}`,
    );
    open(pod, socket, wish, head);
  }

  function open(pod: PodIdentity, socket: Duplex, wish: DesiredState, head: Buffer): void {
    const key = keyOf(pod);
    const stream: Stream = { pod, socket, heardMs: clock.monotonicMs(), told: "", isReviewing: false };
    // One stream a pod: a sidecar that started again is the one to hear.
    streams.get(key)?.socket.destroy();
    streams.set(key, stream);
    metrics?.streams.set(streams.size);
    ticking ??= clock.setTimer(tick, keepAliveMs);
    tell(stream, wish);
    const read = readLines((value) => hear(stream, value));
    const take = (chunk: Buffer) => {
      stream.heardMs = clock.monotonicMs();
      try {
        read(chunk);
      } catch (error) {
        log.warn("a sidecar said what can't be read; its stream ends", {
          pod: `${pod.namespace}/${pod.name}`,
          error: (error as Error).message,
        });
        socket.destroy();
      }
    };
    if (head.length > 0) take(head);
    socket.on("data", take);
    socket.once("end", () => socket.end());
    socket.once("close", () => {
      if (streams.get(key) !== stream) return;
      streams.delete(key);
      metrics?.streams.set(streams.size);
    });
  }

  function hear(stream: Stream, value: unknown): void {
    if (value === undefined) return;
    const message = readSidecarMessage(value);
    if (message === undefined) return; // of a later version
    if (message.type === "token") void renew(stream, message.token);
    else {
      metrics?.reports.inc({ state: message.state });
      options.onReport(stream.pod, message);
    }
  }

  /** A new token must be of the same pod. */
  async function renew(stream: Stream, token: string): Promise<void> {
    if (stream.isReviewing) return;
    stream.isReviewing = true;
    try {
      const pod = await reviewed(token);
      if (typeof pod === "string" || pod.uid !== stream.pod.uid) stream.socket.destroy();
      else stream.pod = pod;
    } catch (error) {
      // Nobody knows: the stream has until its own token ends, and the sidecar offers the next one.
      log.warn("the API server could not be asked about a sidecar's token", { error: (error as Error).message });
    } finally {
      stream.isReviewing = false;
    }
  }

  async function reviewed(token: string): Promise<PodIdentity | string> {
    if (reviews >= mostReviews) await new Promise<void>((resolve) => waiting.push(resolve));
    else reviews++;
    try {
      return await options.reviewToken(token);
    } finally {
      const next = waiting.shift();
      if (next) next();
      else reviews--;
    }
  }

  function tell(stream: Stream, wish: DesiredState): void {
    const line = lineOf(wish);
    if (line === stream.told) return;
    stream.told = line;
    stream.socket.write(line);
  }

  /** Keeps streams alive, and ends those that are silent, whose token has ended or whose pod is gone. One timer for all. */
  function tick(): void {
    ticking = streams.size > 0 && !isClosed ? clock.setTimer(tick, keepAliveMs) : undefined;
    const nowMs = clock.monotonicMs();
    for (const stream of streams.values()) {
      const isSilent = nowMs - stream.heardMs > silenceMs;
      const isExpired = clock.wallMs() > stream.pod.expiresMs + tokenGraceMs;
      if (isSilent || isExpired) stream.socket.destroy();
      else stream.socket.write("\n");
    }
  }

  return {
    handleUpgrade(request, socket, head) {
      handleUpgrade(request, socket, head).catch((error) => {
        log.error("a sidecar's request failed", { error: String((error as Error)?.stack ?? error) });
        socket.destroy();
      });
    },
    refresh(namespace, name) {
      const stream = streams.get(`${namespace}/${name}`);
      if (!stream) return;
      const wish = options.wishOf(stream.pod);
      if (wish === undefined) stream.socket.end();
      else tell(stream, wish);
    },
    refreshAuthorities() {
      const now = options.authorities();
      if (now === authorities) return;
      authorities = now;
      for (const { socket } of streams.values()) socket.write(lineOf({ type: "authorities", pem: now }));
    },
    get streams() {
      return streams.size;
    },
    close() {
      isClosed = true;
      ticking?.cancel();
      for (const { socket } of streams.values()) socket.end();
    },
  };
}

function keyOf({ namespace, name }: PodIdentity): string {
  return `${namespace}/${name}`;
}
