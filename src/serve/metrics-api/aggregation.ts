import { Transport } from "../../kube/client/http.ts";
import type { Connection } from "../../kube/client/kubeconfig.ts";
import { externalMetricsPath, instanceHeader } from "../names.ts";

/** Whether a request through the API server reaches a server of ours. */
export type Aggregation =
  | { readonly kind: "Reached"; readonly instance: string }
  | { readonly kind: "NotReached"; readonly why: string };

const patienceMs = 5000;

/**
 * Asks ourselves through the API server. `Available` of the APIService does not tell: its probe verifies no certificate,
 * so that a wrong caBundle leaves it True while every request fails.
 */
export async function probeAggregation(connection: Connection): Promise<Aggregation> {
  try {
    const response = await new Transport(connection).send({
      method: "GET",
      path: externalMetricsPath,
      headers: { accept: "application/json", "user-agent": "forescale" },
      body: undefined,
      signal: AbortSignal.timeout(patienceMs),
    });
    const instance = response.headers[instanceHeader.toLowerCase()];
    response.resume();
    if (response.statusCode !== 200)
      return { kind: "NotReached", why: `the API server answered ${response.statusCode} for ${externalMetricsPath}` };
    if (typeof instance !== "string")
      return { kind: "NotReached", why: `another program answers ${externalMetricsPath}; look at its APIService` };
    return { kind: "Reached", instance };
  } catch (error) {
    return { kind: "NotReached", why: `the API server did not answer: ${(error as Error).message}` };
  }
}
