import { metricName } from "../../api/fields/metrics.ts";
import { ihpaLabel, loadMetric, metricLabel, replicasMetric } from "../../api/labels.ts";
import {
  type Labels,
  matches,
  parseSelector,
  pinned,
  type Selector,
  SelectorError,
} from "../../api/values/label-selector.ts";
import { formatQuantity } from "../../api/values/quantity.ts";
import { isWatch, type RequestLine } from "../http/request-attributes.ts";
import { type Refusal, refuse } from "../http/status.ts";
import { externalMetricsGroup } from "../names.ts";
import { type Served, type ServedInputs, servedLoad, servedReplicas } from "./served-number.ts";
import type { Snapshot } from "./snapshot.ts";

/** What a well-formed request for a metric asks. */
export interface MetricQuery {
  readonly metric: typeof replicasMetric | typeof loadMetric;
  /** From the path, and from nowhere else. */
  readonly namespace: string;
  readonly selector: Selector;
}

/** A list of values, ready to be written. */
export interface MetricAnswer {
  readonly body: string;
  /** The rungs of its items, for the audit line: `Fresh`, or several with commas. */
  readonly rungs: string;
}

const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * Reads a request for a metric, after access was granted.
 *
 * @returns a refusal with the code that the upstream adapter library would give
 */
export function readMetricQuery(method: string, line: RequestLine): MetricQuery | Refusal {
  const { attributes, query, path } = line;
  // Double and trailing slashes pass for the access check, as in Go; for an answer the path must be exact.
  if (attributes.kind !== "Resource" || attributes.name !== "" || path.includes("//") || path.endsWith("/"))
    return notFound("the server could not find the requested resource");
  const { namespace, resource } = attributes;
  if (!namespacePattern.test(namespace) || (resource !== replicasMetric && resource !== loadMetric))
    return notFound(
      namespace === ""
        ? "external metrics are read in a namespace: /apis/external.metrics.k8s.io/v1beta1/namespaces/NAMESPACE/METRIC"
        : `there is no external metric of this name here; there are ${replicasMetric} and ${loadMetric}`,
    );
  if (method !== "GET") return refuse(405, `${method} is not supported on external metrics; use GET`);
  if (isWatch(query)) return refuse(405, "watch is not supported on external metrics; read again instead");
  for (const name of ["limit", "timeoutSeconds"]) {
    const value = query.get(name);
    if (value !== null && value !== "" && !/^[+-]?[0-9]{1,18}$/.test(value))
      return refuse(400, `${name} is not an integer`);
  }
  if (query.get("fieldSelector")) return refuse(400, "field selectors are not supported on external metrics");
  try {
    return { metric: resource, namespace, selector: parseSelector(query.get("labelSelector") ?? "") };
  } catch (error) {
    if (error instanceof SelectorError) return refuse(400, `unable to parse labelSelector: ${error.message}`);
    throw error;
  }
}

/**
 * The values that a query selects: one item for each IHPA, as the HPA adds up what it gets.
 *
 * @returns a refusal when nothing is selected (404), when an IHPA's loads would be mixed (400), or when one of the values
 *   can't be stood by (503): a list that lacks an item would be a wrong sum
 */
export function answerMetrics(query: MetricQuery, snapshot: Snapshot, nowMs: number): MetricAnswer | Refusal {
  const items: string[] = [];
  const rungs = new Set<string>();
  let preview: { readonly name: string; readonly message: string } | undefined;
  const name = pinned(query.selector, ihpaLabel);
  for (const each of name === undefined ? snapshot.names(query.namespace) : [name]) {
    const inputs = snapshot.ihpa(query.namespace, each);
    if (!inputs) continue;
    const selected = candidates(query.metric, each, inputs).filter(({ labels }) => matches(query.selector, labels));
    if (selected.length > 1)
      return refuse(
        400,
        `IHPA ${query.namespace}/${each} has several loads, and an HPA would add them up; select one by the label ${metricLabel}`,
        details(each),
      );
    for (const { labels, serve } of selected) {
      const served = serve(nowMs);
      switch (served.kind) {
        case "NotFound":
          preview = { name: each, message: served.message };
          break;
        case "Unavailable":
          return refuse(503, `${query.metric} of IHPA ${query.namespace}/${each}: ${served.message}`, {
            ...details(each),
            causes: [{ reason: served.reason, message: served.message }],
          });
        case "Number":
          items.push(itemJson(query.metric, labels, served, nowMs));
          rungs.add(served.rung);
      }
    }
  }
  if (items.length > 0)
    return {
      body: `{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","metadata":{},"items":[${items.join(",")}]}\n`,
      rungs: [...rungs].join(","),
    };
  if (preview) return notFound(`IHPA ${query.namespace}/${preview.name}: ${preview.message}`, preview.name);
  return notFound(`no IHPA in namespace ${query.namespace} has a value of ${query.metric} for this selector`, name);
}

interface Candidate {
  readonly labels: Labels;
  readonly serve: (nowMs: number) => Served;
}

function candidates(metric: MetricQuery["metric"], name: string, inputs: ServedInputs): readonly Candidate[] {
  if (metric === replicasMetric)
    return [{ labels: new Map([[ihpaLabel, name]]), serve: (nowMs) => servedReplicas(inputs, nowMs) }];
  const { spec, status } = inputs.ihpa;
  // A dynamic provider may have metrics of its own: what was decided on counts as well.
  const loads = new Set([
    ...(spec.metrics ?? []).map(metricName),
    ...(status?.decision?.load ?? []).map((load) => load.name),
  ]);
  return [...loads].map((load) => ({
    labels: new Map([
      [ihpaLabel, name],
      [metricLabel, load],
    ]),
    serve: (nowMs) => servedLoad(inputs, load, nowMs),
  }));
}

function itemJson(metric: string, labels: Labels, served: Served & { kind: "Number" }, nowMs: number): string {
  let text = `{"metricName":"${metric}","metricLabels":{`;
  for (const [key, value] of labels) text += `${JSON.stringify(key)}:${JSON.stringify(value)},`;
  text += `"forescale.io/rung":"${served.rung}","forescale.io/reason":${JSON.stringify(served.reason)}}`;
  return `${text},"timestamp":"${timestamp(nowMs - served.ageMs)}","value":"${valueText(served.value)}"}`;
}

/** Replicas are whole, and need none of the exact arithmetic. */
function valueText(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : formatQuantity(value);
}

let lastSecond = { second: Number.NaN, text: "" };

/** RFC 3339 in whole seconds, UTC. */
function timestamp(atMs: number): string {
  const second = Math.floor(atMs / 1000);
  if (second !== lastSecond.second)
    lastSecond = { second, text: `${new Date(second * 1000).toISOString().slice(0, 19)}Z` };
  return lastSecond.text;
}

function notFound(message: string, name?: string): Refusal {
  return refuse(404, message, details(name));
}

function details(name: string | undefined): Record<string, unknown> {
  return { ...(name !== undefined && { name }), group: externalMetricsGroup, kind: "externalmetrics" };
}
