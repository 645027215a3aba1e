import { inspect } from "node:util";

/** What a source is asked with. All of it is bound to that source's URL and sent nowhere else. */
export interface CredentialValues {
  readonly bearerToken?: string;
  readonly basic?: { readonly username: string; readonly password: string };
  /** More request headers, such as `X-Scope-OrgID`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** PEM of the authorities that sign the source's certificate; the system's where absent. */
  readonly ca?: string;
  /** PEM of a client certificate and its key. */
  readonly certificate?: string;
  readonly key?: string;
}

/** Headers that credentials may not set: they frame the request, or carry what `bearerToken` and `basic` carry. */
const framing = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
  "accept-encoding",
  "te",
]);

/** Credentials that do not show themselves: neither printing, logging nor JSON reveals a value. */
export class Credentials {
  readonly #values: CredentialValues;

  /** @throws TypeError where a header cannot be sent, naming the header and never its value */
  constructor(values: CredentialValues = {}) {
    if (values.bearerToken !== undefined && values.basic !== undefined)
      throw new TypeError("a metric source takes a bearer token or a user with password, not both");
    for (const [name, value] of Object.entries(values.headers ?? {})) {
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || framing.has(name.toLowerCase()))
        throw new TypeError(`the request header ${inspect(name.slice(0, 64))} cannot be set for a metric source`);
      if (!sendable(value))
        throw new TypeError(`the value of the request header ${name} has characters that cannot be sent`);
    }
    if (values.bearerToken !== undefined && !sendable(values.bearerToken.trim()))
      throw new TypeError("the bearer token has characters that cannot be sent; check the Secret's key");
    this.#values = values;
  }

  /** Request headers of these credentials. */
  headers(): Record<string, string> {
    const { bearerToken, basic, headers } = this.#values;
    return {
      ...headers,
      ...(bearerToken !== undefined && { authorization: `Bearer ${bearerToken.trim()}` }),
      ...(basic && {
        authorization: `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString("base64")}`,
      }),
    };
  }

  /** What a TLS connection needs. */
  tls(): { ca?: string; cert?: string; key?: string } {
    const { ca, certificate, key } = this.#values;
    return { ...(ca && { ca }), ...(certificate && { cert: certificate }), ...(key && { key }) };
  }

  /** `text` with each secret value taken out: a server may repeat what it was sent. */
  redact(text: string): string {
    const { bearerToken, basic, headers } = this.#values;
    const encoded = basic && Buffer.from(`${basic.username}:${basic.password}`).toString("base64");
    const secrets = [bearerToken?.trim(), basic?.password, encoded, ...Object.values(headers ?? {})];
    return secrets
      .filter((secret) => secret !== undefined && secret.length >= 4)
      .reduce<string>((clean, secret) => clean.replaceAll(secret!, "[redacted]"), text);
  }

  toJSON(): string {
    return "[credentials]";
  }

  [inspect.custom](): string {
    return "[credentials]";
  }
}

function sendable(value: string): boolean {
  return !/[^\t\x20-\x7e\x80-\xff]/.test(value);
}
