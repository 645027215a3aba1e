import { type RequestOptions, request } from "node:https";
import { isIP, type Socket } from "node:net";
import { lineOf, readLines } from "../pods/message-lines.ts";
import {
  readServerMessage,
  type ServerMessage,
  type SidecarMessage,
  silenceMs,
  streamPath,
  streamProtocol,
} from "../pods/sidecar-protocol.ts";

export interface StreamOptions {
  /** Where the server is, `https://HOST:PORT`. */
  readonly server: URL;
  /** PEM of the authorities to trust, read at each connection. */
  readonly authorities: () => string;
  /** The token of now, read at each connection. */
  readonly token: () => string;
  /** The name that the server's certificate must have, where it is not the URL's. */
  readonly serverName?: string;
  readonly onMessage: (message: ServerMessage) => void;
  /** A connection stands: say what there is to say. */
  readonly onOpen: () => void;
  /** Called once for each failure that differs from the one before. */
  readonly onTrouble?: (why: string) => void;
  /** Waits between attempts, doubled up to the longest, and spread by `random` in [0, 1). */
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
  readonly random?: () => number;
}

/** One stream to the server, opened again after each end. */
export interface ServerStream {
  /** Sends a message while a connection stands; nothing is kept for later, as `onOpen` sends it all again. */
  send(message: SidecarMessage): void;
  readonly isOpen: boolean;
  close(): void;
}

const handshakeMs = 20_000;
const usualFirstWaitMs = 500;
const usualLongestWaitMs = 20_000;
/** A stream that lived this long shows a healthy server: the next attempt comes soon. */
const healthyMs = 10_000;
const longestBody = 300;

export function openStream(options: StreamOptions): ServerStream {
  return new ReconnectingStream(options);
}

class ReconnectingStream implements ServerStream {
  readonly #options: StreamOptions;
  readonly #firstWaitMs: number;
  #socket: Socket | undefined;
  #waitMs: number;
  #timer: NodeJS.Timeout | undefined;
  #lastTrouble = "";
  #isClosed = false;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#firstWaitMs = options.firstWaitMs ?? usualFirstWaitMs;
    this.#waitMs = this.#firstWaitMs;
    this.#connect();
  }

  get isOpen(): boolean {
    return this.#socket !== undefined;
  }

  send(message: SidecarMessage): void {
    this.#socket?.write(lineOf(message));
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    let isOver = false;
    const fail = (why: string) => {
      if (isOver) return;
      isOver = true;
      this.#reconnect(why);
    };
    let asked: ReturnType<typeof request>;
    try {
      asked = request(this.#requestOptions());
    } catch (error) {
      fail((error as Error).message); // a file that is not there yet
      return;
    }
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${handshakeMs / 1000} s`)));
    asked.on("error", (error) => fail(error.message));
    asked.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        if (text.length < longestBody) text += chunk;
      });
      response.on("close", () =>
        fail(`the server answered ${response.statusCode}: ${text.slice(0, longestBody).trim()}`),
      );
    });
    asked.on("upgrade", (_response, upgraded, head) => {
      asked.setTimeout(0);
      if (this.#isClosed) return upgraded.destroy();
      this.#hold(upgraded as Socket, head, fail);
    });
    asked.end();
  }

  #requestOptions(): RequestOptions {
    const { server, serverName, authorities, token } = this.#options;
    const host = server.hostname.replace(/^\[|\]$/g, "");
    return {
      host,
      port: server.port || 443,
      path: streamPath,
      method: "GET",
      agent: false,
      ca: authorities(),
      // An address is no server name (RFC 6066); the certificate is then checked against the address itself.
      servername: serverName ?? (isIP(host) ? "" : host),
      minVersion: "TLSv1.2",
      // A connection of 1.3 costs the server, which holds thousands, a quarter more memory; its ciphers here are no weaker.
      maxVersion: "TLSv1.2",
      timeout: handshakeMs,
      headers: { connection: "Upgrade", upgrade: streamProtocol, authorization: `Bearer ${token().trim()}` },
    };
  }

  #hold(socket: Socket, head: Buffer, fail: (why: string) => void): void {
    this.#socket = socket;
    const openedMs = performance.now();
    const read = readLines((value) => this.#receive(socket, value));
    const take = (chunk: Buffer) => {
      try {
        read(chunk);
      } catch (error) {
        socket.destroy(error as Error);
      }
    };
    // Node's own idle timer: what the server sends resets it.
    socket.setTimeout(silenceMs, () => socket.destroy(new Error("the server fell silent")));
    socket.setNoDelay(true);
    let why = "the server ended the stream";
    socket.on("error", (error) => {
      why = error.message;
    });
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
      if (performance.now() - openedMs > healthyMs) this.#waitMs = this.#firstWaitMs;
      fail(why);
    });
    socket.on("data", take);
    if (head.length > 0) take(head);
    this.#lastTrouble = "";
    this.#options.onOpen();
  }

  #receive(socket: Socket, value: unknown): void {
    if (value === undefined) {
      socket.write("\n");
      return;
    }
    const message = readServerMessage(value);
    if (message) this.#options.onMessage(message);
  }

  #reconnect(why: string): void {
    if (this.#isClosed) return;
    const { onTrouble, longestWaitMs = usualLongestWaitMs, random = Math.random } = this.#options;
    if (why !== this.#lastTrouble) onTrouble?.(why);
    this.#lastTrouble = why;
    // All sidecars of a cluster lose a server at once: they must not come back at once.
    this.#timer = setTimeout(() => this.#connect(), this.#waitMs * (0.5 + random()));
    this.#waitMs = Math.min(2 * this.#waitMs, longestWaitMs);
  }
}
