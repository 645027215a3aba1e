import type { ForecastOutcome, ForecastRequest } from "../forecast.ts";
import { conformalQuantile } from "../quantiles/conformal-quantile.ts";
import { bucketsOf, interpolateRows, logCenters } from "../quantiles/lead-buckets.ts";
import { fitSntsf, type SntsfOptions, type SntsfWeights, upToLast } from "./sntsf-fit.ts";
import { layoutOf } from "./sntsf-layout.ts";
import { forecastRecursively, residualUnit } from "./sntsf-rolling.ts";
import { type NetworkSeries, toNetworkSeries } from "./sntsf-windows.ts";

/**
 * Forecasts one series: with weights that were trained before, or trained on the request's own history.
 *
 * @param weights of `fitSntsf`, the same step and time zone; `name` is the series' name in it
 * @returns non-negative where the history is; `TooShort` where the history is too short to train on, or for the context
 * @throws RangeError where the weights have another step, or no series of that name
 */
export function sntsfForecast(
  request: ForecastRequest,
  known?: { readonly weights: SntsfWeights; readonly name: string },
  options: SntsfOptions = {},
): ForecastOutcome {
  const { series, horizon, timeZone } = request;
  const history = { ...series, values: upToLast(series.values) };
  const gap = series.values.length - history.values.length;
  const reach = gap + horizon;
  let using = known;
  if (using === undefined) {
    const fit = fitSntsf([{ name: "", series }], timeZone, reach, options);
    if (fit.kind === "TooShort") return fit;
    using = { weights: fit.weights, name: "" };
  }
  const { weights, name } = using;
  const index = weights.names.indexOf(name);
  if (index < 0) throw new RangeError(`the network was not trained on a series named ${name}`);
  if (weights.stepMs !== series.stepMs)
    throw new RangeError(
      `the network was trained with a step of ${weights.stepMs} ms, the series has ${series.stepMs} ms; resample it`,
    );
  const input = toNetworkSeries(history, reach, weights.timeZone, weights.features, index);
  const samples = input.values.filter(Number.isFinite).length;
  const needed = weights.shape.context / 2;
  if (samples < needed)
    return { kind: "TooShort", samples: samples * input.fineSteps, needed: needed * input.fineSteps };
  return { kind: "Forecast", forecast: answer(request, weights, input, gap) };
}

function answer(
  { series, horizon, levels }: ForecastRequest,
  weights: SntsfWeights,
  input: NetworkSeries,
  gap: number,
) {
  const network = { layout: layoutOf(weights.shape), parameters: Float64Array.from(weights.parameters) };
  const medians = forecastRecursively(network, input, input.values.length, gap + horizon).subarray(gap);
  const buckets = bucketsOf(weights.reach, Math.max(1, 3_600_000 / series.stepMs));
  const centers = logCenters(buckets);
  const wanted = [...new Set([...levels, 0.5])].sort((a, b) => a - b);
  const unit = residualUnit(input);
  const rows = weights.residuals[input.index].map((residuals) =>
    Float64Array.from(wanted, (level) => conformalQuantile(residuals, level) * unit),
  );
  const nonNegative = input.values.every((v) => !(v < 0));
  const quantiles = wanted.map(() => new Float64Array(horizon));
  for (let j = 0; j < horizon; j++)
    interpolateRows(centers, Math.log(gap + j + 0.5), rows).forEach((offset, k) => {
      const z = medians[j] + offset;
      quantiles[k][j] = nonNegative && !(z > 0) ? 0 : z * Math.abs(z);
    });
  return {
    startMs: series.startMs + series.values.length * series.stepMs,
    stepMs: series.stepMs,
    levels,
    quantiles: levels.map((level) => quantiles[wanted.indexOf(level)]),
    mean: quantiles[wanted.indexOf(0.5)].slice(),
    periods: [],
    method: `SNTSF, ${weights.epochs} passes, validation error ${weights.validationLoss.toFixed(3)} of the mean`,
    coverage: [],
  };
}
