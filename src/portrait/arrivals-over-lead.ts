import { arrivalHeadroom } from "../capacity/arrival-headroom.ts";
import type { Forecast } from "../forecast/forecast.ts";

/** Used until a lead was measured. */
const defaultLeadSeconds = 120;

/**
 * Converts a forecast of arrivals to quantiles over the lead. Its quantiles are those of counts over a step of minutes, and arrivals
 * over a shorter time scatter more around the same rate: quantiles from the median up become those of the arrivals during the lead,
 * Poisson or negative binomial, as rates in the load's own unit. They never fall.
 *
 * @param leadSeconds from a pod's request until it serves, above 0
 * @returns the forecast itself where it is not one of arrivals, or the lead is not shorter than a step
 */
export function overLead(forecast: Forecast, leadSeconds: number = defaultLeadSeconds): Forecast {
  const { arrivals, levels, quantiles, method } = forecast;
  const stepSeconds = forecast.stepMs / 1000;
  if (arrivals === undefined || !(leadSeconds > 0 && leadSeconds < stepSeconds)) return forecast;
  const { expected, dispersions, unit } = arrivals;
  const sized = quantiles.map((row, k) => {
    const level = levels[k];
    if (level < 0.5) return row;
    return row.map((load, j) => {
      const window = { startupSeconds: leadSeconds, level, dispersion: dispersions[j] };
      const perStep = arrivalHeadroom(expected[j] / stepSeconds, window).load * stepSeconds;
      return Math.max(load, Math.min(Number.MAX_VALUE, perStep * unit));
    });
  });
  return {
    ...forecast,
    quantiles: sized,
    method: `${method}; quantiles of the arrivals during a lead of ${Math.round(leadSeconds)} s`,
  };
}
