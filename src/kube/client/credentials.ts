import { readFile } from "node:fs/promises";
import type { Agent } from "node:http";
import type { Clock } from "../loop/clock.ts";
import { KubeError } from "./kube-error.ts";

/** TLS material and headers of one moment. `agent` only where the connection goes through a proxy. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly insecureSkipVerify?: boolean;
  readonly agent?: Agent;
}

/** Where credentials come from; asked before each request. */
export interface CredentialSource {
  read(): Promise<Credentials>;
  /** The server refused them: read anew at the next request, whatever their age. */
  distrust(): void;
}

/** A value in place, or in a file that may be replaced while we run. */
export type Material = { readonly value: string } | { readonly file: string };

export interface FileCredentialsOptions {
  readonly clock: Clock;
  readonly ca?: Material;
  readonly cert?: Material;
  readonly key?: Material;
  readonly token?: Material;
  readonly headers?: Readonly<Record<string, string>>;
  readonly servername?: string;
  readonly insecureSkipVerify?: boolean;
}

// A projected token is replaced at 80 % of its life (at least 10 minutes): client-go, too, reads it once a minute.
const rereadMs = 60_000;

/** Certificates and tokens from a kubeconfig or a service account; files are read again each minute, as they rotate. */
export class FileCredentials implements CredentialSource {
  readonly #options: FileCredentialsOptions;
  #last: { readonly atMs: number; readonly credentials: Credentials } | undefined;

  constructor(options: FileCredentialsOptions) {
    this.#options = options;
  }

  async read(): Promise<Credentials> {
    const { clock } = this.#options;
    if (this.#last && clock.monotonicMs() - this.#last.atMs < rereadMs) return this.#last.credentials;
    let credentials: Credentials;
    try {
      credentials = await this.#load();
    } catch (error) {
      if (!this.#last) throw error;
      credentials = this.#last.credentials; // A file being replaced is missing for a moment: what was read still holds.
    }
    this.#last = { atMs: clock.monotonicMs(), credentials };
    return credentials;
  }

  distrust(): void {
    if (this.#last) this.#last = { ...this.#last, atMs: Number.NEGATIVE_INFINITY };
  }

  async #load(): Promise<Credentials> {
    const { ca, cert, key, token, headers, servername, insecureSkipVerify } = this.#options;
    const [caText, certText, keyText, tokenText] = await Promise.all(
      [ca, cert, key, token].map(async (material) => (material ? textOf(material) : undefined)),
    );
    return {
      headers: { ...headers, ...(tokenText && { authorization: `Bearer ${tokenText.trim()}` }) },
      ca: caText,
      cert: certText,
      key: keyText,
      servername,
      insecureSkipVerify,
    };
  }
}

async function textOf(material: Material): Promise<string> {
  if ("value" in material) return material.value;
  try {
    return await readFile(material.file, "utf8");
  } catch (cause) {
    throw new KubeError(
      "Configuration",
      `cannot read ${material.file} (${(cause as NodeJS.ErrnoException).code}); check the path in the kubeconfig and its permissions`,
      { object: material.file, cause },
    );
  }
}

/**
 * Credentials that need a program, an identity provider or a proxy: @kubernetes/client-node knows how.
 * It is loaded only here, since it adds about 80 MiB to the process.
 *
 * @param document a kubeconfig as JSON, paths absolute, its current context set
 */
export async function pluginCredentials(document: string): Promise<CredentialSource> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  let config = new KubeConfig();
  config.loadFromString(document);
  return {
    async read() {
      const options: Parameters<typeof config.applyToHTTPSOptions>[0] & { auth?: string; agent?: unknown } = {};
      try {
        await config.applyToHTTPSOptions(options);
      } catch (cause) {
        throw new KubeError(
          "Configuration",
          `the kubeconfig's user "${config.getCurrentUser()?.name}" could not get credentials; run the same context with kubectl to see what its plugin says`,
          // A plugin's output that does not parse is quoted by its SyntaxError, and may hold the token.
          { cause: cause instanceof SyntaxError ? undefined : cause },
        );
      }
      const basic = options.auth && `Basic ${Buffer.from(options.auth).toString("base64")}`;
      return {
        headers: { ...(basic && { authorization: basic }), ...lowerCased(options.headers) },
        ca: options.ca?.toString(),
        cert: options.cert?.toString(),
        key: options.key?.toString(),
        servername: (options as { servername?: string }).servername,
        insecureSkipVerify: options.rejectUnauthorized === false,
        agent: config.getCurrentCluster()?.proxyUrl ? (options.agent as Agent) : undefined,
      };
    },
    distrust() {
      // The plugins cache by object; a new one asks again.
      config = new KubeConfig();
      config.loadFromString(document);
    },
  };
}

function lowerCased(headers: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), `${value}`]));
}
