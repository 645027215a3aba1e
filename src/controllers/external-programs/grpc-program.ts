import type { LookupAddress } from "node:dns";
import { lookup as systemLookup } from "node:dns/promises";
import http2 from "node:http2";
import { connect, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { CollectError } from "../../collect/collect-error.ts";
import { type AddressPolicy, refusalOf } from "../../collect/http/address.ts";
import { connectionTrouble } from "../../collect/http/connection-trouble.ts";

export interface GrpcProgramOptions {
  readonly name: string;
  /** `http:` for gRPC in the clear, `https:` for TLS. */
  readonly url: URL;
  readonly addresses: AddressPolicy;
  readonly timeoutMs: number;
  readonly mostBytes: number;
}

const service = "/forescale.external.v1.Program";

/**
 * Unary gRPC to one program. Each message is `message Json { string json = 1; }`: the question and its answer as they go over HTTP.
 * A connection a call, its addresses checked when they are resolved.
 */
export class GrpcProgram {
  readonly #options: GrpcProgramOptions;

  constructor(options: GrpcProgramOptions) {
    this.#options = options;
  }

  /** @throws CollectError Unreachable, Timeout, TooLarge, BadAddress, BadAnswer, NotFound, Unauthorized or ServerError */
  async call(method: string, json: string): Promise<string> {
    const { url, timeoutMs } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    const late = new Promise<never>((_, reject) =>
      deadline.addEventListener("abort", () =>
        reject(
          this.#error("Timeout", `gave no whole answer within ${timeoutMs / 1000} s; see whether it is overloaded`),
        ),
      ),
    );
    let session: http2.ClientHttp2Session | undefined;
    try {
      const found = await Promise.race([this.#resolve(url.hostname.replace(/^\[|\]$/g, "")), late]);
      session = http2.connect(url, { createConnection: () => connectTo(url, found) });
      return await Promise.race([this.#context(session, method, json), late]);
    } finally {
      session?.destroy();
    }
  }

  #context(session: http2.ClientHttp2Session, method: string, json: string): Promise<string> {
    const { timeoutMs, mostBytes } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) =>
        reject(
          error instanceof CollectError
            ? error
            : this.#error("Unreachable", connectionTrouble(error, "external program").join("; "), error),
        );
      session.on("error", fail);
      const stream = session.request({
        ":method": "POST",
        ":path": `${service}/${method}`,
        "content-type": "application/grpc",
        te: "trailers",
        "grpc-timeout": `${timeoutMs}m`,
      });
      const parts: Buffer[] = [];
      let bytes = 0;
      let status: unknown;
      const note = (headers: http2.IncomingHttpHeaders) => {
        status = headers["grpc-status"] ?? status;
      };
      stream.on("response", (headers) => {
        if (headers[":status"] !== 200)
          fail(this.#error("BadAnswer", `answers with HTTP status ${headers[":status"]}; see whether it speaks gRPC`));
        note(headers); // an answer of trailers alone
      });
      stream.on("trailers", note);
      stream.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes > mostBytes) fail(this.#error("TooLarge", `sent more than ${mostBytes / 2 ** 20} MiB`));
        else parts.push(part);
      });
      stream.on("error", fail);
      stream.on("end", () => {
        if (String(status) !== "0") return fail(this.#failure(status, method));
        const answer = unframed(Buffer.concat(parts));
        if (answer === undefined)
          return fail(this.#error("BadAnswer", `answers ${method} with no message that can be read`));
        resolve(answer);
      });
      stream.end(framed(json));
    });
  }

  #failure(status: unknown, method: string): CollectError {
    const number = Number(status);
    if (number === 12 || number === 5) return this.#error("NotFound", `knows no ${method} (gRPC status ${number})`);
    if (number === 7 || number === 16) return this.#error("Unauthorized", `refuses ${method} (gRPC status ${number})`);
    return this.#error(
      "ServerError",
      `failed at ${method} (gRPC status ${Number.isInteger(number) ? number : "missing"})`,
    );
  }

  #error(code: CollectError["code"], what: string, cause?: unknown): CollectError {
    const { name, url } = this.#options;
    return new CollectError(code, `external program ${name} (${url.host}) ${what}`, { cause });
  }

  async #resolve(host: string): Promise<LookupAddress[]> {
    const resolved = await systemLookup(host, { all: true, order: "verbatim" }).catch(() => []);
    const found = resolved.filter(({ address }) => isIP(address) !== 0);
    for (const { address } of found) {
      const refusal = refusalOf(address, this.#options.addresses);
      if (refusal)
        throw this.#error(
          "BadAddress",
          `resolves to ${address}, ${refusal}, so it is not called; name its own address`,
        );
    }
    if (found.length === 0) throw this.#error("Unreachable", "has a host name that does not resolve");
    return found;
  }
}

/** A connection to one of the addresses that were checked. */
function connectTo(url: URL, found: LookupAddress[]): Socket {
  const lookup: LookupFunction = (_, { all }, done) =>
    all ? done(null, found) : done(null, found[0].address, found[0].family);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (url.protocol === "http:") return connect({ host, port: Number(url.port || 80), lookup });
  const servername = isIP(host) === 0 ? host : "";
  const port = Number(url.port || 443);
  return connectTls({ host, port, lookup, servername, ALPNProtocols: ["h2"], minVersion: "TLSv1.2" });
}

/** gRPC's frame (no compression, length) around a protobuf message whose field 1 is the text. */
function framed(json: string): Buffer {
  const text = Buffer.from(json);
  const length: number[] = [];
  let rest = text.length;
  for (; rest > 127; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  const message = Buffer.concat([Buffer.from([0x0a, ...length, rest]), text]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** @returns undefined for what is not one uncompressed frame with a message whose only field is the text */
function unframed(bytes: Buffer): string | undefined {
  if (bytes.length < 5 || bytes[0] !== 0 || bytes.readUInt32BE(1) !== bytes.length - 5) return undefined;
  if (bytes.length === 5 || bytes[5] !== 0x0a) return undefined;
  let [length, at, scale] = [0, 6, 1];
  for (; at < bytes.length && at < 11; at++, scale *= 128) {
    length += (bytes[at] & 127) * scale;
    if (bytes[at] < 128) return at + 1 + length === bytes.length ? bytes.toString("utf8", at + 1) : undefined;
  }
  return undefined;
}
