import { lookup as systemLookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";
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

/** A question or an answer: JSON, as it goes over HTTP. */
interface Json {
  readonly json?: string;
}
type JsonMethod = MethodDefinition<Json, Json>;

const serviceName = "forescale.external.v1.Program";
let service: ServiceDefinition | undefined;

/** The service of `external-program.proto`, read when the first program is called. */
function methodOf(name: string): JsonMethod {
  if (service === undefined) {
    const loaded = loadSync(join(import.meta.dirname, "external-program.proto"))[serviceName];
    if (!isService(loaded)) throw new Error(`external-program.proto has no service ${serviceName}`);
    service = loaded;
  }
  return service[name] as JsonMethod;
}

function isService(loaded: object | undefined): loaded is ServiceDefinition {
  return loaded !== undefined && !("format" in loaded);
}

/**
 * Unary gRPC calls to one program, with the service of `external-program.proto`. A connection a call, its addresses checked
 * when they are resolved.
 */
export class GrpcProgram {
  readonly #options: GrpcProgramOptions;

  constructor(options: GrpcProgramOptions) {
    this.#options = options;
  }

  /** @throws CollectError Unreachable, Timeout, TooLarge, BadAddress, BadAnswer, NotFound, Unauthorized or ServerError */
  async call(method: string, json: string): Promise<string> {
    const { url, timeoutMs } = this.#options;
    const deadline = Date.now() + timeoutMs;
    const addresses = await Promise.race([this.#resolve(hostOf(url)), this.#late(deadline)]);
    const [first = "", ...others] = targetsOf(url, addresses);
    let said = this.#callAt(first, method, json, deadline);
    for (const target of others)
      said = said.catch((error) => {
        if (error instanceof CollectError && error.code === "Unreachable")
          return this.#callAt(target, method, json, deadline);
        throw error;
      });
    return said;
  }

  async #callAt(target: string, method: string, json: string, deadline: number): Promise<string> {
    const client = new Client(target, credentialsOf(this.#options.url), this.#channelOptions());
    try {
      const { json: answer } = await this.#unary(client, method, { json }, deadline);
      if (answer === undefined || answer === "") throw this.#unreadable(method);
      return answer;
    } finally {
      client.close();
    }
  }

  #unary(client: Client, method: string, message: Json, deadline: number): Promise<Json> {
    const { path, requestSerialize, responseDeserialize } = methodOf(method);
    return new Promise((resolve, reject) => {
      let hasHeaders = false;
      client
        .makeUnaryRequest(path, requestSerialize, responseDeserialize, message, { deadline }, (error, answer) => {
          if (error) reject(this.#failure(error, method, isOwnStatus(error, hasHeaders, deadline)));
          else if (answer === undefined) reject(this.#unreadable(method));
          else resolve(answer);
        })
        .on("metadata", () => {
          hasHeaders = true;
        });
    });
  }

  #channelOptions(): ClientOptions {
    const host = hostOf(this.#options.url);
    return {
      "grpc.default_authority": this.#options.url.host,
      // Certificates are checked for the host of the URL, not for the address that was resolved.
      ...(isIP(host) === 0 && { "grpc.ssl_target_name_override": host }),
      "grpc.max_receive_message_length": this.#options.mostBytes,
      "grpc.enable_retries": 0,
      "grpc.enable_http_proxy": 0,
      "grpc.use_local_subchannel_pool": 1,
    };
  }

  /** @param isOwn whether the program gave this status itself, rather than the client for want of an answer */
  #failure(error: ServiceError, method: string, isOwn: boolean): CollectError {
    const { timeoutMs, mostBytes } = this.#options;
    const { code, details } = error;
    const httpStatus = /HTTP status code (?:was )?(\d+)|Received HTTP status code (\d+)/.exec(details);
    if (httpStatus)
      return this.#error(
        "BadAnswer",
        `answers with HTTP status ${httpStatus[1] ?? httpStatus[2]}; check that it speaks gRPC`,
        error,
      );
    if (isUnreadable(details)) return this.#unreadable(method);
    if (isOwn) return this.#error("ServerError", `failed at ${method} (gRPC status ${code})`, error);
    switch (code) {
      case status.DEADLINE_EXCEEDED:
        return this.#tooLate(timeoutMs, error);
      case status.RESOURCE_EXHAUSTED:
        return this.#error("TooLarge", `sent more than ${mostBytes / 2 ** 20} MiB`, error);
      case status.UNIMPLEMENTED:
      case status.NOT_FOUND:
        return this.#error("NotFound", `knows no ${method} (gRPC status ${code})`, error);
      case status.PERMISSION_DENIED:
      case status.UNAUTHENTICATED:
        return this.#error("Unauthorized", `refuses ${method} (gRPC status ${code})`, error);
      case status.UNAVAILABLE:
        return this.#error(
          "Unreachable",
          connectionTrouble({ code: connectionCodeOf(details) }, "external program").join("; "),
          error,
        );
      default:
        return this.#error("ServerError", `failed at ${method} (gRPC status ${code})`, error);
    }
  }

  async #late(deadline: number): Promise<never> {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, deadline - Date.now())).unref());
    throw this.#tooLate(this.#options.timeoutMs);
  }

  #tooLate(timeoutMs: number, cause?: unknown): CollectError {
    return this.#error(
      "Timeout",
      `gave no whole answer within ${timeoutMs / 1000} s; check whether it is overloaded`,
      cause,
    );
  }

  #unreadable(method: string): CollectError {
    return this.#error("BadAnswer", `answers ${method} with no message that can be read`);
  }

  #error(code: CollectError["code"], what: string, cause?: unknown): CollectError {
    const { name, url } = this.#options;
    return new CollectError(code, `external program ${name} (${url.host}) ${what}`, { cause });
  }

  async #resolve(host: string): Promise<string[]> {
    const resolved = await systemLookup(host, { all: true, order: "verbatim" }).catch(() => []);
    const found = resolved.map(({ address }) => address).filter((address) => isIP(address) !== 0);
    for (const address of found) {
      const refusal = refusalOf(address, this.#options.addresses);
      if (refusal)
        throw this.#error("BadAddress", `resolves to ${address}, ${refusal}, so it is not called; use its own address`);
    }
    if (found.length === 0) throw this.#error("Unreachable", "has a host name that does not resolve");
    return found;
  }
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/** The addresses that were checked, as gRPC's own targets, which resolve no name again: one a family, as resolved. */
function targetsOf(url: URL, addresses: readonly string[]): string[] {
  const port = url.port || (url.protocol === "http:" ? "80" : "443");
  const v6 = addresses.filter((address) => isIPv6(address)).map((address) => `[${address}]:${port}`);
  const v4 = addresses.filter((address) => !isIPv6(address)).map((address) => `${address}:${port}`);
  const targets = [
    ...(v4.length > 0 ? [`ipv4:${v4.join(",")}`] : []),
    ...(v6.length > 0 ? [`ipv6:${v6.join(",")}`] : []),
  ];
  return addresses[0] !== undefined && isIPv6(addresses[0]) ? targets.toReversed() : targets;
}

