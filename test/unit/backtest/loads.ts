import { defaultSpec } from "../../../src/backtest/default-spec.ts";
import type { Workload } from "../../../src/backtest/workload.ts";
import type { Series } from "../../../src/series/series.ts";

const dayMs = 86_400_000;

/** Days of a load with a daily wave, a fast wave of its own and one burst a day; the same for the same arguments. */
export function wavyLoad(days: number, stepMs = 300_000, more: (t: number) => number = () => 0): Series {
  const values = Float64Array.from({ length: (days * dayMs) / stepMs }, (_, i) => {
    const day = (i * stepMs) / dayMs;
    const burst = day % 1 > 0.7 && day % 1 < 0.71 ? 300 : 0;
    return Math.max(0, 500 + 400 * Math.sin(2 * Math.PI * day) + 30 * Math.sin(61 * day) + burst + more(day));
  });
  return { startMs: Date.UTC(2026, 2, 2), stepMs, values };
}

/** A workload with one metric, `load`, of which a pod carries `podTarget`. */
export function workloadOf(load: Series, podTarget = 50, spec: object = {}): Workload {
  return {
    name: "shop",
    spec: defaultSpec(spec),
    loads: new Map([["load", load]]),
    podTargets: new Map([["load", podTarget]]),
  };
}
