import { presentMean } from "../../series/gaps.ts";
import { dayWeights } from "./day-profile.ts";
import { quantilesOfDays } from "./day-samples.ts";
import type { Expert } from "./expert.ts";

const days = dayWeights(0.1);

/** Samples at the same time of earlier days, unchanged: slow to follow a new level, robust to the last hour. */
export const timeOfDay: Expert = {
  name: "time of day",
  forecast(past) {
    const n = past.raw.length;
    if (n < past.stepsPerDay) return undefined;
    return quantilesOfDays(past, {
      residual: past.raw,
      base: new Float64Array(past.leads.length),
      fallback: presentMean(past.raw),
      levels: [],
      shares: new Float64Array(0),
      from: 0,
      fading: n < 14 * past.stepsPerDay ? 0.8 : 0.85,
      days,
    });
  },
};
