import type { FrontProxy } from "./authentication-config.ts";
import { type Identity, identityOf } from "./identity.ts";

/**
 * The user that a front proxy names in its headers. The caller has verified the proxy's certificate.
 *
 * @param rawHeaders names and values in turn, as Node received them: joined headers would turn the one group
 *   `dev, system:masters` into two
 * @returns undefined when no header names a user
 */
export function frontProxyIdentity(rawHeaders: readonly string[], proxy: FrontProxy): Identity | undefined {
  const user = firstValue(rawHeaders, proxy.usernameHeaders);
  if (user === "") return undefined;
  const groups: string[] = [];
  const extra = new Map<string, string[]>();
  for (const header of proxy.groupHeaders)
    for (let i = 0; i < rawHeaders.length; i += 2)
      if (rawHeaders[i].toLowerCase() === header && rawHeaders[i + 1] !== "") groups.push(utf8(rawHeaders[i + 1]));
  for (const prefix of proxy.extraPrefixes)
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i].toLowerCase();
      if (!name.startsWith(prefix)) continue;
      const key = unescapeKey(name.slice(prefix.length));
      const values = extra.get(key);
      if (values) values.push(utf8(rawHeaders[i + 1]));
      else extra.set(key, [utf8(rawHeaders[i + 1])]);
    }
  return identityOf(user, groups, extra, firstValue(rawHeaders, proxy.uidHeaders));
}

/** Whether a header states an identity, so that it must not travel on. `name` is lower-case. */
export function isIdentityHeader(name: string, proxy: FrontProxy): boolean {
  return (
    proxy.usernameHeaders.includes(name) ||
    proxy.uidHeaders.includes(name) ||
    proxy.groupHeaders.includes(name) ||
    proxy.extraPrefixes.some((prefix) => name.startsWith(prefix))
  );
}

/** The first line of the first header that has something in its first line. */
function firstValue(rawHeaders: readonly string[], names: readonly string[]): string {
  for (const name of names)
    for (let i = 0; i < rawHeaders.length; i += 2)
      if (rawHeaders[i].toLowerCase() === name) {
        if (rawHeaders[i + 1] !== "") return utf8(rawHeaders[i + 1]);
        break;
      }
  return "";
}

/** Node reads header values as Latin-1; the API server wrote UTF-8. */
function utf8(value: string): string {
  return /[\u0080-\u00ff]/.test(value) ? Buffer.from(value, "latin1").toString("utf8") : value;
}

/** Keys are percent-encoded where HTTP allows no such character, and come lower-cased; broken encodings stay as they are. */
function unescapeKey(key: string): string {
  try {
    return decodeURIComponent(key).toLowerCase();
  } catch {
    return key;
  }
}
