import type { HorizontalPortraitStatus, PortraitData } from "../../api/kinds/horizontal-portrait.ts";
import type { ForecastAccuracy } from "../../decide/decision.ts";
import type { Forecast } from "../../forecast/forecast.ts";
import { stamp } from "../../kube/times.ts";
import { publishedForecast } from "../../portrait/published-forecast.ts";
import { trustClaim } from "../ihpa/forecast-accuracy.ts";
import type { Claim } from "../status/set-condition.ts";

/** The parts of a portrait's status that a controller fills; conditions are merged when it is published. */
export type PortraitContent = Omit<HorizontalPortraitStatus, "conditions" | "observedGeneration">;

/** Levels that a portrait's status shows: enough for a band and for a number. */
const shownLevels = [0.5, 0.9, 0.95, 0.99] as const;

/** What a predictive portrait publishes. */
export interface PredictiveContent {
  readonly data: PortraitData;
  /** By metric, at least one; figures of the whole portrait are those of the first. */
  readonly forecasts: ReadonlyMap<string, Forecast>;
  /** What the accuracy gate said last. */
  readonly accuracy: ForecastAccuracy | undefined;
  readonly nowMs: number;
}

/** The status of a predictive portrait. While the accuracy gate rejects the forecast, replicas are left out. */
export function predictiveStatus({ data, forecasts, accuracy, nowMs }: PredictiveContent): PortraitContent {
  const [first] = forecasts.values();
  return {
    // Servers go on from what is published: from a forecast that has lost its trust they must not.
    ...(accuracy?.isTrusted !== false && { portraitData: stamped(data) }),
    forecast: {
      generatedAt: stamp(nowMs),
      metrics: [...forecasts].map(([name, forecast]) => publishedForecast(name, forecast, shownLevels)),
    },
    ...accuracyOf(first, nowMs),
    periods: first.periods.slice(0, 16).map((period) => Math.max(1, Math.round((period * first.stepMs) / 1000))),
  };
}

/** The conditions that go with that status. */
export function predictiveClaims({ data, forecasts, accuracy }: PredictiveContent): Claim[] {
  const [{ method }] = forecasts.values();
  const generated: Claim =
    accuracy?.isTrusted === false
      ? { type: "PortraitGenerated", status: "False", reason: accuracy.reason, message: accuracy.message }
      : { type: "PortraitGenerated", status: "True", reason: "ForecastPublished", message: method.slice(0, 256) };
  return [
    generated,
    {
      type: "ForecastReady",
      status: "True",
      reason: "ForecastPublished",
      message: `forecast until ${data.expireTime ?? "further notice"}`,
    },
    ...(accuracy?.isCompared ? [trustClaim(accuracy)] : []),
  ];
}

/** Portrait data with its expiry in whole seconds, as the API server wants it. */
export function stamped(data: PortraitData): PortraitData {
  return { ...data, ...(data.expireTime && { expireTime: stamp(Date.parse(data.expireTime)) }) };
}

/** What replays of the forecast measured; nothing where no level was measured. */
function accuracyOf(forecast: Forecast, nowMs: number): Pick<PortraitContent, "accuracy"> {
  const { backtest } = forecast;
  const coverage = forecast.coverage
    .filter(({ level }) => shownLevels.some((shown) => shown === level))
    .map(({ level, observed, samples }) => ({ level, observed: round(observed), samples }));
  if (coverage.length === 0) return {};
  return {
    accuracy: {
      ...(backtest && {
        percent: Math.min(100, Math.max(0, Math.round(100 * (1 - backtest.error / backtest.load)))) || 0,
        ...(Number.isFinite(backtest.relativeError) && { relativeError: round(backtest.relativeError) }),
      }),
      coverage,
      samples: coverage[0].samples,
      updateTime: stamp(nowMs),
      message: forecast.method.slice(0, 256),
    },
  };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
