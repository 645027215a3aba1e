import { generateKeyPair, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import forge from "node-forge";

const dayMs = 86_400_000;

/** A certificate and its private key, both PEM. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

/** What a certificate may be used for. */
export type Usage = "clientAuth" | "serverAuth";

/** What {@link issue} puts into a certificate; valid for 30 days unless `expired`. */
export interface CertificateOptions {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly addresses?: readonly string[];
  readonly usages: readonly Usage[];
  readonly expired?: boolean;
}

/** A user as the API server sees it: the certificate's common name and organisations. */
export interface ClientCertificateOptions {
  readonly user: string;
  readonly groups?: readonly string[];
  /** Who signs; the cluster's authority unless given. */
  readonly ca?: Identity;
  readonly expired?: boolean;
  /** `["clientAuth"]` unless given. */
  readonly usages?: readonly Usage[];
}

/** The authorities of one control plane; the same as files in `dir` (NAME.crt, NAME.key). */
export interface Pki {
  readonly dir: string;
  readonly clusterAuthority: Identity;
  readonly frontProxyAuthority: Identity;
  /** A component's own identity. */
  readonly identities: Readonly<Record<ComponentUser, Identity>>;
  clientCertificate(options: ClientCertificateOptions): Promise<Identity>;
  servingCertificate(options: { dnsNames?: string[]; addresses?: string[]; ca?: Identity }): Promise<Identity>;
}

/** Those who hold a certificate from the start. */
export type ComponentUser = "apiserver" | "admin" | "controller-manager" | "scheduler" | "front-proxy";

/** The common name that the API server's `--requestheader-allowed-names` lists. */
export const frontProxyUser = "front-proxy-client";

/** Makes a self-signed authority. */
export async function makeAuthority(commonName: string): Promise<Identity> {
  const { keys, certificate } = await unsigned({ commonName, usages: [] });
  certificate.setIssuer(certificate.subject.attributes);
  certificate.setExtensions([
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, digitalSignature: true, critical: true },
    { name: "subjectKeyIdentifier" },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(keys.privateKey), forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key: keys.privateKey };
}

/** Makes a key and a certificate for it, signed by the authority. */
export async function issue(authority: Identity, options: CertificateOptions): Promise<Identity> {
  const { keys, certificate } = await unsigned(options);
  const issuer = forge.pki.certificateFromPem(authority.certificate);
  certificate.setIssuer(issuer.subject.attributes);
  const names = [
    ...(options.dnsNames ?? []).map((value) => ({ type: 2, value })),
    ...(options.addresses ?? []).map((ip) => ({ type: 7, ip })),
  ];
  certificate.setExtensions([
    { name: "basicConstraints", cA: false, critical: true },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    { name: "extKeyUsage", ...Object.fromEntries(options.usages.map((usage) => [usage, true])) },
    ...(names.length > 0 ? [{ name: "subjectAltName", altNames: names }] : []),
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(authority.key), forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key: keys.privateKey };
}

/** Makes everything that a control plane needs to start, and writes it to `dir`, readable by its owner only. */
export async function makePki(dir: string): Promise<Pki> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const [clusterAuthority, frontProxyAuthority, serviceAccounts] = await Promise.all([
    makeAuthority("cluster-ca"),
    makeAuthority("front-proxy-ca"),
    newKeys(),
  ]);
  const client = (commonName: string, organizations: string[] = [], authority = clusterAuthority) =>
    issue(authority, { commonName, organizations, usages: ["clientAuth"] });
  const [apiserver, admin, controllerManager, scheduler, frontProxy] = await Promise.all([
    issue(clusterAuthority, {
      commonName: "kube-apiserver",
      dnsNames: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
      addresses: ["127.0.0.1"],
      usages: ["serverAuth"],
    }),
    client("admin", ["system:masters"]),
    client("system:kube-controller-manager"),
    client("system:kube-scheduler"),
    client(frontProxyUser, [], frontProxyAuthority),
  ]);
  const identities = {
    apiserver,
    admin,
    "controller-manager": controllerManager,
    scheduler,
    "front-proxy": frontProxy,
  };
  const files = { ...identities, ca: clusterAuthority, "front-proxy-ca": frontProxyAuthority };
  for (const [name, { certificate, key }] of Object.entries(files)) {
    writeFileSync(join(dir, `${name}.crt`), certificate);
    writeFileSync(join(dir, `${name}.key`), key, { mode: 0o600 });
  }
  writeFileSync(join(dir, "service-accounts.key"), serviceAccounts.privateKey, { mode: 0o600 });
  writeFileSync(join(dir, "service-accounts.pub"), serviceAccounts.publicKey);
  return {
    dir,
    clusterAuthority,
    frontProxyAuthority,
    identities,
    clientCertificate: ({ user, groups, ca = clusterAuthority, expired, usages = ["clientAuth"] }) =>
      issue(ca, { commonName: user, organizations: groups, expired, usages }),
    servingCertificate: ({ dnsNames = [], addresses, ca = clusterAuthority }) =>
      issue(ca, { commonName: dnsNames[0] ?? addresses?.[0] ?? "", dnsNames, addresses, usages: ["serverAuth"] }),
  };
}

async function unsigned(options: CertificateOptions) {
  const keys = await newKeys();
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(keys.publicKey);
  // A first byte of 1 keeps the number positive and its encoding minimal, which Go insists on.
  certificate.serialNumber = `01${randomBytes(15).toString("hex")}`;
  const lastMs = options.expired ? Date.now() - dayMs : Date.now() + 30 * dayMs;
  // A little in the past, for clocks that run behind.
  certificate.validity.notBefore = new Date(Date.now() - (options.expired ? 2 * dayMs : 3_600_000));
  certificate.validity.notAfter = new Date(lastMs);
  certificate.setSubject([
    { name: "commonName", value: options.commonName },
    ...(options.organizations ?? []).map((value) => ({ name: "organizationName", value })),
  ]);
  return { keys, certificate };
}

/** Node makes the keys, in threads: node-forge's own arithmetic takes seconds. */
function newKeys(): Promise<{ publicKey: string; privateKey: string }> {
  return promisify(generateKeyPair)("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
}
