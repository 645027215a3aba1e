import type { Accuracy, PortraitData } from "../../api/kinds/horizontal-portrait.ts";
import type { ForecastAccuracy } from "../../decide/decision.ts";
import type { Forecast } from "../../forecast/forecast.ts";
import { stamp } from "../../kube/times.ts";
import { publishedForecast } from "../../portrait/published-forecast.ts";
import { trustClaim } from "../ihpa/forecast-accuracy.ts";
import type { Claim } from "../status/set-condition.ts";
import type { PortraitContent } from "./portrait-writer.ts";

/** Levels that a portrait's status shows: enough for a band and for a number. */
const shownLevels = [0.5, 0.9, 0.95, 0.99] as const;

/**
 * The status of a predictive portrait: replicas over time, the forecasts behind them, and how accurate those have been.
 *
 * @param forecasts by metric, not empty; the first one's accuracy is shown
 * @param evaluated the accuracy gate's result in the last decision; undefined before the first
 */
export function predictiveStatus(
  data: PortraitData,
  forecasts: ReadonlyMap<string, Forecast>,
  evaluated: ForecastAccuracy | undefined,
  nowMs: number,
): { readonly content: PortraitContent; readonly claims: readonly Claim[] } {
  const [first] = forecasts.values();
  // Servers answer from what is published, and must not use a forecast that is not trusted.
  const isDropped = evaluated?.isTrusted === false;
  const method = first.method.slice(0, 256);
  const accuracy = accuracyOf(first, nowMs);
  const generated: Claim = isDropped
    ? { type: "PortraitGenerated", status: "False", reason: evaluated.reason, message: evaluated.message }
    : { type: "PortraitGenerated", status: "True", reason: "ForecastPublished", message: method };
  return {
    content: {
      ...(!isDropped && {
        portraitData: { ...data, ...(data.expireTime && { expireTime: stamp(Date.parse(data.expireTime)) }) },
      }),
      forecast: {
        generatedAt: stamp(nowMs),
        metrics: [...forecasts].map(([name, forecast]) => publishedForecast(name, forecast, shownLevels)),
      },
      ...(accuracy && { accuracy }),
      periods: first.periods.slice(0, 16).map((period) => Math.max(1, Math.round((period * first.stepMs) / 1000))),
    },
    claims: [
      generated,
      {
        type: "ForecastReady",
        status: "True",
        reason: "ForecastPublished",
        message: data.expireTime ? `the forecast is valid until ${data.expireTime}` : "the forecast does not expire",
      },
      ...(evaluated?.isCompared ? [trustClaim(evaluated)] : []),
    ],
  };
}

function accuracyOf({ backtest, coverage: all, method }: Forecast, nowMs: number): Accuracy | undefined {
  const coverage = all
    .filter(({ level }) => shownLevels.some((shown) => shown === level))
    .map(({ level, observed, samples }) => ({ level, observed: round(observed), samples }));
  if (coverage.length === 0) return undefined;
  return {
    ...(backtest && {
      percent: Math.min(100, Math.max(0, Math.round(100 * (1 - backtest.error / backtest.load)))) || 0,
      ...(Number.isFinite(backtest.relativeError) && { relativeError: round(backtest.relativeError) }),
    }),
    coverage,
    samples: coverage[0].samples,
    updateTime: stamp(nowMs),
    message: method.slice(0, 256),
  };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
