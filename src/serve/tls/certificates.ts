import {
  constants,
  createPrivateKey,
  generateKeyPair,
  privateEncrypt,
  randomBytes,
  type X509Certificate,
} from "node:crypto";
import { isIP } from "node:net";
import { promisify } from "node:util";
import forge from "node-forge";
import { validity } from "../access/client-certificate.ts";

/** A certificate and its private key, PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

// A little in the past, for clocks that run behind; never a large part of a certificate's life.
const longestBackdateMs = 60_000;

/**
 * Makes an authority.
 *
 * @param name its common name
 */
export function issueAuthority(name: string, lifetimeMs: number, nowMs: number): Promise<Issued> {
  return issue({ commonName: name, lifetimeMs, nowMs, extensions: authorityExtensions });
}

/** Makes a certificate for a server, with an authority's signature. @param names DNS names and IP addresses */
export function issueServing(
  authority: Issued,
  names: readonly string[],
  lifetimeMs: number,
  nowMs: number,
): Promise<Issued> {
  const altNames = names.map((name) => (isIP(name) ? { type: 7, ip: name } : { type: 2, value: name }));
  const extensions = [...leafExtensions("serverAuth"), { name: "subjectAltName", altNames }];
  return issue({ authority, commonName: names[0].slice(0, longestCommonName), lifetimeMs, nowMs, extensions });
}

/** Makes a certificate for a user, with an authority's signature. */
export function issueClient(
  authority: Issued,
  user: { readonly name: string; readonly groups?: readonly string[] },
  lifetimeMs: number,
  nowMs: number,
): Promise<Issued> {
  const { name, groups } = user;
  return issue({
    authority,
    commonName: name,
    organizations: groups,
    lifetimeMs,
    nowMs,
    extensions: leafExtensions("clientAuth"),
  });
}

// By RFC 5280; what a server is called stands in its alternative names anyway.
const longestCommonName = 64;

const authorityExtensions = [
  { name: "basicConstraints", cA: true, critical: true },
  { name: "keyUsage", keyCertSign: true, cRLSign: true, digitalSignature: true, critical: true },
  { name: "subjectKeyIdentifier" },
];

function leafExtensions(usage: "clientAuth" | "serverAuth"): object[] {
  return [
    { name: "basicConstraints", cA: false, critical: true },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    { name: "extKeyUsage", [usage]: true },
  ];
}

interface Subject {
  /** Signs; absent, the certificate signs itself. */
  readonly authority?: Issued;
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly lifetimeMs: number;
  readonly nowMs: number;
  readonly extensions: readonly object[];
}

/** node-forge writes the certificate; keys and signatures are Node's, in threads and without forge's own arithmetic. */
async function issue(subject: Subject): Promise<Issued> {
  const { authority, commonName, organizations = [], lifetimeMs, nowMs, extensions } = subject;
  const keys = await promisify(generateKeyPair)("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(keys.publicKey);
  // A first byte of 1 keeps the number positive and its encoding minimal, which Go insists on.
  certificate.serialNumber = `01${randomBytes(15).toString("hex")}`;
  certificate.validity.notBefore = new Date(nowMs - Math.min(longestBackdateMs, lifetimeMs / 10));
  certificate.validity.notAfter = new Date(nowMs + lifetimeMs);
  certificate.setSubject([
    { name: "commonName", value: commonName, valueTagClass: forge.asn1.Type.UTF8 as never },
    ...organizations.map((value) => ({
      name: "organizationName",
      value,
      valueTagClass: forge.asn1.Type.UTF8 as never,
    })),
  ]);
  const issuer = authority && forge.pki.certificateFromPem(authority.certificate);
  certificate.setIssuer(issuer ? issuer.subject.attributes : certificate.subject.attributes);
  certificate.setExtensions([...extensions]);
  certificate.sign(signer(authority?.key ?? keys.privateKey), forge.md.sha256.create());
  // forge ends lines as Windows does; Node, and so every comparison, does not.
  return { certificate: forge.pki.certificateToPem(certificate).replaceAll("\r", ""), key: keys.privateKey };
}

// DigestInfo of SHA-256 up to the digest itself (RFC 8017, section 9.2, note 1).
const sha256Info = Buffer.from("3031300d060960864801650304020105000420", "hex");

/** What forge takes for a private key: it signs with Node's RSA. */
function signer(key: string): forge.pki.rsa.PrivateKey {
  const sign = (digest: forge.md.MessageDigest) => {
    const info = Buffer.concat([sha256Info, Buffer.from(digest.digest().getBytes(), "latin1")]);
    return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, info).toString("latin1");
  };
  return { sign } as unknown as forge.pki.rsa.PrivateKey;
}

/** Whether an authority signed a certificate, and both are valid now. Verified with Node, never with forge. */
export function isSignedBy(certificate: X509Certificate, authority: X509Certificate, nowMs: number): boolean {
  return (
    certificate.checkIssued(authority) &&
    certificate.verify(authority.publicKey) &&
    [certificate, authority].every((each) => {
      const { fromMs, toMs } = validity(each);
      return nowMs >= fromMs && nowMs < toMs;
    })
  );
}

/** Whether a certificate stands for all of these names. */
export function covers(certificate: X509Certificate, names: readonly string[]): boolean {
  return names.every((name) => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined);
}

/** Whether less than a third of a certificate's life is left. */
export function isAging(certificate: X509Certificate, nowMs: number): boolean {
  const { fromMs, toMs } = validity(certificate);
  return toMs - nowMs < (toMs - fromMs) / 3;
}

/** Whether a key belongs to a certificate. */
export function isKeyOf(key: string, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
