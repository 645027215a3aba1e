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
  streamProtocol,
} from "../../pods/sidecar-protocol.ts";
import type { GatewayMetrics } from "./gateway-metrics.ts";
import { type Refused, readHandshake, refuseUpgrade } from "./handshake.ts";
import { type PodIdentity, type PodTokenReviewer, PodTokens } from "./pod-tokens.ts";

export interface GatewayOptions {
  readonly reviewToken: PodTokenReviewer;
  /** What a pod's sidecar is to do; undefined while the pod is not known under this uid. */
  readonly desiredStateOf: (pod: PodIdentity) => DesiredState | undefined;
  /** Called with each report, the first of a stream included. */
  readonly onReport: (pod: PodIdentity, report: SidecarReport) => void;
  /** The certificate authorities of the server, as PEM; sent at the start and at each change. */
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
  /** Sends a pod's sidecar its desired state, where that has changed. */
  refresh(namespace: string, name: string): void;
  /** Sends every sidecar the authorities, where they changed. */
  refreshAuthorities(): void;
  readonly streams: number;
  /** Ends all streams: sidecars come back to another replica. */
  close(): void;
}

interface Stream {
  pod: PodIdentity;
  readonly socket: Duplex;
  /** When anything came from the sidecar last. */
  heardMs: number;
  /** The desired state that was sent last. */
  sent: string;
  isReviewing: boolean;
}

/** The API server accepts a token a little longer than it says. */
const tokenGraceMs = 60_000;
const usualMostStreams = 20_000;

/**
 * Where sidecars report and receive their desired state. Levels only: whatever was lost with a stream is sent again with the
 * next one, and nothing that a pod does depends on this server being there.
 */
export function createGateway(options: GatewayOptions): Gateway {
  return new SidecarGateway(options);
}

