import { setTimeout as sleep } from "node:timers/promises";
import type { TokenReviewer } from "./authenticator.ts";
import type { AccessReviewer } from "./authorizer.ts";
import { identityOf } from "./identity.ts";

/**
 * Posts a review to the API server and gives the object that it answered.
 *
 * @param path such as `/apis/authentication.k8s.io/v1/tokenreviews`
 */
export type PostReview = <Answer>(path: string, body: object, signal: AbortSignal) => Promise<Answer>;

/** How long and how often is asked: the API server's own defaults for delegated reviews. */
export interface Persistence {
  readonly timeoutMs: number;
  readonly firstPauseMs: number;
  readonly factor: number;
  readonly attempts: number;
}

export const defaultPersistence: Persistence = { timeoutMs: 10_000, firstPauseMs: 500, factor: 1.5, attempts: 5 };

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: {
      readonly username?: string;
      readonly uid?: string;
      readonly groups?: readonly string[];
      readonly extra?: Readonly<Record<string, readonly string[]>>;
    };
  };
}

/** Token reviews by the API server, with `authentication.k8s.io/v1`. */
export function reviewTokens(post: PostReview, persistence = defaultPersistence): TokenReviewer {
  return async (token) => {
    const { status } = await persist(persistence, (signal) =>
      post<TokenReview>(
        "/apis/authentication.k8s.io/v1/tokenreviews",
        { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token } },
        signal,
      ),
    );
    if (status?.authenticated !== true || !status.user?.username) return { kind: "Rejected" };
    const { username, uid, groups, extra } = status.user;
    const lowered = new Map(Object.entries(extra ?? {}).map(([key, values]) => [key.toLowerCase(), values]));
    return { kind: "Authenticated", identity: identityOf(username, groups ?? [], lowered, uid) };
  };
}

interface SubjectAccessReview {
  readonly status?: { readonly allowed?: boolean; readonly denied?: boolean };
}

/** Access reviews by the API server, with `authorization.k8s.io/v1`. */
export function reviewAccess(post: PostReview, persistence = defaultPersistence): AccessReviewer {
  return async (identity, attributes) => {
    const { user, uid, groups, extra } = identity;
    const { kind, ...rest } = attributes;
    const { status } = await persist(persistence, (signal) =>
      post<SubjectAccessReview>(
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          spec: {
            user,
            groups,
            ...(uid !== "" && { uid }),
            ...(extra.size > 0 && { extra: Object.fromEntries(extra) }),
            ...(kind === "Path" ? { nonResourceAttributes: rest } : { resourceAttributes: rest }),
          },
        },
        signal,
      ),
    );
    return { isAllowed: status?.allowed === true && status.denied !== true };
  };
}

/** Asks until there is an answer, the attempts are used up or the time is. */
async function persist<T>(persistence: Persistence, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(persistence.timeoutMs);
  let pauseMs = persistence.firstPauseMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask(signal);
    } catch (error) {
      if (attempt >= persistence.attempts || signal.aborted) throw error;
    }
    await sleep(pauseMs, undefined, { signal });
    pauseMs *= persistence.factor;
  }
}
