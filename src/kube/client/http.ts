import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { createSecureContext } from "node:tls";
import type { Credentials } from "./credentials.ts";
import type { Connection } from "./kubeconfig.ts";

/** One HTTP request, ready to be sent. */
export interface Outgoing {
  readonly method: string;
  /** Path and query, below the server's own path. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: string | undefined;
  readonly signal: AbortSignal;
}

/** True when the connection had been used before: the server may have closed it while the request was on its way. */
export const onReusedConnection = Symbol("onReusedConnection");

/**
 * Sends requests with the connection's TLS and headers over kept-alive sockets. Node's own https is used:
 * undici adds 28 MiB to the process, and a watch needs no more than this.
 */
export class Transport {
  readonly #connection: Connection;
  #agent: HttpAgent | HttpsAgent | undefined;
  #agentOf: Credentials | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Resolves with the answer's head; its body is still to be read. Aborting the signal breaks either. */
  async send(outgoing: Outgoing): Promise<IncomingMessage> {
    const { server, credentials } = this.#connection;
    const current = await credentials.read();
    outgoing.signal.throwIfAborted();
    const agent = this.#agentFor(current);
    const send = server.protocol === "https:" ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const request = send({
        protocol: server.protocol,
        hostname: server.hostname.replace(/^\[|\]$/g, ""),
        port: server.port || (server.protocol === "https:" ? 443 : 80),
        path: (server.pathname === "/" ? "" : server.pathname) + outgoing.path,
        method: outgoing.method,
        headers: { ...outgoing.headers, ...current.headers },
        agent,
        signal: outgoing.signal,
      });
      request.on("response", resolve);
      request.on("error", (error) => {
        if (request.reusedSocket) Object.assign(error, { [onReusedConnection]: true });
        reject(outgoing.signal.aborted ? outgoing.signal.reason : error);
      });
      request.end(outgoing.body);
    });
  }

  /** Closes connections that carry no request: after a silence the others may be dead as well. */
  dropIdle(): void {
    for (const sockets of Object.values(this.#agent?.freeSockets ?? {}))
      for (const socket of sockets ?? []) socket.destroy();
  }

  #agentFor(current: Credentials): HttpAgent {
    if (current.agent) return current.agent;
    if (this.#agent && this.#agentOf && sameTls(this.#agentOf, current)) return this.#agent;
    this.dropIdle(); // What still carries requests of the old credentials ends with them.
    this.#agentOf = current;
    // The API server closes idle connections after 90 s: leave first.
    const options = { keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 16, timeout: 60_000 };
    if (this.#connection.server.protocol === "http:") this.#agent = new HttpAgent(options);
    else {
      const { ca, cert, key, servername, insecureSkipVerify } = current;
      this.#agent = new HttpsAgent({
        ...options,
        secureContext: createSecureContext({ ca, cert, key, minVersion: "TLSv1.2" }),
        ...(servername && { servername }),
        rejectUnauthorized: !insecureSkipVerify,
      });
    }
    return this.#agent;
  }
}

function sameTls(a: Credentials, b: Credentials): boolean {
  return (
    a.ca === b.ca &&
    a.cert === b.cert &&
    a.key === b.key &&
    a.servername === b.servername &&
    a.insecureSkipVerify === b.insecureSkipVerify
  );
}
