import { Counter, Histogram, type Registry } from "prom-client";
import type { RequestReport } from "./prometheus/prometheus.ts";

/** Metrics of reading from outside; sources are the administrator's few, so they may be a label. */
export interface CollectMetrics {
  /** Give it to a client as `onRequest`. */
  readonly request: (report: RequestReport) => void;
  /** Steps of a history that were read, and those of them that are missing. */
  readonly history: (source: string, values: Float64Array) => void;
}

/** Registers what this folder measures. */
export function collectMetrics(registry: Registry): CollectMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: "forescale_collect_requests_total",
    help: "Requests to metric sources, by outcome: OK, or why one failed.",
    labelNames: ["source", "code"],
    registers,
  });
  const duration = new Histogram({
    name: "forescale_collect_request_duration_seconds",
    help: "Time of a request to a metric source, its answer read and checked.",
    labelNames: ["source"],
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers,
  });
  const samples = new Counter({
    name: "forescale_collect_samples_total",
    help: "Samples read from metric sources.",
    labelNames: ["source"],
    registers,
  });
  const steps = new Counter({
    name: "forescale_collect_history_steps_total",
    help: "Steps of histories handed to forecasting.",
    labelNames: ["source"],
    registers,
  });
  const gaps = new Counter({
    name: "forescale_collect_gaps_total",
    help: "Steps of histories handed to forecasting that are missing.",
    labelNames: ["source"],
    registers,
  });
  return {
    request({ source, code, seconds, samples: count }) {
      requests.inc({ source, code });
      duration.observe({ source }, seconds);
      samples.inc({ source }, count);
    },
    history(source, values) {
      steps.inc({ source }, values.length);
      gaps.inc(
        { source },
        values.reduce((missing, value) => missing + (Number.isNaN(value) ? 1 : 0), 0),
      );
    },
  };
}
