import { departures } from "../../scripts/figures/departures.ts";
import { forecast } from "../../src/forecast/experts/expert-forecast.ts";
import type { Forecast } from "../../src/forecast/forecast.ts";
import { interpolate } from "../../src/series/gaps.ts";
import { resample } from "../../src/series/resample.ts";
import type { Series } from "../../src/series/series.ts";
import { madeLoads } from "./loads/made-loads.ts";

const dayMs = 86_400_000;
const levels = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
/** The standard normal law's quantiles at the first nine levels, which enter the loss. */
const normal = [-1.281552, -0.841621, -0.524401, -0.253347, 0, 0.253347, 0.524401, 0.841621, 1.281552];

/** Sums over the origins of one series, for the whole day ahead or its first hour. */
interface Sums {
  steps: number;
  loss: number;
  naiveLoss: number;
  within90: number;
  within95: number;
}

interface Row {
  readonly name: string;
  readonly relativeDay: number;
  readonly relativeHour: number;
  readonly within90: number;
  readonly within95: number;
}

const empty = (): Sums => ({ steps: 0, loss: 0, naiveLoss: 0, within90: 0, within95: 0 });

/** Forecasts from `origins` moments of a series, each with a week of history, against the seasonal naive forecast. */
function scoreSeries(name: string, series: Series, origins: number): Row {
  const day = Math.round(dayMs / series.stepMs);
  const room = series.values.length - 8 * day;
  const [whole, hour] = [empty(), empty()];
  for (let k = 0; k < origins; k++) {
    // Not always at the same time of day.
    const from = Math.min(room, Math.round((room * k) / Math.max(1, origins - 1)) + ((k * 5 * day) / 24) * (k % 2));
    scoreOrigin(series, Math.floor(from), day, whole, hour);
  }
  // In a quiet first hour the naive error may be next to nothing: a twentieth of its error a day stands below both.
  const floor = (0.05 * hour.steps * whole.naiveLoss) / whole.steps;
  return {
    name,
    relativeDay: whole.loss / whole.naiveLoss,
    relativeHour: (hour.loss + floor) / (hour.naiveLoss + floor),
    within90: whole.within90 / whole.steps,
    within95: whole.within95 / whole.steps,
  };
}

function scoreOrigin({ startMs, stepMs, values }: Series, from: number, day: number, whole: Sums, hour: Sums): void {
  const history = values.slice(from, from + 7 * day);
  const to = from + 7 * day;
  const made = madeOf(
    forecast({
      series: { startMs: startMs + from * stepMs, stepMs, values: history },
      horizon: day,
      levels,
      timeZone: "UTC",
    }),
  );
  const filled = interpolate(history);
  const scatter = scatterOf(history, day);
  for (let lead = 0; lead < day; lead++) {
    const value = values[to + lead];
    if (!Number.isFinite(value)) continue;
    const naive = filled[6 * day + lead];
    let [loss, naiveLoss] = [0, 0];
    for (let q = 0; q < normal.length; q++) {
      loss += pinball(levels[q], value - made.quantiles[q][lead]);
      naiveLoss += pinball(levels[q], value - (naive + scatter * normal[q]));
    }
    for (const sums of lead * stepMs < 3_600_000 ? [whole, hour] : [whole]) {
      sums.steps++;
      sums.loss += loss;
      sums.naiveLoss += naiveLoss;
      sums.within90 += value <= made.quantiles[8][lead] + 1e-9 ? 1 : 0;
      sums.within95 += value <= made.quantiles[9][lead] + 1e-9 ? 1 : 0;
    }
  }
}

function madeOf(outcome: ReturnType<typeof forecast>): Forecast {
  if (outcome.kind !== "Forecast") throw new Error(`no forecast: ${outcome.kind}`);
  return outcome.forecast;
}

/** Root mean square of the changes from one day to the next: the naive forecast's own bands are as wide. */
function scatterOf(history: Float64Array, day: number): number {
  let [sum, count] = [0, 0];
  for (let i = day; i < history.length; i++) {
    const change = history[i] - history[i - day];
    if (!Number.isFinite(change)) continue;
    sum += change * change;
    count++;
  }
  return count > 0 ? Math.sqrt(sum / count) : 0;
}

function pinball(level: number, error: number): number {
  return error >= 0 ? level * error : (level - 1) * error;
}

const geometricMean = (values: readonly number[]) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(Math.max(value, 1e-3)), 0) / values.length);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

export default {
  name: "Accuracy: quantile loss ÷ that of the seasonal naive forecast, a week of history, 24 h ahead",
  async run(show: (text: string) => void): Promise<void> {
    const all = [{ name: "departures (bundled, real)", series: departures() }, ...madeLoads()];
    for (const { title, stepMinutes, origins } of [
      { title: "5-minute steps", stepMinutes: 5, origins: 6 },
      { title: "1-minute steps", stepMinutes: 1, origins: 3 },
    ]) {
      const rows = all.map(({ name, series }, k) => {
        show(`${title}, series ${k + 1} of ${all.length}`);
        return scoreSeries(name, resample(series, stepMinutes * 60_000), origins);
      });
      rows.push({
        name: `**${rows.length} series, geometric mean** (coverage: mean)`,
        relativeDay: geometricMean(rows.map((row) => row.relativeDay)),
        relativeHour: geometricMean(rows.map((row) => row.relativeHour)),
        within90: mean(rows.map((row) => row.within90)),
        within95: mean(rows.map((row) => row.within95)),
      });
      const lines = [
        `| ${title}, ${origins} origins each | wQL, 24 h | wQL, first hour | ≤ q90 | ≤ q95 |`,
        "|---|---:|---:|---:|---:|",
      ];
      for (const { name, relativeDay, relativeHour, within90, within95 } of rows)
        lines.push(
          `| ${name} | ${relativeDay.toFixed(3)} | ${relativeHour.toFixed(3)} | ${within90.toFixed(3)} | ${within95.toFixed(3)} |`,
        );
      process.stdout.write(`${lines.join("\n")}\n\n`);
    }
  },
};
