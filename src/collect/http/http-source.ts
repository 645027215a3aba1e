import { lookup as systemLookup } from "node:dns/promises";
import http from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import type { Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { CollectError, printable } from "../collect-error.ts";
import { type AddressPolicy, checkedUrl, refusalOf } from "./address.ts";
import { connectionTrouble, type Noun } from "./connection-trouble.ts";
import { Credentials } from "./credentials.ts";

/** An address of a host name. */
export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

export interface HttpSourceOptions {
  /** The source's name, for messages. */
  readonly name: string;
  /** What it is, for messages; `metric source` where absent. */
  readonly noun?: Noun;
  readonly url: string;
  readonly credentials?: Credentials;
  readonly addresses?: AddressPolicy;
  /** A whole request with its answer, first byte to last. */
  readonly timeoutMs?: number;
  /** Decompressed bytes of one answer. */
  readonly maxBodyBytes?: number;
  /** Connections to the source at most. */
  readonly maxConnections?: number;
  /** How host names are resolved; the system's way where absent. */
  readonly resolve?: (host: string) => Promise<readonly ResolvedAddress[]>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfterSeconds: number | undefined;
  /** Decompressed. */
  readonly body: Buffer;
}

/** What is sent to a source. */
interface Message {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly search?: string;
  readonly body?: { readonly type: string; readonly text: string };
}

/** Longer request lines are posted as forms: proxies and servers cut at 4 to 8 KiB. */
const longestQueryString = 2_000;

/**
 * HTTP to one source, safe against what the other side may do: the address is resolved once, checked and pinned until a
 * connection fails (a name that later points elsewhere is checked anew), redirects are not followed, a body is read up to
 * a limit after decompression, and the whole context has one deadline, however slowly bytes drip.
 */
export class HttpSource {
  readonly name: string;
  readonly host: string;
  readonly #noun: Noun;
  readonly #url: URL;
  readonly #credentials: Credentials;
  readonly #policy: AddressPolicy;
  readonly #timeoutMs: number;
  readonly #maxBodyBytes: number;
  readonly #agent: http.Agent;
  readonly #resolve: (host: string) => Promise<readonly ResolvedAddress[]>;
  #pinned: Promise<readonly ResolvedAddress[]> | undefined;

  /** @throws CollectError BadAddress */
  constructor(options: HttpSourceOptions) {
    this.name = options.name;
    this.#policy = options.addresses ?? {};
    this.#noun = options.noun ?? "metric source";
    this.#url = checkedUrl(options.url, options.name, this.#policy, this.#noun);
    this.host = this.#url.host;
    this.#credentials = options.credentials ?? new Credentials();
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#maxBodyBytes = options.maxBodyBytes ?? 64 * 2 ** 20;
    this.#resolve = options.resolve ?? ((host) => systemLookup(host, { all: true, order: "verbatim" }));
    const agentOptions = { keepAlive: true, maxSockets: options.maxConnections ?? 8, maxFreeSockets: 2 };
    this.#agent =
      this.#url.protocol === "https:"
        ? new https.Agent({ ...agentOptions, ...this.#credentials.tls(), minVersion: "TLSv1.2" })
        : new http.Agent(agentOptions);
  }

  /**
   * Asks `path` below the source's URL; parameters go into the address, or into a form where they are long.
   * Every HTTP status but a redirect is an answer.
   * @throws CollectError Unreachable, Timeout, TooLarge, Redirected, BadAddress, BadAnswer or Stopped
   */
  ask(path: string, parameters: URLSearchParams, signal?: AbortSignal): Promise<HttpAnswer> {
    const form = parameters.toString();
    if (form.length <= longestQueryString) return this.#send({ method: "GET", path, search: form }, signal);
    return this.#send(
      { method: "POST", path, body: { type: "application/x-www-form-urlencoded", text: form } },
      signal,
    );
  }

  /**
   * Posts JSON to `path` below the source's URL. Every HTTP status but a redirect is an answer.
   * @throws CollectError as `ask`
   */
  post(path: string, json: unknown, signal?: AbortSignal): Promise<HttpAnswer> {
    return this.#send({ method: "POST", path, body: { type: "application/json", text: JSON.stringify(json) } }, signal);
  }

  async #send(message: Message, signal: AbortSignal | undefined): Promise<HttpAnswer> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    const ends = signal ? AbortSignal.any([signal, deadline]) : deadline;
    try {
      ends.throwIfAborted();
      return await this.#context(message, ends);
    } catch (error) {
      if (error instanceof CollectError) throw error;
      if (signal?.aborted) throw this.error("Stopped", "was not waited for any longer", { cause: signal.reason });
      if (deadline.aborted)
        throw this.error(
          "Timeout",
          `gave no whole answer within ${this.#timeoutMs / 1000} s; see whether it is overloaded or was asked for too much`,
        );
      this.#pinned = undefined;
      throw this.#connectionError(error);
    }
  }

  /** An error about this source: its name and host come first, secrets are taken out. */
  error(
    code: CollectError["code"],
    what: string,
    options?: ErrorOptions & { retryAfterSeconds?: number },
  ): CollectError {
    return new CollectError(
      code,
      this.#credentials.redact(`${this.#noun} ${this.name} (${this.host}) ${what}`),
      options,
    );
  }

  /** Closes idle connections; requests under way end as they would. */
  close(): void {
    this.#agent.maxFreeSockets = 0; // those still in use end with their request
    for (const sockets of Object.values(this.#agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }

  async #context({ method, path, search, body }: Message, ends: AbortSignal): Promise<HttpAnswer> {
    const url = new URL(this.#url);
    url.pathname = url.pathname.replace(/\/$/, "") + path; // an empty path reads as "/"
    if (search !== undefined) url.search = search;
    const request = (url.protocol === "https:" ? https : http).request(url, {
      method,
      agent: this.#agent,
      signal: ends,
      lookup: this.#lookup,
      headers: {
        accept: "application/json",
        "accept-encoding": "gzip, deflate, br",
        "user-agent": "forescale",
        ...(body && { "content-type": body.type, "content-length": String(Buffer.byteLength(body.text)) }),
        ...this.#credentials.headers(),
      },
    });
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.once("error", reject);
      request.end(body?.text);
    });
    // After the response has begun, errors arrive at its stream; the request may repeat them.
    request.on("error", () => undefined);
    try {
      const status = response.statusCode ?? 0;
      if (status >= 300 && status < 400)
        throw this.error(
          "Redirected",
          `answers with a redirect (${status}), which is not followed; give its final address`,
        );
      return {
        status,
        contentType: response.headers["content-type"] ?? "",
        retryAfterSeconds: retryAfter(response.headers["retry-after"]),
        body: await this.#body(response, ends),
      };
    } catch (error) {
      request.destroy();
      throw error;
    }
  }

  async #body(response: http.IncomingMessage, ends: AbortSignal): Promise<Buffer> {
    const tooLarge = () =>
      this.error(
        "TooLarge",
        `sent more than ${Math.round(this.#maxBodyBytes / 2 ** 20)} MiB; ask for fewer series or points`,
      );
    const announced = Number(response.headers["content-length"] ?? 0);
    if (announced > this.#maxBodyBytes) throw tooLarge();
    const encoding = (response.headers["content-encoding"] ?? "identity").trim().toLowerCase();
    const decoder = decoders[encoding]?.();
    if (!decoder && encoding !== "identity")
      throw this.error("BadAnswer", `answers in the encoding ${printable(encoding, 40)}; let it send gzip or none`);
    const stream: Readable = decoder ? pipedInto(response, decoder) : response;
    const parts: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const part of stream) {
        ends.throwIfAborted();
        bytes += (part as Buffer).length;
        if (bytes > this.#maxBodyBytes) throw tooLarge();
        parts.push(part as Buffer);
      }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "";
      if (
        decoder &&
        !response.errored &&
        (code.startsWith("Z_") || code.startsWith("ERR__ERROR_") || code.startsWith("ERR_BROTLI"))
      )
        throw this.error("BadAnswer", `sent a damaged ${encoding} body; check the proxies between it and Forescale`, {
          cause: error,
        });
      throw error;
    } finally {
      stream.destroy();
    }
    return Buffer.concat(parts, bytes);
  }

  /** Gives connections the pinned addresses; every one of them was checked. */
  readonly #lookup: LookupFunction = (host, options, done) => {
    this.#pinned ??= this.#checkedAddresses(host);
    this.#pinned.then(
      (addresses) => {
        const fitting = options.family
          ? addresses.filter(({ family }) => family === Number(options.family))
          : addresses;
        if (fitting.length === 0) done(new Error(`no address of family ${options.family}`), "", 0);
        else if (options.all) done(null, [...fitting]);
        else done(null, fitting[0].address, fitting[0].family);
      },
      (error: Error) => {
        this.#pinned = undefined;
        done(error as NodeJS.ErrnoException, "", 0);
      },
    );
  };

  async #checkedAddresses(host: string): Promise<readonly ResolvedAddress[]> {
    const found = (await this.#resolve(host)).filter(({ address }) => isIP(address) !== 0);
    for (const { address } of found) {
      const refusal = refusalOf(address, this.#policy);
      if (refusal)
        throw this.error("BadAddress", `resolves to ${address}, ${refusal}, so it is not called; name its own address`);
    }
    if (found.length === 0) throw Object.assign(new Error("no address"), { code: "ENOTFOUND" });
    return found;
  }

  #connectionError(cause: unknown): CollectError {
    const [what, remedy] = connectionTrouble(cause, this.#noun);
    return this.error("Unreachable", `${what}; ${remedy}`, { cause });
  }
}

const decoders: Readonly<Record<string, (() => Readable & NodeJS.ReadWriteStream) | undefined>> = {
  __proto__: null as never, // encodings are foreign words
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** `source` through `decoder`, where an error of either ends the decoder. */
function pipedInto<T extends Readable & NodeJS.ReadWriteStream>(source: Readable, decoder: T): T {
  source.once("error", (error) => decoder.destroy(error));
  source.once("close", () => {
    if (!source.readableEnded && !source.errored)
      decoder.destroy(Object.assign(new Error("closed early"), { code: "ECONNRESET" }));
  });
  source.pipe(decoder);
  return decoder;
}

/** Seconds of a Retry-After header in its short form; undefined for dates and nonsense. */
function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header.trim()) ? Number(header) : undefined;
}
