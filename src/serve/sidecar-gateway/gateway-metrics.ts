import { Counter, Gauge, type Registry } from "prom-client";

/** What the gateway measures of itself. */
export interface GatewayMetrics {
  readonly streams: Gauge;
  readonly refusals: Counter<"status">;
  readonly reports: Counter<"state">;
}

export function createGatewayMetrics(registry: Registry): GatewayMetrics {
  const registers = [registry];
  return {
    streams: new Gauge({ name: "forescale_gateway_streams", help: "Sidecars that are connected.", registers }),
    refusals: new Counter({
      name: "forescale_gateway_refusals_total",
      help: "Sidecars that were turned away, by HTTP status.",
      labelNames: ["status"],
      registers,
    }),
    reports: new Counter({
      name: "forescale_gateway_reports_total",
      help: "Reports of sidecars, by the state that they reported.",
      labelNames: ["state"],
      registers,
    }),
  };
}
