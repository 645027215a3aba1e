import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import {
  AuthenticationConfigError,
  readAuthenticationConfig,
} from "../../../../src/serve/access/authentication-config.ts";
import { bearerToken } from "../../../../src/serve/access/authenticator.ts";
import { subjectOf, whyNotTrusted } from "../../../../src/serve/access/client-certificate.ts";
import { frontProxyIdentity } from "../../../../src/serve/access/front-proxy.ts";
import { identityOf } from "../../../../src/serve/access/identity.ts";
import { issueAuthority, issueClient } from "../../../../src/serve/tls/certificates.ts";
import { authenticationOf, type Credentials, makeCredentials } from "../serve-world.ts";

let credentials: Credentials;
beforeAll(async () => {
  credentials = await makeCredentials();
});

describe("a client's certificate", () => {
  const why = (pem: string, authority: string, atMs = Date.now()) =>
    whyNotTrusted(new X509Certificate(pem), [new X509Certificate(authority)], atMs);

  test("is good under the authority that signed it, and under no other", () => {
    const { callers, clientCa, frontProxyCa } = credentials;
    expect(why(callers.tenant.certificate, clientCa.certificate)).toBeUndefined();
    expect(why(callers.tenant.certificate, frontProxyCa.certificate)).toMatch("unknown authority");
    expect(why(callers.frontProxy.certificate, clientCa.certificate)).toMatch("unknown authority");
  });

  test("is not good before and after its time, nor when its authority has ended", () => {
    const { callers, clientCa } = credentials;
    const day = 86_400_000;
    expect(why(callers.frontProxyExpired.certificate, credentials.frontProxyCa.certificate)).toMatch("expired");
    expect(why(callers.tenant.certificate, clientCa.certificate, Date.now() - day)).toMatch("not valid yet");
    expect(why(callers.tenant.certificate, clientCa.certificate, Date.now() + 2 * day)).toMatch("expired");
  });

  test("is not good for servers only", () => {
    const { callers, frontProxyCa } = credentials;
    expect(why(callers.frontProxyServerAuth.certificate, frontProxyCa.certificate)).toMatch("not meant");
  });

  test("does not make an authority of itself", async () => {
    const { callers } = credentials;
    const forged = await issueClient(callers.tenant, { name: "admin", groups: ["system:masters"] }, 1e6, Date.now());
    expect(why(forged.certificate, callers.tenant.certificate)).toMatch("unknown authority");
    expect(why(forged.certificate, credentials.clientCa.certificate)).toMatch("unknown authority");
  });

  test("of an authority with the same name but another key is not good", async () => {
    const twin = await issueAuthority("client-ca", 1e6, Date.now());
    const leaf = await issueClient(twin, { name: "admin" }, 1e6, Date.now());
    expect(why(leaf.certificate, credentials.clientCa.certificate)).toMatch("unknown authority");
  });

  test("keeps names apart, whatever stands in them", async () => {
    const names = ["dev, O=system:masters", "a\nO=system:masters", "日本", "x+O=y", 'quo"te', "back\\slash"];
    const leaf = await issueClient(credentials.clientCa, { name: "CN\nCN=admin", groups: names }, 1e6, Date.now());
    expect(subjectOf(new X509Certificate(leaf.certificate))).toEqual({
      commonName: "CN\nCN=admin",
      organizations: names,
    });
  });
});

