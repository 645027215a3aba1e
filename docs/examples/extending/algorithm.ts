import type { ForecastOutcome, ForecastRequest } from "../../../src/forecast/forecast.ts";

/** Repeats the last day, with bands as wide as that day was uneven: the simplest forecast that deserves the name. */
export function lastDayForecast({ series, horizon, levels }: ForecastRequest): ForecastOutcome {
  const { startMs, stepMs, values } = series;
  const day = Math.round(86_400_000 / stepMs);
  if (values.length < day) return { kind: "TooShort", samples: values.length, needed: day };
  const last = values.subarray(values.length - day);
  if (!last.every(Number.isFinite)) return { kind: "NotPredictable", why: "the last day has gaps" };

  const level = last.reduce((sum, value) => sum + value, 0) / day;
  const spread = Math.sqrt(last.reduce((sum, value) => sum + (value - level) ** 2, 0) / day);
  const mean = Float64Array.from({ length: horizon }, (_, step) => last.at(step % day) ?? level);
  return {
    kind: "Forecast",
    forecast: {
      startMs: startMs + values.length * stepMs,
      stepMs,
      levels,
      // The logistic distribution with the same spread: its quantiles have a formula.
      quantiles: levels.map((p) => mean.map((value) => value + 0.55 * spread * Math.log(p / (1 - p)))),
      mean,
      periods: [day],
      method: "the last day, repeated",
      coverage: [],
    },
  };
}
