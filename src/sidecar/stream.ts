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
  /** Told once for each failure that differs from the one before. */
  readonly onTrouble?: (why: string) => void;
  /** Waits between attempts, doubled up to the longest, and spread by `random` in [0, 1). */
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
  readonly random?: () => number;
}

/** One stream to the server, made again for ever after each end. */
export interface ServerStream {
  /** Says something where a connection stands; nothing is kept for later, as `onOpen` says it all again. */
  send(message: SidecarMessage): void;
  readonly isOpen: boolean;
  close(): void;
}

const handshakeMs = 20_000;

export function openStream(options: StreamOptions): ServerStream {
  const { firstWaitMs = 500, longestWaitMs = 20_000, random = Math.random } = options;
  let socket: Socket | undefined;
  let waitMs = firstWaitMs;
  let timer: NodeJS.Timeout | undefined;
  let lastTrouble = "";
  let isClosed = false;

  function connect(): void {
    const { server, serverName } = options;
    const host = server.hostname.replace(/^\[|\]$/g, "");
    let isOver = false;
    const fail = (why: string) => {
      if (isOver) return;
      isOver = true;
      again(why);
    };
    let asked: ReturnType<typeof request>;
    try {
      asked = request({
        host,
        port: server.port || 443,
        path: streamPath,
        method: "GET",
        agent: false,
        ca: options.authorities(),
        // An address is no server name (RFC 6066); the certificate is then checked against the address itself.
        servername: serverName ?? (isIP(host) ? "" : host),
        minVersion: "TLSv1.2",
        // A connection of 1.3 costs the server, which holds thousands, a quarter more memory; its ciphers here are no weaker.
        maxVersion: "TLSv1.2",
        timeout: handshakeMs,
        headers: {
          connection: "Upgrade",
          upgrade: streamProtocol,
          authorization: `Bearer ${options.token().trim()}`,
        },
      } satisfies RequestOptions);
    } catch (error) {
      fail((error as Error).message); // a file that is not there yet
      return;
    }
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${handshakeMs / 1000} s`)));
    asked.on("error", (error) => fail(error.message));
    asked.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        if (text.length < 300) text += chunk;
      });
      response.on("close", () => fail(`the server answered ${response.statusCode}: ${text.slice(0, 300).trim()}`));
    });
    asked.on("upgrade", (_response, upgraded, head) => {
      asked.setTimeout(0);
      if (isClosed) return upgraded.destroy();
      hold(upgraded as Socket, head, fail);
    });
    asked.end();
  }

  function hold(held: Socket, head: Buffer, fail: (why: string) => void): void {
    socket = held;
    const openedMs = performance.now();
    const read = readLines((value) => {
      if (value === undefined) {
        held.write("\n");
        return;
      }
      const message = readServerMessage(value);
      if (message) options.onMessage(message);
    });
    const take = (chunk: Buffer) => {
      try {
        read(chunk);
      } catch (error) {
        held.destroy(error as Error);
      }
    };
    // Node's own idle timer: what the server says resets it.
    held.setTimeout(silenceMs, () => held.destroy(new Error("the server fell silent")));
    held.setNoDelay(true);
    let why = "the server ended the stream";
    held.on("error", (error) => {
      why = error.message;
    });
    held.on("close", () => {
      if (socket === held) socket = undefined;
      // A stream that lived shows a server that is well: come back soon.
      if (performance.now() - openedMs > 10_000) waitMs = firstWaitMs;
      fail(why);
    });
    held.on("data", take);
    if (head.length > 0) take(head);
    lastTrouble = "";
    options.onOpen();
  }

  function again(why: string): void {
    if (isClosed) return;
    if (why !== lastTrouble) options.onTrouble?.(why);
    lastTrouble = why;
    // All sidecars of a cluster lose a server at once: they must not come back at once.
    timer = setTimeout(connect, waitMs * (0.5 + random()));
    waitMs = Math.min(2 * waitMs, longestWaitMs);
  }

  connect();
  return {
    send(message) {
      socket?.write(lineOf(message));
    },
    get isOpen() {
      return socket !== undefined;
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      socket?.destroy();
    },
  };
}
