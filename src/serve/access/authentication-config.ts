import { X509Certificate } from "node:crypto";

/** Whom to believe: the parsed ConfigMap `kube-system/extension-apiserver-authentication`. */
export interface AuthenticationConfig {
  /** Undefined: no front proxy is believed. */
  readonly frontProxy: FrontProxy | undefined;
  /** Authorities whose certificates name a user; none: no client certificate is believed. */
  readonly clientAuthorities: readonly X509Certificate[];
}

/** Whose word about the user counts, and in which headers it stands (lower case). */
export interface FrontProxy {
  readonly authorities: readonly X509Certificate[];
  /** Common names that may speak for users; empty means any. */
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraPrefixes: readonly string[];
}

/** A ConfigMap that can't be believed; the message names the key. */
export class AuthenticationConfigError extends Error {}

/** `data` of the ConfigMap. */
export type AuthenticationConfigData = Readonly<Record<string, string>>;

/**
 * Parses the ConfigMap's data.
 *
 * @throws AuthenticationConfigError when a key holds something else than it should
 */
export function readAuthenticationConfig(data: AuthenticationConfigData): AuthenticationConfig {
  const frontProxyAuthorities = certificates(data, "requestheader-client-ca-file");
  const headers = (key: string) => strings(data, key).map((name) => name.toLowerCase());
  return {
    clientAuthorities: certificates(data, "client-ca-file"),
    frontProxy:
      frontProxyAuthorities.length === 0
        ? undefined
        : {
            authorities: frontProxyAuthorities,
            allowedNames: strings(data, "requestheader-allowed-names"),
            usernameHeaders: headers("requestheader-username-headers"),
            uidHeaders: headers("requestheader-uid-headers"),
            groupHeaders: headers("requestheader-group-headers"),
            extraPrefixes: headers("requestheader-extra-headers-prefix"),
          },
  };
}

/** The certificates in a PEM bundle. @throws when one of them can't be parsed */
export function parseBundle(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function certificates(data: AuthenticationConfigData, key: string): X509Certificate[] {
  const pem = data[key];
  if (pem === undefined || pem.trim() === "") return [];
  try {
    const parsed = parseBundle(pem);
    if (parsed.length > 0) return parsed;
  } catch (cause) {
    throw new AuthenticationConfigError(`${key} holds a certificate that can't be parsed`, { cause });
  }
  throw new AuthenticationConfigError(`${key} holds no certificate`);
}

function strings(data: AuthenticationConfigData, key: string): string[] {
  const text = data[key];
  if (text === undefined || text === "") return [];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((item) => typeof item === "string")) return list;
  } catch (cause) {
    throw new AuthenticationConfigError(`${key} is not JSON`, { cause });
  }
  throw new AuthenticationConfigError(`${key} is not a list of strings`);
}
