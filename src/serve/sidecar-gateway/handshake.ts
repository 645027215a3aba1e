import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { streamPath, streamProtocol } from "../../pods/sidecar-protocol.ts";
import { bearerToken } from "../access/authenticator.ts";

/** Why an upgrade is refused: the HTTP status, and a sentence for the sidecar's log. */
export interface Refused {
  readonly status: string;
  readonly why: string;
}

/** What a sidecar's request to upgrade must have: the path, the protocol and a token. */
export function readHandshake({ url = "", headers }: IncomingMessage): Refused | { readonly token: string } {
  const [path] = url.split("?", 1);
  if (path !== streamPath) return { status: "404 Not Found", why: `the gateway is at ${streamPath}` };
  if (headers.upgrade?.toLowerCase() !== streamProtocol)
    return { status: "426 Upgrade Required", why: `upgrade to ${streamProtocol}` };
  const token = bearerToken(headers.authorization);
  return token === undefined ? { status: "401 Unauthorized", why: "a pod-bound token is needed" } : { token };
}

/** Answers a request to upgrade that is refused, and ends its connection. */
export function refuseUpgrade(socket: Duplex, { status, why }: Refused): void {
  const body = `${why}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
