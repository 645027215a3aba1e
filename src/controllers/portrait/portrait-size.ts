import type { HorizontalPortraitStatus } from "../../api/kinds/horizontal-portrait.ts";

/** Limit of a portrait's status: 8 KiB, less what the API server adds. */
const mostBytes = 7_900;

type Metric = NonNullable<NonNullable<HorizontalPortraitStatus["forecast"]>["metrics"]>[number];

/**
 * A status small enough to be stored: its forecasts get fewer points, the largest forecast first. Each point takes the highest values of
 * those it replaces, so that a band never lies below the forecast.
 */
export function withinSize(status: HorizontalPortraitStatus): HorizontalPortraitStatus {
  let small = status;
  while (Buffer.byteLength(JSON.stringify(small)) > mostBytes) {
    const metrics = small.forecast?.metrics ?? [];
    const largest = metrics.reduce(
      (best, { points }, i) => (points.length > metrics[best].points.length ? i : best),
      0,
    );
    if (metrics.length === 0 || metrics[largest].points.length <= 1) return small;
    const thinner = metrics.map((metric, i) => (i === largest ? thinned(metric) : metric));
    small = { ...small, forecast: { ...small.forecast!, metrics: thinner } };
  }
  return small;
}

/** Two neighbouring points as one. */
function thinned(metric: Metric): Metric {
  const points: Metric["points"][number][] = [];
  for (let i = 0; i < metric.points.length; i += 2) {
    const [first, second = first] = metric.points.slice(i, i + 2);
    points.push({ time: first.time, values: first.values.map((value, k) => Math.max(value, second.values[k])) });
  }
  return { ...metric, points };
}
