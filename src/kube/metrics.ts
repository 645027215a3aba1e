import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** The metrics of this folder; made once for a program's registry. */
export function kubeMetrics(registry: Registry) {
  const registers = [registry];
  return {
    requests: new Counter({
      name: "forescale_kube_requests_total",
      help: "Calls to the API server by verb, resource and HTTP status (none: no answer).",
      labelNames: ["verb", "resource", "code"] as const,
      registers,
    }),
    requestSeconds: new Histogram({
      name: "forescale_kube_request_duration_seconds",
      help: "Time from sending a call to its last byte; watches are not counted.",
      labelNames: ["verb"] as const,
      buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    throttledSeconds: new Counter({
      name: "forescale_kube_throttled_seconds_total",
      help: "Time that calls waited for our own rate limit.",
      registers,
    }),
    lists: new Counter({
      name: "forescale_kube_cache_lists_total",
      help: "Lists that fill a cache, by what made them needed.",
      labelNames: ["resource", "cause"] as const,
      registers,
    }),
    cacheObjects: new Gauge({
      name: "forescale_kube_cache_objects",
      help: "Objects in a cache.",
      labelNames: ["resource"] as const,
      registers,
    }),
    handlerErrors: new Counter({
      name: "forescale_kube_cache_handler_errors_total",
      help: "Exceptions thrown by what listens to a cache.",
      labelNames: ["resource"] as const,
      registers,
    }),
    queueDepth: new Gauge({
      name: "forescale_kube_queue_keys",
      help: "Keys that wait for a worker.",
      labelNames: ["queue"] as const,
      registers,
    }),
    queueWaitSeconds: new Histogram({
      name: "forescale_kube_queue_wait_seconds",
      help: "Time from a key's adding to its turn.",
      labelNames: ["queue"] as const,
      buckets: [0.001, 0.01, 0.1, 0.5, 1, 5, 15, 60, 300],
      registers,
    }),
    reconcileSeconds: new Histogram({
      name: "forescale_kube_reconcile_duration_seconds",
      help: "Time of one run for a key.",
      labelNames: ["queue", "outcome"] as const,
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 1, 5, 30],
      registers,
    }),
    leader: new Gauge({
      name: "forescale_kube_leader_bool",
      help: "1 while this process holds the Lease.",
      labelNames: ["lease"] as const,
      registers,
    }),
    applies: new Counter({
      name: "forescale_kube_applies_total",
      help: "Server-side applies by outcome: Skipped was not sent, Unchanged stored nothing.",
      labelNames: ["resource", "outcome"] as const,
      registers,
    }),
    events: new Counter({
      name: "forescale_kube_events_total",
      help: "Events by outcome: Created, Counted, Limited or Failed.",
      labelNames: ["outcome"] as const,
      registers,
    }),
  };
}

export type KubeMetrics = ReturnType<typeof kubeMetrics>;
