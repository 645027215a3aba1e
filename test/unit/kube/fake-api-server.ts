import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Connection } from "../../../src/kube/client/kubeconfig.ts";

export interface Stored {
  metadata: { name: string; namespace?: string; uid?: string; resourceVersion?: string; [key: string]: unknown };
  [key: string]: unknown;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

interface Watch {
  readonly response: ServerResponse;
  readonly base: string;
}

/** Answers one request in place of the server; undefined leaves it to the server. */
export type Intercept = (seen: Seen, response: ServerResponse) => boolean | Promise<boolean>;

/**
 * A small API server over plain HTTP on loopback: objects by path with resourceVersions and preconditions, lists by
 * pages, watches with a history that can be compacted, and ways to misbehave.
 */
export class FakeApiServer {
  readonly seen: Seen[] = [];
  readonly objects = new Map<string, Stored>();
  /** Called first with each request. */
  intercept: Intercept = () => false;
  /** Watches are accepted and then never answered, never ended. */
  isSilent = false;
  pageSize = Number.POSITIVE_INFINITY;
  #version = 100;
  #oldest = 0;
  readonly #history: { version: number; base: string; type: string; object: Stored }[] = [];
  readonly #watches = new Set<Watch>();
  readonly #sockets = new Set<Socket>();
  readonly #dead = new WeakSet<Socket>();
  #server: Server;
  #port = 0;

  constructor() {
    this.#server = this.#make();
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Ends as after kill -9: connections break, objects stay. `start` brings it back on the same port. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.#watches.clear();
    this.#server = this.#make();
  }

