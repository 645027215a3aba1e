import type { X509Certificate } from "node:crypto";

const clientAuth = "1.3.6.1.5.5.7.3.2";
const anyExtendedKeyUsage = "2.5.29.37.0";

/**
 * Why a client's certificate is not to be believed, by the rules of Go's `Verify` with key usage clientAuth.
 *
 * **Differs**: authorities are trusted directly, and a chain through intermediates that the client sends is refused
 * rather than checked, because Node's `X509Certificate` shows neither path lengths nor name constraints.
 *
 * @param authorities any of them may have signed; one authority's word never counts for another list
 * @returns undefined when the certificate is good
 */
export function whyNotTrusted(
  leaf: X509Certificate,
  authorities: readonly X509Certificate[],
  nowMs: number,
): string | undefined {
  const issuer = authorities.find(
    (authority) => authority.ca && leaf.checkIssued(authority) && leaf.verify(authority.publicKey),
  );
  if (!issuer) return "it is signed by an unknown authority";
  if (/md5|sha1/i.test(leaf.signatureAlgorithm ?? "")) return "its signature uses a broken digest";
  if (!isValidAt(leaf, nowMs)) return "it has expired or is not valid yet";
  if (!isValidAt(issuer, nowMs)) return "its authority has expired or is not valid yet";
  // `keyUsage` is the *extended* key usage, in spite of its name; without the extension any use is meant.
  const usages: readonly string[] | undefined = leaf.keyUsage;
  if (usages !== undefined && !usages.includes(clientAuth) && !usages.includes(anyExtendedKeyUsage))
    return "it is not meant for client authentication";
  return undefined;
}

/** First and last moment of validity, in milliseconds since the epoch. */
export function validity(certificate: X509Certificate): { fromMs: number; toMs: number } {
  return { fromMs: certificate.validFromDate.getTime(), toMs: certificate.validToDate.getTime() };
}

function isValidAt(certificate: X509Certificate, nowMs: number): boolean {
  const { fromMs, toMs } = validity(certificate);
  return nowMs >= fromMs && nowMs <= toMs;
}

/** Common name (the last one, as in Go; "" when there is none) and organisations of a certificate's subject. */
export function subjectOf(certificate: X509Certificate): { commonName: string; organizations: readonly string[] } {
  // The legacy object holds the attributes as they are; `subject` is one text in which a name could fake another.
  const subject = certificate.toLegacyObject().subject as unknown as Record<string, string | string[] | undefined>;
  return { commonName: list(subject.CN).at(-1) ?? "", organizations: list(subject.O) };
}

function list(value: string | string[] | undefined): string[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}
