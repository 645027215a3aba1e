import { constants } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Issued } from "../tls/certificates.ts";
import type { Limits } from "./limits.ts";

// AES-128 first: on machines with AES instructions it is the cheapest, and none of these is weaker than its key context.
const ciphers = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

export interface ListenerOptions {
  readonly certificate: Issued;
  readonly limits: Limits;
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  readonly onTlsError: () => void;
  /** Takes requests to upgrade; absent, they are answered as any other request. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/** The HTTPS side of the server: TLS, limits on what comes in, and the life of its connections. */
export interface Listener {
  listen(port: number, host: string | undefined, onError: (error: Error) => void): Promise<AddressInfo>;
  readonly address: AddressInfo | undefined;
  useCertificate(certificate: Issued): void;
  /** Marks the connections of now: each ends with its next answer. */
  retireConnections(): void;
  isRetired(socket: Socket): boolean;
  /** Takes no more connections, and ends those there are as they fall idle, or all after `drainMs`. */
  close(drainMs: number): Promise<void>;
}

export function createListener({ certificate, limits, handle, onTlsError, onUpgrade }: ListenerOptions): Listener {
  const secure = ({ certificate: cert, key }: Issued) => ({
    cert,
    key,
    minVersion: "TLSv1.2" as const,
    ciphers,
    honorCipherOrder: true,
    ecdhCurve: "X25519:P-256:P-384",
    // No resumption: every connection shows its certificate, under the authorities of its time.
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  const server = createServer(
    {
      ...secure(certificate),
      ALPNProtocols: ["http/1.1"],
      // Asked for and taken as it comes: identities are verified by `whyNotTrusted`, list by list. Node's own verdict
      // would accept either list's authorities for everything. Without a list of names Go clients send what they have.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: limits.handshakeTimeoutMs,
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: 1000,
      noDelay: true,
    },
    handle,
  );
  // Node would drop headers past this count without a word, groups among them; their size is bounded above.
  server.maxHeadersCount = 0;
  server.on("tlsClientError", onTlsError);

  server.on("clientError", answerUnreadable);
  if (onUpgrade) server.on("upgrade", onUpgrade);

  const connections = new Map<Socket, { isRetired: boolean }>();
  let isDraining = false;
  server.on("secureConnection", (socket) => {
    connections.set(socket, { isRetired: false });
    socket.once("close", () => connections.delete(socket));
  });

  return {
    listen(port, host, onError) {
      return new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, () => {
          server.off("error", reject);
          server.on("error", onError);
          resolve(server.address() as AddressInfo);
        });
      });
    },
    get address() {
      return (server.address() as AddressInfo | null) ?? undefined;
    },
    useCertificate(next) {
      server.setSecureContext(secure(next));
    },
    retireConnections() {
      for (const connection of connections.values()) connection.isRetired = true;
    },
    isRetired: (socket) => isDraining || connections.get(socket)?.isRetired === true,
    async close(drainMs) {
      isDraining = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      await Promise.race([closed, sleep(drainMs, undefined, { ref: false })]);
      server.closeAllConnections();
      await closed;
    },
  };
}

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  HPE_CHUNK_EXTENSIONS_OVERFLOW: "413 Payload Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

const unreadable = new WeakSet<Duplex>();
const lingerMs = 1000;

/**
 * Answers what is no request, and goes on taking bytes for a moment: to close at once, as Node would, resets the
 * connection under a peer that is still sending, which then never sees the answer.
 */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (unreadable.has(socket)) return; // the parser fails anew with each chunk
  unreadable.add(socket);
  const underWay = (socket as { _httpMessage?: ServerResponse })._httpMessage;
  if (!socket.writable || underWay?.headersSent) {
    socket.destroy();
    return;
  }
  const status = statuses[error.code ?? ""] ?? "400 Bad Request";
  socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  socket.resume();
  setTimeout(() => socket.destroy(), lingerMs).unref();
}
