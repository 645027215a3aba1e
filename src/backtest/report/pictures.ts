import { largestAhead } from "../../decide/demand/load-forecast.ts";
import { loadAt } from "../replay/load.ts";
import type { ReplayDemand, ReplayInputs } from "../replay/replay-inputs.ts";
import type { RollingForecasts } from "../rolling-forecasts.ts";
import { tickMs } from "../workload.ts";

/** Curves over the replay, thinned for drawing: `startMs + i·stepMs`, in pods; NaN where there is nothing to draw. */
export interface Pictures {
  readonly startMs: number;
  readonly stepMs: number;
  /** Pods that the leading demand needs: the mean of each step. */
  readonly load: Float64Array;
  /** The most that it needs within each step. */
  readonly peak: Float64Array;
  /** The newest forecast at each moment, as it was then. */
  readonly low: Float64Array;
  readonly median: Float64Array;
  readonly high: Float64Array;
  /** Each policy's pods: the most of each step. */
  readonly pods: Readonly<Record<"forescale" | "hpa" | "oracle", Float64Array>>;
}

/** Quantiles between which the band is drawn. */
export const bandLevels = { low: 0.1, high: 0.95 } as const;
/** Points a curve has at most: more than a wide screen shows. */
const mostPoints = 720;

export function picturesOf(
  inputs: ReplayInputs,
  demand: ReplayDemand,
  rolling: RollingForecasts,
  pods: Readonly<Record<"forescale" | "hpa" | "oracle", Int32Array>>,
): Pictures {
  const { ticks, span } = inputs;
  const each = Math.max(1, Math.ceil(ticks / mostPoints));
  const points = Math.ceil(ticks / each);
  const read = Float64Array.from({ length: ticks }, (_, k) =>
    demand.pods(loadAt(demand.load, span.replayFromMs + k * tickMs)),
  );
  const load = new Float64Array(points).fill(Number.NaN);
  const peak = new Float64Array(points).fill(Number.NaN);
  for (let i = 0; i < points; i++) {
    const known = read.subarray(i * each, (i + 1) * each).filter((pods) => !Number.isNaN(pods));
    if (known.length === 0) continue;
    load[i] = known.reduce((sum, pods) => sum + pods, 0) / known.length;
    peak[i] = known.reduce((most, pods) => Math.max(most, pods));
  }
  const quantile = (level: number) =>
    Float64Array.from({ length: points }, (_, i) => {
      const timeMs = span.replayFromMs + i * each * tickMs;
      const forecast = rolling.latest(timeMs);
      return forecast === undefined
        ? Number.NaN
        : demand.pods(largestAhead(forecast, level, timeMs, timeMs) ?? Number.NaN);
    });
  const most = (of: Int32Array) =>
    Float64Array.from({ length: points }, (_, i) =>
      of.subarray(i * each, (i + 1) * each).reduce((a, b) => Math.max(a, b)),
    );
  return {
    startMs: span.replayFromMs,
    stepMs: each * tickMs,
    load,
    peak,
    low: quantile(bandLevels.low),
    median: quantile(0.5),
    high: quantile(bandLevels.high),
    pods: { forescale: most(pods.forescale), hpa: most(pods.hpa), oracle: most(pods.oracle) },
  };
}