/** DEADLINE_EXCEEDED this long before the deadline is the program's own: the client's timer is never so early. */
const earlyMs = 50;

/**
 * Whether the program itself gave one of the statuses that gRPC's client gives too: for an answer that is too large, comes
 * too late or never comes. An answer of trailers alone has its content type among them.
 */
function isOwnStatus({ code, details, metadata }: ServiceError, hasHeaders: boolean, deadline: number): boolean {
  switch (code) {
    case status.RESOURCE_EXHAUSTED:
      return !details.includes("larger than max");
    case status.DEADLINE_EXCEEDED:
      return Date.now() < deadline - earlyMs;
    case status.UNAVAILABLE:
      return hasHeaders || metadata.get("content-type").length > 0;
    default:
      return false;
  }
}

function credentialsOf(url: URL): ChannelCredentials {
  if (url.protocol === "http:") return credentials.createInsecure();
  // What this process trusts, NODE_EXTRA_CA_CERTS among it: gRPC would take its own list.
  return credentials.createSsl(Buffer.from(getCACertificates("default").join("\n")));
}

const certificateTroubles: readonly [RegExp, string][] = [
  [/self-signed certificate|local issuer certificate|unable to verify/, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  [/certificate has expired/, "CERT_HAS_EXPIRED"],
  [/does not match certificate's altnames/, "ERR_TLS_CERT_ALTNAME_INVALID"],
  [/wrong version number|packet length too long/, "EPROTO"],
];

/** The code of the error behind a connection that failed: gRPC gives its text only. */
function connectionCodeOf(details: string): string {
  const known = certificateTroubles.find(([pattern]) => pattern.test(details))?.[1];
  return known ?? /\b(E[A-Z]{4,}|ERR_[A-Z_]+)\b/.exec(details)?.[1] ?? "";
}

function isUnreadable(details: string): boolean {
  return /Error parsing response|Response message parsing|Failed to deserialize|No message received|Too few responses/i.test(
    details,
  );
}
