import type { Cause } from "../../api/cause.ts";
import type { MetricSpec } from "../../api/fields/metrics.ts";
import { type Demand, demandSeries } from "../../capacity/demand.ts";
import type { CapacityModel } from "../../capacity/linear.ts";
import type { Series } from "../../series/series.ts";
import type { MetricReader } from "./metric-reader.ts";
import type { MetricSubject, PastLoad } from "./metric-subject.ts";

/** A metric that sizes the workload, or one demand made of several loads. */
export interface SizedMetric {
  readonly name: string;
  /** The metrics that it is made of. */
  readonly specs: readonly MetricSpec[];
  /** Present where the capacity is learned. */
  readonly demand?: Demand;
  /** Pods for a value of it. */
  readonly capacity: CapacityModel;
}

/** The history of a metric; for several loads, that of their common demand. */
export async function pastOf(
  metricReader: Pick<MetricReader, "past">,
  subject: MetricSubject,
  { specs, demand }: SizedMetric,
  span: string,
): Promise<PastLoad> {
  const pasts: Series[] = [];
  let fault: Cause | undefined;
  for (const spec of specs) {
    const past = await metricReader.past(subject, spec, span);
    if (past.kind === "Unknown" || specs.length === 1) return past;
    pasts.push(past.series);
    fault ??= past.fault;
  }
  return { kind: "Known", series: demandSeries(demand!, pasts), ...(fault && { fault }) };
}

/** The live value of a metric; NaN where it, or one of several loads, has none. */
export function liveOf(
  metricReader: Pick<MetricReader, "now">,
  subject: MetricSubject,
  { specs, demand }: SizedMetric,
): number {
  const values = specs.map((spec) => metricReader.now(subject, spec)?.value ?? Number.NaN);
  return demand && specs.length > 1 ? demand.pods(values) : values[0];
}