class SidecarGateway implements Gateway {
  readonly #options: GatewayOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #tokens: PodTokens;
  readonly #streams = new Map<string, Stream>();
  #keepAlive: Timer | undefined;
  #authorities: string;
  #isClosed = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silent;
    this.#tokens = new PodTokens(options.reviewToken);
    this.#authorities = options.authorities();
  }

  get streams(): number {
    return this.#streams.size;
  }

  // Given to the listener as it is, so bound to the gateway.
  handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on("error", () => socket.destroy());
    this.#answerUpgrade(request, socket, head).catch((error) => {
      this.#log.error("a sidecar's request failed", { error: String((error as Error)?.stack ?? error) });
      socket.destroy();
    });
  };

  refresh(namespace: string, name: string): void {
    const stream = this.#streams.get(`${namespace}/${name}`);
    if (!stream) return;
    const desired = this.#options.desiredStateOf(stream.pod);
    if (desired === undefined) stream.socket.end();
    else send(stream, desired);
  }

  refreshAuthorities(): void {
    const now = this.#options.authorities();
    if (now === this.#authorities) return;
    this.#authorities = now;
    for (const { socket } of this.#streams.values()) socket.write(lineOf({ type: "authorities", pem: now }));
  }

  close(): void {
    this.#isClosed = true;
    this.#keepAlive?.cancel();
    for (const { socket } of this.#streams.values()) socket.end();
  }

  async #answerUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const accepted = await this.#accept(request);
    if (socket.destroyed) return;
    if ("status" in accepted) {
      this.#options.metrics?.refusals.inc({ status: accepted.status.slice(0, 3) });
      refuseUpgrade(socket, accepted);
      return;
    }
    const authorities = lineOf({ type: "authorities", pem: this.#authorities });
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${streamProtocol}\r\n\r\n${authorities}`,
    );
    this.#open(accepted.pod, socket, accepted.desired, head);
  }

  /** Whose stream it is to be, and what its pod is to do. */
  async #accept(request: IncomingMessage): Promise<Refused | { pod: PodIdentity; desired: DesiredState }> {
    const unavailable = (why: string): Refused => ({ status: "503 Service Unavailable", why: `${why}; connect again` });
    const handshake = readHandshake(request);
    if ("status" in handshake) return handshake;
    if (this.#isClosed) return unavailable("this replica is shutting down");
    if (this.#streams.size >= (this.#options.mostStreams ?? usualMostStreams))
      return unavailable("this replica holds as many streams as it may");
    let pod: PodIdentity | string;
    try {
      pod = await this.#tokens.review(handshake.token);
    } catch (error) {
      this.#log.warn("the API server did not review a sidecar's token", { error: (error as Error).message });
      return unavailable("the API server did not review the token");
    }
    if (typeof pod === "string") return { status: "401 Unauthorized", why: pod };
    const desired = this.#options.desiredStateOf(pod);
    // A pod that has just ended, or one that this replica's watch has not seen yet.
    return desired === undefined
      ? unavailable(`pod ${pod.namespace}/${pod.name} is not known here yet`)
      : { pod, desired };
  }

  #open(pod: PodIdentity, socket: Duplex, desired: DesiredState, head: Buffer): void {
    const key = `${pod.namespace}/${pod.name}`;
    const stream: Stream = { pod, socket, heardMs: this.#clock.monotonicMs(), sent: "", isReviewing: false };
    // One stream a pod: a sidecar that has restarted replaces the one before.
    this.#streams.get(key)?.socket.destroy();
    this.#streams.set(key, stream);
    this.#countStreams();
    this.#keepAlive ??= this.#clock.setTimer(() => this.#keepStreamsAlive(), keepAliveMs);
    send(stream, desired);
    const read = readLines((value) => this.#receive(stream, value));
    const take = (chunk: Buffer) => {
      stream.heardMs = this.#clock.monotonicMs();
      try {
        read(chunk);
      } catch (error) {
        this.#log.warn("a sidecar sent a message that can't be read; its stream ends", {
          pod: key,
          error: (error as Error).message,
        });
        socket.destroy();
      }
    };
    if (head.length > 0) take(head);
    socket.on("data", take);
    socket.once("end", () => socket.end());
    socket.once("close", () => {
      if (this.#streams.get(key) !== stream) return;
      this.#streams.delete(key);
      this.#countStreams();
    });
  }

  #receive(stream: Stream, value: unknown): void {
    if (value === undefined) return;
    const message = readSidecarMessage(value);
    if (message === undefined) return; // of a later version
    if (message.type === "token") void this.#renew(stream, message.token);
    else {
      this.#options.metrics?.reports.inc({ state: message.state });
      this.#options.onReport(stream.pod, message);
    }
  }

  /** A new token must be of the same pod. */
  async #renew(stream: Stream, token: string): Promise<void> {
    if (stream.isReviewing) return;
    stream.isReviewing = true;
    try {
      const pod = await this.#tokens.review(token);
      if (typeof pod === "string" || pod.uid !== stream.pod.uid) stream.socket.destroy();
      else stream.pod = pod;
    } catch (error) {
      // Nobody knows: the stream has until its own token ends, and the sidecar offers the next one.
      this.#log.warn("the API server did not review a sidecar's token", { error: (error as Error).message });
    } finally {
      stream.isReviewing = false;
    }
  }

  /** Keeps streams alive, and ends those that are silent, whose token has ended or whose pod is gone. One timer for all. */
  #keepStreamsAlive(): void {
    const goesOn = this.#streams.size > 0 && !this.#isClosed;
    this.#keepAlive = goesOn ? this.#clock.setTimer(() => this.#keepStreamsAlive(), keepAliveMs) : undefined;
    const nowMs = this.#clock.monotonicMs();
    for (const { socket, heardMs, pod } of this.#streams.values()) {
      const isSilent = nowMs - heardMs > silenceMs;
      const isExpired = this.#clock.wallMs() > pod.expiresMs + tokenGraceMs;
      if (isSilent || isExpired) socket.destroy();
      else socket.write("\n");
    }
  }

  #countStreams(): void {
    this.#options.metrics?.streams.set(this.#streams.size);
  }
}

/** Sends a desired state, unless it is what was sent last. */
function send(stream: Stream, desired: DesiredState): void {
  const line = lineOf(desired);
  if (line === stream.sent) return;
  stream.sent = line;
  stream.socket.write(line);
}