describe("a front proxy's headers", () => {
  const proxy = () => authenticationOf(credentials).frontProxy;
  const read = (...headers: string[]) => frontProxyIdentity(headers, proxy());

  test("give user, groups and extra with all their values", () => {
    const identity = read(
      "X-Remote-User",
      "jane",
      "x-remote-group",
      "dev",
      "X-REMOTE-GROUP",
      "ops, system:masters",
      "X-Remote-Extra-Example.com%2fScope",
      "a",
      "X-Remote-Extra-example.com%2Fscope",
      "b",
      "X-Remote-Uid",
      "42",
    );
    expect(identity).toMatchObject({ user: "jane", uid: "42" });
    expect(identity?.groups).toEqual(["dev", "ops, system:masters", "system:authenticated"]);
    expect([...identity!.extra]).toEqual([["example.com/scope", ["a", "b"]]]);
  });

  test("without a user give nobody; an empty first line does not give way to a second", () => {
    expect(read("X-Remote-Group", "system:masters")).toBeUndefined();
    expect(read("X-Remote-User", "", "X-Remote-User", "admin")).toBeUndefined();
  });

  test("are UTF-8, which Node reads as Latin-1", () => {
    expect(read("X-Remote-User", Buffer.from("jürgen").toString("latin1"))?.user).toBe("jürgen");
  });

  test("a broken percent-encoding stays as it is, and reserved names are only names", () => {
    const identity = read("X-Remote-User", "jane", "X-Remote-Extra-50%", "a", "X-Remote-Extra-__proto__", "b");
    expect(Object.fromEntries(identity!.extra)).toEqual(
      Object.fromEntries([
        ["50%", ["a"]],
        ["__proto__", ["b"]],
      ]),
    );
    expect(({} as { b?: unknown }).b).toBeUndefined();
  });

  test("never give a group that no group line holds", () => {
    const header = fc.tuple(
      fc.constantFrom("X-Remote-User", "X-Remote-Group", "X-Remote-Extra-scope", "X-Remote-Groups", "Cookie"),
      fc.constantFrom("a", "", "system:masters", "a, system:masters", "a\tb", "system:masters,"),
    );
    fc.assert(
      fc.property(fc.array(header), (headers) => {
        const identity = read(...headers.flat());
        const lines = headers.filter(([name, value]) => name === "X-Remote-Group" && value !== "");
        const user = headers.find(([name]) => name === "X-Remote-User")?.[1];
        expect(identity?.user).toBe(user || undefined);
        const groups = identity?.groups.filter((group) => group !== "system:authenticated");
        if (identity) expect(groups).toEqual(lines.map(([, value]) => value));
      }),
    );
  });
});

test("identities have the same key exactly when they are the same", () => {
  const anyone = fc.tuple(
    fc.string(),
    fc.array(fc.string()),
    fc.string(),
    fc.dictionary(fc.string(), fc.array(fc.string())),
  );
  const key = ([user, groups, uid, extra]: [string, string[], string, Record<string, string[]>]) =>
    identityOf(user, groups, new Map(Object.entries(extra)), uid).key;
  fc.assert(fc.property(anyone, anyone, (a, b) => (key(a) === key(b)) === (JSON.stringify(a) === JSON.stringify(b))));
  expect(identityOf("a", ["b", "c"]).key).not.toBe(identityOf("a", ["b,c"]).key);
});

test.each([
  [undefined, undefined],
  ["Bearer abc", "abc"],
  ["bearer abc", "abc"],
  ["  Bearer abc  ", "abc"],
  ["Bearer abc def", "abc"],
  ["Bearer", undefined],
  ["Bearer  abc", undefined],
  ["Basic abc", undefined],
  ["", undefined],
])("the authorization %j holds the token %j", (header, token) => {
  expect(bearerToken(header)).toBe(token);
});

describe("the configuration of authentication", () => {
  test("is read as the API server writes it", () => {
    const config = readAuthenticationConfig({
      "client-ca-file": credentials.clientCa.certificate + credentials.servingCa.certificate,
      "requestheader-client-ca-file": credentials.frontProxyCa.certificate,
      "requestheader-allowed-names": '["front-proxy-client"]',
      "requestheader-username-headers": '["X-Remote-User"]',
      "requestheader-uid-headers": '["X-Remote-Uid"]',
      "requestheader-group-headers": '["X-Remote-Group"]',
      "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    });
    expect(config.clientAuthorities).toHaveLength(2);
    expect(config.frontProxy).toMatchObject({
      allowedNames: ["front-proxy-client"],
      usernameHeaders: ["x-remote-user"],
      extraPrefixes: ["x-remote-extra-"],
    });
  });

  test("believes nobody where it is empty", () => {
    expect(readAuthenticationConfig({})).toEqual({ clientAuthorities: [], frontProxy: undefined });
  });

  test.each([
    { "client-ca-file": "no certificate" },
    { "client-ca-file": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" },
    { "requestheader-client-ca-file": "x" },
  ] as Record<string, string>[])("that can't be read is refused whole: %j", (data) => {
    expect(() => readAuthenticationConfig(data)).toThrow(AuthenticationConfigError);
  });

  test("with names that are no list is refused", () => {
    const data = { "requestheader-client-ca-file": credentials.frontProxyCa.certificate };
    for (const names of ["front-proxy-client", "{}", "[1]"])
      expect(() => readAuthenticationConfig({ ...data, "requestheader-allowed-names": names })).toThrow(
        "allowed-names",
      );
  });
});
