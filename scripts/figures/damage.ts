import type { Series } from "../../src/series/series.ts";
import { seededRandom } from "../../src/series/statistics/seeded-random.ts";

/** What monitoring does to a series, from which it should be read all the same. */
export interface Damage {
  /** Share of the samples that are lost, one by one. */
  readonly lost?: number;
  /** A stretch without any sample. */
  readonly gap?: { readonly fromMs: number; readonly untilMs: number };
  /** Everything from here on is higher by so much. */
  readonly shift?: { readonly fromMs: number; readonly by: number };
  /** Share of the samples that are `spike` higher; or where. */
  readonly spikes?: number | readonly number[];
  readonly spike?: number;
}

/** A damaged copy; the same damage each time. */
export function damaged({ startMs, stepMs, values }: Series, damage: Damage): Series {
  const random = seededRandom(1);
  const { lost = 0, gap, shift, spikes = 0, spike = 0 } = damage;
  return {
    startMs,
    stepMs,
    values: values.map((value, i) => {
      const timeMs = startMs + i * stepMs;
      const [isLost, isSpike] = [random() < lost, random() < (typeof spikes === "number" ? spikes : 0)];
      if (isLost || (gap && timeMs >= gap.fromMs && timeMs < gap.untilMs)) return Number.NaN;
      const isAt = typeof spikes !== "number" && spikes.some((at) => at >= timeMs && at < timeMs + stepMs);
      return value + (shift && timeMs >= shift.fromMs ? shift.by : 0) + (isSpike || isAt ? spike : 0);
    }),
  };
}
