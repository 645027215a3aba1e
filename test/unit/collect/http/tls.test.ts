import { generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import forge from "node-forge";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Credentials, type CredentialValues } from "../../../../src/collect/http/credentials.ts";
import { PrometheusClient } from "../../../../src/collect/prometheus/prometheus.ts";

/** A certificate for `store.example` that signs itself. */
function selfSigned(daysValid: number) {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = "01";
  certificate.validity.notBefore = new Date(Date.now() - 10 * 86_400_000);
  certificate.validity.notAfter = new Date(Date.now() + daysValid * 86_400_000);
  const subject = [{ name: "commonName", value: "store.example" }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: "basicConstraints", cA: true },
    { name: "subjectAltName", altNames: [{ type: 2, value: "store.example" }] },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create());
  return { key: privateKey, cert: forge.pki.certificateToPem(certificate) };
}

const good = selfSigned(10);
const expired = selfSigned(-1);
const servers: Server[] = [];
const ports: number[] = [];

beforeAll(async () => {
  for (const pair of [good, expired]) {
    const server = createServer(pair, (_, response) => {
      response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result: [] } }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(server);
    ports.push((server.address() as AddressInfo).port);
  }
});
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

function ask(host: string, port: number, credentials: CredentialValues) {
  return new PrometheusClient({
    name: "main",
    url: `https://${host}:${port}`,
    addresses: { allowLoopback: true },
    credentials: new Credentials(credentials),
    retries: { attempts: 1 },
    resolve: async () => [{ address: "127.0.0.1", family: 4 }],
  }).instant("load");
}

test("a certificate of the source's own authority is accepted", async () => {
  expect(await ask("store.example", ports[0], { ca: good.cert })).toEqual([]);
});

test.each<{ name: string; host: string; which: 0 | 1; ca?: string; says: RegExp }>([
  {
    name: "of an unknown authority",
    host: "store.example",
    which: 0,
    says: /unknown authority; give that authority's certificate/,
  },
  { name: "of another authority", host: "store.example", which: 0, ca: expired.cert, says: /unknown authority/ },
  {
    name: "for another host",
    host: "other.example",
    which: 0,
    ca: good.cert,
    says: /for another host; use a host name/,
  },
  {
    name: "that has expired",
    host: "store.example",
    which: 1,
    ca: expired.cert,
    says: /expired certificate; renew it/,
  },
])("a certificate $name is refused with the remedy", async ({ host, which, ca, says }) => {
  await expect(ask(host, ports[which], { ca })).rejects.toMatchObject({
    code: "Unreachable",
    message: expect.stringMatching(says),
  });
});

test("plain HTTP where TLS is spoken is told as such", async () => {
  const plain = new PrometheusClient({
    name: "main",
    url: `http://127.0.0.1:${ports[0]}`,
    addresses: { allowLoopback: true },
    retries: { attempts: 1 },
  });
  await expect(plain.instant("load")).rejects.toMatchObject({
    code: "Unreachable",
    message: expect.stringMatching(/http: or https:|closed the connection/),
  });
});
