import { type Log, silent } from "../log.ts";
import { type Clock, sleep, systemClock } from "../loop/clock.ts";
import type { KubeClient } from "./client.ts";
import { isKubeError, KubeError, type KubeErrorCode } from "./kube-error.ts";
import type { ObjectKey } from "./resource.ts";

export interface PreflightOptions {
  readonly client: KubeClient;
  /** The program's Lease: without the right to write it nothing can be done. */
  readonly lease: ObjectKey;
  /** How long a server that does not answer, or refuses, is asked again; default 30 s. */
  readonly patienceMs?: number;
  readonly clock?: Clock;
  readonly log?: Log;
}

/** What the server says of us, or we of it, that will not change by asking again. */
const final: ReadonlySet<KubeErrorCode> = new Set([
  "Unauthorized",
  "Untrusted",
  "Configuration",
  "BadRequest",
  "BadAnswer",
  "NotFound",
  "Invalid",
]);
const retryMs = 2_000;
const timeoutMs = 5_000;

interface Review {
  readonly status?: { readonly allowed?: boolean };
}

/**
 * Asks the API server whether we may do our work, before any of it begins: a configuration that cannot work ends the program at
 * once and with one sentence, a server that is away or does not know our rights yet gets some time.
 *
 * @throws KubeError with what is wrong and what to do; the signal's reason when aborted
 */
export async function preflight(options: PreflightOptions, signal: AbortSignal): Promise<void> {
  const { client, patienceMs = 30_000, clock = systemClock, log = silent } = options;
  const untilMs = clock.monotonicMs() + patienceMs;
  for (;;) {
    try {
      await mayLead(options, signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!isKubeError(error)) throw error;
      if (isKubeError(error, "BadRequest") && client.connection.server.protocol === "http:")
        throw new KubeError(
          "Configuration",
          `${error.message}; the kubeconfig's server begins with http://, and ${client.connection.server.host} may want https://`,
        );
      if (final.has(error.code) || clock.monotonicMs() + retryMs >= untilMs) throw error;
      log.warn("the API server is asked again", { cause: error.code, error: error.message });
      await sleep(clock, retryMs, signal);
    }
  }
}

async function mayLead({ client, lease: { namespace, name } }: PreflightOptions, signal: AbortSignal): Promise<void> {
  const review = await client.call<Review>({
    method: "POST",
    path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    body: {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: {
        resourceAttributes: { namespace, name, verb: "update", group: "coordination.k8s.io", resource: "leases" },
      },
    },
    verb: "create",
    object: "selfsubjectaccessreviews.authorization.k8s.io",
    resource: "selfsubjectaccessreviews",
    timeoutMs,
    signal,
  });
  if (typeof review?.status?.allowed !== "boolean")
    throw new KubeError(
      "BadAnswer",
      `${client.connection.server.host} does not answer as a Kubernetes API server; check the kubeconfig's server`,
    );
  if (!review.status.allowed)
    throw new KubeError(
      "Forbidden",
      `this user may not update the Lease ${namespace}/${name}; apply the manifests (\`kubectl apply --server-side -k manifests\`) and run as their service account, or grant the verb`,
    );
}
