import type { Forecast } from "../forecast/forecast.ts";
import type { ForecastPool } from "../forecast/workers/worker-pool.ts";
import { forecastLevels } from "../portrait/load-forecasts.ts";
import { resample } from "../series/resample.ts";
import { endMs, type Series } from "../series/series.ts";

const minuteMs = 60_000;
const stepMs = 5 * minuteMs;
const historyMs = 28 * 24 * 60 * minuteMs;
const horizonMs = 24 * 60 * minuteMs;
/** A new forecast is begun this often, in simulated time, unless one is still under way. */
const refreshMs = 15 * minuteMs;
/** Older than this, the replay waits for the new one: it must not depend on how fast the machine is. */
const oldestMs = 60 * minuteMs;
/** What the replays of a forecast taught stays good this long, as the controllers hold it. */
const weightsKeptMs = 6 * 60 * minuteMs;

/** Keeps a forecast of one load, made on worker threads while the replay goes on. */
export class Forecasts {
  readonly #pool: ForecastPool;
  readonly #load: Series;
  #latest: Forecast | undefined;
  #seenMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #madeMs = Number.NEGATIVE_INFINITY;
  #weights: { readonly weights: NonNullable<Forecast["weights"]>; readonly atMs: number } | undefined;
  #underWay: Promise<void> | undefined;

  /** @param load the whole trace; only what has passed is ever read */
  constructor(pool: ForecastPool, load: Series) {
    this.#pool = pool;
    this.#load = load;
  }

  /** The newest forecast; undefined before the first, and where the history allows none. */
  get latest(): Forecast | undefined {
    return this.#latest;
  }

  /** Begins a new forecast when it is time. @returns whether there was a new one since the last call */
  async refresh(nowMs: number): Promise<boolean> {
    if (this.#underWay === undefined && nowMs - this.#askedMs >= refreshMs) {
      this.#askedMs = nowMs;
      this.#underWay = this.#make(nowMs).finally(() => {
        this.#underWay = undefined;
      });
      this.#underWay.catch(() => {}); // awaited below, or by the next call
    }
    if (nowMs - this.#madeMs >= oldestMs) await this.#underWay;
    const isNew = this.#madeMs > this.#seenMs;
    this.#seenMs = this.#madeMs;
    return isNew;
  }

  async #make(nowMs: number): Promise<void> {
    const { startMs, stepMs: each, values } = this.#load;
    const known = Math.floor((nowMs - startMs) / each);
    const first = Math.max(0, known - Math.ceil(historyMs / each));
    const past = { startMs: startMs + first * each, stepMs: each, values: values.slice(first, known) };
    const series = resample(past, Math.ceil(stepMs / each) * each);
    const horizon = Math.ceil((Math.max(0, nowMs - endMs(series)) + horizonMs) / series.stepMs);
    const held = this.#weights;
    const outcome = await this.#pool.forecast({
      series,
      horizon,
      levels: forecastLevels,
      timeZone: "UTC",
      ...(held && nowMs - held.atMs < weightsKeptMs && { weights: held.weights }),
    });
    this.#madeMs = nowMs;
    if (outcome.kind !== "Forecast") return;
    this.#latest = outcome.forecast;
    const { weights } = outcome.forecast;
    if (weights !== undefined && (held === undefined || nowMs - held.atMs >= weightsKeptMs))
      this.#weights = { weights, atMs: nowMs };
  }
}
