import { X509Certificate } from "node:crypto";
import { parseBundle } from "../access/authentication-config.ts";
import { validity } from "../access/client-certificate.ts";
import { covers, type Issued, isAging, isKeyOf, isSignedBy, issueAuthority, issueServing } from "./certificates.ts";

/** What the replicas share in a Secret. */
export interface StoredCertificates {
  /** Signs serving certificates. */
  readonly authority: Issued | undefined;
  /** Will sign them as soon as every caBundle holds it. */
  readonly next: Issued | undefined;
  /** What callers are to trust: PEM, one certificate after the other. */
  readonly bundle: string;
  readonly serving: Issued | undefined;
}

/** How long certificates live. Seconds in tests; the rules only know thirds of a life. */
export interface Lifetimes {
  readonly authorityMs: number;
  readonly servingMs: number;
  /** From a caBundle that holds the next authority to its first use: the API server must have read it. */
  readonly settleMs: number;
  /** From an authority's last use to its leaving the bundle: every replica must have changed over. */
  readonly overlapMs: number;
}

const dayMs = 86_400_000;

export const defaultLifetimes: Lifetimes = {
  authorityMs: 365 * dayMs,
  servingMs: 7 * dayMs,
  settleMs: 30_000,
  overlapMs: 3_600_000,
};

/** The one thing to do next. */
export type RotationStep =
  | "Nothing"
  /** There is no authority that can sign: begin anew. */
  | "CreateAuthority"
  /** The authority grows old: publish its successor. */
  | "IntroduceAuthority"
  /** The successor is trusted everywhere: sign with it. */
  | "PromoteAuthority"
  | "RenewServing"
  /** Take authorities out of the bundle that no certificate in use depends on. */
  | "PruneBundle";

export interface RotationInputs {
  readonly stored: StoredCertificates;
  /** What the serving certificate must stand for. */
  readonly names: readonly string[];
  /** For how long every caBundle has been equal to the stored bundle, as seen by this replica; undefined when not. */
  readonly publishedForMs: number | undefined;
  readonly lifetimes: Lifetimes;
  readonly nowMs: number;
}

/** Decides the next step of rotation from the whole state: publish the authority, wait for the caBundles, swap the leaf. */
export function planRotation(inputs: RotationInputs): RotationStep {
  const { stored, names, publishedForMs, lifetimes, nowMs } = inputs;
  const authority = usable(stored.authority, nowMs);
  if (!authority?.ca || !bundleHolds(stored.bundle, authority)) return "CreateAuthority";
  const next = usable(stored.next, nowMs);
  const isIntroduced = next?.ca === true && bundleHolds(stored.bundle, next);
  const serving = usable(stored.serving, nowMs);
  if (!serving || !isSignedBy(serving, authority, nowMs) || !covers(serving, names)) return "RenewServing";
  if (isIntroduced && publishedForMs !== undefined && publishedForMs >= lifetimes.settleMs) return "PromoteAuthority";
  if (isAging(serving, nowMs) && !isCappedBy(serving, authority)) return "RenewServing";
  if (!isIntroduced && isAging(authority, nowMs)) return "IntroduceAuthority";
  if (keptBundle(inputs) !== stored.bundle) return "PruneBundle";
  return "Nothing";
}

/** Carries a step out on what is stored; the result is to be stored before it is used. */
export async function rotate(step: RotationStep, inputs: RotationInputs): Promise<StoredCertificates> {
  const { stored, nowMs } = inputs;
  switch (step) {
    case "Nothing":
      return stored;
    case "CreateAuthority": {
      const authority = await newAuthority(inputs);
      // What others may still serve stays trusted until it ends.
      const bundle = join([authority.certificate, ...unexpired(stored.bundle, nowMs).map(String)]);
      return { authority, next: undefined, bundle, serving: await newServing(authority, inputs) };
    }
    case "IntroduceAuthority": {
      const next = await newAuthority(inputs);
      return { ...stored, next, bundle: join([...unexpired(stored.bundle, nowMs).map(String), next.certificate]) };
    }
    case "PromoteAuthority": {
      const authority = stored.next!;
      return { ...stored, authority, next: undefined, serving: await newServing(authority, inputs) };
    }
    case "RenewServing":
      return { ...stored, serving: await newServing(stored.authority!, inputs) };
    case "PruneBundle":
      return { ...stored, bundle: keptBundle(inputs) };
  }
}

function newAuthority({ lifetimes, nowMs }: RotationInputs): Promise<Issued> {
  // A name of its own: of two authorities with one name, verifiers may try the wrong one only.
  return issueAuthority(`forescale-ca-${nowMs.toString(36)}`, lifetimes.authorityMs, nowMs);
}

function newServing(authority: Issued, { names, lifetimes, nowMs }: RotationInputs): Promise<Issued> {
  // Not beyond its authority's end: it would look valid and fail.
  const leftMs = validity(new X509Certificate(authority.certificate)).toMs - nowMs;
  return issueServing(authority, names, Math.min(lifetimes.servingMs, leftMs), nowMs);
}

/** Whether a leaf ends with its authority, so that a new one from the same would live no longer. */
function isCappedBy(serving: X509Certificate, authority: X509Certificate): boolean {
  return validity(serving).toMs >= validity(authority).toMs - 1000;
}

/** The bundle without what has expired, and without what was replaced longer ago than the overlap. */
function keptBundle({ stored, lifetimes, nowMs }: RotationInputs): string {
  const inUse = [stored.authority, stored.next].flatMap((each) =>
    each ? [new X509Certificate(each.certificate).fingerprint256] : [],
  );
  const swappedMs = stored.serving ? validity(new X509Certificate(stored.serving.certificate)).fromMs : nowMs;
  const isOverlapOver = nowMs - swappedMs > lifetimes.overlapMs;
  const kept = unexpired(stored.bundle, nowMs).filter(
    (certificate) => !isOverlapOver || inUse.includes(certificate.fingerprint256),
  );
  return join(kept.map(String));
}

function unexpired(bundle: string, nowMs: number): X509Certificate[] {
  return readBundle(bundle).filter((certificate) => nowMs < validity(certificate).toMs);
}

function bundleHolds(bundle: string, certificate: X509Certificate): boolean {
  return readBundle(bundle).some((each) => each.fingerprint256 === certificate.fingerprint256);
}

function readBundle(bundle: string): X509Certificate[] {
  try {
    return parseBundle(bundle);
  } catch {
    return [];
  }
}

function join(certificates: readonly string[]): string {
  return certificates.map((pem) => `${pem.trim()}\n`).join("");
}

/** The certificate when it can be parsed, is valid now and its key is there; else undefined. */
function usable(pair: Issued | undefined, nowMs: number): X509Certificate | undefined {
  if (!pair) return undefined;
  try {
    const certificate = new X509Certificate(pair.certificate);
    const { toMs } = validity(certificate);
    return nowMs < toMs && isKeyOf(pair.key, certificate) ? certificate : undefined;
  } catch {
    return undefined;
  }
}
