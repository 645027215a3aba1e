import type { RequestOptions } from "node:http";
import type { ProbeHandler } from "../pods/probes.ts";

/** As a kubelet reads it: healthy from 200 to 399. */
export interface ProbeAnswer {
  readonly code: number;
  readonly body: string;
}

/** The kubelet reads no more of an answer. */
const mostBytes = 10_240;

/**
 * Asks an application over HTTP, each time on a connection of its own as the kubelet does.
 *
 * @returns its status code; a redirect is an answer and is not followed
 */
export async function askHttp(
  { scheme, port, path, headers }: Extract<ProbeHandler, { type: "HttpGet" }>,
  host: string,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const named = new Map(headers.map(({ name, value }) => [name.toLowerCase(), value]));
  const options: RequestOptions = {
    host,
    port,
    path,
    agent: false,
    signal,
    headers: { "user-agent": "kube-probe/forescale", accept: "*/*", ...Object.fromEntries(named) },
  };
  // Loaded by need: the sidecar must stay small.
  const { request } = scheme === "HTTPS" ? await import("node:https") : await import("node:http");
  return new Promise((resolve, reject) => {
    const asked = request({ ...options, ...(scheme === "HTTPS" && { rejectUnauthorized: false }) });
    asked.once("error", reject);
    asked.once("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        if (body.length < mostBytes) body += chunk.slice(0, mostBytes - body.length);
      });
      response.once("error", reject);
      response.once("end", () => resolve({ code: response.statusCode ?? 0, body }));
    });
    asked.end();
  });
}

/** `SERVING` in grpc.health.v1. */
const serving = 1;

/**
 * Asks by the gRPC health protocol, in clear text as the kubelet does. Written out here: @grpc/grpc-js would more than double the
 * sidecar's memory (26 MiB beside 19, and a quarter of a second at its start) for one message of two fields.
 */
export async function askGrpc(
  { port, service }: Extract<ProbeHandler, { type: "Grpc" }>,
  host: string,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const { connect } = await import("node:http2");
  const session = connect(`http://${host.includes(":") ? `[${host}]` : host}:${port}`);
  try {
    return await new Promise<ProbeAnswer>((resolve, reject) => {
      session.once("error", reject);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      const stream = session.request({
        ":method": "POST",
        ":path": "/grpc.health.v1.Health/Check",
        "content-type": "application/grpc",
        te: "trailers",
      });
      const chunks: Buffer[] = [];
      let status: string | undefined;
      const note = (headers: Readonly<Record<string, unknown>>) => {
        if (headers["grpc-status"] !== undefined) status = String(headers["grpc-status"]);
      };
      stream.once("response", note);
      stream.once("trailers", note);
      stream.on("data", (chunk: Buffer) => {
        if (chunks.length < 16) chunks.push(chunk);
      });
      stream.once("error", reject);
      stream.once("end", () => {
        const health = status === "0" ? healthOf(Buffer.concat(chunks)) : undefined;
        if (health === serving) resolve({ code: 200, body: "SERVING" });
        else
          resolve({
            code: 503,
            body: status === "0" ? `health status ${health}` : `gRPC status ${status ?? "absent"}`,
          });
      });
      stream.end(healthRequest(service));
    });
  } finally {
    session.destroy();
  }
}

/** A gRPC frame with the protobuf message `{1: service}`. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service, "utf8");
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

/** Field 1 of the answer; 0 (UNKNOWN) where it is absent, as protobuf leaves defaults out. */
export function healthOf(bytes: Buffer): number | undefined {
  if (bytes.length < 5 || bytes.length < 5 + bytes.readUInt32BE(1)) return undefined;
  const message = bytes.subarray(5, 5 + bytes.readUInt32BE(1));
  return message.length >= 2 && message[0] === 0x08 ? message[1] : 0;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) {
      bytes.push(rest);
      return Buffer.from(bytes);
    }
    bytes.push((rest & 0x7f) | 0x80);
  }
}