  connection(token?: string): Connection {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return {
      server: new URL(`http://127.0.0.1:${this.#port}`),
      namespace: "default",
      credentials: {
        read: async () => ({ headers }),
        distrust() {},
      },
    };
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  requests(method: string, match: (seen: Seen) => boolean = () => true): Seen[] {
    return this.seen.filter((each) => each.method === method && match(each));
  }

  lists(): Seen[] {
    return this.requests("GET", ({ query }) => query.has("limit") && !query.has("watch"));
  }

  watchRequests(): Seen[] {
    return this.requests("GET", ({ query }) => query.has("watch"));
  }

  /** Stores an object under its collection's path and tells the watches. */
  put(base: string, object: Stored): Stored {
    const path = `${base}/${object.metadata.name}`;
    const old = this.objects.get(path);
    const version = ++this.#version;
    const uid = object.metadata.uid ?? old?.metadata.uid ?? `uid-${version}`;
    const stored = { ...object, metadata: { ...object.metadata, uid, resourceVersion: String(version) } };
    this.objects.set(path, stored);
    this.#publish(base, version, old ? "MODIFIED" : "ADDED", stored);
    return stored;
  }

  remove(base: string, name: string): void {
    const old = this.objects.get(`${base}/${name}`);
    if (!old) throw new Error(`there is no ${base}/${name}`);
    this.objects.delete(`${base}/${name}`);
    const version = ++this.#version;
    const last = { ...old, metadata: { ...old.metadata, resourceVersion: String(version) } };
    this.#publish(base, version, "DELETED", last);
  }

  /** Versions up to now can no longer be watched from. */
  compact(): void {
    this.#oldest = this.#version;
  }

  bookmark(): string {
    const version = String(++this.#version);
    this.writeLine(JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: version } } }));
    return version;
  }

  /** Writes to every watch as it is, with or without a newline. */
  writeLine(text: string, end = "\n"): void {
    for (const { response } of this.#watches) response.write(text + end);
  }

  writeBytes(bytes: Uint8Array): void {
    for (const { response } of this.#watches) response.write(bytes);
  }

  /** From now on nothing comes back over the connections there are; new ones work. */
  blackhole(): void {
    for (const socket of this.#sockets) this.#dead.add(socket);
    this.#watches.clear();
  }

  /** Ends watches in order, as the server does after timeoutSeconds. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
  }

  #publish(base: string, version: number, type: string, object: Stored): void {
    this.#history.push({ version, base, type, object });
    if (this.isSilent) return;
    for (const watch of this.#watches)
      if (watch.base === base) watch.response.write(`${JSON.stringify({ type, object })}\n`);
  }

  #make(): Server {
    const server = createServer((request, response) => void this.#answer(request, response));
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    return server;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, "http://server");
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString("utf8");
    const seen: Seen = {
      method: request.method!,
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
    this.seen.push(seen);
    if (this.#dead.has(request.socket)) return;
    if (await this.intercept(seen, response)) return;
    if (seen.method === "GET" && seen.query.has("watch")) return this.#watch(seen, response);
    if (seen.method === "GET" && seen.query.has("limit")) return this.#list(seen, response);
    const path = seen.path.replace(/\/status$/, "");
    const base = path.slice(0, path.lastIndexOf("/"));
    const held = this.objects.get(path);
    switch (seen.method) {
      case "GET":
        return held ? answer(response, 200, held) : status(response, 404, "NotFound", `${seen.path} not found`);
      case "POST": {
        const object = seen.body as Stored;
        if (this.objects.has(`${seen.path}/${object.metadata.name}`))
          return status(response, 409, "AlreadyExists", `${seen.path} "${object.metadata.name}" already exists`);
        return answer(response, 201, this.put(seen.path, object));
      }
      case "PUT": {
        const object = seen.body as Stored;
        if (!held) return status(response, 404, "NotFound", `${seen.path} not found`);
        const asked = object.metadata.resourceVersion;
        if (asked !== undefined && asked !== held.metadata.resourceVersion)
          return status(response, 409, "Conflict", "the object has been modified");
        return answer(response, 200, this.put(base, object));
      }
      case "PATCH": {
        const patched = merge(held ?? {}, seen.body) as Stored;
        // Server-side apply of what is there already stores nothing.
        if (held && JSON.stringify(patched) === JSON.stringify(held)) return answer(response, 200, held);
        if (!held && !/apply/.test(seen.headers["content-type"] ?? ""))
          return status(response, 404, "NotFound", `${seen.path} not found`);
        return answer(response, 200, this.put(base, patched));
      }
      case "DELETE":
        if (!held) return status(response, 404, "NotFound", `${seen.path} not found`);
        this.remove(base, held.metadata.name);
        return answer(response, 200, { kind: "Status", status: "Success" });
    }
  }

  #list(seen: Seen, response: ServerResponse): void {
    const all = [...this.objects].filter(([path]) => path.startsWith(`${seen.path}/`)).map(([, object]) => object);
    const [from, version] = (seen.query.get("continue") ?? `0:${this.#version}`).split(":").map(Number);
    if (version < this.#oldest) {
      status(response, 410, "Expired", "the continue token is too old");
      return;
    }
    const to = from + Math.min(this.pageSize, Number(seen.query.get("limit")));
    const metadata = { resourceVersion: String(version), ...(to < all.length && { continue: `${to}:${version}` }) };
    answer(response, 200, { kind: "List", apiVersion: "v1", metadata, items: all.slice(from, to) });
  }

  #watch(seen: Seen, response: ServerResponse): void {
    const from = Number(seen.query.get("resourceVersion"));
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    const watch = { response, base: seen.path };
    this.#watches.add(watch);
    response.on("close", () => this.#watches.delete(watch));
    if (this.isSilent) return;
    if (from < this.#oldest) {
      const object = { kind: "Status", code: 410, reason: "Expired", message: `too old resource version: ${from}` };
      response.end(`${JSON.stringify({ type: "ERROR", object })}\n`);
      return;
    }
    for (const { version, base, type, object } of this.#history)
      if (version > from && base === seen.path) response.write(`${JSON.stringify({ type, object })}\n`);
  }
}

export function answer(response: ServerResponse, code: number, body: unknown, headers: Record<string, string> = {}) {
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

export function status(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
  headers: Record<string, string> = {},
  details?: object,
): void {
  answer(
    response,
    code,
    { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message, details },
    headers,
  );
}

/** JSON merge patch (RFC 7386). */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = { ...(target as object) };
  for (const [name, value] of Object.entries(patch))
    if (value === null) delete result[name];
    else result[name] = merge(result[name] ?? {}, value);
  return result;
}
