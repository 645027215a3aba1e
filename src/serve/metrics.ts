import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { rungs } from "../api/conditions.ts";

/** What the server measures of itself. */
export interface ServeMetrics {
  readonly requests: Counter<"resource" | "code">;
  readonly requestSeconds: Histogram<"resource">;
  readonly inFlight: Gauge;
  readonly reviews: Counter<"review" | "result">;
  readonly tlsErrors: Counter;
  readonly certificateExpiry: Gauge<"certificate">;
  readonly rotations: Counter<"step">;
  readonly isAggregated: Gauge;
  readonly injections: Counter<"outcome">;
}

/**
 * @param rungCounts counts the IHPAs by the rung of what would be served now; asked at each scrape
 */
export function createServeMetrics(
  registry: Registry,
  rungCounts: () => ReadonlyMap<string, number> = () => new Map(),
): ServeMetrics {
  const registers = [registry];
  new Gauge({
    name: "forescale_serve_ihpas",
    help: "IHPAs by the rung of the number that is served for them; None where there is no number.",
    labelNames: ["rung"],
    registers,
    collect() {
      const counts = rungCounts();
      for (const rung of [...rungs, "None"]) this.set({ rung }, counts.get(rung) ?? 0);
    },
  });
  return {
    requests: new Counter({
      name: "forescale_serve_requests_total",
      help: "Requests answered, by what they asked for and the status code.",
      labelNames: ["resource", "code"],
      registers,
    }),
    requestSeconds: new Histogram({
      name: "forescale_serve_request_duration_seconds",
      help: "Time from a request's headers to its answer.",
      labelNames: ["resource"],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers,
    }),
    inFlight: new Gauge({ name: "forescale_serve_in_flight_requests", help: "Requests under way.", registers }),
    reviews: new Counter({
      name: "forescale_serve_reviews_total",
      help: "Token and access reviews asked of the API server, by outcome.",
      labelNames: ["review", "result"],
      registers,
    }),
    tlsErrors: new Counter({
      name: "forescale_serve_tls_errors_total",
      help: "Handshakes that failed.",
      registers,
    }),
    certificateExpiry: new Gauge({
      name: "forescale_serve_certificate_expiry_seconds",
      help: "When a certificate ends, in seconds since the epoch.",
      labelNames: ["certificate"],
      registers,
    }),
    rotations: new Counter({
      name: "forescale_serve_certificate_rotations_total",
      help: "Steps of rotation that this replica took.",
      labelNames: ["step"],
      registers,
    }),
    injections: new Counter({
      name: "forescale_serve_injections_total",
      help: "Pods that were made, by what the webhook gave them.",
      labelNames: ["outcome"],
      registers,
    }),
    isAggregated: new Gauge({
      name: "forescale_serve_aggregated",
      help: "1 while a request through the API server reaches a server of ours, 0 while it does not.",
      registers,
    }),
  };
}
