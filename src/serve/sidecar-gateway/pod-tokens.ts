import type { PostReview } from "../access/reviews.ts";

/** The pod that a token was made for. */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** When the token says that it ends. */
  readonly expiresMs: number;
}

/** Whose pod's token it is; a text says why it is none. A throw means that the answer is unknown. */
export type PodTokenReviewer = (token: string) => Promise<PodIdentity | string>;

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
  };
}

const timeoutMs = 10_000;

/**
 * Reviews of projected, pod-bound service-account tokens by the API server.
 *
 * @param audience that the token must have been made for: one for the API server itself is refused
 */
export function reviewPodTokens(post: PostReview, audience: string): PodTokenReviewer {
  return async (token) => {
    const { status } = await post<TokenReview>(
      "/apis/authentication.k8s.io/v1/tokenreviews",
      { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences: [audience] } },
      AbortSignal.timeout(timeoutMs),
    );
    if (status?.authenticated !== true) return "the API server does not know the token";
    // An API server without audiences answers without them, and would vouch for any token.
    if (!status.audiences?.includes(audience)) return `the token is not for the audience ${audience}`;
    const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(status.user?.username ?? "") ?? [];
    const name = status.user?.extra?.["authentication.kubernetes.io/pod-name"]?.[0];
    const uid = status.user?.extra?.["authentication.kubernetes.io/pod-uid"]?.[0];
    if (!namespace || !name || !uid) return "the token is not bound to a pod";
    return { namespace, name, uid, expiresMs: expiryOf(token) };
  };
}

/** The end that a token states of itself, read after the API server has vouched for it; now or past where it states none. */
function expiryOf(token: string): number {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString("utf8"));
    return Number.isFinite(exp) ? exp * 1000 : 0;
  } catch {
    return 0;
  }
}

/** Reviews under way at once; sidecars come back all at once after a restart. */
const mostReviews = 32;

/** Has pods' tokens reviewed, a few at a time. */
export class PodTokens {
  readonly #review: PodTokenReviewer;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  constructor(review: PodTokenReviewer) {
    this.#review = review;
  }

  /** @returns whose token it is, or why it is nobody's. @throws where the API server gives no answer */
  async review(token: string): Promise<PodIdentity | string> {
    if (this.#underWay >= mostReviews) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#underWay++;
    try {
      return await this.#review(token);
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#underWay--;
    }
  }
}
