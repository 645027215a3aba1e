import type { IncomingMessage } from "node:http";
import type { Log } from "../../kube/log.ts";
import type { Clock } from "../../kube/loop/clock.ts";
import type { RequestLine } from "../http/request-attributes.ts";
import type { RequestContext } from "../http/request-context.ts";
import { isRefusal, type Refusal, refuse } from "../http/status.ts";
import type { ServeMetrics } from "../metrics.ts";
import {
  type AuthenticationSource,
  createAuthenticator,
  type Recognition,
  type TokenReviewer,
  type TokenVerdict,
} from "./authenticator.ts";
import { type AccessReviewer, type AccessVerdict, createAuthorizer, isOpen, mastersGroup } from "./authorizer.ts";
import { isIdentityHeader } from "./front-proxy.ts";
import type { Identity } from "./identity.ts";
import { ReviewCache } from "./review-cache.ts";

export interface GatekeeperOptions {
  readonly authentication: AuthenticationSource;
  /** Absent: bearer tokens are refused. */
  readonly reviewToken?: TokenReviewer;
  readonly reviewAccess: AccessReviewer;
  /** How many verdicts are kept of each kind, and for how long. */
  readonly reviews: number;
  readonly reviewTtlMs: number;
  readonly clock: Clock;
  readonly metrics: Pick<ServeMetrics, "reviews">;
  readonly log: Log;
}

const hpaUser = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
const aggregatorUser = "system:kube-aggregator";

/** Says who asks and whether they may. Undefined is a yes, which the context then has the identity for. */
export class Gatekeeper {
  readonly #options: GatekeeperOptions;
  readonly #tokens: ReviewCache<TokenVerdict>;
  readonly #access: ReviewCache<AccessVerdict>;
  readonly #authenticator: ReturnType<typeof createAuthenticator>;
  readonly #authorize: ReturnType<typeof createAuthorizer>;

  constructor(options: GatekeeperOptions) {
    this.#options = options;
    const { authentication, reviewToken, reviewAccess, reviews, reviewTtlMs, clock } = options;
    const cacheOptions = { max: reviews, ttlMs: reviewTtlMs, monotonicMs: clock.monotonicMs };
    this.#tokens = new ReviewCache<TokenVerdict>(cacheOptions);
    this.#access = new ReviewCache<AccessVerdict>(cacheOptions);
    this.#authenticator = createAuthenticator({
      config: authentication,
      reviewToken: reviewToken && this.#counted("token", reviewToken),
      tokens: this.#tokens,
      nowMs: clock.wallMs,
    });
    this.#authorize = createAuthorizer({ review: this.#counted("access", reviewAccess), verdicts: this.#access });
  }

  /** How many verdicts are kept. */
  get cached(): { readonly tokens: number; readonly access: number } {
    return { tokens: this.#tokens.size, access: this.#access.size };
  }

  /** @param isBusy whether as many requests are in flight as the server takes: then only exempt callers pass */
  admit(
    context: RequestContext,
    line: RequestLine,
    isBusy: boolean,
  ): Refusal | undefined | Promise<Refusal | undefined> {
    const recognition = this.#authenticator.recognise(context.request);
    if (isBusy && !isExempt(recognition, line)) return refuse(429, "too many requests are in flight; try again later");
    switch (recognition.kind) {
      case "Known":
        return this.#permit(context, line, recognition.identity);
      case "Refused":
        // A kubelet's probe must not depend on what the API server says.
        return isOpen(line.attributes) && recognition.refusal.code === 503 ? undefined : recognition.refusal;
      case "Unreviewed":
        return recognition
          .review()
          .then((reviewed) => (isRefusal(reviewed) ? reviewed : this.#permit(context, line, reviewed)));
    }
  }

  /** Removes the caller's credentials and identity headers, so that nothing behind this reads them again. */
  stripIdentity({ headers }: IncomingMessage): void {
    const proxy = this.#options.authentication()?.frontProxy;
    delete headers.authorization;
    if (!proxy) return;
    for (const name of Object.keys(headers)) if (isIdentityHeader(name, proxy)) delete headers[name];
  }

  #permit(context: RequestContext, line: RequestLine, identity: Identity) {
    context.identity = identity;
    if (impersonates(context.request))
      return refuse(403, "impersonation is not supported here; impersonate through the API server");
    return this.#authorize(identity, line.attributes);
  }

  #counted<Arguments extends unknown[], Verdict>(review: string, ask: (...given: Arguments) => Promise<Verdict>) {
    const { metrics, log } = this.#options;
    return async (...given: Arguments): Promise<Verdict> => {
      try {
        const verdict = await ask(...given);
        metrics.reviews.inc({ review, result: "answered" });
        return verdict;
      } catch (error) {
        metrics.reviews.inc({ review, result: "failed" });
        log.warn("the API server did not answer a review", { review, error: (error as Error).message });
        throw error;
      }
    };
  }
}

/** The HPA controller and the API server's own probes are never shed: losing them freezes every workload. */
function isExempt(recognition: Recognition, line: RequestLine): boolean {
  if (isOpen(line.attributes) && line.attributes.verb !== "post") return true;
  if (recognition.kind !== "Known") return false;
  const { user, groups } = recognition.identity;
  return user === hpaUser || user === aggregatorUser || groups.includes(mastersGroup);
}

/** The API server resolves impersonation itself; on a direct call it would be taken for the caller's own name. */
function impersonates({ headers }: IncomingMessage): boolean {
  if (headers["impersonate-user"] !== undefined || headers["impersonate-uid"] !== undefined) return true;
  return headers["impersonate-group"] !== undefined;
}
