import type { Cause } from "../../api/cause.ts";
import { type MetricSpec, metricName } from "../../api/fields/metrics.ts";
import { CollectError } from "../../collect/collect-error.ts";
import type { OpenSource, Sources } from "../metric-source/sources.ts";
import { type LoadQuery, loadQuery } from "./metric-query.ts";
import type { MetricSubject } from "./metric-subject.ts";

/** Where a metric's values come from: a store by a query, the cluster's metrics APIs, or nowhere. */
export type MetricRoute =
  | { readonly kind: "Store"; readonly source: OpenSource; readonly load: LoadQuery }
  | { readonly kind: "Api" }
  | { readonly kind: "Fault"; readonly fault: Cause };

/** Finds the source of a subject's metric, and the query for it. */
export async function routeOf(
  sources: Pick<Sources, "get">,
  subject: MetricSubject,
  spec: MetricSpec,
): Promise<MetricRoute> {
  const outcome = await sources.get(spec.source, subject.namespace);
  if (outcome.kind === "Fault") return outcome;
  if (outcome.kind === "MetricsApi") return { kind: "Api" };
  const { source } = outcome;
  const load = loadQuery(spec, subject.target, subject.namespace);
  if (load === undefined)
    return {
      kind: "Fault",
      fault: {
        reason: "NoMetrics",
        message: `metric source ${source.name} has no default query for ${metricName(spec)}; set spec.metrics[].query`,
      },
    };
  try {
    return { kind: "Store", source, load: { ...load, query: source.tenantQuery(load.query, subject.namespace) } };
  } catch (error) {
    if (!(error instanceof CollectError)) throw error;
    return { kind: "Fault", fault: { reason: "SourceRefused", message: error.message } };
  }
}

/** Why a source did not answer a query, as a cause for conditions. */
export function faultOf({ code, message }: CollectError): Cause {
  const isRefused = code === "Unauthorized" || code === "BadAddress" || code === "BadQuery";
  return { reason: isRefused ? "SourceRefused" : "SourceUnreachable", message };
}
