import { forecastByName, forecasterNames } from "../forecast/forecast-by-name.ts";
import { isTimeZone } from "../series/calendar.ts";
import type { Command } from "./command.ts";
import { pipe } from "./pipe.ts";

/** More steps than this in one line are a mistake of unit, not a request. */
const mostSteps = 1_000_000;
const mostAhead = 100_000;

export const command: Command = {
  name: "forecast",
  summary: "forecasts series with quantiles, one JSON line in, one out",
  usage: "< REQUESTS > FORECASTS",
  description: [
    "Reads one request a line:",
    '  {"id", "start", "step_s", "values": […], "horizon", "quantiles": [0.1, …], "tz"?, "algorithm"?}',
    "start is when the first value's step begins (ISO 8601, UTC); step_s is the length of a step in seconds; null is a",
    "missing value; horizon counts steps ahead; tz is the IANA time zone in which the users live (UTC where absent);",
    `algorithm is one of ${forecasterNames.join(", ")} (Forecast where absent: experts weighed by their own past).`,
    "",
    "Writes one answer a line, in order:",
    '  {"id", "mean": […], "quantiles": {"0.1": […], …}, "periods": […], "method"}   or   {"id", "error"}',
    "mean is the single best value of each step, the median; periods count steps; method says what is odd about the history",
    "and what made the forecast. An error begins with TooShort or NotPredictable where it is the history that does not do.",
  ].join("\n"),
  options: {},
  examples: [
    `node -e 'const values = Array.from({ length: 240 }, (_, h) => 5 + Math.sin(h * Math.PI / 12)); console.log(JSON.stringify({ id: "a", start: "2026-01-05T00:00:00Z", step_s: 3600, values, horizon: 6, quantiles: [0.1, 0.5, 0.9] }))' | forescale forecast`,
    "forescale forecast < requests.jsonl > forecasts.jsonl",
  ],
  run: (_values, positionals, io) => pipe(io, positionals, answer, (request) => ({ id: request?.id ?? null })),
};

/** @throws Error with one sentence that names the field and what it should be */
function answer(request: Record<string, unknown>): object {
  const { id = null } = request;
  const levels = levelsOf(request.quantiles);
  const ascending = [...new Set(levels)].sort((a, b) => a - b);
  const outcome = forecastByName({
    series: { startMs: startOf(request.start), stepMs: stepOf(request.step_s), values: valuesOf(request.values) },
    horizon: horizonOf(request.horizon),
    levels: ascending,
    timeZone: timeZoneOf(request.tz),
    algorithm: algorithmOf(request.algorithm),
  });
  switch (outcome.kind) {
    case "TooShort":
      throw new Error(
        `TooShort: values hold ${outcome.samples} present samples, and this forecast needs ${outcome.needed}; give a longer history`,
      );
    case "NotPredictable":
      throw new Error(`NotPredictable: ${outcome.why}`);
    case "Forecast": {
      const { mean, quantiles, periods, method } = outcome.forecast;
      return {
        id,
        mean: [...mean],
        quantiles: Object.fromEntries(levels.map((level) => [String(level), [...quantiles[ascending.indexOf(level)]]])),
        periods,
        method,
      };
    }
  }
}

function algorithmOf(algorithm: unknown): string | undefined {
  if (algorithm === undefined) return undefined;
  if (typeof algorithm === "string" && forecasterNames.includes(algorithm)) return algorithm;
  throw new Error(`algorithm is ${show(algorithm)}, not one of ${forecasterNames.join(", ")}`);
}

function startOf(start: unknown): number {
  // Without a zone the platform would take the machine's own.
  const hasTimeButNoZone = typeof start === "string" && /t[\d:.]+$/i.test(start);
  const isDate = typeof start === "string" && /^\d{4}-\d\d-\d\d/.test(start);
  const time = isDate ? Date.parse(hasTimeButNoZone ? `${start}Z` : start) : Number.NaN;
  if (Number.isNaN(time)) throw new Error(`start is ${show(start)}, not a time such as "2025-03-01T00:00:00Z"`);
  return time;
}

function stepOf(step: unknown): number {
  if (!(typeof step === "number" && Number.isFinite(step) && step > 0))
    throw new Error(`step_s is ${show(step)}, not a number of seconds above 0`);
  return step * 1000;
}

function valuesOf(values: unknown): Float64Array {
  if (!Array.isArray(values)) throw new Error(`values is ${show(values)}, not an array of numbers and nulls`);
  if (values.length > mostSteps) throw new Error(`values hold ${values.length} steps, more than ${mostSteps}`);
  return Float64Array.from(values, (value: unknown, k) => {
    if (value === null) return Number.NaN;
    if (typeof value !== "number") throw new Error(`values[${k}] is ${show(value)}, neither a number nor null`);
    if (!Number.isFinite(value)) throw new Error(`values[${k}] is beyond ±1.8e308, the largest number there is`);
    return value;
  });
}

function horizonOf(horizon: unknown): number {
  if (!(typeof horizon === "number" && Number.isInteger(horizon) && horizon >= 1 && horizon <= mostAhead))
    throw new Error(`horizon is ${show(horizon)}, not a whole number of steps from 1 to ${mostAhead}`);
  return horizon;
}

function levelsOf(levels: unknown): number[] {
  if (!Array.isArray(levels))
    throw new Error(`quantiles is ${show(levels)}, not an array of levels such as [0.5, 0.9]`);
  return levels.map((level: unknown, k) => {
    if (!(typeof level === "number" && level > 0 && level < 1))
      throw new Error(`quantiles[${k}] is ${show(level)}, not a number between 0 and 1`);
    return level;
  });
}

function timeZoneOf(tz: unknown): string {
  if (tz === undefined || tz === null) return "UTC";
  if (typeof tz !== "string" || !isTimeZone(tz))
    throw new Error(`tz is ${show(tz)}, not an IANA time zone such as "Europe/Berlin"`);
  return tz;
}

/** A value as a message shows it: short, and the word "missing" where there is none. */
function show(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
