import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type ProbeKind, type ProbeTarget, probePath } from "../pods/probes.ts";
import { askGrpc, askHttp, type ProbeAnswer } from "./ask-probe.ts";

/**
 * What the application is doing: `Serves`, `Away` (frozen, or on its way there or back), or `Overdue`, away for longer
 * than it may be.
 */
export type Presence = "Serves" | "Away" | "Overdue";

export interface ProbeProxyOptions {
  readonly targets: readonly ProbeTarget[];
  readonly presence: () => Presence;
}

export interface ProbeProxy {
  listen(port: number, host?: string): Promise<AddressInfo>;
  close(): Promise<void>;
}

/**
 * Answers the kubelet's probes in the application's stead. While it serves, each probe is asked of it as the user wrote
 * it; while it is frozen, it is alive and not ready.
 */
export function createProbeProxy({ targets, presence }: ProbeProxyOptions): ProbeProxy {
  const byPath = new Map(targets.map((target) => [probePath(target), target]));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = byPath.get(request.url ?? "");
    if (!target) return send(response, 404, "no probe of this pod");
    const before = answerAway(target.probe, presence());
    if (before) return send(response, before.code, before.body);
    // As the kubelet would reach it: an application that listens on localhost alone is not reachable.
    const host = request.socket.localAddress ?? "127.0.0.1";
    const asked = await askTarget(target, host);
    // Frozen while it was being asked: that says nothing of its health.
    const after = asked.code < 400 ? undefined : answerAway(target.probe, presence());
    const { code, body } = after ?? asked;
    send(response, code, body);
  }

  const server: Server = createServer((request, response) => {
    answer(request, response).catch((error: Error) => send(response, 503, error.message));
  });
  server.keepAliveTimeout = 1000;

  return {
    listen(port, host) {
      return new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, () => resolve(server.address() as AddressInfo));
      });
    },
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** What is said without asking; undefined where the application must be asked. */
export function answerAway(probe: ProbeKind, presence: Presence): ProbeAnswer | undefined {
  if (presence === "Serves") return undefined;
  if (probe === "readiness") return { code: 503, body: "frozen on purpose" };
  return presence === "Away"
    ? { code: 200, body: "frozen on purpose" }
    : { code: 503, body: "frozen for longer than it may be" };
}

/** Asks a probe as the user wrote it; never fails: what can't be reached is unhealthy. */
export async function askTarget(target: ProbeTarget, host: string): Promise<ProbeAnswer> {
  const { handler } = target;
  const abort = AbortSignal.timeout(target.timeoutSeconds * 1000);
  try {
    switch (handler.type) {
      case "HttpGet":
        return await askHttp(handler, host, abort);
      case "TcpSocket":
        return await askTcp(handler.port, host, abort);
      case "Grpc":
        return await askGrpc(handler, host, abort);
    }
  } catch (error) {
    const why = abort.aborted ? `no answer within ${target.timeoutSeconds} s` : (error as Error).message;
    return { code: 503, body: `${target.probe} probe of ${target.container}: ${why}` };
  }
}

function askTcp(port: number, host: string, signal: AbortSignal): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host });
    const onAbort = () => socket.destroy(new Error("aborted"));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", () => {
      socket.destroy();
      resolve({ code: 200, body: "connected" });
    });
    socket.once("error", reject);
    socket.once("close", () => signal.removeEventListener("abort", onAbort));
  });
}

function send(response: ServerResponse, code: number, body: string): void {
  if (response.headersSent) return;
  response.writeHead(code, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(body);
}
