import type { HorizontalPortraitStatus } from "../api/kinds/horizontal-portrait.ts";
import type { Forecast } from "../forecast/forecast.ts";

type Published = NonNullable<NonNullable<HorizontalPortraitStatus["forecast"]>["metrics"]>[number];

/** A point with three levels takes about 55 bytes of JSON. */
const mostPoints = 48;

/**
 * The forecast in a portrait's status, kept small: a few levels, at change points, three digits. Each interval has its highest value,
 * so that a published quantile never lies below the forecast's.
 *
 * @param levels as fractions, each one of the forecast's own
 * @throws RangeError for a level that the forecast does not have
 */
export function publishedForecast(name: string, forecast: Forecast, levels: readonly number[]): Published {
  const rows = levels.map((level) => {
    const row = forecast.levels.indexOf(level);
    if (row < 0) throw new RangeError(`the forecast has no level ${level}; it has ${forecast.levels.join(", ")}`);
    return forecast.quantiles[row];
  });
  const steps = forecast.mean.length;
  const each = Math.max(1, Math.ceil(steps / mostPoints));
  const points: { time: number; values: number[] }[] = [];
  for (let from = 0; from < steps; from += each) {
    const values = rows.map((row) => round(row.subarray(from, from + each).reduce((a, b) => Math.max(a, b))));
    if (points.at(-1)?.values.every((value, k) => value === values[k])) continue;
    points.push({ time: Math.round((forecast.startMs + from * forecast.stepMs) / 1000), values });
  }
  return { name, stepSeconds: Math.round((each * forecast.stepMs) / 1000), levels: [...levels], points };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
