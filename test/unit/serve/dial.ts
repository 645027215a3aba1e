import { request } from "node:https";
import { connect } from "node:tls";

/** A server to talk to, and whom to expect there. */
export interface Peer {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  /** The name in its certificate. */
  readonly servername: string;
}

/** A request as it goes over the wire: headers in turn, repeated ones and all. */
export interface Dial {
  readonly path: string;
  readonly method?: string;
  readonly headers?: readonly string[];
  readonly certificate?: { readonly certificate: string; readonly key: string };
  readonly body?: string | Buffer;
}

export interface Reply {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Sends one request on a connection of its own. */
export function dial(peer: Peer, { path, method = "GET", headers = [], certificate, body }: Dial): Promise<Reply> {
  const { host, port, ca, servername } = peer;
  return new Promise((resolve, reject) => {
    const sent = request({
      host,
      port,
      ca,
      servername,
      path,
      method,
      headers: [
        "Host",
        `${host}:${port}`,
        "Connection",
        "close",
        ...(body === undefined ? [] : ["Content-Length", String(Buffer.byteLength(body))]),
        ...headers,
      ],
      cert: certificate?.certificate,
      key: certificate?.key,
      agent: false,
    });
    sent.on("error", reject);
    sent.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ code: response.statusCode!, headers: response.headers, body: text }));
    });
    sent.end(body);
  });
}

/** Sends bytes over TLS as they are, and gives what came until the peer closed. */
export function dialRaw(peer: Peer, bytes: string, patienceMs: number): Promise<{ text: string; tookMs: number }> {
  const { host, port, ca, servername } = peer;
  const startedMs = performance.now();
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ host, port, ca, servername }, () => socket.write(bytes));
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the peer did not close within ${patienceMs} ms`));
    }, patienceMs);
    socket.setEncoding("latin1");
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", () => {}); // a reset is a close as well
    socket.on("close", () => {
      clearTimeout(timer);
      resolve({ text, tookMs: performance.now() - startedMs });
    });
  });
}
