import type { ForecastRequest } from "../../../src/forecast/forecast.ts";

/** Uniform numbers in [0, 1), the same for the same seed (Park and Miller's minimal standard). */
export function seeded(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}

export interface Shape {
  readonly days: number;
  readonly stepMinutes: number;
  readonly seed?: number;
  /** Noise as a share of the level. */
  readonly noise?: number;
  readonly start?: string;
}

/** A load with a daily course around 100 and noise: what most services look like. */
export function dailyLoad({
  days,
  stepMinutes,
  seed = 1,
  noise = 0.1,
  start = "2025-03-03T00:00:00Z",
}: Shape): Float64Array {
  const random = seeded(seed);
  const startMinutes = Date.parse(start) / 60_000;
  return Float64Array.from({ length: Math.round((days * 1440) / stepMinutes) }, (_, i) => {
    const hours = ((startMinutes + i * stepMinutes) / 60) % 24;
    const scatter = random() + random() + random() - 1.5;
    return 100 * (1 + 0.5 * Math.sin(((hours - 9) * Math.PI) / 12) + noise * 2 * scatter);
  });
}

export function requestOf(
  values: Float64Array,
  stepMinutes: number,
  horizon: number,
  start = "2025-03-03T00:00:00Z",
): ForecastRequest {
  return {
    series: { startMs: Date.parse(start), stepMs: stepMinutes * 60_000, values },
    horizon,
    levels: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99],
    timeZone: "UTC",
  };
}
