import { hash, randomBytes, type X509Certificate } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { type Refusal, refuse } from "../http/status.ts";
import type { AuthenticationConfig } from "./authentication-config.ts";
import { subjectOf, validity, whyNotTrusted } from "./client-certificate.ts";
import { frontProxyIdentity } from "./front-proxy.ts";
import { anonymous, type Identity, identityOf } from "./identity.ts";
import type { ReviewCache } from "./review-cache.ts";

/** What the API server says of a bearer token. */
export type TokenVerdict =
  | { readonly kind: "Authenticated"; readonly identity: Identity }
  | { readonly kind: "Rejected" };

/** Asks the API server whose token this is. A throw means that the answer is unknown. */
export type TokenReviewer = (token: string) => Promise<TokenVerdict>;

/** Where the configuration stands at present; a new object at each change, undefined until it was read once. */
export type AuthenticationSource = () => AuthenticationConfig | undefined;

export interface AuthenticatorOptions {
  readonly config: AuthenticationSource;
  /** Undefined: bearer tokens are refused. */
  readonly reviewToken: TokenReviewer | undefined;
  readonly tokens: ReviewCache<TokenVerdict>;
  readonly nowMs: () => number;
}

/** The first step of authentication, which never waits. */
export type Recognition =
  | { readonly kind: "Known"; readonly identity: Identity }
  | { readonly kind: "Refused"; readonly refusal: Refusal }
  /** A token that the API server must be asked about. */
  | { readonly kind: "Unreviewed"; readonly review: () => Promise<Identity | Refusal> };

/** What one connection's certificate is worth under one configuration. */
interface CertificateVerdict {
  readonly leaf: X509Certificate | undefined;
  readonly config: AuthenticationConfig;
  /** Until when the verdict holds. */
  readonly untilMs: number;
  readonly isFrontProxy: boolean;
  readonly identity: Identity | undefined;
  readonly isRejected: boolean;
}

const unauthorized = refuse(401, "Unauthorized");

/**
 * Authentication in upstream's order: front proxy, client certificate, bearer token, anonymous. The first that knows the
 * caller wins; credentials that fail everywhere are a 401, never anonymous.
 *
 * @see k8s.io/apiserver/pkg/authentication/authenticatorfactory/delegating.go
 */
export function createAuthenticator(options: AuthenticatorOptions) {
  const verdicts = new WeakMap<object, CertificateVerdict>();
  // The cache knows tokens by a salted hash only.
  const salt = randomBytes(32).toString("base64url");

  function recognise(request: IncomingMessage): Recognition {
    const config = options.config();
    if (config === undefined)
      return {
        kind: "Refused",
        refusal: refuse(503, "the configuration of authentication has not been read yet; try again soon"),
      };
    const certificate = certificateVerdict(request.socket as TLSSocket, config);
    if (certificate.isFrontProxy && config.frontProxy) {
      const identity = frontProxyIdentity(request.rawHeaders, config.frontProxy);
      if (identity) return { kind: "Known", identity };
    }
    if (certificate.identity) return { kind: "Known", identity: certificate.identity };
    const token = bearerToken(request.headers.authorization);
    if (token !== undefined) return recogniseToken(token);
    return certificate.isRejected ? { kind: "Refused", refusal: unauthorized } : { kind: "Known", identity: anonymous };
  }

  function certificateVerdict(socket: TLSSocket, config: AuthenticationConfig): CertificateVerdict {
    const before = verdicts.get(socket);
    const nowMs = options.nowMs();
    if (before && before.config === config && nowMs < before.untilMs) return before;
    // Asked of the socket once: its certificate can't change.
    const leaf = before ? before.leaf : socket.getPeerX509Certificate?.();
    const verdict = verify(leaf, config, nowMs);
    verdicts.set(socket, verdict);
    return verdict;
  }

  function recogniseToken(token: string): Recognition {
    const { reviewToken, tokens } = options;
    if (!reviewToken) return { kind: "Refused", refusal: unauthorized };
    const key = hash("sha256", salt + token, "base64url");
    const verdict = tokens.peek(key);
    if (verdict)
      return verdict.kind === "Authenticated"
        ? { kind: "Known", identity: verdict.identity }
        : { kind: "Refused", refusal: unauthorized };
    return {
      kind: "Unreviewed",
      review: async () => {
        try {
          const reviewed = await tokens.ask(key, () => reviewToken(token));
          return reviewed.kind === "Authenticated" ? reviewed.identity : unauthorized;
        } catch {
          return refuse(500, "the API server could not be asked about the bearer token; try again");
        }
      },
    };
  }

  return { recognise };
}

export type Authenticator = ReturnType<typeof createAuthenticator>;

/** A certificate that can't even be looked at is one that no authority has signed. */
function isTrusted(leaf: X509Certificate, authorities: readonly X509Certificate[], nowMs: number): boolean {
  try {
    return whyNotTrusted(leaf, authorities, nowMs) === undefined;
  } catch {
    return false;
  }
}

function verify(leaf: X509Certificate | undefined, config: AuthenticationConfig, nowMs: number): CertificateVerdict {
  const nothing = { leaf, config, untilMs: Infinity, isFrontProxy: false, identity: undefined, isRejected: false };
  if (!leaf) return nothing;
  // A verdict is looked at again when the certificate's validity begins or ends, and each minute for its authority's.
  const edges = Object.values(validity(leaf)).filter((edgeMs) => edgeMs >= nowMs);
  const untilMs = Math.min(nowMs + 60_000, ...edges.map((edgeMs) => edgeMs + 1));
  const { commonName, organizations } = subjectOf(leaf);
  const { frontProxy, clientAuthorities } = config;
  const isFrontProxy =
    frontProxy !== undefined &&
    isTrusted(leaf, frontProxy.authorities, nowMs) &&
    (frontProxy.allowedNames.length === 0 || frontProxy.allowedNames.includes(commonName));
  const isClient = clientAuthorities.length > 0 && isTrusted(leaf, clientAuthorities, nowMs);
  const fingerprint = leaf.fingerprint256.replaceAll(":", "").toLowerCase();
  const extra = new Map([["authentication.kubernetes.io/credential-id", [`X509SHA256=${fingerprint}`]]]);
  const identity = isClient && commonName !== "" ? identityOf(commonName, organizations, extra) : undefined;
  // A front proxy that names no user, or a certificate that neither list trusts, has shown credentials in vain.
  const isRejected = identity === undefined && (frontProxy !== undefined || clientAuthorities.length > 0);
  return { leaf, config, untilMs, isFrontProxy, identity, isRejected };
}

/** The token of an `Authorization` header, as upstream reads it; undefined when there is none. */
export function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const [scheme, token] = header.trim().split(" ", 3);
  return scheme.toLowerCase() === "bearer" && token ? token : undefined;
}
