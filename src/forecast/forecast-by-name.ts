import { describeQuality, examine } from "./data/data-quality.ts";
import { withoutOutliers } from "./data/outliers.ts";
import { decompositionForecast } from "./decomposition/decomposition-forecast.ts";
import { forecast } from "./experts/expert-forecast.ts";
import type { ForecastOutcome, ForecastRequest } from "./forecast.ts";
import { nhppForecast } from "./nhpp/nhpp-forecast.ts";
import { detectPeriods } from "./periods/robust-period.ts";
import { proactiveForecast } from "./proactive/proactive-forecast.ts";
import { sntsfForecast } from "./sntsf/sntsf-forecast.ts";

/** Every algorithm that a portrait can name. `Forecast` is the ensemble of experts; the others are published algorithms. */
const forecasters: Readonly<Record<string, (request: ForecastRequest) => ForecastOutcome>> = {
  Forecast: forecast,
  RobustSTL: (request) =>
    decompositionForecast(
      request,
      detectPeriods(request.series.values, { stepMs: request.series.stepMs }).map(({ period }) => period),
    ),
  RobustTrend: (request) => decompositionForecast(request, []),
  Proactive: proactiveForecast,
  NHPP: (request) => nhppForecast(request),
  SNTSF: (request) => sntsfForecast(request),
};

/** Their names. */
export const forecasterNames: readonly string[] = Object.keys(forecasters);

/**
 * Forecasts by the algorithm that the request names; `method` begins with the defects of the history.
 *
 * @throws RangeError for an unknown name, and as the algorithm does
 */
export function forecastByName(request: ForecastRequest): ForecastOutcome {
  const name = request.algorithm ?? "Forecast";
  const forecaster = Object.hasOwn(forecasters, name) ? forecasters[name] : undefined;
  if (!forecaster)
    throw new RangeError(`there is no forecast algorithm ${name}; use one of ${forecasterNames.join(", ")}`);
  if (name === "Forecast" || name === "NHPP") return forecaster(request); // both check the history themselves
  const { series } = request;
  const outcome = forecaster({
    ...request,
    series: { ...series, values: withoutOutliers(series.values, series.stepMs).values },
  });
  if (outcome.kind !== "Forecast") return outcome;
  const odd = describeQuality(examine(series));
  const { method } = outcome.forecast;
  return odd === "" ? outcome : { ...outcome, forecast: { ...outcome.forecast, method: `history: ${odd}; ${method}` } };
}
